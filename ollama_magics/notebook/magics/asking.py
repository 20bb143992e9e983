"""A question to the person in the middle of a cell."""

from __future__ import annotations

from typing import Any

from IPython.core.error import StdinNotImplementedError

from ollama_magics.errors import ToolProblem


def confirm(call: Any) -> bool:
    """Return whether the person lets a function run; raises ToolProblem where nobody can type an answer.

    ``input()`` works inside of a running cell in every front end and can be interrupted; the click on a button would wait
    for the cell to end.
    """
    try:
        return input(f"run {call}? [y/N] ").strip().lower() in ("y", "yes")
    except (StdinNotImplementedError, EOFError):
        raise ToolProblem("OM-K02", call=call) from None
