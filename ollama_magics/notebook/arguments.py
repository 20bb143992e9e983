"""Declare the options of each magic, and read a magic line into its options and the untouched rest."""

from __future__ import annotations

import difflib
import keyword
import re
from argparse import ArgumentParser, Namespace, _AppendAction
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.magic_arguments import argument, argument_group, kwds, magic_arguments

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError, SettingError
from ollama_magics.messages import Joined, Phrase
from ollama_magics.notebook import line_secrets, usage_error
from ollama_magics.notebook.line_words import WORD, attached, next_word, unquoted
from ollama_magics.notebook.scope import Scope
from ollama_magics.settings import form, values
from ollama_magics.settings.cell_options import EMBED_OPTIONS, PROMPT_OPTIONS, ROW_OPTIONS, Option

_Magic = TypeVar("_Magic", bound=Callable[..., Any])
ASK = "?"  # the value of an --api-key without one
_CONTRADICTIONS = tuple(
    {one, other}
    for one, others in {
        "once": ("new", "chat", "go_on"),
        "go_on": ("new", "generate", "suffix", "format", "tools"),
        "generate": ("new", "chat"),
        "suffix": ("new", "chat"),
        "several": ("new", "chat", "go_on"),
        "reuse": ("tools",),
        "show_prompt": ("each", "several", "next_cell", "quiet", "reuse"),
        "each": ("new", "chat", "go_on", "logprobs", "next_cell", "no_fill"),
    }.items()
    for other in others
)
_SPELLINGS = {
    "go_on": "--continue",
    "next_cell": "--next-cell",
    "no_fill": "--no-fill",
    "show_prompt": "--show-prompt",
    "tools": "--tool",
    "several": Phrase("usage_several"),
}
_LETTER = 2  # characters of an option that is one letter
_PROMPT_HINT = Phrase("usage_prompt")
_OPTION = re.compile(r"--?[^\W\d_]")
_EMBED_MAGIC_ONLY = ("into", "report", "no_store", "show_store", "forget", "looked_up")
# Options whose values follow a "=" only.
_VALUES_AFTER_EQUALS = {
    "--think": values.think.words,
    "--logprobs": tuple(map(str, range(21))),
}


def prompt_options(magic: _Magic) -> _Magic:
    """Declare the options of %%ollama and %ollama on a magic, group by group."""
    grouped: list[Any] = []
    for group, options in PROMPT_OPTIONS.items():
        in_cell = [name for name, setting in form.SETTINGS.items() if setting.cell and setting.cell.group == group]
        grouped += [argument_group(group), *map(_cell_setting, in_cell), *map(_option, options)]
    grouped += [argument_group(form.ROWS), *map(_option, ROW_OPTIONS)]
    return _declared(magic, kwds(usage="%(prog)s [OPTIONS] PROMPT"), *grouped)


def embed_options(magic: _Magic) -> _Magic:
    """Declare the options of %embed and %%embed on a magic."""
    shared = [_setting(name) for name, setting in form.SETTINGS.items() if setting.embed]
    return _declared(magic, *map(_option, EMBED_OPTIONS), *shared)


def config_options(magic: _Magic) -> _Magic:
    """Declare one option for each setting, and those that act on all settings, on a magic."""
    return _declared(
        magic,
        *(_setting(name) for name in form.names()),
        argument("--no-probes", dest="probes", action="store_const", const="no", help="The same as --probes no"),
        argument("--api-key", nargs="?", const=ASK, help="Ask for the key, which is sent to the current address only"),
        argument("--unset", metavar="NAME", action="append", help="Take a setting of this notebook back; repeatable"),
        argument("--save", metavar="NAME", nargs="?", const="", help="Save what is shown as a profile, without keys"),
        argument("--profile", metavar="NAME", help="Use a profile in this notebook"),
        argument("--profiles", action="store_true", help="List the profiles"),
        argument("--forget", metavar="NAME", help="Remove a profile"),
        argument("--export", metavar="FILE", help="Write the settings to a file, without keys"),
        argument("--import", dest="import_file", metavar="FILE", help="Take the settings of a file, for this notebook"),
        argument("--show", action="store_true", help="Show the settings and where each value comes from"),
        argument(
            "--record", metavar="FILE", help="Write every exchange to a file, with OLLAMA_MAGICS_REPLAY=1 replay it; off ends it"
        ),
        argument("--sandbox", action="store_true", help="Start the built-in stand-in server and use it"),
    )


