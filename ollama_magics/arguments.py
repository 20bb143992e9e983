"""A magic line -> its options and the untouched rest of the line."""

from __future__ import annotations

import difflib
import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from IPython.core.error import UsageError
from IPython.core.inputtransformer2 import TokenTransformBase
from IPython.core.magic_arguments import argument, magic_arguments

from ollama_magics import settings
from ollama_magics.errors import SettingError

_Magic = TypeVar("_Magic", bound=Callable[..., Any])
# a word: pieces without spaces, of which quoted ones may hold any; no escape signs, so that Windows paths survive
_WORD = re.compile(r"""\s*((?:[^\s"']|"[^"]*"|'[^']*')+)""")
_QUOTED = re.compile(r"""(["'])(.*?)\1""", re.DOTALL)
_OPTION = re.compile(r"--?[^\W\d_]")
_KEY = re.compile(r"--?api[-_]?key(?![-_]?env)(?:\s*=\s*|\s+)(?!--[a-z])(?!\$[^\W\d]\w*\s*(?:$|--))\S")
ASK = "?"  # the value of an --api-key without one


def prompt_options(magic: _Magic) -> _Magic:
    """Declare the options of %%ollama and %ollama on a magic."""
    return _declared(
        magic,
        argument("-m", "--model", metavar="NAME", help="the model for this cell"),
        argument("-s", "--system", metavar="TEXT", help="system prompt; $name takes it from a variable"),
        argument(
            "-i",
            "--image",
            metavar="WHAT",
            action="append",
            help="a picture: a variable, a path, a pattern; repeatable",
        ),
        argument("-o", "--into", metavar="NAME", help="bind the reply to this name when it is complete"),
        argument("--new", action="store_true", help="start the conversation afresh"),
        argument("--once", action="store_true", help="neither read nor keep the conversation"),
        argument("--context", metavar="N", help="tokens of context for this cell; takes 8k"),
        argument("--max-tokens", metavar="N", help="most tokens of the answer; takes 8k"),
        *(_setting(name) for name in ("temperature", "top_p", "top_k", "seed", "stop", "keep_alive")),
        argument("--think", metavar="LEVEL", nargs="?", const="on", help="off, on, low, medium, high or max, as --think=high"),
        argument("--local-only", action="store_true", help="refuse if the prompt would leave this machine"),
    )


def embed_options(magic: _Magic) -> _Magic:
    """Declare the options of %embed and %%embed on a magic."""
    return _declared(
        magic,
        argument("-m", "--model", metavar="NAME", help="the embedding model"),
        argument("-o", "--into", metavar="NAME", help="bind the array to this name"),
        argument("--report", metavar="NAME", help="bind what happened to the rows, an EmbedReport, to this name"),
        argument("--lines", metavar="FILE", help="embed the lines of a text file"),
        argument("--batch", metavar="N", help="texts in one request (default 256)"),
        argument("--parallel", metavar="N", help="requests at a time (default 2)"),
        argument("--dimensions", metavar="N", help="numbers in a vector, where the model can cut them"),
        argument("--query", action="store_true", help="put the model family's words for a query before each text"),
        argument("--document", action="store_true", help="put the model family's words for a document before each text"),
        argument("--on-error", metavar="WHAT", help="rows that cannot be embedded: raise (after all others), nan, or skip"),
        argument("--truncate", action="store_true", help="let the server cut texts that are too long; the report lists them"),
        argument("--verify", action="store_true", help="embed some texts again alone, and compare"),
        argument("--any-model", action="store_true", help="take a model that is not listed as one that embeds"),
        argument("--context", metavar="N", help="tokens of context, sent as num_ctx; takes 8k"),
        argument("--keep-alive", metavar="T", help="how long the model stays loaded: 30m, 0, -1 (for ever)"),
        argument("-O", dest="options", metavar="KEY=VALUE", action="append", help="an option of the runner; repeatable"),
        argument("--base-url", metavar="A,B", help="several servers that share the work"),
        argument("--no-store", action="store_true", help="neither look vectors up in the store nor keep them there"),
        argument("--store", action="store_true", help="show the size of the store"),
        argument("--forget", action="store_true", help="empty the store"),
    )


