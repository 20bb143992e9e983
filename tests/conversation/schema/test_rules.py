"""The rules of a JSON schema, checked here where the notebook has no jsonschema."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ollama_magics.conversation import json_schema

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1, "pattern": "^[A-Z]"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}
TREE = {"$ref": "#/$defs/Node", "$defs": {"Node": {"properties": {"inner": {"$ref": "#/$defs/Node"}}, "type": "object"}}}
PEOPLE: list[Any] = [
    *({"name": "Ada", "age": 3}, {"name": "Ada"}, {"age": 3}, {"name": ""}, {"name": "ada"}),
    *({"name": "Ada", "age": -1}, {"name": "Ada", "x": 1}, {"name": 5}, [], "Ada", None),
]
TREES: list[Any] = [{"inner": {"inner": {}}}, {"inner": {"inner": 5}}, 5]
CASES: list[tuple[Any, Any]] = [
    *((PERSON, value) for value in PEOPLE),
    *((TREE, value) for value in TREES),
    *(({"type": ["integer", "null"]}, value) for value in (1, None, 1.0, 1.5, "1", True)),
    *(({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, value) for value in (0, 0.5, 1, False)),
    *(({"enum": ["a", 1]}, value) for value in ("a", 1, "b")),
    *(({"const": "a"}, value) for value in ("a", "b")),
    *(({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, value) for value in (1, True, "x")),
    *(({"allOf": [{"minimum": 1}, {"maximum": 2}]}, value) for value in (0, 1, 3)),
    *(({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 2}, value) for value in ([1], [], [1, 2, 3])),
    *(({"prefixItems": [{"type": "integer"}], "items": False}, value) for value in ([1], ["a"], [1, 2])),
    *(({"type": "object", "additionalProperties": {"type": "integer"}}, value) for value in ({"a": 1}, {"a": "b"})),
]


@pytest.mark.parametrize(("schema", "value"), CASES, ids=lambda part: str(part)[:40])
def test_the_rules_say_what_jsonschema_says(schema: Any, value: Any) -> None:
    """An independent reading of the same specification."""
    faults = list(json_schema._Rules(schema).faults(value, schema, "$"))
    assert bool(faults) == (not Draft202012Validator(schema).is_valid(value)), faults