def explain_options(magic: _Magic) -> _Magic:
    """Declare the options of %ollama_explain on a magic."""
    return _declared(
        magic,
        argument("-m", "--model", metavar="NAME", help="Model that explains"),
        argument("--show", action="store_true", help="Show what would be sent, and send nothing"),
        argument("--ask", action="store_true", help="Ask the model also about an error that says itself what to type"),
        argument("--next-cell", action="store_true", help="Put the corrected code into a new cell below, not run"),
        *map(_cell_setting, ("context_length", "max_tokens", "think", "local_only")),
    )


def history_options(magic: _Magic) -> _Magic:
    """Declare the options of %ollama_history on a magic."""
    return _declared(
        magic,
        argument("--export", action="store_true", help="Return the messages as a list of dicts with role and content"),
        argument("--clear", action="store_true", help="Delete the turns"),
        argument("--undo", action="store_true", help="Bring back the turns that a re-run, --new or --clear dropped last"),
        argument("--save", metavar="FILE", help="Write the turns to a JSON file, with pictures and cut answers"),
        argument("--load", metavar="FILE", help="Put the turns of such a file in the place of those that there are"),
        argument("--chats", action="store_true", help="List the conversations"),
    )


def check_options(magic: _Magic) -> _Magic:
    """Declare the options of %ollama_check on a magic."""
    return _declared(
        magic,
        argument("--deep", action="store_true", help="Load the model, ask it, and test what it can do"),
        argument("--json", action="store_true", help="Show the report as JSON, for programs"),
    )


def model_options(magic: _Magic) -> _Magic:
    """Declare that a magic about models has no options."""
    return _declared(magic)


def remove_options(magic: _Magic) -> _Magic:
    """Declare the options of %ollama_rm on a magic."""
    return _declared(magic, argument("--yes", action="store_true", help="Delete it without a question"))


def _setting(name: str) -> Callable[[Any], Any]:
    setting = form.SETTINGS[name]
    repeat, const = isinstance(setting.default_value, tuple), "yes" if form.words(name) == ("no", "yes") else None
    return _option(Option(form.flag(name), setting.help, name, setting.metavar, repeat=repeat, const=const))


def _cell_setting(name: str) -> Callable[[Any], Any]:
    setting, cell = form.SETTINGS[name], form.SETTINGS[name].cell
    flags, metavar = f"{cell.letter} {form.flag(name)}", "" if cell.switch else setting.metavar
    return _option(Option(flags, cell.help or setting.help, name, metavar, repeat=cell.repeat, const=cell.const))


def _option(option: Option) -> Callable[[Any], Any]:
    flags, about = option.flags.split(), option.help.replace("%", "%%")
    if not option.metavar:
        return argument(*flags, dest=option.name, action="store_true", help=about)
    value = {"action": "append"} if option.repeat else {}
    if option.const is not None:
        value = {"nargs": "?", "const": option.const}
    return argument(*flags, dest=option.name, metavar=option.metavar, help=about, **value)


def _declared(magic: _Magic, *options: Callable[[Any], Any]) -> _Magic:
    # magic_arguments collects decorators from the bottom up
    for option in reversed(options):
        magic = option(magic)
    magic = magic_arguments()(magic)
    magic.parser.allow_abbrev = False  # type: ignore[attr-defined] # set by magic_arguments
    return magic


