"""Answers to JSON schemas."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import httpx
import msgspec
import pytest

from ollama_magics.fake_server.answers import instance
from ollama_magics.fake_server.releases import Release


class Mood(enum.Enum):
    """A word of three."""

    GOOD = "good"
    BAD = "bad"


@dataclass
class Person:
    """Something nested, optional and recursive."""

    name: str
    age: Annotated[int, msgspec.Meta(ge=18, le=99)]
    height: float
    mood: Mood
    size: Literal["s", "m"]
    tags: list[str]
    marks: dict[str, int]
    parent: Person | None = None
    alive: bool = True


def test_a_nested_type_can_be_read_back() -> None:
    """The instance is a value of the type that made the schema."""
    person = msgspec.convert(instance(_lifted(Person), ["Ada", "Grace"]), Person)
    assert person.name == "Ada"
    assert 18 <= person.age <= 99
    assert isinstance(person.parent, Person)


def test_keys_come_in_the_order_of_the_schema() -> None:
    """Not sorted."""
    schema = {"type": "object", "properties": {"z": {"type": "integer"}, "a": {"type": "integer"}}}
    assert list(instance(schema, [])) == ["z", "a"]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 7}, 7),
        ({"enum": ["x", "y"]}, "x"),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["string", "null"]}, "a"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, 1),
        ({"type": "string", "minLength": 3}, "a.."),
        ({"type": "string", "maxLength": 0}, ""),
        ({"type": "string", "format": "date"}, "2026-01-05"),
        ({"type": "integer", "minimum": 10}, 10),
        ({"type": "integer", "exclusiveMaximum": 1}, 0),
        ({"type": "number", "minimum": 0.2, "maximum": 0.4}, pytest.approx(0.3)),
        ({"type": "array", "items": {"type": "integer"}}, [1, 2]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 2, 3]),
        ({"type": "array", "items": {"type": "integer"}, "maxItems": 1}, [1]),
        ({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}]}, [1, "a"]),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}),
        ({"properties": {"x": {"type": "string"}}}, {"x": "a"}),
        ({"allOf": [{"type": "integer"}, {"minimum": 5}]}, 5),
    ],
)
def test_simple_schemas_have_simple_values(schema: dict[str, Any], value: Any) -> None:
    """One for each keyword."""
    assert instance(schema, ["a", "b"]) == value


def test_a_recursion_comes_to_an_end() -> None:
    """Where the schema allows one."""
    node: dict[str, Any] = {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]}}}
    node["required"] = ["next"]
    made = instance({**node, "$defs": {"Node": node}}, [])
    assert str(made).endswith(": None" + "}" * str(made).count("{"))


def test_below_a_root_that_is_a_reference_nothing_is_enforced() -> None:
    """The known fault of 0.24.0: a nested type comes as any object."""
    definitions = {
        "Outer": {"type": "object", "properties": {"inner": {"$ref": "#/$defs/Inner"}}},
        "Inner": {"type": "object", "properties": {"x": {"type": "integer"}}},
    }
    reference = {"$ref": "#/$defs/Outer", "$defs": definitions}
    made = instance(reference, ["a"], (), Release.OLDER)
    assert list(made) == ["inner"]
    assert "x" not in made["inner"]
    lifted = instance({**definitions["Outer"], "$defs": definitions}, ["a"], (), Release.OLDER)
    assert instance(reference, ["a"]) == lifted == {"inner": {"x": 1}}


def test_a_schema_is_answered_over_the_wire(http: httpx.Client) -> None:
    """By chat and generate."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}, "people": {"type": "integer"}}}
    message = {"role": "user", "content": "Paris please"}
    chat = {"model": "sandbox-chat", "messages": [message], "format": schema, "stream": False}
    generate = {"model": "sandbox-chat", "prompt": "Paris please", "format": schema, "stream": False}
    text = http.post("/api/chat", json=chat).json()["message"]["content"]
    assert json.loads(text) == {"city": "Paris", "people": 1}
    assert http.post("/api/generate", json=generate).json()["response"] == text


def test_a_pattern_without_anchors_is_refused(older: httpx.Client) -> None:
    """As the grammar of 0.24.0 does."""
    chat = {"model": "sandbox-chat", "messages": [{"role": "user", "content": "x"}], "stream": False}
    answer = older.post("/api/chat", json=chat | {"format": {"type": "string", "pattern": "a+"}})
    assert (answer.status_code, answer.json()["error"]) == (500, "invalid JSON schema in format")


def _lifted(kind: type) -> dict[str, Any]:
    """Return the schema with its root in place of the reference to it."""
    schema = msgspec.json.schema(kind)
    name = schema["$ref"].rpartition("/")[2]
    return {**schema["$defs"][name], "$defs": schema["$defs"]}
