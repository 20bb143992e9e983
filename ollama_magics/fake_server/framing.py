"""Values as the bytes that Ollama writes (Go's compact JSON, chunks, times), without any socket."""

from __future__ import annotations

import json
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
