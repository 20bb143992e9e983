"""Types as response formats, and answers as values of these types."""

from __future__ import annotations

import datetime as dt
import enum
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, NotRequired, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_magics.conversation import schema, server_schema
from ollama_magics.conversation.json_answer import SchemaMismatchError
from ollama_magics.errors import FormatProblem


@dataclass
class Person:
    """Somebody."""

    name: str
    age: int
    born: dt.date | None = None


class Place(TypedDict):
    """Somewhere."""

    town: str
    note: NotRequired[str]


class Node(msgspec.Struct):
    """A tree."""

    label: str
    children: list[Node] = []


class Pair(NamedTuple):
    """A number and its name."""

    number: int
    name: str


class Colour(enum.Enum):
    """One of two."""

    RED = "red"
    BLUE = "blue"


class Model(pydantic.BaseModel):
    """A pydantic model that holds itself."""

    size: int
    inner: list[Model] = []


ANSWERS: list[tuple[Any, str, Any]] = [
    ("json", '{"a": [1, null]}', {"a": [1, None]}),
    (Person, '{"name": "Ada", "age": 36, "born": "1815-12-10"}', Person("Ada", 36, dt.date(1815, 12, 10))),
    (list[Person], '[{"name": "Ada", "age": 36}]', [Person("Ada", 36)]),
    (Place, '{"town": "Bonn"}', {"town": "Bonn"}),
    (Node, '{"label": "a", "children": [{"label": "b"}]}', Node("a", [Node("b")])),
    (Pair, '[1, "one"]', Pair(1, "one")),
    (tuple[int, str], '[1, "one"]', (1, "one")),
    (Colour, '"red"', Colour.RED),
    (Literal["yes", "no"], '"no"', "no"),
    (Person | None, "null", None),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (int, "5", 5),
    (bool, "true", True),
    (Annotated[str, msgspec.Meta(pattern=r"^\d+$")], '"12"', "12"),
    (Model, '{"size": 1, "inner": [{"size": 2}]}', Model(size=1, inner=[Model(size=2)])),
    (list[Model], '[{"size": 1}]', [Model(size=1)]),
    ({"type": "array", "items": {"type": "integer"}}, "[1, 2]", [1, 2]),
]


@pytest.mark.parametrize(("kind", "text", "value"), ANSWERS, ids=lambda part: str(part)[:40])
def test_an_answer_becomes_a_value_of_the_type(kind: Any, text: str, value: Any) -> None:
    """Of exactly that type."""
    found = schema.make_schema(kind).decode(text)
    assert found == value
    assert type(found) is type(value)


MISMATCHES: list[tuple[Any, str]] = [
    ("json", '{"a": '),
    ("json", ""),
    ("json", '"\ud800"'),
    ("json", "[" * 100_000),
    (Person, '{"name": "Ada"}'),
    (Person, '{"name": "Ada", "age": "36"}'),
    (Person, '{"name": "Ada", "age": 36, "born": "2026-11-31"}'),
    (list[Person], '[{"name": "Ada", "age": 36}'),
    (list[Person], '[{"name": "Ada", "age": 36}, and more'),
    (Colour, '"green"'),
    (float, "8e309"),
    (Annotated[str, msgspec.Meta(pattern=r"^\d+$")], '"x"'),
    (Model, '{"size": "many"}'),
    ({"type": "array", "items": {"type": "integer"}}, '["a"]'),
    ({"type": "string", "pattern": "^a$"}, '"b"'),
    ({"not": {"type": "string"}}, '"b"'),
]


@pytest.mark.parametrize(("kind", "text"), MISMATCHES, ids=lambda part: str(part)[:40])
def test_what_is_not_of_the_type_is_no_value(kind: Any, text: str) -> None:
    """There is no partial object, and the message is not empty."""
    with pytest.raises(SchemaMismatchError) as caught:
        schema.make_schema(kind).decode(text)
    assert str(caught.value)


