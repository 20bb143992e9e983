"""Texts that are never shown in output, logs or errors, and how to know one by its name or form."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, pairwise
from types import FunctionType, ModuleType
from typing import Any

BULLETS = "••••"


class Secret:
    """A text that is printed as bullets, or as ``shown``; only ``reveal`` returns it.

    Example
    -------
    >>> key = Secret("abc")
    >>> print(key)
    ••••

    """

    __slots__ = ("_shown", "_value")

    def __init__(self, value: str, shown: str = BULLETS) -> None:
        self._value, self._shown = value, shown

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return self._shown

    def __format__(self, spec: str) -> str:
        return format(self._shown, spec)


NO_SECRET = Secret("")


def revealed(text: str | Secret) -> str:
    """Return the text of a secret, or a plain text unchanged."""
    return text.reveal() if isinstance(text, Secret) else text


# Names whose values are secrets, whatever they are; and those that are secrets where they are texts.
_SECRET_NAME = re.compile(
    r"pass(?:word|wd|phrase)|secret|credential|bearer|(?:api|private|access|signing)[-_ ]?key|^authorization$|^cookies?$"
    r"|(?:^|[-_])pwd?$",
    re.IGNORECASE,
)
_PERHAPS_SECRET_NAME = re.compile(r"[-_a-z](?:token|pat)$|[-_](?:key|auth)$", re.IGNORECASE)
_COMMON_NAME = re.compile(r"^(?:key|token|auth|pat)$", re.IGNORECASE)  # of loops and columns too
SECRET_OPTION = re.compile(r"key|token|secret|passw|pwd|auth|credential|bearer|header", re.IGNORECASE)  # or one mistyped
_RANDOM = re.compile(r"(?=.*\d)(?=.*[A-Za-z])[\w./+=~:-]{12,}")  # a text that no one would type
_NAME = re.compile(r"[\w.-]+")
# What follows a name to which a text is assigned or compared: name = "…", name: str = "…", "name": "…", ["name"] == "…".
# A text whose end is missing goes up to the end of its line. The text may stand on the next line, with its number there.
_ASSIGNED = re.compile(
    r"""["']?\]?[ \t]*(?::[ \t]*[\w.\[\]| ]+?[ \t]*=|[!=]?=|:)[ \t]*(?:[\\(]?[ \t]*\n>?[ \t]*\d*[ \t]*)?[rbfu]{0,2}"""
    r"""(?:(?P<long>\"{3}|'{3})(?P<text>.+?)(?:(?P=long)|\Z)|(?P<quote>["'])(?P<line>[^\n]+?)(?:(?P=quote)|(?=\n|\Z)))""",
    re.IGNORECASE | re.DOTALL,
)
# The same without quotes, as in a file of settings, an address of a database or a command: name: …, name=…, --name …
_UNQUOTED = re.compile(r"""(?:[ \t]*[:=][ \t]*|(?<=\w)["'],[ \t]*["']|[ \t]+)(?P<line>[^\s"'`,;&(){}\[\]]+)(?![(\[])""")
_CODE = re.compile(r"(?:[A-Za-z_]+\.)*[A-Za-z_]+|\d+|[|=<>!]+|•+")  # names, types and operators; words are no keys either
_USER = re.compile(r"""(?P<before>(?<![\w-])(?:-u|--user)(?:=|[ \t]+|["'],[ \t]*["'])[\w.@-]+:)[^\s"',\]]+""")
# A port is no password: a number before the path, or at the end of a text behind what only a host looks like, without an @.
_HOST_AND_PORT = r"""://(?:(?:\[[\da-f:.]+\]|[^\s/:@"']*):\d{1,5}\.?[/?#\s"'`),;\]}>]|(?:localhost|[\w-]+(?:\.[\w-]+)+):\d{1,5}\.?\Z)(?![^\s"']*@)"""
# A password right behind an option of one letter: mysql -p…, sshpass -p …
_BEHIND_LETTER = re.compile(
    r"""(?P<before>(?<![\w-])(?:mysql|mariadb)[\w-]*\b[^\n]{0,200}?(?<![\w-])-p"""
    r"""|(?<![\w-])sshpass\b[^\n]{0,200}?(?<![\w-])-p(?:[ \t]*|["'],[ \t]*["']))[^\s"',\]]+"""
)
_IN_ADDRESS = re.compile(
    rf"(?P<before>(?!{_HOST_AND_PORT})://[^\s/:@\"']*:|[?&;](?:[\w-]*(?:key|token|secret|password|pwd|sig|signature)|code)=)[^\s&;@\"']+",
    re.IGNORECASE,
)
_IN_QUERY = re.compile(r"://\S*[?&;][\w-]*(?:key|token|secret|password|pwd|sig)=[^\s&;$]", re.IGNORECASE)
_SHAPES = re.compile(
    r"\b(?:sk|pk|rk)-[\w-]{8,}|\bgh[oprsu]_\w{16,}|\bgithub_pat_\w{16,}|\bglpat-[\w-]{12,}|\bhf_\w{16,}|\bxox[abeoprs]-[\w-]{8,}"
    r"|\bAKIA[A-Z\d]{12,}|\bAIza[\w-]{20,}|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*|(?<=\bBearer )[\w./+=~-]{8,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


def looks_like_key(text: str) -> bool:
    """Return whether a text in the place of a name, such as that of a variable, is rather a key.

    Example
    -------
    >>> looks_like_key("OLLAMA_KEY_2"), looks_like_key("abcd1234efgh5678")
    (False, True)

    """
    is_name = "_" in text and text in (text.upper(), text.lower())
    return bool(_SHAPES.search(text) or (_RANDOM.fullmatch(text) and not is_name))


def key_places(text: str) -> Iterator[int]:
    """Yield where keys of a known form stand in a text, and those in the query of an address."""
    yield from (found.start() for pattern in (_SHAPES, _IN_QUERY) for found in pattern.finditer(text))


def is_secret(name: str, value: object) -> bool:
    """Return whether a value is one to keep, by its type or by what it is called.

    Example
    -------
    >>> is_secret("api_key", "abc"), is_secret("sort_key", 3), is_secret("key", "name")
    (True, False, False)

    """
    if isinstance(value, Secret) or _SECRET_NAME.search(name):
        return True
    if not isinstance(value, (str, bytes)):
        return False
    text = value if isinstance(value, str) else value.decode("utf-8", "replace")
    return bool(_PERHAPS_SECRET_NAME.search(name) or (_COMMON_NAME.search(name) and _RANDOM.fullmatch(text)))


_MOST_VALUES = 20_000  # that are looked through for secrets
_MOST_CELLS = 1_000  # of a column
_LONGEST_NAME = 60  # characters
_ITEM_NAME = re.compile(r"-{0,2}\w[\w.-]*(?: \w+)?:?")  # password, --api-key, DB.PASSWORD, API key:


def secret_texts(spaces: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the texts that are called like secrets, in values or inside of them: items, attributes, cells of tables.

    What is in a value that is called so is a secret too. At most 20 000 values are looked at, those of the first spaces first.

    Example
    -------
    >>> secret_texts([{"login": {"user": "ada", "password": "hunter2"}}])
    ['hunter2']

    """
    found: dict[str, None] = {}
    seen: set[int] = set()
    waiting: deque[tuple[str, Any, bool]] = deque((name, value, False) for space in spaces for name, value in _named(space))
    for _ in range(_MOST_VALUES):
        if not waiting:
            break
        name, value, is_in_secret = waiting.popleft()
        is_hidden = is_in_secret or is_secret(name, value)
        if isinstance(value, (str, bytes, bytearray, Secret)):
            if is_hidden:
                found[value.decode("utf-8", "replace") if isinstance(value, (bytes, bytearray)) else revealed(value)] = None
        elif id(value) not in seen:
            seen.add(id(value))
            try:
                waiting.extend((name, part, is_hidden) for name, part in islice(_parts(name, value), _MOST_VALUES))
            except Exception:  # noqa: BLE001, S112 - the code of a value may raise anything
                continue
    return [*found]


def _named(space: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names of a space with their values; of ``for key, value in …`` the value is called what the key says."""
    for name, value in [*space.items()]:
        yield str(name), value
    for name, other in (("k", "v"), ("key", "value"), ("name", "value"), ("key", "val")):
        if isinstance(space.get(name), str) and other in space:
            yield space[name], space[other]


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is in a value, with what it is called there."""
    if isinstance(value, (ModuleType, FunctionType)) or (isinstance(value, type) and value.__module__ != "__main__"):
        return
    if isinstance(value, dict):
        yield from ((str(key), item) for key, item in value.items())
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        yield from zip(value._fields, value, strict=False)
    elif isinstance(value, (list, tuple, set, frozenset)):
        words = [name, *value]  # the value of ("password", "…"), and of ["--password", "…"]
        yield from ((before if is_called_secret(before) else name, item) for before, item in pairwise(words))
    elif hasattr(value, "get_secret_value"):  # of pydantic
        yield "secret", value.get_secret_value()
    elif hasattr(value, "shape"):
        yield from _cells(value)
    else:
        yield from held(value).items()


def held(value: Any) -> Mapping[str, Any]:
    """Return what an object holds itself, by name: the fields of a msgspec.Struct, or its attributes."""
    fields: Iterable[str] = getattr(value, "__struct_fields__", ())
    return {name: getattr(value, name) for name in fields} or getattr(value, "__dict__", {})


def _cells(table: Any) -> Iterator[tuple[str, Any]]:
    """Yield the columns and rows of a table, the fields of an array, or the items of a series, each with its name."""
    if hasattr(table, "columns"):
        yield from ((str(column), [*islice(table[column], _MOST_CELLS)]) for column in table.columns)
        if hasattr(table, "itertuples"):  # of pandas, whose rows have names
            yield from ((str(row[0]), row[1:]) for row in islice(table.itertuples(name=None), _MOST_CELLS))
    elif getattr(getattr(table, "dtype", None), "names", None):
        yield from ((field, table[field].ravel()[:_MOST_CELLS].tolist()) for field in table.dtype.names)
    elif hasattr(table, "index") and hasattr(table, "items"):
        yield from ((str(label), item) for label, item in islice(table.items(), _MOST_CELLS))


def is_called_secret(text: object) -> bool:
    """Return whether an item of a list is the name of a secret, which is the next item; a sentence or code is no name."""
    is_name = isinstance(text, str) and len(text) <= _LONGEST_NAME and _ITEM_NAME.fullmatch(text)
    return bool(is_name) and is_secret(str(text).lstrip("-"), "")


def without_secrets(text: str) -> str:
    """Return a text with bullets for what looks like a key: texts assigned to such names, passwords in addresses, known forms."""
    parts: list[str] = []
    position = 0
    for name in _NAME.finditer(text):
        assigned = _ASSIGNED.match(text, name.end()) if name.start() >= position else None
        part = "text" if assigned and assigned["text"] else "line"
        if assigned and is_secret(name[0].rpartition(".")[2], assigned[part]):
            parts += [text[position : assigned.start(part)], BULLETS]
            position = assigned.end(part)
    text = _without_unquoted("".join([*parts, text[position:]]))
    text = _USER.sub(rf"\g<before>{BULLETS}", text)
    text = _BEHIND_LETTER.sub(rf"\g<before>{BULLETS}", text)
    text = _IN_ADDRESS.sub(rf"\g<before>{BULLETS}", text)
    return _SHAPES.sub(BULLETS, text)


def _without_unquoted(text: str) -> str:
    parts: list[str] = []
    position = 0
    for name in _NAME.finditer(text):
        if name.start() < position or not is_secret(name[0].lstrip("-").rpartition(".")[2], ""):
            continue
        value = _UNQUOTED.match(text, name.end())
        is_option = name[0].startswith("-") or text[name.start() - 2 : name.start()] == "--"
        has_sign = value and text[value.start() : value.start("line")].strip(" \t")
        if value and (has_sign or is_option) and not _CODE.fullmatch(value["line"]):
            parts += [text[position : value.start("line")], BULLETS]
            position = value.end("line")
    return "".join([*parts, text[position:]])
