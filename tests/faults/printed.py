"""The table that make faults prints: a line for each fault, with ✓, ✗ or – for each way to use a server."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.faults.cells import Fault


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --faults, which runs what holds the matrix, and prints it."""
    parser.addoption("--faults", action="store_true", help="run and print the matrix of tests/faults/matrix.py only")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests that hold a cell; their properties name it, which the workers of pytest-xdist pass on."""
    if not config.getoption("--faults"):
        return
    from tests.faults.cells import Held  # noqa: PLC0415 - only this run needs the matrix

    cells = defaultdict[str, list[str]](list)
    for _, cell, outcome in _cells():
        if isinstance(outcome, Held):
            cells[outcome.test].append(cell)
    left = []
    for item in items:
        names = [cell for test, held in cells.items() if item.nodeid.startswith(test) for cell in held]
        if item.nodeid.startswith("tests/faults/test_matrix.py::test_a_cell["):
            names.append(item.nodeid.partition("[")[2].removesuffix("]"))
        item.user_properties.extend(("fault", name) for name in names)
        if not names:
            left.append(item)
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if item not in left]


def _cells() -> Iterator[tuple[Fault, str, object]]:
    from tests.faults.matrix import FAULTS  # noqa: PLC0415 - as above

    for fault in FAULTS:
        for column, outcome in fault.cells():
            yield fault, f"{fault.key}-{column}", outcome


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the table, with the reasons of the dashes below it."""
    if not terminalreporter.config.getoption("--faults"):
        return
    from tests.faults.cells import COLUMNS, Dash  # noqa: PLC0415 - as above

    outcomes = defaultdict[str, set[str]](set)
    for key in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(key, []):
            for name, cell in getattr(report, "user_properties", []):
                if name == "fault":
                    outcomes[str(cell)].add(key)
    signs: dict[str, list[str]] = defaultdict(list)
    titles: dict[str, str] = {}
    reasons = defaultdict[str, list[str]](list)
    for fault, cell, outcome in _cells():
        titles[fault.key] = fault.title
        if isinstance(outcome, Dash):
            signs[fault.key].append("–")
            reasons[outcome.reason].append(cell)
        else:
            signs[fault.key].append("✓" if outcomes[cell] == {"passed"} else "✗")
    terminalreporter.section("faults")
    terminalreporter.write_line(f"{'':10}" + " ".join(f"{column:5}" for column in COLUMNS))
    for key, found in sorted(signs.items()):
        terminalreporter.write_line(f"{key:10}" + " ".join(f"{sign:5}" for sign in found) + f" {titles[key]}", red="✗" in found)
    for reason, cells in reasons.items():
        terminalreporter.write_line(f"– {reason}: {len(cells)} cells, such as {', '.join(cells[:3])}")
    marks = [sign for found in signs.values() for sign in found]
    terminalreporter.write_line(f"{marks.count('✓')} of {marks.count('✓') + marks.count('✗')} cells hold")
