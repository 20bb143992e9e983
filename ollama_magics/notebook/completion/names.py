"""Find the variables, attributes, columns and files that fit the beginning of a word; nothing of the notebook is called."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, NamedTuple

_NAME = r"[^\W\d]\w*"
# The end of an expression: a name and a quoted key of it, a name and its attribute, or a name alone.
_KEY = re.compile(rf"""(?P<owner>{_NAME})\[(?P<quote>["'])(?P<part>[^"']*)$""")
_ATTRIBUTE = re.compile(rf"(?:^|[^\w.\]\)])(?P<owner>{_NAME})\.(?P<part>\w*)$")
_LAST_NAME = re.compile(r"(?:^|[^\w.])(?P<part>\w*)$")
_NO_DATA = (str, bytes, type, FunctionType, ModuleType)
_NO_PICTURE = (*_NO_DATA, int, float, complex, dict, set, type(None))
_NO_VALUE = object()
_ITEM = "item"  # the name of the values of a list after --each
_MOST_PATHS = 300


class Found(NamedTuple):
    """What a Tab offers in place of ``fragment``, the characters before the cursor: pairs of a text and its kind."""

    fragment: str
    offered: tuple[tuple[str, str], ...] = ()

    def in_place_of(self, word: str) -> list[str]:
        """Return the texts as completions of a word, with which the fragment ends or which ends with the fragment."""
        if word.endswith(self.fragment):
            before = word.removesuffix(self.fragment)
            return [f"{before}{text}" for text, _ in self.offered]
        start = len(self.fragment) - len(word)
        return [text[start:] for text, _ in self.offered if text[:start].lower() == self.fragment[:start].lower()]


NOTHING = Found("")


def fitting(fragment: str, names: Iterable[str], kind: str) -> Found:
    """Return the names that begin with the fragment, each once."""
    return Found(fragment, tuple((name, kind) for name in dict.fromkeys(names) if name.startswith(fragment)))


def fitting_words(fragment: str, names: Iterable[str], kind: str) -> Found:
    """Return the same as words of a line: one with a space stands in quotes."""
    found = fitting(fragment.lstrip("\"'"), names, kind).offered
    return Found(fragment, tuple((f'"{name}"' if " " in name else name, kind) for name, _ in found))


def both(one: Found, other: Found) -> Found:
    """Return both as completions of the longer fragment."""
    fragment = max(one.fragment, other.fragment, key=len)
    offered: dict[str, str] = {}
    for found in (other, one):
        before = fragment.removesuffix(found.fragment)
        offered = {f"{before}{text}": kind for text, kind in found.offered} | offered
    return Found(fragment, tuple(offered.items()))


class NotebookNames:
    """The user's own names in a shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def variables(self, fits: Callable[[Any], bool]) -> list[str]:
        """Return the names in alphabetical order whose value ``fits``."""
        hidden = self._shell.user_ns_hidden
        own = [
            name
            for name, value in list(self._shell.user_ns.items())
            if not name.startswith("_") and hidden.get(name, _NO_VALUE) is not value and _safely(fits, value)
        ]
        return sorted(own)

    def in_expression(self, typed: str, fits: Callable[[Any], bool]) -> Found:
        """Return the variables, attributes or keys that fit at the end of an expression."""
        names = self._shell.user_ns
        if (key := _KEY.search(typed)) and key["owner"] in names:
            return fitting(key["part"], _keys(names[key["owner"]]), "key")
        if (attribute := _ATTRIBUTE.search(typed)) and attribute["owner"] in names:
            return fitting(attribute["part"], _attributes(names[attribute["owner"]], fits), "attribute")
        if name := _LAST_NAME.search(typed):
            return fitting(name["part"], self.variables(fits), "variable")
        return NOTHING

    def in_braces(self, inside: str, data: str) -> Found:
        """Return what fits after ``{{``: columns of the ``data`` after --each first."""
        found = self.in_expression(inside.lstrip(), is_value)
        if not _LAST_NAME.fullmatch(inside.strip()):
            return found
        return both(fitting(found.fragment, filter(str.isidentifier, self.columns(data)), "column"), found)

    def columns(self, data: str) -> list[str]:
        """Return what ``{{column}}`` may name in the data that a variable, or an attribute of one, holds."""
        owner, _, attribute = data.removeprefix("$").partition(".")
        value = self._shell.user_ns.get(owner)
        return _column_names(getattr(value, attribute, None) if attribute else value)


def paths(typed: str) -> Found:
    """Return the files and folders that begin as typed; in quotes if there is a space in one."""
    quote = typed[:1] if typed[:1] in ("'", '"') else ""
    folder, beginning = os.path.split(typed.removeprefix(quote))
    offered: list[tuple[str, str]] = []
    for name, is_folder in _entries(Path(folder or ".").expanduser()):
        if name.startswith(beginning or ".") == bool(beginning):  # hidden ones only if the dot is typed
            path = os.path.join(folder, name) + ("/" if is_folder else "")  # noqa: PTH118 - keeps "./" and "~"
            mark = quote or ('"' if " " in path else "")
            offered.append((f"{mark}{path}{'' if is_folder else mark}", "path"))
    return Found(typed, tuple(sorted(offered)[:_MOST_PATHS]))


def _entries(folder: Path) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, entry.is_dir()) for entry in entries if entry.name.isprintable()]
    except OSError:
        return []


def is_path(typed: str) -> bool:
    """Return whether what is typed is a path, after whose separators no variable stands."""
    return typed.lstrip("\"'").startswith("~") or "/" in typed or "\\" in typed


# What a value is good for.


def is_value(value: Any) -> bool:
    """Return whether a value is more than a module."""
    return not isinstance(value, ModuleType)


def is_data(value: Any) -> bool:
    """Return whether a value may have rows."""
    return hasattr(type(value), "__len__") and not isinstance(value, _NO_DATA)


def is_picture(value: Any) -> bool:
    """Return whether a value may be a picture, or a list of some."""
    return not (isinstance(value, _NO_PICTURE) or hasattr(type(value), "columns"))


def is_schema(value: Any) -> bool:
    """Return whether a value may be the type of an answer."""
    return isinstance(value, (type, dict)) or hasattr(type(value), "__origin__")


def is_function(value: Any) -> bool:
    """Return whether a value is a function, and no class."""
    return callable(value) and not isinstance(value, type)


def _safely(fits: Callable[[Any], bool], value: Any) -> bool:
    try:
        return fits(value)
    except Exception:  # noqa: BLE001 - the code of a value may raise anything
        return False


def _keys(value: Any) -> Iterator[str]:
    names = value if isinstance(value, Mapping) else getattr(value, "columns", ())
    return (name for name in names if isinstance(name, str))


def _attributes(value: Any, fits: Callable[[Any], bool]) -> list[str]:
    """Return columns and public attributes of a value, its methods only if functions are wanted; no property is computed."""
    names = [name for name in dir(value) if not name.startswith("_")]
    if not (isinstance(value, ModuleType) or fits is is_function):
        names = [name for name in names if not callable(getattr(type(value), name, None))]
    return names if isinstance(value, Mapping) else [*filter(str.isidentifier, _keys(value)), *names]


def _column_names(data: Any) -> list[str]:
    """Return the columns as rows.table names them, without reading the rows."""
    if isinstance(data, Mapping):
        return [str(name) for name in data]
    if isinstance(data, (list, tuple)) and data and isinstance(data[0], Mapping):
        return [str(name) for name in data[0]]
    if (names := getattr(data, "column_names", getattr(data, "columns", None))) is not None:
        return [str(name) for name in names]
    name = getattr(data, "name", None)
    return [name if isinstance(name, str) and name else _ITEM] if is_data(data) else []