def config_options(magic: _Magic) -> _Magic:
    """Declare one option for each setting of the form, and those that act on it, on a magic."""
    return _declared(
        magic,
        *(_setting(name) for name in settings.form()),
        argument("--api-key", nargs="?", const=ASK, help="ask for the key, for the address of now only"),
        argument("--save", metavar="NAME", nargs="?", const="default", help="save the settings as a profile, without keys"),
        argument("--profile", metavar="NAME", help="use a profile in this notebook"),
        argument("--profiles", action="store_true", help="list the profiles"),
        argument("--forget", metavar="NAME", help="remove a profile"),
        argument("--export", metavar="FILE", help="write the settings to a file, without keys"),
        argument("--import", dest="import_file", metavar="FILE", help="take the settings of a file, for this notebook"),
        argument("--show", action="store_true", help="show the settings and where each value comes from"),
        argument("--sandbox", action="store_true", help="start the built-in stand-in server and use it"),
    )


def check_options(magic: _Magic) -> _Magic:
    """Declare the options of %ollama_check on a magic."""
    return _declared(
        magic,
        argument("--deep", action="store_true", help="load the model, ask it, and prove what it can do"),
        argument("--json", action="store_true", help="show the report as JSON, for programs"),
    )


def _setting(name: str) -> Callable[[Any], Any]:
    options: dict[str, Any] = {"action": "append"} if isinstance(settings.default(name), tuple) else {}
    if settings.words(name) == ("no", "yes"):
        options = {"nargs": "?", "const": "yes"}
    return argument(settings.flag(name), dest=name, metavar="VALUE", help=_help(name), **options)


def _declared(magic: _Magic, *options: Callable[[Any], Any]) -> _Magic:
    # magic_arguments collects decorators from the bottom up
    for option in reversed(options):
        magic = option(magic)
    magic = magic_arguments()(magic)
    magic.parser.allow_abbrev = False  # type: ignore[attr-defined] # set by magic_arguments
    return magic


def _help(name: str) -> str:
    return settings.explain(name).replace("%", "%%")


def read(magic: Callable[..., Any], line: str, names: Mapping[str, Any], *, ends: bool = False) -> tuple[Namespace, str]:
    """Return the options at the start of the line, and the rest from the first word that is none, untouched.

    ``$name`` as a value takes it from ``names``. Where the line ``ends`` with its options, one whose value may be left out
    takes the next word, else only what follows its ``=``. Raises IPython's UsageError for an unknown option or a missing value.
    """
    parser: ArgumentParser = magic.parser  # type: ignore[attr-defined] # set by magic_arguments
    words, rest = _split(parser, line, greedy=ends)
    options = parser.parse_args(words)
    for name, value in vars(options).items():
        setattr(options, name, _looked_up(value, names))
    return options, rest


def refuse_secrets(line: str) -> None:
    """Raise SettingError, which shows nothing of the line, where a key or a password was typed on it."""
    if _KEY.search(line):
        raise SettingError("OM-S02", setting="--api-key", instead="%ollama_config --api-key")
    for name in ("base_url", "proxy"):
        typed = re.search(rf"{settings.flag(name)}[=\s]\s*(\S+)", line)
        if typed and settings.holds_password(typed[1]):
            raise SettingError("OM-S02", setting=settings.flag(name), instead=f"%ollama_config {settings.flag(name)} $name")


def assigned_name(name: str | None) -> str | None:
    """Return the name after -o; raises UsageError where it cannot be assigned to."""
    if name is not None and not name.isidentifier():
        message = f"-o takes a name of the notebook, not {name!r}"
        raise UsageError(message)
    return name


