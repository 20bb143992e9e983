"""Answers to a JSON schema: those that break one of its rules are no values."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest

from ollama_magics.conversation import schema
from ollama_magics.conversation.json_answer import SchemaMismatchError

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1, "pattern": "^[A-Z]"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}
TREE = {"$ref": "#/$defs/Node", "$defs": {"Node": {"properties": {"inner": {"$ref": "#/$defs/Node"}}, "type": "object"}}}
BAD_PEOPLE: list[Any] = [
    *({"age": 3}, {"name": ""}, {"name": "ada"}, {"name": "Ada", "age": -1}, {"name": "Ada", "x": 1}, {"name": 5}),
    *([], "Ada", None),
]
SCHEMAS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    # schema, values of it, values that are not
    (PERSON, [{"name": "Ada", "age": 3}, {"name": "Ada"}], BAD_PEOPLE),
    (TREE, [{"inner": {"inner": {}}}], [{"inner": {"inner": 5}}, 5]),
    ({"type": ["integer", "null"]}, [1, None, 1.0], [1.5, "1", True]),
    ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, [0.5], [0, 1, False]),
    ({"enum": ["a", 1]}, ["a", 1], ["b"]),
    ({"const": "a"}, ["a"], ["b"]),
    ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, [1, True], ["x"]),
    ({"oneOf": [{"minimum": 1}, {"maximum": 2}]}, [0, 3], [1]),
    ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1], [0, 3]),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, [[1]], [[], [1, 2, 3]]),
    ({"type": "array", "uniqueItems": True}, [[1, 2]], [[1, 1]]),
    ({"prefixItems": [{"type": "integer"}], "items": False}, [[1]], [["a"], [1, 2]]),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, [{"a": 1}], [{"a": "b"}]),
    ({"type": "object", "patternProperties": {"^a": {"type": "integer"}}}, [{"a": 1, "b": "c"}], [{"a": "b"}]),
    ({"type": "integer", "multipleOf": 2}, [4], [3]),
    ({"if": {"minimum": 5}, "then": {"multipleOf": 5}}, [3, 5], [6]),
]


def test_an_answer_that_breaks_a_rule_is_no_value() -> None:
    """Also a rule that the server's grammar does not enforce."""
    wrong: list[tuple[Any, Any]] = []
    for kind, good, bad in SCHEMAS:
        made = schema.make_schema(kind)
        wrong += [(kind, value) for value in good if not made.accepts(json.dumps(value))]
        wrong += [(kind, value) for value in bad if made.accepts(json.dumps(value))]
    assert wrong == []


def test_a_reference_to_another_address_is_not_followed() -> None:
    """The answer is no value, and nothing connects to that address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.2)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/schema"
        made = schema.make_schema({"not": {"$ref": url}})
        with pytest.raises(SchemaMismatchError, match="Unresolvable"):
            made.decode("5")
        with pytest.raises(TimeoutError):
            listening.accept()
