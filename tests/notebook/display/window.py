"""IPython in a terminal of its own, as a user types into it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

_PATIENCE = 30  # seconds
_STYLE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b\][^\x07]*\x07")
_UP = re.compile(r"\x1b\[\d*A")
_PARTS = re.compile(rf"{_STYLE.pattern}|\n|\r|[^\x1b\n\r]+")


class Window:
    """A pseudo-terminal of so many lines, with IPython in it; ``enter`` returns all that a line makes it write."""

    def __init__(self, folder: str, server: str, *, height: int = 24, **variables: str) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "NO_COLOR")},
            "TERM": "xterm-256color",
            "IPYTHONDIR": folder,
            "OLLAMA_HOST": server,
            "LANG": "C.UTF-8",
            **variables,
        }
        self._height = height
        self._count = 1
        self._written = b""

    def __enter__(self) -> Self:
        self._pid, self._screen = pty.fork()
        if not self._pid:
            options = ["--simple-prompt", "--no-banner", "--colors=NoColor", "--HistoryManager.enabled=False"]
            os.execve(sys.executable, [sys.executable, "-m", "IPython", *options], self._environment)  # noqa: S606
        fcntl.ioctl(self._screen, termios.TIOCSWINSZ, struct.pack("HHHH", self._height, 80, 0, 0))
        self._until(r"In \[1\]: ")
        self.enter("%load_ext ollama_magics")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os.close(self._screen)

    def enter(self, line: str) -> str:
        """Type a line; return what it wrote until the next prompt."""
        self.type(line)
        return self.end()

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._screen, line.encode() + b"\n")
        self._until(re.escape(line[:60]))

    def end(self) -> str:
        """Return what is written until the next prompt."""
        self._count += 1
        return self._until(rf"In \[{self._count}\]: ")

    def press(self, key: bytes) -> None:
        """Press a key, such as Ctrl-C."""
        os.write(self._screen, key)

    def wait_for(self, pattern: str) -> None:
        """Wait until something is written."""
        self._until(pattern)

    def _until(self, pattern: str) -> str:
        # What was written up to the end of the pattern; the rest waits for the next call.
        deadline = time.monotonic() + _PATIENCE
        while not (found := re.search(pattern, self._written.decode(errors="replace"))):
            assert time.monotonic() < deadline, self._written
            if select.select([self._screen], [], [], 0.1)[0]:
                with suppress(OSError):
                    self._written += os.read(self._screen, 65536)
        text = self._written.decode(errors="replace")
        self._written = text[found.end() :].encode()
        return text[: found.end()]


def left(written: str, *, styled: bool = False) -> list[str]:
    """Return the lines that are still to be seen when all is done, without styles unless ``styled``."""
    rows, row = {0: ""}, 0
    for part in _PARTS.findall(written.replace("\r\n", "\n")):
        row += 1 if part == "\n" else -int(part[2:-1] or 1) if _UP.fullmatch(part) else 0
        if part in ("\n", "\r", "\x1b[2K"):  # whatever is written after a return has erased the line first
            rows[row] = rows.get(row, "") if part != "\x1b[2K" else ""
        elif not _STYLE.fullmatch(part) or (styled and part.endswith("m")):
            rows[row] += part
    return [line.rstrip() for _, line in sorted(rows.items()) if line.strip()]
