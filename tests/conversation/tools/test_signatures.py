"""Functions of a notebook as tools: their definitions, what is refused, and how arguments are converted."""

from __future__ import annotations

import datetime as dt
import functools
import math
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.conversation.json_answer import SchemaMismatchError
from ollama_magics.conversation.tool_definitions import Tool, make_tools, parse_docstring
from ollama_magics.errors import ToolProblem


def add(a: int, b: int = 3) -> int:
    """Add two whole numbers.

    Args:
        a: the first of them,
            which may be negative
        b (int): the other one

    Returns:
        the sum
    """
    return a + b


def numpy_style(place: str, days: int = 1) -> str:
    """Tell the weather.

    Parameters
    ----------
    place : str
        A town,
        or a village.
    days
        How many.

    Returns
    -------
    str
        a sentence
    """
    return f"{place} {days}"


def sphinx_style(place: str, unit: Literal["C", "F"] = "C") -> str:
    """Tell the temperature.

    :param place: a town
        or a village
    :param str unit: the scale
    :returns: a number
    """
    return place + unit


@dataclass
class Point:
    """A place in the plane."""

    x: float
    y: float


def distance(first: Point, second: Point, *, scale: Annotated[float, msgspec.Meta(gt=0)] = 1.0) -> float:
    """Return the distance of two points."""
    return scale * math.hypot(first.x - second.x, first.y - second.y)


def silent(a: int) -> int:  # noqa: D103 - says nothing on purpose
    return a


def only(function: Any) -> Tool:
    """Return the one tool."""
    (tool,) = make_tools(function)
    return tool


def definition(function: Any) -> dict[str, Any]:
    """Return the definition of a function."""
    found = only(function).definition
    assert found["type"] == "function"
    return dict(found["function"])


def test_a_definition_has_the_signature_and_the_docstring() -> None:
    """Name, purpose, and each parameter with type and description; one with a default is not required."""
    assert definition(add) == {
        "name": "add",
        "description": "Add two whole numbers.",
        "parameters": {
            "type": "object",
            "properties": {
                "a": {"type": "integer", "description": "the first of them, which may be negative"},
                "b": {"type": "integer", "description": "the other one"},
            },
            "required": ["a"],
        },
    }


@pytest.mark.parametrize(
    ("function", "summary", "described"),
    [
        (numpy_style, "Tell the weather.", {"place": "A town, or a village.", "days": "How many."}),
        (sphinx_style, "Tell the temperature.", {"place": "a town or a village", "unit": "the scale"}),
        (distance, "Return the distance of two points.", {}),
        (silent, "", {}),
    ],
)
def test_three_ways_to_write_a_docstring_are_read(function: Any, summary: str, described: dict[str, str]) -> None:
    """Google, NumPy and Sphinx style; a function without a docstring has no description."""
    found = definition(function)
    assert found["description"] == summary
    properties = found["parameters"]["properties"]
    texts = {name: inner["description"] for name, inner in properties.items() if "description" in inner}
    assert {name: text for name, text in texts.items() if name in described} == described


@given(st.text(alphabet="a: \n-()@", max_size=60) | st.text())
def test_any_docstring_is_read_or_is_the_description(docstring: str) -> None:
    """However broken it is: no error, and each text is one line."""
    described, parameters = parse_docstring(docstring)
    assert all(len(text.splitlines()) <= 1 for text in (described, *parameters.values()))


@pytest.mark.parametrize("docstring", [": :\n`     x: y ", ": :param a: x"])
def test_a_docstring_that_no_parser_reads_is_the_description(docstring: str) -> None:
    """The model can still read it."""
    assert parse_docstring(docstring) == (" ".join(docstring.split()), {})


def test_types_are_written_out_where_they_stand() -> None:
    """The server does not pass references to the model."""
    parameters = definition(distance)["parameters"]
    assert "$ref" not in str(parameters)
    assert "$defs" not in str(parameters)
    assert parameters["properties"]["first"]["properties"] == {"x": {"type": "number"}, "y": {"type": "number"}}
    assert definition(sphinx_style)["parameters"]["properties"]["unit"]["enum"] == ["C", "F"]


def test_a_default_stands_for_a_missing_hint() -> None:
    """Where it is a bool, a number or a text."""

    def greet(name="you", times=1, loud=False):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, FBT002
        return name, times, loud

    properties = definition(greet)["parameters"]["properties"]
    assert [inner["type"] for inner in properties.values()] == ["string", "integer", "boolean"]


def test_methods_and_lists_of_functions_can_be_offered() -> None:
    """A bound method is called without its self."""

    class Thermometer:
        def read(self, room: str) -> str:
            """Read it."""
            return room

    names = [tool.name for tool in make_tools([add, [Thermometer().read, add]])]
    assert names == ["add", "read"]
    assert list(definition(Thermometer().read)["parameters"]["properties"]) == ["room"]


class Recursive(msgspec.Struct):
    """A tree, which cannot be written out."""

    inner: Recursive | None = None


def takes_rest(*rest: int) -> None:
    """Take anything."""


def takes_named_rest(**rest: int) -> None:
    """Take anything."""


def takes_positional(a: int, /) -> None:
    """Take a number."""


def takes_unhinted(a) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    """Take something."""


def takes_an_unknown_name(a: re_pattern) -> None:  # type: ignore[name-defined] # noqa: F821
    """Take a class that is not there."""


def takes_an_object(a: Tool) -> None:
    """Take what cannot be written."""


def takes_a_tree(tree: Recursive) -> None:
    """Take a tree."""


