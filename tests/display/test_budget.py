"""How many bytes, messages and repaints an answer costs on its way to the browser, in a real kernel."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

from tests.display.streams import recorded, serving
from tests.kernel.conftest import Kernel

MOST_BYTES = 300_000  # for 1000 tokens at 1000 a second
MOST_A_SECOND, MOST_REPAINTS = 80_000, 10
PACES = {
    "1000 at 40/s": (1000, 40),
    "1000 at 100/s": (1000, 100),
    "1000 at 1000/s": (1000, 1000),
    "20 000 at 1000/s": (20_000, 1000),
}


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
    """A cell that runs in a kernel of its own, at one pace."""

    def __init__(self, tokens: int, rate: float, ends: ExitStack) -> None:
        self.answer = "".join(recorded(tokens))
        process = KernelManager(kernel_name="python3")
        process.start_kernel(extra_arguments=["--log-level=ERROR"])
        self._kernel = Kernel(process)
        ends.callback(self._kernel.close)
        server = ends.enter_context(serving(recorded(tokens), rate, []))
        self._kernel.run(f"%load_ext ollama_magics\n%ollama_config --base-url {server.url} --model m")

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


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, Painted]]:
    """Give what each pace cost; all run at the same time, as they mostly wait."""
    with ExitStack() as ends:
        cells = {name: Cell(*pace, ends) for name, pace in PACES.items()}
        for cell in cells.values():
            cell.start()
        yield {name: cell.end() for name, cell in cells.items()}


@pytest.mark.parametrize("name", PACES)
def test_an_answer_keeps_to_its_budget(answers: dict[str, Painted], name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """At any pace at most 80 kB and 10 repaints a second go to the browser, and the last paint holds the whole answer."""
    found = answers[name]
    most = f"at most {found.repaints} and {found.pace / 1000:.0f} kB a second"
    figures = f"{found.size / 1000:.0f} kB, {len(found.paints)} paints, {most}"
    with capsys.disabled():
        print(f"\n{name}: {figures}; the answer has {len(found.answer) / 1000:.1f} kB")  # noqa: T201 - the figures are the proof
    assert found.paints[-1].text == found.answer
    assert all(len(paint.text) <= 1 for paint in found.paints[:-1])
    assert found.repaints <= MOST_REPAINTS
    assert found.pace <= MOST_A_SECOND


def test_a_fast_answer_costs_at_most_300_kilobytes(answers: dict[str, Painted]) -> None:
    """1000 tokens at 1000 a second."""
    assert answers["1000 at 1000/s"].size <= MOST_BYTES


def test_a_slow_answer_is_seen_to_grow_all_the_time(answers: dict[str, Painted]) -> None:
    """The budget is not kept by showing nothing: never more than a second and a half without a paint."""
    times = [paint.at for paint in answers["1000 at 40/s"].paints]
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) <= 1.5
