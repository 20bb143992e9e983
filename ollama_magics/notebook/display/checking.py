"""A check as it goes on: one output of a notebook cell that is painted again, or lines of a terminal as the stages end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from IPython.display import display

_Run = Callable[[Callable[[Any], None]], Any]  # gets what is to be called with each report, and returns the last


def watch(run: _Run, shell: Any) -> Any:
    """Return the report of a check that is shown while it runs; with OLLAMA_MAGICS_STREAM=off it is not painted here at all."""
    if os.environ.get("OLLAMA_MAGICS_STREAM") == "off":
        return run(lambda _: None)
    report = _in_terminal(run) if getattr(shell, "kernel", None) is None else _in_notebook(run)
    report.painted = True
    return report


def _in_notebook(run: _Run) -> Any:
    handle = display({"text/plain": "…"}, raw=True, display_id=True)

    def paint(report: Any) -> None:
        handle.update({"text/html": report.as_html(), "text/plain": str(report)}, raw=True)

    last = run(paint)
    paint(last)
    return last


def _in_terminal(run: _Run) -> Any:
    told: set[tuple[str, str]] = set()

    def write(report: Any, *, waiting: bool = False) -> None:
        new = [stage for stage in report.stages if waiting or stage.state != "not asked"]
        new = [stage for stage in new if (stage.name, stage.state) not in told]
        told.update((stage.name, stage.state) for stage in new)
        sys.stdout.write("".join(f"{line}\n" for line in report.lines(new)))
        sys.stdout.flush()

    last = run(write)
    write(last, waiting=True)
    return last
