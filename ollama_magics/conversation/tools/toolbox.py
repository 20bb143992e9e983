"""The functions that one cell named, and who is asked before one of them runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from ollama_magics.conversation.tools.calls import Call, told, told_error
from ollama_magics.conversation.tools.signatures import Tool
from ollama_magics.errors import ToolProblem

MOST_CALLS = 8  # in one round


class Toolbox:
    """Runs what the model calls, if ``confirm`` says yes to the call; names are looked up here and nowhere else."""

    def __init__(self, tools: Sequence[Tool], confirm: Callable[[Call], bool] | None) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._confirm = confirm

    @property
    def sent(self) -> tuple[dict[str, Any], ...]:
        """What the model is told of the functions."""
        return tuple(tool.sent for tool in self._tools.values())

    def run(self, calls: Sequence[Call]) -> None:
        """Give each call its result or error, one after another; raises ToolProblem where nobody can be asked, or for too many.

        An interrupt goes through; the call that it ended says so.
        """
        if len(calls) > MOST_CALLS:
            raise ToolProblem("OM-K03", count=len(calls), most=MOST_CALLS)
        for call in calls:
            if call.error is None:
                self._run(call)

    def _run(self, call: Call) -> None:
        tool = self._tools.get(call.name)
        if tool is None:
            call.error = f"there is no function {call.name!r}; there are: {', '.join(self._tools)}"
            return
        try:
            values = tool.arguments(call.arguments)
        except (msgspec.ValidationError, RecursionError) as error:
            call.error = f"wrong arguments: {error}"
            return
        if self._is_allowed(call):
            _invoke(tool, values, call)
        else:
            call.error = "the person did not allow this call"

    def _is_allowed(self, call: Call) -> bool:
        try:
            return bool((self._confirm or _ask_nobody)(call))
        except ToolProblem:
            call.error = "nobody could be asked"
            raise
        except KeyboardInterrupt:
            call.error = "interrupted"
            raise


def _ask_nobody(call: Call) -> bool:
    raise ToolProblem("OM-K02", call=str(call))


def _invoke(tool: Tool, values: dict[str, Any], call: Call) -> None:
    try:
        call.result = told(_required(tool, tool.function(**values)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a function of the notebook raises goes to the model
        call.error = told_error(error)
    except KeyboardInterrupt:
        call.error = "interrupted"
        raise


def _required(tool: Tool, result: Any) -> Any:
    """Return the result; raises TypeError where it would have to be awaited."""
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    message = f"{tool.name} gave something to be awaited, which nobody does here"
    raise TypeError(message)
