"""JSON as Go writes it, and what the Go decoder says about text that is not JSON."""

from __future__ import annotations

import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

LAST_CHUNK = b"0\r\n\r\n"

# Go escapes what could end a script element, and what JavaScript takes for a line end; it leaves U+0085 alone.
_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def go_json(value: Any) -> str:
    """Return the value as compact JSON in the spelling of Go's encoder."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def json_bytes(value: Any) -> bytes:
    """Return the same as UTF-8; a lone surrogate, which Go cannot hold, becomes a question mark."""
    return go_json(value).encode(errors="replace")


def chunk(data: bytes) -> bytes:
    """Return one piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def now() -> str:
    """Return this moment in RFC 3339 with up to nine fractional digits, in UTC, as in ``created_at``."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def moment(seconds: float) -> str:
    """Return a time since the epoch with the machine's own offset, as in ``expires_at``."""
    at = (datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)).astimezone()
    return at.isoformat().replace("+00:00", "Z")


_SPACE = re.compile(r"[ \t\r\n]*")
_PLAIN = re.compile(r'[^"\\\x00-\x1f]*')
_DIGITS = re.compile(r"[0-9]*")
_LITERALS = {"t": "true", "f": "false", "n": "null"}


def complaint(text: str) -> str:
    """Return the message for the first fault of the text, of which each byte is one character (Latin-1)."""
    try:
        _Scanner(text).value()
    except _FaultError as fault:
        return str(fault)
    except RecursionError:
        return "exceeded max depth"
    return "invalid number"  # the grammar is kept; what is left is a number that no decoder can hold


class _FaultError(Exception):
    pass


class _Scanner:
    """A reader of one JSON value that knows where it is, in the words of Go's scanner."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def value(self) -> None:
        start = self._peek()
        if start == "{":
            self._object()
        elif start == "[":
            self._array()
        elif start == '"':
            self._string()
        elif start in _LITERALS:
            self._literal(_LITERALS[start])
        elif start == "-" or start.isdigit():
            self._number()
        else:
            self._fail("looking for beginning of value")

    def _object(self) -> None:
        self._at += 1
        if self._skip_if("}"):
            return
        while True:
            if self._peek() != '"':
                self._fail("looking for beginning of object key string")
            self._string()
            if not self._skip_if(":"):
                self._fail("after object key")
            self.value()
            if self._skip_if("}"):
                return
            if not self._skip_if(","):
                self._fail("after object key:value pair")

    def _array(self) -> None:
        self._at += 1
        if self._skip_if("]"):
            return
        while True:
            self.value()
            if self._skip_if("]"):
                return
            if not self._skip_if(","):
                self._fail("after array element")

    def _string(self) -> None:
        self._at += 1
        while True:
            self._skip(_PLAIN)
            if self._here() == '"':
                self._at += 1
                return
            if self._here() != "\\":
                self._fail("in string literal")
            self._escape()

    def _escape(self) -> None:
        self._at += 1
        if self._here() not in '"\\/bfnrtu':
            self._fail("in string escape code")
        digits = 4 if self._here() == "u" else 0
        self._at += 1
        for _ in range(digits):
            if self._here() not in "0123456789abcdefABCDEF":
                self._fail("in \\u hexadecimal character escape")
            self._at += 1

    def _literal(self, word: str) -> None:
        for expected in word:
            if self._here() != expected:
                self._fail(f"in literal {word} (expecting '{expected}')")
            self._at += 1

    def _number(self) -> None:
        if self._here() == "-":
            self._at += 1
        if self._text.startswith("0", self._at):
            self._at += 1
        else:
            self._digits("in numeric literal")
        if self._text.startswith(".", self._at):
            self._at += 1
            self._digits("after decimal point in numeric literal")
        if self._text.startswith(("e", "E"), self._at):
            self._at += 2 if self._text.startswith(("+", "-"), self._at + 1) else 1
            self._digits("in exponent of numeric literal")

    def _digits(self, where: str) -> None:
        if not self._here().isdigit():
            self._fail(where)
        self._skip(_DIGITS)

    def _here(self) -> str:
        if self._at >= len(self._text):
            raise _FaultError("unexpected EOF")
        return self._text[self._at]

    def _peek(self) -> str:
        self._skip(_SPACE)
        return self._here()

    def _skip_if(self, char: str) -> bool:
        found = self._peek() == char
        self._at += found
        return found

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _fail(self, where: str) -> None:
        fault = f"invalid character {_quoted(self._here())} {where}"
        raise _FaultError(fault)


def _quoted(char: str) -> str:
    if char == "'":
        return "'\\''"
    if char.isprintable():
        return f"'{char}'"
    return {"\n": "'\\n'", "\r": "'\\r'", "\t": "'\\t'"}.get(char, f"'\\x{ord(char):02x}'")
