"""Values as rows of a table: whole ones, and those that can be read already while the text grows."""

from __future__ import annotations

import datetime as dt
import decimal
import re
import uuid
from json import JSONDecoder
from typing import Any

import msgspec

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
        raise FormatProblem("OM-F08") from None
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