async def waits(a: int) -> AsyncIterator[int]:
    """Wait and yield."""
    yield a


def yields(a: int) -> Iterator[int]:
    """Yield."""
    yield a


REFUSED: list[tuple[Any, str]] = [
    (takes_rest, "*rest"),
    (takes_named_rest, "**rest"),
    (takes_positional, "by name"),
    (takes_unhinted, "a has no type hint"),
    (takes_an_unknown_name, "re_pattern"),
    (takes_an_object, "takes_an_object"),
    (takes_a_tree, "Recursive"),
    (waits, "generator"),
    (yields, "generator"),
    (lambda a: a, "define it with def"),
    (functools.partial(add, 1), "with a name"),
    (Point, "class"),
    (int, "class"),
    (len, "by name"),
    (max, "wrap it in a def"),
    (5, "not a function"),
    ("add", "not a function"),
]


@pytest.mark.parametrize(("function", "reason"), REFUSED, ids=lambda part: getattr(part, "__name__", None))
def test_a_function_that_cannot_be_called_by_names_is_refused_with_a_reason(function: Any, reason: str) -> None:
    """Before anything is sent, and with a pattern to follow."""
    with pytest.raises(ToolProblem) as caught:
        make_tools(function)
    assert caught.value.code == "tool-unsupported"
    assert reason in str(caught.value)
    assert "def add(a: int, b: int)" in caught.value.remedy


def test_two_functions_of_one_name_are_refused() -> None:
    """The model could not call one of them."""

    def inner() -> Callable[..., int]:
        def add(a: int) -> int:
            """Add one."""
            return a + 1

        return add

    with pytest.raises(ToolProblem, match="Two functions have this name"):
        make_tools([add, inner()])


def takes_all(  # noqa: PLR0913 - one of each kind
    *, number: int, share: float, text: str, flag: bool, names: list[str], choice: Literal["a", "b"]
) -> None:
    """Take one of each."""


def test_texts_are_taken_for_numbers_where_no_text_is_wanted() -> None:
    """Small models write numbers as texts."""
    assert only(add).convert({"a": "2", "b": 3.0}) == {"a": 2, "b": 3}
    assert only(sphinx_style).convert({"place": "2"}) == {"place": "2"}


def test_an_argument_that_is_left_out_is_not_passed() -> None:
    """The function has the default."""
    assert only(add).convert({"a": 2}) == {"a": 2}


def test_null_is_taken_where_none_is_the_default() -> None:
    """Models write null for what they leave out, and hints often lack it."""

    def find(name: str = None) -> str:  # type: ignore[assignment] # noqa: RUF013 - as users write it
        """Find it."""
        return str(name)

    assert only(find).convert({"name": None}) == {"name": None}
    assert only(find).convert({"name": "a"}) == {"name": "a"}


def test_arguments_become_what_the_hints_say() -> None:
    """Dataclasses too, and their limits hold."""
    tool = only(distance)
    points = {"first": {"x": 0, "y": 0}, "second": {"x": 3, "y": "4"}}
    assert tool.function(**tool.convert(points)) == 5
    with pytest.raises(SchemaMismatchError):
        tool.convert({**points, "scale": -1})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["number", "share", "text", "flag", "names", "choice", "self", "__class__", "other"])


@given(st.dictionaries(NAMES, JSON))
def test_no_argument_of_a_wrong_type_or_name_gets_through(arguments: dict[str, Any]) -> None:
    """Whatever a model writes: all arguments are there and of their types, or there is an error."""
    try:
        found = only(takes_all).convert(arguments)
    except SchemaMismatchError:
        return
    kinds = {"number": int, "share": float, "text": str, "flag": bool, "names": list, "choice": str}
    assert {name: type(value) for name, value in found.items()} == kinds
    assert all(isinstance(name, str) for name in found["names"])
    assert found["choice"] in ("a", "b")


class Pet(pydantic.BaseModel):
    """A model as a parameter."""

    name: str = pydantic.Field(min_length=2)


Bounded = Annotated[int, pydantic.Field(ge=1, description="how many")]


def adopt(
    pet: Pet, count: Bounded = 1, born: dt.date | None = None, size: int = pydantic.Field(default=3, le=9)
) -> tuple[Any, ...]:
    """Adopt a pet."""
    return pet, count, born, size


@pytest.mark.finding("A4")
def test_parameters_may_be_models_and_have_constraints() -> None:
    """In the definition and in each call; what is left out is the function's own default, or the one of a Field."""
    properties = definition(adopt)["parameters"]["properties"]
    assert properties["pet"]["properties"]["name"]["minLength"] == 2
    assert (properties["count"]["minimum"], properties["count"]["description"], properties["size"]["maximum"]) == (
        1,
        "how many",
        9,
    )
    assert definition(adopt)["parameters"]["required"] == ["pet"]
    tool = only(adopt)
    assert tool.function(**tool.convert({"pet": {"name": "Rex"}})) == (Pet(name="Rex"), 1, None, 3)
    called = tool.convert({"pet": {"name": "Rex"}, "count": "2", "born": "2026-11-29", "size": 9.0})
    assert tool.function(**called) == (Pet(name="Rex"), 2, dt.date(2026, 11, 29), 9)
    for wrong in ({"name": "R"}, {}, "Rex"):
        with pytest.raises(SchemaMismatchError):
            tool.convert({"pet": wrong})
    for more in ({"count": 0}, {"size": 10}, {"born": "2026-11-31"}, {"other": 1}):
        with pytest.raises(SchemaMismatchError):
            tool.convert({"pet": {"name": "Rex"}, **more})
