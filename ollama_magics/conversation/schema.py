"""A type of the notebook as a JSON schema, and an answer as values and rows of that type."""

from __future__ import annotations

import datetime as dt
import decimal
import re
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from json import JSONDecoder
from typing import Any

import msgspec

from ollama_magics.conversation import json_schema
from ollama_magics.conversation.json_schema import fit
from ollama_magics.errors import FormatProblem

_START = re.compile(r'\s*(?:\{\s*"(?:[^"\\]|\\.)*"\s*:\s*)?\[')
_END = re.compile(r"[\s,\]]")
_BETWEEN = re.compile(r"[\s,]*")
_KEPT = (dt.datetime, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, bytes)
_VALUE = "value"  # the column of what has no names


class Rows:
    """Reads a growing text that is a list, or an object that begins with one: finds what is complete of its elements."""

    def __init__(self) -> None:
        self._found: list[dict[str, Any]] = []
        self._position = 0
        self._decoder = JSONDecoder()

    def read(self, text: str) -> list[dict[str, Any]]:
        """Return the complete elements of the text so far, each as a row; it must go on from the last text."""
        if not self._position:
            start = _START.match(text)
            self._position = start.end() if start else 0
        while self._position and self._take(text):
            pass
        return self._found

    def _take(self, text: str) -> bool:
        begin = _between(text, self._position)
        try:
            value, end = self._decoder.raw_decode(text, begin)
        except (ValueError, RecursionError):
            return False
        if not isinstance(value, (dict, list, str)) and not _END.match(text, end):
            return False  # 12 may still become 123 or 12.5
        self._found.append(_row(value))
        self._position = end
        return True


def records(value: Any) -> list[dict[str, Any]]:
    """Return the rows of a value: its elements, those of its only property, or the value itself as one row."""
    plain = _plain(value)
    if isinstance(plain, dict) and len(plain) == 1 and isinstance(only := next(iter(plain.values())), list):
        plain = only
    return [_row(element) for element in (plain if isinstance(plain, list) else [plain])]


def pretty(text: str) -> str:
    """Return a JSON text in lines with indents; one that is none as it is."""
    try:
        return msgspec.json.format(text.encode(), indent=2).decode()
    except (msgspec.DecodeError, UnicodeError):
        return text


def frame(value: Any) -> Any:
    """Return the rows of a value as a pandas DataFrame; raises FormatProblem where there is no pandas."""
    try:
        import pandas as pd  # noqa: PLC0415 - only who asks for a frame needs it
    except ImportError:
        raise FormatProblem("pandas-missing") from None
    return pd.DataFrame(records(value))


def _plain(value: Any) -> Any:
    return msgspec.to_builtins(value, builtin_types=_KEPT, str_keys=True, enc_hook=_dumped)


def _dumped(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)  # pydantic's
    return dump() if dump else str(value)


def _row(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {_VALUE: value}


def _between(text: str, position: int) -> int:
    found = _BETWEEN.match(text, position)
    return found.end() if found else position


class UnfitError(ValueError):
    """A text that is not of the type; its words say where and why."""


@dataclass(frozen=True)
class Schema:
    """What is sent as ``format``, and how the answer is read; ``listed``: its value is rows, which may be shown as they come."""

    sent: str | dict[str, Any]
    read: Callable[[str], Any]
    listed: bool = False

    def value(self, text: str) -> Any:
        """Return the text as a value of the type; raises UnfitError for a text that is not whole, or of another type."""
        try:
            return self.read(text)
        except Exception as error:  # noqa: BLE001 - a type of the notebook may raise anything as it is made
            raise UnfitError(" ".join(str(error).split())[:300]) from None

    def takes(self, text: str) -> bool:
        """Whether the text is a value of the type."""
        try:
            self.value(text)
        except UnfitError:
            return False
        return True


def of(kind: Any) -> Schema:
    """Return the schema of ``"json"``, a JSON schema (a dict), or a type; raises FormatProblem for what has none."""
    if kind is None or isinstance(kind, str):
        if kind == "json":
            return Schema("json", msgspec.json.decode)
        raise FormatProblem("format-invalid", kind=repr(kind)[:80])
    if isinstance(kind, dict):
        fitted = fit(kind)
        json_schema.require_sound(fitted)
        return Schema(fitted, json_schema.reader(kind), _is_listed(fitted))
    made, read = _types(kind)
    fitted = fit(made)
    return Schema(fitted, read, _is_listed(fitted))


def _types(kind: Any) -> tuple[dict[str, Any], Callable[[str], Any]]:
    if hasattr(kind, "model_json_schema") and (found := _pydantics(kind)):
        return found
    try:
        return msgspec.json.schema(kind), msgspec.json.Decoder(kind).decode
    except NameError as error:
        raise FormatProblem("format-class-unknown", kind=_called(kind), name=error.name or str(error)) from None
    except KeyError:
        # msgspec cannot name two classes alike: a cell that was run again has made its classes anew
        raise FormatProblem("format-class-twice", kind=_called(kind)) from None
    except TypeError as error:
        if found := _pydantics(kind):
            return found
        raise FormatProblem("format-unsupported", kind=_called(kind), reason=str(error).splitlines()[-1]) from None


def _pydantics(kind: Any) -> tuple[dict[str, Any], Callable[[str], Any]] | None:
    """Return schema and reader of a type with pydantic models in it; None where the notebook has no pydantic, or it has none."""
    if (pydantic := sys.modules.get("pydantic")) is None:
        return None
    try:
        adapter = pydantic.TypeAdapter(kind)
        return adapter.json_schema(), adapter.validate_json
    except (pydantic.errors.PydanticUserError, AttributeError, TypeError):  # the latter two where it is no type at all
        return None


def _is_listed(schema: dict[str, Any]) -> bool:
    """Whether the value is a list, or an object of which the only property is one."""
    properties = list(schema.get("properties", {}).values())
    only = properties[0] if len(properties) == 1 else {}
    return "array" in (schema.get("type"), only.get("type"))


def _called(kind: Any) -> str:
    return str(getattr(kind, "__name__", None) or kind)[:80] if isinstance(kind, type) else str(kind)[:80]
