"""Values as rows: of whole answers, and of those that are still being written."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.conversation import records
from ollama_magics.conversation.schema import make_schema

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LISTS = st.lists(st.dictionaries(st.text(), VALUES, max_size=3) | VALUES, max_size=5)


@given(LISTS, st.booleans(), st.sampled_from([None, 2]), st.integers(1, 7))
def test_rows_come_as_soon_as_they_are_whole_and_never_before(values: list[Any], bare: bool, indent: Any, step: int) -> None:  # noqa: FBT001
    """However the text is cut, the rows are the first ones of the list; at the end they are all."""
    text = json.dumps(values if bare else {"rows": values}, indent=indent)
    reader, expected = records.RowReader(), records.records(values)
    for end in range(0, len(text), step):
        found = list(reader.read(text[:end]))
        assert found == expected[: len(found)]
    assert reader.read(text) == expected


@pytest.mark.parametrize(
    "text", ["", "{", '{"a": 1}', "no list", "[", "[{", "[[[[" * 50_000, '{"a": {"b": [1]}}', "[nonsense]", "[1"]
)
def test_a_text_without_a_whole_row_has_none(text: str) -> None:
    """Also a text that can never have one."""
    assert records.RowReader().read(text) == []


def test_a_number_at_the_end_may_go_on() -> None:
    """12 is no row before something follows it."""
    reader = records.RowReader()
    assert reader.read("[12") == []
    assert reader.read("[123") == []
    assert reader.read("[123, ") == [{"value": 123}]


@dataclass
class Person:
    """Somebody."""

    name: str
    born: date


class Size(pydantic.BaseModel):
    """A pydantic model."""

    metres: float


@pytest.mark.parametrize(
    ("value", "rows"),
    [
        ([Person("Ada", date(1815, 12, 10))], [{"name": "Ada", "born": date(1815, 12, 10)}]),
        (Person("Ada", date(1815, 12, 10)), [{"name": "Ada", "born": date(1815, 12, 10)}]),
        ({"people": [{"name": "Ada"}, {"name": "Bob"}]}, [{"name": "Ada"}, {"name": "Bob"}]),
        ({"people": [{"name": "Ada"}], "count": 1}, [{"people": [{"name": "Ada"}], "count": 1}]),
        ([Size(metres=2)], [{"metres": 2.0}]),
        (Size(metres=2), [{"metres": 2.0}]),
        (["a", "b"], [{"value": "a"}, {"value": "b"}]),
        (5, [{"value": 5}]),
        ([], []),
    ],
)
def test_a_value_becomes_a_frame(value: Any, rows: list[dict[str, Any]]) -> None:
    """A row for each element, or one for an object."""
    assert records.frame(value).to_dict("records") == rows


@dataclass
class Town:
    """Has nested fields, and defaults that msgspec sets in the class only."""

    name: str
    size: int | None = None
    people: list[Person] = field(default_factory=list)


class Lean(msgspec.Struct, omit_defaults=True, rename="camel"):
    """Writes no defaults by itself."""

    full_name: str
    town: Town | None = None


class Open(TypedDict, total=False):
    """Any of its keys may be missing."""

    name: str
    towns: list[Town]


class Pydantic(pydantic.BaseModel):
    """With a default."""

    name: str
    size: Size | None = None


SCHEMA = {"type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer"}}, "required": ["name"]}
TYPES: list[tuple[Any, str, list[str]]] = [
    (Town, '{"name": "A"}', ["name", "size", "people"]),
    (list[Town], "[]", ["name", "size", "people"]),
    (list[Town], '[{"name": "A"}, {"name": "B", "size": 3}]', ["name", "size", "people"]),
    (list[Lean], '[{"fullName": "A"}]', ["fullName", "town"]),
    (Open, "{}", ["name", "towns"]),
    (list[Open], "[]", ["name", "towns"]),
    (list[Pydantic], "[]", ["name", "size"]),
    (Pydantic, '{"name": "A"}', ["name", "size"]),
    (list[Town | None], "[]", ["name", "size", "people"]),
    (SCHEMA, '{"name": "A"}', ["name", "size"]),
    ({"type": "object", "properties": {"rows": {"type": "array", "items": SCHEMA}}}, '{"rows": []}', ["name", "size"]),
    (list[str], "[]", ["value"]),
]


@pytest.mark.parametrize(("kind", "text", "names"), TYPES)
def test_columns_of_a_frame_are_those_of_its_type(kind: Any, text: str, names: list[str]) -> None:
    """Whatever the model wrote; what it left out has its default."""
    schema = make_schema(kind)
    found = records.Value(schema)
    found.decode(text, "", "stop", 1)
    assert found.frame().columns.tolist() == names
    assert pickle.loads(pickle.dumps(found)).frame().columns.tolist() == names  # noqa: S301 - our own


def test_nested_fields_have_their_defaults() -> None:
    """As the objects have."""
    value = make_schema(Lean).decode('{"fullName": "A", "town": {"name": "B"}}')
    assert records.plain_value(value) == {"fullName": "A", "town": {"name": "B", "size": None, "people": []}}


def test_what_is_no_json_stays_as_it_is() -> None:
    """Only white space changes, and only in JSON."""
    assert records.indent_json('{"a":[1]}') == '{\n  "a": [\n    1\n  ]\n}'
    assert records.indent_json("5") == "5"
    assert records.indent_json("no json") == "no json"