def test_a_root_that_is_a_reference_is_replaced() -> None:
    """With one, the server enforces nothing below the root; a recursive type keeps its inner references."""
    sent: Any = schema.make_schema(Node).format
    assert "$ref" not in sent
    assert sent["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert sent["$defs"]["Node"]["properties"].keys() == {"label", "children"}
    pydantics: Any = schema.make_schema(Model).format
    assert pydantics["properties"]["inner"]["items"] == {"$ref": "#/$defs/Model"}


def everything_in(node: Any) -> list[Any]:
    """Return each part of a schema."""
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    return [node, *(part for value in inner for part in everything_in(value))]


@pytest.mark.parametrize("kind", [kind for kind, _, _ in ANSWERS if kind != "json"], ids=lambda kind: str(kind)[:40])
def test_nothing_is_sent_that_the_server_cannot_read(kind: Any) -> None:
    """No pattern (it can end the server's runner), no items that are true or false."""
    for part in everything_in(schema.make_schema(kind).format):
        if isinstance(part, dict):
            assert "pattern" not in part
            assert not isinstance(part.get("items"), bool)


def test_the_properties_keep_their_order() -> None:
    """The model writes them in this order."""
    sent: Any = schema.make_schema(Person).format
    assert list(sent["properties"]) == ["name", "age", "born"]


def test_an_all_of_with_one_part_is_that_part() -> None:
    """Some libraries wrap references so; the server would enforce nothing."""
    sent: Any = schema.make_schema({"type": "object", "properties": {"a": {"allOf": [{"type": "integer"}], "title": "A"}}}).format
    assert sent["properties"]["a"] == {"title": "A", "type": "integer"}


REFUSED_SCHEMAS: list[tuple[dict[str, Any], str]] = [
    ({"type": "foo"}, '$.type it has "foo"'),
    ({"$schema": []}, "$.$schema it has []"),
    ({"type": "object", "properties": {"a": {"type": ["integer", "foo"]}}}, "$.properties.a.type"),
    ({"type": "object", "properties": {"a": False}}, "$.properties.a it has false"),
    ({"type": "array", "items": False}, "$.items it has false"),
    ({"$ref": "#/$defs/Missing"}, "#/$defs/Missing"),
    ({"type": "object", "properties": [1]}, "$.properties"),
    ({"type": "integer", "multipleOf": 0}, "$.multipleOf"),
    ({"type": "integer", "minimum": "a"}, "$.minimum"),
    ({"type": "string", "pattern": "["}, "$.pattern"),
    ({"type": "string", "minLength": -1}, "$.minLength"),
    ({"type": "string", "minLength": 5, "maxLength": 3}, "maxLength"),
    ({"type": "array", "minItems": 2500, "maxItems": 2400}, "maxItems"),
    ({"anyOf": []}, "$.anyOf"),
    ({"type": "object", "required": "ab"}, "$.required"),
    ({"type": "array", "items": {"$ref": "#"}}, '$.items.$ref it has "#"'),
    ({"type": "array", "items": {"$ref": "https://example.com/schema"}}, "https://example.com/schema"),
]


@pytest.mark.parametrize(("kind", "text"), REFUSED_SCHEMAS, ids=lambda part: str(part)[:50])
def test_a_schema_without_a_grammar_is_refused_before_it_is_sent(kind: dict[str, Any], text: str) -> None:
    """The error of the server would not say where the mistake is."""
    with pytest.raises(FormatProblem) as caught:
        schema.make_schema(kind)
    assert caught.value.code == "schema-unsupported"
    assert text in str(caught.value)


class Plain:
    """A class that cannot be written as JSON."""


@dataclass
class HoldsPlain:
    """A type with such a class in it."""

    inner: Plain


def local_recursion() -> Any:
    """Return a class of a function that names itself."""

    class Local(msgspec.Struct):
        inner: Local | None = None

    return Local


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (HoldsPlain, "format-unsupported"),
        (5, "format-unsupported"),
        (Person("Ada", 36), "format-unsupported"),
        (dict[str, pydantic.EmailStr], "format-unsupported"),  # without its package
        (Callable[[int], int], "format-unsupported"),
        (local_recursion(), "format-class-unknown"),
        ("Person", "format-invalid"),
        (None, "format-invalid"),
    ],
)
def test_what_has_no_schema_says_why(kind: Any, code: str) -> None:
    """Each reason has its own code and three lines."""
    with pytest.raises(FormatProblem) as caught:
        schema.make_schema(kind)
    assert caught.value.code == code
    assert len(caught.value.lines()) == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
WORDS = st.sampled_from(["type", "items", "properties", "$ref", "anyOf", "allOf", "enum", "$defs", "prefixItems", "required"])
SCHEMAS = st.dictionaries(
    WORDS, st.recursive(JSON, lambda inner: st.dictionaries(WORDS, inner, max_size=5), max_leaves=8), max_size=5
)


@pytest.mark.slow
@settings(max_examples=100)
@given(SCHEMAS)
def test_any_dict_is_adapted_or_refused(kind: dict[str, Any]) -> None:
    """There is no other error, and an adapted schema stays as it is."""
    try:
        sent = server_schema.adapt_to_server(kind)
    except FormatProblem:
        return
    assert server_schema.adapt_to_server(sent) == sent


