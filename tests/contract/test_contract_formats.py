"""Which JSON schemas a server can make a grammar of, on both servers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ollama_magics.conversation.server_schema import adapt_to_server
from ollama_magics.errors import FormatProblem

if TYPE_CHECKING:
    from tests.contract.conftest import Server

SHORT = {"num_ctx": 512, "temperature": 0, "num_predict": 4}
REF: dict[str, Any] = {"$defs": {"A": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}}}
TAKEN: dict[str, dict[str, Any]] = {
    "empty": {},
    "a number": {"type": "integer"},
    "null": {"type": "null"},
    "two types": {"type": ["integer", "null"]},
    "a constant": {"const": "a"},
    "a list": {"type": "array", "items": {"type": "integer"}},
    "a list of anything": {"type": "array", "items": {}},
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
    "only a not": {"not": {"type": "string"}},
}


@pytest.mark.parametrize("schema", TAKEN.values(), ids=TAKEN)
def test_a_schema_that_is_taken(server: Server, schema: dict[str, Any]) -> None:
    """The answer may be cut, but there is one; what we send of it is the same."""
    assert server.chat(format=schema, options=SHORT).status_code == 200
    assert adapt_to_server(schema) == schema


@pytest.mark.parametrize("schema", REFUSED.values(), ids=REFUSED)
def test_a_schema_that_is_refused(server: Server, schema: dict[str, Any]) -> None:
    """With status 500; we refuse it ourselves, or send something that is taken."""
    answer = server.chat(format=schema, options=SHORT)
    assert (answer.status_code, answer.json()["error"]) == (500, "invalid JSON schema in format")
    try:
        sent = adapt_to_server(schema)
    except FormatProblem:
        return
    assert server.chat(format=sent, options=SHORT).status_code == 200


def test_a_completion_takes_a_schema_too(server: Server) -> None:
    """The same way."""
    assert server.generate(format={"const": "a"}, options=SHORT).json()["response"] == '"a"'