def wishes(options: Namespace) -> dict[str, Any]:
    """Return what was typed for %embed by the names of om.embed; what was not typed is left out."""
    typed = dict(vars(options))
    for name in ("into", "report", "forget"):
        del typed[name]
    typed["store"] = not typed.pop("no_store")
    return {name: value for name, value in typed.items() if value is not None}


def evaluated(expression: str, shell: Any) -> Any:
    """Return the value of a Python expression in the notebook, or of ``$name``."""
    found = _looked_up(expression, shell.user_ns)
    return shell.ev(expression) if found is expression else found


def _split(parser: ArgumentParser, line: str, *, greedy: bool) -> tuple[list[str], str]:
    words: list[str] = []
    position = 0
    waiting: bool | None = False  # the last option still takes a value; None: it may
    for word, start, end in _words(line):
        if word == "--" and not waiting:
            return words, line[end:].strip()
        if waiting is False and not _OPTION.match(word):
            return words, line[start:].strip()
        is_option = not waiting and bool(_OPTION.match(word))
        waiting = _takes_value(parser, word, greedy=greedy) if is_option else False
        words.append(_QUOTED.sub(r"\2", word))
        position = end
    if rest := line[position:].strip():
        message = f"a quote is not closed: {rest}"
        raise UsageError(message)
    return words, ""


def _words(line: str) -> Iterator[tuple[str, int, int]]:
    position = 0
    while match := _WORD.match(line, position):
        yield match[1], match.start(1), match.end()
        position = match.end()


def _takes_value(parser: ArgumentParser, word: str, *, greedy: bool) -> bool | None:
    name, has_value, _ = word.partition("=")
    actions = {option: action for action in parser._actions for option in action.option_strings}  # noqa: SLF001 - no public way
    if name in actions and actions[name].nargs == "?":
        return None if greedy and not has_value else False
    if name in actions:
        return not has_value and actions[name].nargs != 0
    if not word.startswith("--") and word[:2] in actions and actions[word[:2]].nargs != 0:
        return False  # -mNAME
    near = difflib.get_close_matches(name, actions, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else ""
    message = f"unknown option {name}{hint}  (a prompt that begins so: put -- before it)"
    raise UsageError(message)


def _looked_up(value: Any, names: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_looked_up(part, names) for part in value]
    if not (isinstance(value, str) and value.startswith("$") and value[1:].isidentifier()):
        return value
    if value[1:] not in names:
        raise SettingError("OM-S04", name=value[1:])
    return names[value[1:]]


class Asked(TokenTransformBase):
    """Lets a prompt end in a question mark, which IPython would take for help: ``%ollama What is Python?``.

    Holds for ``r = %ollama …?`` too. ``%ollama?`` stays help.
    """

    priority = 4  # before IPython's HelpEnd, which has 5

    def __init__(self, start: tuple[int, int], percent: tuple[int, int]) -> None:
        super().__init__(start)
        self._line, self._column = percent[0] - 1, percent[1]

    @classmethod
    def find(cls, tokens_by_line: list[list[Any]]) -> Asked | None:
        """Return where the first such line begins, or None."""
        for line in tokens_by_line:
            texts = [token.string for token in line]
            place = next((i for i in range(len(texts) - 1) if texts[i : i + 2] == ["%", "ollama"]), None)
            if place is None or "?" not in texts[-2:] or not _begins(texts[:place]):
                continue
            if any(text.strip(" ?\r\n") for text in texts[place + 2 :]):
                first = next(token for token in line if token.string.strip())
                return cls(first.start, line[place].start)
        return None

    def transform(self, lines: list[str]) -> list[str]:
        """Return the lines with the magic as the call that IPython itself makes of it."""
        line = lines[self._line]
        prompt = line[self._column :].rstrip("\r\n").removeprefix("%ollama").strip()
        call = f"get_ipython().run_line_magic('ollama', {prompt!r})\n"
        return [*lines[: self._line], line[: self._column] + call, *lines[self._line + 1 :]]


def _begins(before: list[str]) -> bool:
    spoken = [text for text in before if text.strip()]
    return not spoken or spoken[-1] == "="
