"""A stream of bytes as lines."""

from __future__ import annotations

from collections.abc import Iterator

from ollama_magics.errors import RequestRefused

Body = bytes | bytearray | memoryview
LONGEST_LINE = 64 * 1024 * 1024  # bytes; Ollama's own client gives up at 8 MB


class Lines:
    r"""Cuts a byte stream at ``\n`` and nowhere else (str.splitlines would also cut at U+0085, which Go writes raw)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without blank ones; raises RequestRefused for an endless one."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise unreadable(self._rest, f"it is longer than {LONGEST_LINE // 1024 // 1024} MB")
        return [line for line in lines if line and not line.isspace()]

    def rest(self) -> Iterator[bytes]:
        """Yield the last line where it came without its end."""
        last, self._rest = self._rest, b""
        if last.strip():
            yield last


def unreadable(line: Body, why: str) -> RequestRefused:
    """Return the error for an answer that is not what the interface promises."""
    start = bytes(line[:80]).decode("utf-8", "replace")
    return RequestRefused("OM-R02", status=200, reason=f"{why}; it begins: {start!r}")
