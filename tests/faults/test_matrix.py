"""Every cell of the matrix: what is said, what is kept, and that the next call works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import fuzz
from tests.faults.cells import Dash, Fault, Held, run_cell
from tests.faults.matrix import FAULTS

ROOT = Path(__file__).parents[2]
ROUNDS = 50  # of the fuzz target
CELLS = [
    pytest.param(fault, column, id=f"{fault.key}-{column}")
    for fault in FAULTS
    for column, expected in fault.cells()
    if not isinstance(expected, Dash | Held)
]


@pytest.mark.promise("N1")
@pytest.mark.parametrize(("fault", "column"), CELLS)
def test_a_cell(fault: Fault, column: str) -> None:
    """The right error, or an answer; nothing wrong shown as right; nothing left open; then the same call succeeds."""
    flaws = run_cell(fault, column)
    assert not flaws, "\n".join((*flaws, f"replay it: python -m tests.faults {fault.key}-{column}"))


def test_the_matrix_is_whole() -> None:
    """Every fault of the list has a row, no key stands twice, and the tests that hold a cell exist."""
    keys = [fault.key for fault in FAULTS]
    assert len(set(keys)) == len(keys)
    numbers = {int(key[1:3]) for key in keys if key.startswith("F")}
    elsewhere = {8, 60}  # in the rows of F05 and F59
    assert numbers | elsewhere == set(range(1, 73))
    held = [outcome.test.partition("::") for fault in FAULTS for _, outcome in fault.cells() if isinstance(outcome, Held)]
    missing = [(path, name) for path, _, name in held if f"def {name}" not in (ROOT / path).read_text(encoding="utf-8")]
    assert missing == []


@pytest.mark.promise("N2")
def test_no_mutated_answer_is_anything_but_a_value_or_an_error(record_property: Callable[[str, object], None]) -> None:
    """The first rounds of tests/faults/fuzz.py, which goes on for as long as it is told to."""
    outcomes, flaws = fuzz.run(1, range(ROUNDS))
    assert not flaws, "\n".join(f"python -m tests.faults.fuzz --seed 1 --at {number}: {flaw}" for number, flaw in flaws.items())
    assert outcomes.total() == ROUNDS
    assert len(outcomes) > 15  # of endpoints and codes
    record_property("figure", f"{ROUNDS} mutated answers, {len(outcomes)} outcomes")
