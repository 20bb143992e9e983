"""Read the object of an answer when it is whole, and the rows of one that is a list while it grows."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import re
import uuid
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
        self._schema = expected
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
        return records(self._decoded[0]) if self._decoded else self._rows.read(text)


def plain_value(value: Any) -> Any:
    """Return a value as dicts, lists, texts, numbers and times."""
    return msgspec.to_builtins(
        value,
        builtin_types=_KEPT,
        str_keys=True,
        enc_hook=lambda one: one.model_dump() if hasattr(one, "model_dump") else str(one),
    )


def records(value: Any) -> list[dict[str, Any]]:
    """Return the rows of a value: its elements, those of its only property, or the value itself as one row."""
    plain = plain_value(value)
    if isinstance(plain, dict) and len(plain) == 1 and isinstance(only := next(iter(plain.values())), list):
        plain = only
    return [_row(element) for element in (plain if isinstance(plain, list) else [plain])]


def _row(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"value": value}


def frame(value: Any) -> Any:
    """Return the rows of a value as a pandas DataFrame; raises FormatProblem (pandas-missing) where pandas is not installed."""
    try:
        import pandas as pd  # noqa: PLC0415 - only a frame needs it
    except ImportError:
        raise FormatProblem("pandas-missing") from None
    return pd.DataFrame(records(value))


def indent_json(text: str) -> str:
    """Return a JSON text with line breaks and indents, and any other text as it is."""
    try:
        return msgspec.json.format(text.encode(), indent=2).decode()
    except (msgspec.DecodeError, UnicodeError):
        return text
