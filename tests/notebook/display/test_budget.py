"""How many bytes, messages and repaints an answer costs on its way to the browser, in a real kernel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.notebook.display.cells import Cell, Painted
from tests.notebook.display.streams import recorded

pytestmark = pytest.mark.slow

MOST_BYTES = 300_000  # for 1000 tokens at 1000 a second
MOST_A_SECOND, MOST_REPAINTS = 80_000, 10
PACES = {
    "1000 at 40/s": (1000, 40),
    "1000 at 100/s": (1000, 100),
    "1000 at 1000/s": (1000, 1000),
    "20 000 at 1000/s": (20_000, 1000),
}


@pytest.fixture(scope="module")
def answers() -> Iterator[dict[str, Painted]]:
    """Give what each pace cost; all run at the same time, as they mostly wait."""
    with ExitStack() as ends:
        cells = {name: Cell(recorded(tokens), rate, ends) for name, (tokens, rate) in PACES.items()}
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
    """The budget is not kept by showing nothing: on average there is a paint for every 60 tokens, or a second and a half."""
    assert len(answers["1000 at 40/s"].paints) >= 1000 / 60
