"""Give each magic its options, from the declarations of settings and options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from IPython.core.magic_arguments import argument, argument_group, kwds, magic_arguments

from ollama_magics.settings import form
from ollama_magics.settings.cell_options import EMBED_OPTIONS, PROMPT_OPTIONS, Option

_Magic = TypeVar("_Magic", bound=Callable[..., Any])
ASK = "?"  # the value of an --api-key without one


def prompt_options(magic: _Magic) -> _Magic:
    """Declare the options of %%ollama and %ollama on a magic, group by group."""
    grouped: list[Any] = []
    for group, options in PROMPT_OPTIONS.items():
        settings = [_cell_setting(name, setting) for name, setting in form.SETTINGS.items() if _is_in(group, setting)]
        grouped += [argument_group(group), *settings, *map(_option, options)]
    return _declared(magic, kwds(usage="%(prog)s [OPTIONS] PROMPT"), *grouped)


def _is_in(group: str, setting: form.Setting) -> bool:
    return setting.cell is not None and setting.cell.group == group


def _cell_setting(name: str, setting: form.Setting) -> Callable[[Any], Any]:
    cell: Any = setting.cell
    flags = [*([cell.letter] if cell.letter else []), form.flag(name)]
    about = (cell.help or str(setting.help)).replace("%", "%%")
    if cell.switch:
        return argument(*flags, dest=name, action="store_true", help=about)
    return argument(*flags, dest=name, metavar=setting.metavar, help=about, **_value(repeat=cell.repeat, const=cell.const))


def _option(option: Option) -> Callable[[Any], Any]:
    about = option.help.replace("%", "%%")
    if not option.metavar:
        return argument(*option.flags.split(), dest=option.name, action="store_true", help=about)
    value = _value(repeat=option.repeat, const=option.const)
    return argument(*option.flags.split(), dest=option.name, metavar=option.metavar, help=about, **value)


def _value(*, repeat: bool, const: str | None) -> dict[str, Any]:
    if const is not None:
        return {"nargs": "?", "const": const}
    return {"action": "append"} if repeat else {}


def embed_options(magic: _Magic) -> _Magic:
    """Declare the options of %embed and %%embed on a magic."""
    shared = [_setting(name) for name, setting in form.SETTINGS.items() if setting.embed]
    return _declared(magic, *map(_option, EMBED_OPTIONS), *shared)


def config_options(magic: _Magic) -> _Magic:
    """Declare one option for each setting, and those that act on all settings, on a magic."""
    return _declared(
        magic,
        *(_setting(name) for name in form.form()),
        argument("--no-probes", dest="probes", action="store_const", const="no", help="The same as --probes no"),
        argument("--api-key", nargs="?", const=ASK, help="Ask for the key, which is sent to the current address only"),
        argument("--save", metavar="NAME", nargs="?", const="default", help="Save the settings as a profile, without keys"),
        argument("--profile", metavar="NAME", help="Use a profile in this notebook"),
        argument("--profiles", action="store_true", help="List the profiles"),
        argument("--forget", metavar="NAME", help="Remove a profile"),
        argument("--export", metavar="FILE", help="Write the settings to a file, without keys"),
        argument("--import", dest="import_file", metavar="FILE", help="Take the settings of a file, for this notebook"),
        argument("--show", action="store_true", help="Show the settings and where each value comes from"),
        argument("--record", metavar="FILE", help="Write every exchange to a file; with OLLAMA_MAGICS_REPLAY=1 replay it"),
        argument("--sandbox", action="store_true", help="Start the built-in stand-in server and use it"),
    )


def history_options(magic: _Magic) -> _Magic:
    """Declare the options of %ollama_history on a magic."""
    return _declared(
        magic,
        argument("--export", action="store_true", help="Return the messages as a list of dicts with role and content"),
        argument("--clear", action="store_true", help="Delete the turns"),
    )


def check_options(magic: _Magic) -> _Magic:
    """Declare the options of %ollama_check on a magic."""
    return _declared(
        magic,
        argument("--deep", action="store_true", help="Load the model, ask it, and test what it can do"),
        argument("--json", action="store_true", help="Show the report as JSON, for programs"),
    )


def _setting(name: str) -> Callable[[Any], Any]:
    setting = form.SETTINGS[name]
    value = {"nargs": "?", "const": "yes"} if form.words(name) == ("no", "yes") else {}
    if isinstance(setting.default_value, tuple):
        value = {"action": "append"}
    return argument(form.flag(name), dest=name, metavar=setting.metavar, help=str(setting.help).replace("%", "%%"), **value)


def _declared(magic: _Magic, *options: Callable[[Any], Any]) -> _Magic:
    # magic_arguments collects decorators from the bottom up
    for option in reversed(options):
        magic = option(magic)
    magic = magic_arguments()(magic)
    magic.parser.allow_abbrev = False  # type: ignore[attr-defined] # set by magic_arguments
    return magic
