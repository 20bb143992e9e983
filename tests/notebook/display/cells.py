"""A cell with an answer in a real kernel, and what it costs on its way to the browser."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from jupyter_client.manager import KernelManager

from tests.kernel.conftest import Kernel
from tests.notebook.display.streams import serving


@dataclass
class Paint:
    """One message with something to show: when it left the kernel, in seconds, and its size as JSON."""

    at: float
    size: int
    text: str


@dataclass
class Painted:
    """What one answer cost."""

    answer: str
    paints: list[Paint]

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(paint.size for paint in self.paints)

    @property
    def pace(self) -> float:
        """The most bytes a second between any two paints; each is paid for by the time until the next one."""
        growing = self.paints[1:-1]  # the line of waiting is replaced at once, and the end is shown at once
        spans = [(first, last) for first in range(len(growing)) for last in range(first + 5, len(growing))]
        return max((_rate(growing[first : last + 1]) for first, last in spans), default=0.0)

    @property
    def repaints(self) -> int:
        """The most paints within one second."""
        times = [paint.at for paint in self.paints[1:-1]]
        return max(sum(begin <= at < begin + 1 for at in times) for begin in times)


def _rate(paints: list[Paint]) -> float:
    return sum(paint.size for paint in paints[:-1]) / (paints[-1].at - paints[0].at)


class Cell:
    """A cell that runs in a kernel of its own and gets these tokens at one pace."""

    def __init__(self, tokens: list[str], rate: float, ends: ExitStack) -> None:
        self.answer, self._sent = "".join(tokens), list[float]()
        process = KernelManager(kernel_name="python3")
        process.start_kernel(extra_arguments=["--log-level=ERROR"])
        self._kernel = Kernel(process)
        ends.callback(self._kernel.close)
        server = ends.enter_context(serving(tokens, rate, self._sent))
        self._kernel.run(f"%load_ext ollama_magics\n%ollama_config --base-url {server.url} --model m")

    @property
    def sent(self) -> float:
        """When the last token was sent, in seconds since 1970."""
        return self._sent[0]

    def run(self, code: str) -> str:
        """Run other code in the kernel; return what it printed."""
        return self._kernel.run(code).written

    def start(self) -> None:
        """Run it without waiting for its end."""
        self._request = self._kernel.start("%ollama hello")

    def end(self) -> Painted:
        """Wait for its end; return what it cost."""
        return Painted(self.answer, [_paint(message) for message in self._kernel.finish(self._request).messages])


def _paint(message: Any) -> Paint:
    kept = {part: message[part] for part in ("header", "parent_header", "metadata", "content")}
    at: datetime = message["header"]["date"]
    size = len(json.dumps(kept, default=str, ensure_ascii=False).encode())
    return Paint(at.timestamp(), size, message["content"]["data"]["text/plain"])