def test_a_type_that_raises_as_it_is_made_is_no_value() -> None:
    """Whatever its code raises."""

    @dataclass
    class Strict:
        age: int

        def __post_init__(self) -> None:
            raise RuntimeError("too young")

    with pytest.raises(SchemaMismatchError, match="too young"):
        schema.make_schema(Strict).decode('{"age": 1}')


PEOPLE = st.fixed_dictionaries({"name": JSON | st.text(), "age": JSON | st.integers()}, optional={"born": JSON})


@given(st.text() | (JSON | PEOPLE).map(json.dumps))
def test_any_text_is_a_value_of_the_type_or_an_error(text: str) -> None:
    """There is no other error, and no object with a field of another type."""
    try:
        found = schema.make_schema(Person).decode(text)
    except SchemaMismatchError:
        return
    assert (type(found), type(found.name), type(found.age)) == (Person, str, int)


def test_pydantic_is_imported_only_for_a_type_that_needs_it() -> None:
    """A dataclass does not pay for it."""
    lines = [
        "import sys, dataclasses, typing, msgspec",
        "from ollama_magics.conversation.schema import make_schema",
        "Point = dataclasses.make_dataclass('Point', [('x', typing.Annotated[int, msgspec.Meta(ge=1)])])",
        "make_schema(list[Point])",
        "print('pydantic' in sys.modules)",
        "sys.modules['pydantic'] = None  # as if it were not installed",
        "import annotated_types",
        "try: make_schema(typing.Annotated[int, annotated_types.Ge(1)])",
        "except Exception as error: print(error.code)",
    ]
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True, env=here)
    assert ran.stdout.split() == ["False", "pydantic-missing"]


@pytest.mark.finding("A5")
def test_a_format_that_nobody_checks_is_a_note() -> None:
    """Dates and times are checked, in a JSON schema too."""
    read = schema.make_schema(
        {"properties": {name: {"format": kind} for name, kind in (("day", "date"), ("at", "date-time"), ("id", "isbn"))}}
    )
    assert [note.phrase.text("en") for note in read.notes] == ['format "isbn" of the schema is not checked in the answer']
    assert read.accepts('{"day": "2026-11-29", "at": "2026-11-29T12:00:00Z", "id": "x"}')
    assert not read.accepts('{"day": "2026-11-31"}')
    assert not read.accepts('{"at": "soon"}')


LONG: list[tuple[dict[str, Any], Any, Any]] = [
    ({"type": "string", "maxLength": 2083}, "a" * 2083, "a" * 2084),
    ({"type": "string", "minLength": 2000}, "a" * 2000, "a"),
    ({"type": "array", "maxItems": 2083}, [1] * 2083, [1] * 2084),
    ({"type": "array", "minItems": 1997}, [1] * 1997, [1]),
    ({"anyOf": [{"type": "string", "maxLength": 3000}, {"type": "null"}]}, None, "a" * 3001),
    ({"properties": {"a": {"items": {"type": "string", "maxLength": 3000}}}}, {"a": ["b"]}, {"a": ["b" * 3001]}),
    ({"additionalProperties": {"maxLength": 3000}}, {"a": "b"}, {"a": "b" * 3001}),
    ({"items": {"$ref": "#/$defs/A"}, "$defs": {"A": {"type": "string", "maxLength": 3000}}}, ["a"], ["a" * 3001]),
    ({"type": "integer", "minimum": 2**62}, 2**62, 5),
    ({"type": "integer", "maximum": 1e20}, 5, 10**21),
    ({"type": "integer", "exclusiveMaximum": 4.5}, 4, 5),
    ({"type": "object", "propertyNames": {"pattern": "^a"}}, {"a": 1}, {"b": 1}),
    ({"type": "object", "minProperties": 1}, {"b": 1}, {}),
]


@pytest.mark.finding("A5")
@pytest.mark.parametrize(("kind", "good", "bad"), LONG, ids=lambda part: str(part)[:60])
def test_a_bound_that_is_not_sent_is_checked(kind: dict[str, Any], good: Any, bad: Any) -> None:
    """Nested, in a branch, in a definition."""
    read = schema.make_schema(kind)
    bounds = [part for part in everything_in(read.format) if isinstance(part, (int, float)) and part > 1996]
    assert (bounds, "pattern" in str(read.format)) == ([], False)
    assert (read.accepts(json.dumps(good)), read.accepts(json.dumps(bad))) == (True, False)
