"""The table and the score of the situations, written at the end of a run of this folder alone."""

from __future__ import annotations

import pytest

_KEY = "situation"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write situation → code → first remedy, and how many were named correctly."""
    reports = [report for key in ("passed", "failed") for report in terminalreporter.stats.get(key, [])]
    rows = [(report, dict(report.user_properties)) for report in reports if report.when == "call"]
    situations = [(report, found[_KEY]) for report, found in rows if _KEY in found]
    if not situations or any("tests/diagnosis" not in report.nodeid for report, _ in rows):
        return
    terminalreporter.section("situation → code → first remedy")
    for report, (name, code, remedy) in situations:
        mark = "✓" if report.passed else "✗"
        terminalreporter.write_line(f"{mark} {name:40} {code:7} {remedy[:100]}")
    right = sum(report.passed for report, _ in situations)
    terminalreporter.write_line(f"{right} of {len(situations)} situations named correctly")