def read(magic: Callable[..., Any], line: str, names: Mapping[str, Any], *, ends: bool = False) -> tuple[Namespace, str]:
    """Return the options at the start of the line, and the rest from the first word that is none, untouched.

    ``$name`` as a value takes it from ``names``. Where the line ``ends`` with its options, one whose value may be left out
    takes the next word, else only what follows its ``=``. ``looked_up`` are the options that have their value from ``names``.
    Raises IPython's UsageError for an unknown option or a missing value, and SettingError (secret-on-line).
    """
    parser: ArgumentParser = magic.parser  # type: ignore[attr-defined] # set by magic_arguments
    known = {spelling: action for action in parser._actions for spelling in action.option_strings}  # noqa: SLF001 - no public way
    try:
        words, rest = _split(parser, line, known, greedy=ends)
    except UsageError:
        line_secrets.refuse_secrets(parser, line, known)  # which the error would show
        raise
    line_secrets.refuse_secrets(parser, line, known, rest)
    try:
        options = parser.parse_args(words)
    except UsageError as error:
        raise usage_error("as_it_is", text=messages.argparse_error(str(error))) from None
    typed = dict(vars(options))
    options.looked_up = set()
    for name, value in typed.items():
        if isinstance(value, (str, list)):  # of fifty options few were typed
            if name == "stop":
                value = list(map(values.unescaped, value))  # noqa: PLW2901 - as it was meant
            setattr(options, name, _looked_up(value, names))
            options.looked_up |= {name} if _stands_for(value) else set()
    return options, rest


def read_named(magic: Callable[..., Any], line: str, names: Mapping[str, Any]) -> tuple[Namespace, str]:
    """Return the options of a line and the one name that stands before, between or after them, or an empty text."""
    _, rest = read(magic, line, names)
    word = WORD.match(rest)
    if word is None:
        return read(magic, line, names)
    before = line[: len(line.rstrip()) - len(rest)]
    options, more = read(magic, f"{before} {rest[word.end() :]}", names)
    if more:
        raise usage_error("usage_one_name", rest=more)
    name = _looked_up(unquoted(word[1]), names)
    if not isinstance(name, str):
        raise usage_error("usage_no_text", word=word[1], kind=type(name).__name__)
    return options, name


def refuse_both(options: Namespace) -> None:
    """Raise UsageError where two options of a prompt contradict each other."""
    # a value from a variable may be anything, and not every value is true or false
    typed = {
        name
        for name, value in vars(options).items()
        if not (value is None or value is False or (isinstance(value, str) and not value))
    }
    if len(options.model or ()) > 1:
        typed.add("several")
    for pair in _CONTRADICTIONS:
        if pair <= typed:
            flags = Joined(sorted((_SPELLINGS.get(name, f"--{name}") for name in pair), key=str), Phrase("and"))
            raise usage_error("usage_contradiction", flags=flags)


def refuse_several(options: Namespace) -> None:
    """Raise UsageError where more than one of the options of a magic that each does something else was typed."""
    typed = [f"--{name}" for name, value in vars(options).items() if name != "looked_up" and value not in (None, False)]
    if len(typed) > 1:
        raise usage_error("usage_contradiction", flags=Joined(sorted(typed), Phrase("and")))


def refuse_detached(line: str, rest: str) -> None:
    """Raise UsageError where the prompt begins with a value of the last option: ``--think high`` instead of ``--think=high``."""
    option = line[: len(line.rstrip()) - len(rest)].split()[-1:]
    value = re.match(r"(\S+)(?=\s+-|$)", rest)
    if option and value and value[1] in _VALUES_AFTER_EQUALS.get(option[0], ()):
        raise usage_error("usage_equals", option=option[0], value=value[1], hint=_PROMPT_HINT)


def assigned_name(name: str | None, option: str = "-o") -> str | None:
    """Return the name after an option; raises UsageError where it cannot be assigned to."""
    if name is not None and not (isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)):
        raise usage_error("usage_takes_name", option=option, name=repr(name))
    return name


