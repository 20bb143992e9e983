"""Read the object of an answer when it is whole, and the rows of one that is a list while it grows."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import json
import re
import uuid
from collections.abc import Mapping
from enum import Enum
from typing import Any

import msgspec

from ollama_magics.conversation.json_answer import SchemaMismatchError
from ollama_magics.conversation.schema import Schema
from ollama_magics.errors import AnswerCut, FormatProblem

_LIST_START = re.compile(r'\s*(?:\{\s*"(?:[^"\\]|\\.)*"\s*:\s*)?\[')
_SEPARATORS = re.compile(r"[\s,]*")
_NUMBER_END = re.compile(r"[\s,\]]")
# types that stay as they are in a row; msgspec would make texts of them
_KEPT = (dt.datetime, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, bytes)


class RowReader:
    """Reads the rows of a growing text that is a list, or an object that begins with one."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._position = 0
        self._decoder = json.JSONDecoder()

    def read(self, text: str) -> list[dict[str, Any]]:
        """Return the rows that are complete so far; the text must begin with the text of the last call."""
        if not self._position:
            start = _LIST_START.match(text)
            self._position = start.end() if start else 0
        while self._position and (gap := _SEPARATORS.match(text, self._position)):
            try:
                value, end = self._decoder.raw_decode(text, gap.end())
            except (ValueError, RecursionError):
                break
            if not isinstance(value, (dict, list, str)) and not _NUMBER_END.match(text, end):
                break  # 12 may still become 123 or 12.5
            self._rows.append(_row(value))
            self._position = end
        return self._rows


class Value:
    """The object in one growing text; without a schema there is none."""

    def __init__(self, expected: Schema | None) -> None:
        self.is_expected, self._has_rows = expected is not None, expected is not None and expected.is_list
        self._schema, self._format = expected, expected.format if expected else None
        self._rows, self._decoded = RowReader(), list[Any]()
        self._mismatch: Any = None  # why a whole answer is no such object

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_schema", "_rows")}  # these decode

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(None)  # type: ignore[misc]
        vars(self).update(state)

    def decode(self, text: str, thinking: str, done_reason: str, tokens: int) -> None:
        """Decode the whole answer, of so many tokens; raises AnswerCut where it is cut."""
        if self._schema is None:
            return
        if done_reason == "length":
            raise AnswerCut("object-cut", most=tokens, characters=len(text))
        try:
            self._decoded.append(self._schema.decode(text, thinking))
        except SchemaMismatchError as error:
            self._mismatch = error.args[0]

    def get(self) -> Any:
        """Return the object; raises FormatProblem where there is none."""
        self.require_match()
        if not self._decoded:
            raise FormatProblem("object-missing")
        return self._decoded[0]

    def require_match(self) -> None:
        """Raise FormatProblem if the answer is whole and is no such object."""
        if self._mismatch is not None:
            raise FormatProblem("object-invalid", reason=self._mismatch)

    def rows(self, text: str) -> list[dict[str, Any]]:
        """Return the rows that are complete in the text so far, if the object is a list of rows."""
        if not self._has_rows:
            return []
        return records(self._decoded[0], self._format) if self._decoded else self._rows.read(text)

    def frame(self) -> Any:
        """Return the object as a pandas DataFrame with the columns of its type; raises FormatProblem as ``get`` does."""
        return frame(self.get(), self._format)


def plain_value(value: Any, form: Any = None) -> Any:
    """Return a value as dicts, lists, texts, numbers and times.

    A field that the answer left out has its default; where it has none, but stands in the JSON schema ``form``, it is None.
    """
    plain = _plain(value)
    return _filled(plain, form, form) if isinstance(form, dict) else plain


