"""Where the JSON document stands in an answer, and what is said of one that cannot be read."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.conversation.json_answer import SchemaMismatchError
from ollama_magics.conversation.schema import make_schema
from ollama_magics.conversation.tool_definitions import make_tools


@dataclass
class Person:
    """Somebody."""

    name: str
    age: int = 0


ADA = Person("Ada", 36)
JSON = '{"name": "Ada", "age": 36}'
READ: dict[str, tuple[Any, str, Any]] = {
    "bare": (Person, JSON, ADA),
    "white space": (Person, f"\n\n {JSON}\n", ADA),
    "a code block": (Person, f"```json\n{JSON}\n```", ADA),
    "a code block without a language": (Person, f"```\n{JSON}\n```", ADA),
    "a code block in one line": (Person, f"```json {JSON} ```", ADA),
    "a code block without an end": (Person, f"```json\n{JSON}", ADA),
    "a code block inside a text": (Person, f"Here you are:\n\n```json\n{JSON}\n```\n\nAnything else?", ADA),
    "a fence inside a string": (Person, '```json\n{"name": "```"}\n```', Person("```")),
    "prose before it": (Person, f"Sure! Here it is: {JSON}", ADA),
    "prose behind it": (Person, f"{JSON}\nI hope this helps {{a lot}} [really].", ADA),
    "behind thoughts": (Person, f'<think>\nMaybe {{"name": "Bob"}}?\n</think>\n{JSON}', ADA),
    "behind thoughts whose start is in the template": (Person, f'I try {{"name": "Bob"}}\n</think>\n\n{JSON}', ADA),
    "behind thoughts, in a code block": (Person, f"<think>ok</think>```json\n{JSON}\n```", ADA),
    "twice the same": (Person, f"{JSON}\n\nAgain:\n```json\n{JSON}\n```", ADA),
    "beside one of another type": (Person, f"See [1] and {{}}: {JSON}", ADA),
    "a list": (list[int], "The numbers are [1, 2, 3].", [1, 2, 3]),
    "a list beside a note": (list[int], "[note] [1, 2, 3]", [1, 2, 3]),
    "a number in a code block": (int, "```\n5\n```", 5),
    "a word in a code block": (Literal["yes", "no"], '```json\n"no"\n```', "no"),
    "braces in a string": (Person, 'So: {"name": "a } b { c"}', Person("a } b { c")),
    "no schema but json": ("json", f"```json\n{JSON}\n```", {"name": "Ada", "age": 36}),
    "a JSON schema": ({"type": "object", "required": ["name"]}, f"So: {JSON}", {"name": "Ada", "age": 36}),
}


@pytest.mark.finding("B6")
def test_the_one_document_that_fits_is_the_value(record_property: Any) -> None:
    """In a code block, between sentences, behind thoughts."""
    found = {name: make_schema(kind).decode(text) for name, (kind, text, _) in READ.items()}
    assert found == {name: value for name, (_, _, value) in READ.items()}
    record_property("figure", f"{len(READ)} answers unwrapped, {len(REFUSED)} refused in words")


REFUSED: dict[str, tuple[Any, str, str]] = {
    "two that fit": (Person, '{"name": "Ada"} or {"name": "Bob"}', "2 different JSON documents"),
    "only in the thoughts": (Person, f"<think>{JSON}</think>I am done.", "in the thoughts"),
    "thoughts without an end": (Person, f"<think>{JSON}", "in the thoughts"),
    "another type in a code block": (Person, '```json\n{"name": 5}\n```', "In a code block: Expected `str`, got `int`"),
    "another type between words": (Person, 'It is {"name": 5}.', "Between other text: Expected `str`, got `int`"),
    "a comma too many": (Person, '{"name": "Ada",}', "comma before a closing bracket"),
    "a comma too many in a code block": (list[int], "```json\n[1, 2,]\n```", "comma before a closing bracket"),
    "number of many digits": (list[int], f"[{'9' * 6000}]", "too many digits"),
    "NaN": (Person, '{"name": "Ada", "age": NaN}', "NaN or Infinity"),
    "Infinity": (list[float], "[1.0, -Infinity]", "NaN or Infinity"),
    "NaN alone": (float, "NaN", "NaN or Infinity"),
    "NaN for a pydantic type": (dict[str, pydantic.PositiveFloat], '{"a": Infinity}', "NaN or Infinity"),
    "a number without end": (dict[str, pydantic.PositiveFloat], '{"a": 8e309}', "out of range"),
    "single quotes": (Person, "{'name': 'Ada'}", "single quotes"),
    "Python's words": (Person, '{"name": None}', "true, false and null"),
    "comments": (Person, '{"name": "Ada", // her name\n"age": 36}', "comments"),
    "bare keys": (Person, '{name: "Ada"}', "keys without quotes"),
    "an end too early": (Person, '{"name": "Ada"', "ends inside of the JSON document"),
    "a part of one that ends too early": (Person, '{"people": [{"name": "Ada"}, {"na', "ends inside"),
    "a part of one with a mistake": (Person, '{"people": [{"name": "Ada"},]}', "comma before"),
    "a missing comma": (Person, '{"name": "Ada" "age": 36}', "line 1, column"),
    "no JSON": (Person, "I cannot do that.", "There is no JSON in it. It begins: I cannot do that."),
    "half a character": (Person, '{"name": "\\ud800"}', "half of a surrogate pair, \\ud800"),
    "half a character in a code block": ("json", '```json\n{"name": "a\\udc00b"}\n```', "half of a surrogate pair, \\udc00"),
    "half a character for pydantic": (dict[str, pydantic.PositiveInt], '{"\\ud800": 1}', "half of a surrogate pair"),
    "nothing": (Person, "  \n", "The answer is empty"),
}


@pytest.mark.finding("B6")
def test_an_answer_that_cannot_be_read_says_why() -> None:
    """Where the document is, or what in it is no JSON; in Chinese too."""
    for name, (kind, text, words) in REFUSED.items():
        with pytest.raises(SchemaMismatchError) as caught:
            make_schema(kind).decode(text)
        assert words in str(caught.value), name
        reason = caught.value.args[0]
        assert isinstance(reason, str) or reason.text("zh") != reason.text("en"), name


class Row(TypedDict):
    """A year, as a dict."""

    year: int


@dataclass
class Data:
    """A year, as a dataclass."""

    year: int


class Struct(msgspec.Struct):
    """A year, as a Struct."""

    year: int


class Model(pydantic.BaseModel):
    """A year, as a pydantic model."""

    year: int


def takes_a_year(year: int) -> None:
    """Take a year."""


@pytest.mark.finding("B6")
def test_a_whole_number_may_have_a_point_everywhere() -> None:
    """JSON has one type of number: 1815.0 and 1.815e3 are integers of JSON schema; 1815.5 is none."""
    schema = {"type": "object", "properties": {"year": {"type": "integer"}}, "required": ["year"]}
    for kind in (Row, Data, Struct, Model, schema):
        read = make_schema(kind)
        found = [read.decode(text % number) for text in ('{"year": %s}',) for number in ("1815.0", "1.815e3")]
        years = [one["year"] if isinstance(one, dict) else one.year for one in found]
        assert years == [1815, 1815], kind
        assert not read.accepts('{"year": 1815.5}')
    [tool] = make_tools(takes_a_year)
    assert tool.convert({"year": 1815.0}) == {"year": 1815}
    with pytest.raises(SchemaMismatchError):
        tool.convert({"year": 1815.5})


PIECES = st.sampled_from([JSON, "```json\n", "\n```", "<think>", "</think>", "{", "}", "[", "]", ", ", '"', "NaN", "words ", "1"])


@given(st.lists(PIECES | st.text(max_size=5)).map("".join))
def test_any_answer_is_the_value_or_an_error(text: str) -> None:
    """There is no other error, and no other value."""
    try:
        found = make_schema(Person).decode(text)
    except SchemaMismatchError:
        return
    assert isinstance(found, Person)


@pytest.mark.finding("E10")
@pytest.mark.parametrize(
    "text", ["{ " * 50_000, "[x] " * 50_000, '{"a": [' * 20_000, "".join(f'{{"a": {at}}} ' for at in range(20_000)), "`" * 99_999]
)
def test_the_document_is_looked_for_in_linear_time(text: str) -> None:
    """Not each bracket begins one: each attempt would read everything before it."""
    calls = Counter[str]()
    sys.setprofile(lambda frame, event, _: calls.update([frame.f_code.co_name] if event == "call" else []))
    try:
        with pytest.raises(SchemaMismatchError):
            make_schema(Person).decode(text)
    finally:
        sys.setprofile(None)
    assert calls["_parse"] < 600
