"""The arguments of a call in every spelling that models use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal

import pytest
from msgspec.structs import replace

from ollama_magics.conversation.tool_definitions import make_tools
from ollama_magics.conversation.tools import Toolbox, ToolCall


@dataclass
class Point:
    """A place."""

    x: int
    y: float = 0.0


class Colour(Enum):
    """A colour."""

    RED = "red"
    BLUE = "blue"


def nothing() -> Any:
    """Take nothing."""
    return ()


def number(a: int) -> Any:
    """Take a whole number."""
    return a


def real(a: float) -> Any:
    """Take a number."""
    return a


def flag(a: bool) -> Any:  # noqa: FBT001 - a model gives it by name
    """Take a truth value."""
    return a


def text(a: str) -> Any:
    """Take a text."""
    return a


def numbers(a: list[int]) -> Any:
    """Take numbers."""
    return a


def words(a: list[str]) -> Any:
    """Take words."""
    return a


def table(a: dict[str, int]) -> Any:
    """Take a table."""
    return a


def point(a: Point) -> Any:
    """Take a place."""
    return a


def colour(a: Colour) -> Any:
    """Take a colour."""
    return a


def level(a: Literal[1, 2]) -> Any:
    """Take a level."""
    return a


def either(a: int | str) -> Any:
    """Take a number or a text."""
    return a


def perhaps(a: int | None = 7) -> Any:
    """Take a number or nothing."""
    return a


def several(a: int = 1, b: str = "x", c: list[int] | None = None) -> Any:
    """Take several."""
    return a, b, c


def deep(a: list[Point]) -> Any:
    """Take places."""
    return a


# the function, the arguments as they were written, and the value that it gets
EMPTY: tuple[Any, ...] = (None, "", " ", "{}", {}, "null", '"{}"', '""')
READ: list[tuple[Callable[..., Any], Any, Any]] = [
    *((nothing, written, ()) for written in EMPTY),
    *((several, written, (1, "x", None)) for written in (None, "", "{}", {}, {"a": None}, {"a": "", "c": None}, {"c": "null"})),
    *(
        (number, written, 1)
        for written in ({"a": 1}, '{"a": 1}', '"{\\"a\\": 1}"', {"a": "1"}, {"a": 1.0}, {"a": "1.0"}, {"a": " 1 "})
    ),
    *((number, written, 1) for written in ({"a": " 1 "}, 1, "1", "1.0")),
    *((number, written, 1) for written in ({"arguments": {"a": 1}}, {"parameters": '{"a": "1"}'}, "{'a': 1}")),
    (number, {"a": str(2**60)}, 2**60),
    *((real, written, 0.5) for written in ({"a": 0.5}, {"a": "0.5"}, 0.5, "0.5", '{"a": "5e-1"}')),
    (real, {"a": "2"}, 2.0),
    *((flag, written, True) for written in ({"a": True}, {"a": "true"}, {"a": "True"}, True, "true", {"a": "1"})),
    *((flag, written, False) for written in ({"a": False}, {"a": "false"}, False, {"a": "0"})),
    *((text, written, "Berlin") for written in ({"a": "Berlin"}, "Berlin", '"Berlin"', '{"a": "Berlin"}')),
    *((text, {"a": same}, same) for same in ("1", "null", "", "[1]", '{"a": 1}', "true", " x ")),
    *((text, written, "12345") for written in ({"a": 12345}, "12345", 12345)),
    (text, "1.50", "1.50"),
    (text, "true story", "true story"),
    *(
        (numbers, written, [1, 2])
        for written in ({"a": [1, 2]}, {"a": "[1, 2]"}, "[1, 2]", [1, 2], '{"a": "[1,2]"}', {"a": "[1.0, 2]"})
    ),
    *((words, written, ["a", "b"]) for written in ({"a": ["a", "b"]}, {"a": '["a", "b"]'}, {"a": "['a', 'b']"}, ["a", "b"])),
    *((table, written, {"k": 1}) for written in ({"a": {"k": 1}}, {"a": '{"k": 1}'}, {"a": "{'k': 1}"}, '{"a": "{\\"k\\": 1}"}')),
    *(
        (point, written, Point(1, 2))
        for written in ({"a": {"x": 1, "y": 2}}, {"a": '{"x": 1, "y": 2}'}, {"a": {"x": "1", "y": "2"}})
    ),
    *((deep, written, [Point(1)]) for written in ({"a": [{"x": 1}]}, {"a": '[{"x": 1}]'})),
    *((colour, written, Colour.RED) for written in ({"a": "red"}, "red", '"red"')),
    *((level, written, 2) for written in ({"a": 2}, {"a": "2"}, 2, "2")),
    *((either, {"a": same}, same) for same in (1, "1", "x")),
    *((perhaps, written, None) for written in ({"a": None}, {"a": "null"}, {"a": "None"})),
    *((perhaps, written, 7) for written in ({}, None, {"a": ""})),
    (perhaps, {"a": "5"}, 5),
]
# the function, the arguments, and what the model is told
REFUSED: list[tuple[Callable[..., Any], Any, str]] = [
    *((number, {"a": written}, "`int`") for written in ("1.5", "one", "", "1,5", [1], "1 2", 1.5)),
    *((number, written, "required") for written in (None, "", "{}")),
    (number, {"a": 1, "b": 2}, "`b`"),
    (numbers, {"a": "1, 2"}, "array"),
    (flag, {"a": "perhaps"}, "bool"),
    (text, {"a": None}, "str"),
    (text, {"a": 1.1}, "str"),
    (text, {"a": True}, "str"),
    (level, {"a": "3"}, "3"),
    (several, "hello", "not a JSON object with a, b, c"),
    (several, [1, 2], "not a JSON object with a, b, c"),
    (several, '{"a": 1', "not a JSON object with a, b, c"),
    (nothing, "hello", "not a JSON object with nothing in it"),
]


def called(function: Callable[..., Any], written: Any) -> tuple[ToolCall, list[Any]]:
    """Return a call as a server sends it, after it was run, and what the function returned."""
    results: list[Any] = []

    def confirm(call: ToolCall) -> bool:
        results.append(str(call))
        return True

    call = ToolCall.from_wire({"id": "c", "function": {"name": function.__name__, "arguments": written}})
    Toolbox(make_tools(function), confirm).run([call])
    return call, results


@pytest.mark.finding("B8")
def test_arguments_are_read_in_every_spelling(record_property: Any) -> None:
    """The function gets them, the question and the next request hold them as they are read."""
    wrong = []
    for function, written, expected in READ:
        (tool,) = make_tools(function)
        seen: list[Any] = []

        def record(*, _function: Any = function, _seen: list[Any] = seen, **given: Any) -> str:
            _seen.append(_function(**given))
            return "done"

        call = ToolCall.from_wire({"function": {"name": function.__name__, "arguments": written}})
        Toolbox((replace(tool, function=record),), lambda _: True).run([call])
        is_same = seen == [expected] and type(seen[0]) is type(expected)
        if not is_same or call.error or not isinstance(call.to_wire()["function"]["arguments"], dict):
            wrong.append((function.__name__, written, expected, seen, call.error))
    assert wrong == []
    record_property("figure", f"{len(READ)} spellings, {len(REFUSED)} refused")


@pytest.mark.finding("B8")
def test_arguments_that_cannot_be_read_are_an_error_for_the_model() -> None:
    """Nothing is asked or run; the call shows it."""
    wrong = []
    for function, written, said in REFUSED:
        call, asked = called(function, written)
        if not (call.error or "").startswith("wrong arguments: ") or said not in (call.error or "") or asked:
            wrong.append((function.__name__, written, said, call.error, asked))
        assert call.outcome == f"error: {call.error}"
    assert wrong == []


@pytest.mark.finding("B8")
def test_the_question_shows_what_would_run() -> None:
    """Not what was written."""
    for written in ('{"a": 1}', {"a": "1"}, "1"):
        call, asked = called(number, written)
        assert (asked, call.arguments, call.result) == (["number(a=1)"], {"a": 1}, "1")