def _plain(value: Any) -> Any:
    """Return what msgspec makes of a value, but with the fields that it leaves out because they have their default."""
    if isinstance(value, Enum) or hasattr(value, "model_dump"):
        return _plain(value.value if isinstance(value, Enum) else value.model_dump())
    if isinstance(value, Mapping):
        return {key if type(key) is str else _text_of_key(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(inner) for inner in value]
    if isinstance(value, msgspec.Struct):
        return _plain_struct(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if hasattr(value, field.name)]
        return {name: _plain(getattr(value, name)) for name in names}
    return msgspec.to_builtins(value, builtin_types=_KEPT, str_keys=True, enc_hook=str)


def _plain_struct(value: msgspec.Struct) -> Any:
    fields = [(field.encode_name, getattr(value, field.name)) for field in msgspec.structs.fields(value)]
    found = {name: _plain(inner) for name, inner in fields if inner is not msgspec.UNSET}
    config = value.__struct_config__
    if config.array_like:
        return [*([config.tag] if config.tag_field else []), *found.values()]
    return {config.tag_field: config.tag, **found} if config.tag_field else found


def _text_of_key(key: Any) -> str:
    return str(next(iter(msgspec.to_builtins({key: None}, str_keys=True, enc_hook=str))))


def resolved(node: Any, root: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a JSON schema that a reference or a choice of one type and null stands for."""
    seen: list[Any] = []
    while isinstance(node, dict) and node not in seen:
        seen.append(node)
        branches = [one for one in node.get("anyOf") or node.get("oneOf") or () if one != {"type": "null"}]
        if isinstance(reference := node.get("$ref"), str):
            node = root
            for key in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
                node = node.get(key, {}) if isinstance(node, dict) else {}
        elif len(branches) == 1:
            node = branches[0]
        else:
            return node
    return {}


def _filled(value: Any, node: Any, root: dict[str, Any]) -> Any:
    """Return a plain value in which each object has all properties of its schema."""
    node = resolved(node, root)
    if isinstance(value, dict):
        known, other = node.get("properties") or {}, node.get("additionalProperties")
        found = {name: _filled(value.get(name), inner, root) for name, inner in known.items()}
        return found | {name: _filled(inner, other, root) for name, inner in value.items() if name not in known}
    if isinstance(value, list):
        first, rest = node.get("prefixItems") or [], node.get("items")
        return [_filled(inner, first[place] if place < len(first) else rest, root) for place, inner in enumerate(value)]
    return value


def records(value: Any, form: Any = None) -> list[dict[str, Any]]:
    """Return the rows of a value: its elements, those of its only property, or the value itself as one row.

    They have all properties of the JSON schema ``form``.
    """
    plain = plain_value(value, form)
    if isinstance(plain, dict) and len(plain) == 1 and isinstance(only := next(iter(plain.values())), list):
        plain = only
    return [_row(element) for element in (plain if isinstance(plain, list) else [plain])]


def _row(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"value": value}


def frame(value: Any, form: Any = None) -> Any:
    """Return the rows of a value as a pandas DataFrame with the columns of the JSON schema ``form``, also where it is empty.

    Raises FormatProblem (pandas-missing) where pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415 - only a frame needs it
    except ImportError:
        raise FormatProblem("pandas-missing") from None
    rows = records(value, form)
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=_column_names(form))


def _column_names(form: Any) -> list[str]:
    """Return the columns of the rows that a JSON schema describes; none where they are not known."""
    node = resolved(form, form) if isinstance(form, dict) else {}
    if len(properties := list((node.get("properties") or {}).values())) == 1:
        node = resolved(properties[0], form)
    if node.get("type") != "array":
        return []
    row = resolved(node.get("items"), form)
    choices = [resolved(one, form) for one in row.get("anyOf") or row.get("oneOf") or [row]]
    names = dict.fromkeys(name for one in choices for name in one.get("properties") or ())
    return list(names) or ["value"]


def indent_json(text: str) -> str:
    """Return a JSON text with line breaks and indents, and any other text as it is."""
    try:
        return msgspec.json.format(text.encode(), indent=2).decode()
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return text