def pairs(words: Sequence[str] | None, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed as KEY=VALUE; a key that is typed again gets a list. Raises UsageError for a word without ``=``."""
    found: dict[str, Any] = {}
    for word in words or ():
        key, equals, value = (part.strip() for part in str(word).partition("="))
        if not (key and equals):
            raise usage_error("usage_pair", word=repr(word))
        value = _looked_up(value, names)
        earlier = found.get(key)
        found[key] = [*(earlier if isinstance(earlier, list) else [earlier]), value] if key in found else value
    return found


def embed_parameters(options: Namespace, names: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was typed for %embed, by the parameters of om.embed; what was not typed is left out."""
    typed = {name: value for name, value in vars(options).items() if name not in _EMBED_MAGIC_ONLY}
    typed |= {"store": not options.no_store, "options": pairs(options.options, names) or None}
    return {name: value for name, value in typed.items() if value is not None}


def evaluated(expression: str, scope: Scope) -> Any:
    """Return the value of a Python expression where the line runs, or of ``$name``."""
    __tracebackhide__ = True  # IPython leaves such a frame out: a mistake in the expression is not ours
    found = _looked_up(expression, scope)
    return scope.evaluate(expression) if found is expression else found


def named(option: str, expression: Any, scope: Scope) -> Any:
    """Return the value of the expression after -f or -t; raises UsageError where it names what is not there, or is none."""
    if not isinstance(expression, str):  # $name was looked up already
        return expression
    try:
        return scope.evaluate(expression)
    except OllamaMagicsError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever the user's own expression raises
        reason = str(error) or type(error).__name__
        raise usage_error("usage_expression", option=option, expression=expression, reason=reason) from None


def _split(parser: ArgumentParser, line: str, options: Mapping[str, Any], *, greedy: bool) -> tuple[list[str], str]:
    words: list[str] = []
    typed_before: set[str] = set()
    position, option = 0, None
    waiting: bool | None = False  # the last option still takes a value; None: it may
    while match := next_word(line, position, options, option if waiting else None):
        word, start, end = match[1], match.start(1), match.end()
        if word == "--" and not waiting:
            return words, line[end:].strip()
        if waiting is False and not _OPTION.match(word):
            return words, line[start:].strip()
        is_option = not waiting and bool(_OPTION.match(word))
        if is_option:
            with_value, value = attached(word, options)
            _refuse_second(with_value or options.get(word), typed_before)
            typed = word.removesuffix(value) + unquoted(value, with_value) if with_value else unquoted(word)
        else:
            typed = unquoted(word, option)
        if waiting and typed.startswith("-"):
            _refuse_option(options, words[-1], word)
            words[-1] += f"={typed}" if words[-1].startswith("--") else typed  # else argparse would take it for an option
        else:
            words.append(typed)
        waiting = _takes_value(parser, word, options, greedy=greedy) if is_option else False
        option, position = options.get(word) if waiting else None, end
    if rest := line[position:].strip():
        raise usage_error("usage_quote", rest=rest)
    return words, ""


def _refuse_second(option: Any, typed_before: set[str]) -> None:
    """Raise UsageError for an option that takes one value and was typed before, as one of the two would be dropped."""
    if option is None or option.nargs == 0 or isinstance(option, _AppendAction):
        return
    if option.dest in typed_before:
        raise usage_error("usage_second", option=option.option_strings[-1])
    typed_before.add(option.dest)


def _refuse_option(options: Mapping[str, Any], option: str, word: str) -> None:
    """Raise UsageError where an option stands in the place of a value; in quotes it is a value."""
    if word == "--" or word.partition("=")[0] in options:
        raise usage_error("usage_no_value", option=option, word=word)


def _takes_value(parser: ArgumentParser, word: str, actions: Mapping[str, Any], *, greedy: bool) -> bool | None:
    name, has_value, _ = word.partition("=")
    if name in actions and actions[name].nargs == "?":
        return None if greedy and not has_value else False
    if name in actions:
        return not has_value and actions[name].nargs != 0
    if not word.startswith("--") and word[:2] in actions and actions[word[:2]].nargs != 0:
        return False  # -mNAME
    if name in ("--help", "-h"):
        raise usage_error("usage_help", magic=f"%{parser.prog.lstrip('%')}")
    near = [option for option in actions if len(name) == _LETTER and option.startswith(f"-{name}")]
    plain = {option.lstrip("-"): option for option in actions}  # hyphens are no likeness
    near = near or [plain[one] for one in difflib.get_close_matches(name.lstrip("-"), plain, n=1)]
    hint = Phrase("usage_near", near=", ".join(near)) if near else ""
    takes_prompt = "PROMPT" in (parser.usage or "")
    raise usage_error("usage_unknown", option=name, near=hint, hint=_PROMPT_HINT if takes_prompt else "")


def _stands_for(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("$") and value[1:].isidentifier()


def _looked_up(value: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_looked_up(part, names) for part in value]
    if not _stands_for(value):
        return value
    if value[1:] not in names:
        raise SettingError("variable-unknown", name=value[1:])
    return names[value[1:]]
