"""Which JSON schemas a server can make a grammar of, on both servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ollama_magics.conversation.server_schema import adapt_to_server
from ollama_magics.errors import FormatProblem

if TYPE_CHECKING:
    from tests.contract.conftest import Server

SHORT = {"num_ctx": 512, "temperature": 0, "num_predict": 4}
ANYTHING: dict[str, Any] = {"type": ["object", "array", "string", "number", "boolean", "null"]}
REF: dict[str, Any] = {"$defs": {"A": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}
TAKEN: dict[str, dict[str, Any]] = {
    "anything": ANYTHING,
    "a number": {"type": "integer"},
    "null": {"type": "null"},
    "two types": {"type": ["integer", "null"]},
    "a constant": {"const": "a"},
    "a list": {"type": "array", "items": {"type": "integer"}},
    "a list of anything": {"type": "array", "items": ANYTHING},
    "a tuple": {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2},
    "a reference inside": {"type": "array", "items": {"$ref": "#/$defs/A"}, **REF},
    "a reference with words": {"type": "object", "properties": {"x": {"$ref": "#/$defs/A", "description": "y"}}, **REF},
    "a choice at the root": {"anyOf": [{"$ref": "#/$defs/A"}, {"type": "null"}], **REF},
    "no more properties": {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False},
}
REFUSED: dict[str, dict[str, Any]] = {
    "an unknown type": {"type": "foo"},
    "an unknown type among two": {"type": ["integer", "foo"]},
    "items true": {"type": "array", "items": True},
    "items false": {"type": "array", "prefixItems": [{"type": "integer"}], "items": False},
    "a property that is true": {"type": "object", "properties": {"a": True}},
    "a reference to nothing": {"type": "object", "properties": {"a": {"$ref": "#/$defs/B"}}},
}
EMPTY: dict[str, dict[str, Any]] = {
    "only a not": {"not": {"type": "string"}},
    "only a title": {"title": "A"},
    "a property with only a title": {"type": "object", "properties": {"a": {"title": "A"}}},
    "only a bound": {"minimum": 3},
    "only a condition": {"if": {"minimum": 3}, "then": {"multipleOf": 5}},
    "a bound with an exponent": {"type": "integer", "minimum": 1e20},
}


@pytest.mark.parametrize("schema", TAKEN.values(), ids=TAKEN)
def test_a_schema_that_is_taken(server: Server, schema: dict[str, Any]) -> None:
    """The answer may be cut, but there is one; what we send of it is the same."""
    assert server.chat(format=schema, options=SHORT).status_code == 200
    assert adapt_to_server(schema) == schema


@pytest.mark.parametrize("schema", [*REFUSED.values(), *EMPTY.values()], ids=[*REFUSED, *EMPTY])
def test_a_schema_that_is_refused(server: Server, schema: dict[str, Any]) -> None:
    """By each release in its words; we refuse it ourselves, or send something that is taken."""
    name = "a schema that cannot be used" if schema in REFUSED.values() else "a schema that says nothing"
    server.check(name, server.chat(format=schema, options=SHORT))
    try:
        sent = adapt_to_server(schema)
    except FormatProblem:
        return
    assert server.chat(format=sent, options=SHORT).status_code == 200


@pytest.mark.finding("A5")
def test_an_empty_schema_may_stand_for_an_object(server: Server) -> None:
    """So that a field of any type would always be one; a list of all types stands for anything."""
    within = {"type": "array", "minItems": 1, "maxItems": 1}
    content = server.chat(format=within | {"items": {}}, options=SHORT).json()["message"]["content"]
    assert content.lstrip("[ ").startswith("{") is server.fact("an empty schema stands for an object")
    assert adapt_to_server(within | {"items": {}}) == within | {"items": ANYTHING}


@pytest.mark.finding("A5")
@pytest.mark.parametrize("bound", ["minLength", "maxLength", "minItems", "maxItems"])
def test_a_length_over_2000_may_end_the_runner(server: Server, bound: str) -> None:
    """It is back for the next request; what we send is taken."""
    kind = {"type": "string"} if bound.endswith("Length") else {"type": "array", "items": {"type": "integer"}}
    schema: dict[str, Any] = {"anyOf": [{**kind, bound: 2083}, {"type": "null"}]}
    server.check(f"{bound[:3]}imum length over 2000 in a schema", server.chat(format=schema, options=SHORT))
    assert server.chat(format=adapt_to_server(schema), options=SHORT).status_code == 200


def test_a_completion_takes_a_schema_too(server: Server) -> None:
    """The same way."""
    assert server.generate(format={"const": "a"}, options=SHORT).json()["response"] == '"a"'
