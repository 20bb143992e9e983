"""Adapt a JSON schema to what a server makes a grammar of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ollama_magics.errors import FormatProblem

# What a server's grammar enforces, refuses or ignores: tests/contract checks it against Ollama 0.24.0.

_TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}
# `pattern` can crash the server's runner, and `not` is refused: both are checked in the answer. The others change no grammar.
_LEFT_OUT = {"pattern", "not", "default", "examples"}
_DEFINITIONS = ("$defs", "definitions")
_NAMED_SCHEMAS = {"properties", *_DEFINITIONS}
_SCHEMA_LISTS = {"anyOf", "oneOf", "allOf", "prefixItems", "items"}


def adapt_to_server(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without what the server cannot read; raises FormatProblem for what it would ignore."""
    # a root that is a reference is replaced by its target: the server would enforce nothing below it
    root, seen = _unwrap_all_of(schema), list[Any]()
    while "$ref" in root:
        reference = root["$ref"]
        if reference in seen:
            raise unsupported("$.$ref", reference)
        seen.append(reference)
        rest = {key: value for key, value in root.items() if key != "$ref"}
        root = _unwrap_all_of({**rest, **_resolve(reference, root, "$")})
    return _adapt(root, "$", root)


def inline_references(schema: Any) -> dict[str, Any]:
    """Return an adapted schema with each reference replaced by its target; raises FormatProblem for a recursive one."""
    found = _inline(schema, schema, ())
    return {key: value for key, value in found.items() if key not in _DEFINITIONS}


def _adapt(node: Any, place: str, root: dict[str, Any]) -> dict[str, Any]:
    if node is True:
        return {}
    if not isinstance(node, dict):
        raise unsupported(place, node)
    node = _unwrap_all_of(node)
    types = node.get("type", "null")
    for name in types if isinstance(types, list) else [types]:
        if not isinstance(name, str) or name not in _TYPES:
            raise unsupported(f"{place}.type", types)
    if "$ref" in node:
        _resolve(node["$ref"], root, place)
    return dict(_adapted_members(node, place, root))


def _adapted_members(node: dict[str, Any], place: str, root: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        inner_place = f"{place}.{key}"
        if key in _LEFT_OUT or (key == "items" and value is False and "prefixItems" in node):
            continue  # a tuple also has minItems and maxItems
        if key in _NAMED_SCHEMAS and isinstance(value, dict):
            yield key, {name: _adapt(inner, f"{inner_place}.{name}", root) for name, inner in value.items()}
        elif key in _SCHEMA_LISTS and isinstance(value, list):
            yield key, [_adapt(inner, f"{inner_place}[{index}]", root) for index, inner in enumerate(value)]
        elif key == "items" or (key == "additionalProperties" and not isinstance(value, bool)):
            yield key, _adapt(value, inner_place, root)
        else:
            yield key, value


def _unwrap_all_of(node: dict[str, Any]) -> dict[str, Any]:
    # some libraries wrap a reference in an allOf of one part
    while isinstance(parts := node.get("allOf"), list) and len(parts) == 1 and (parts[0] is True or isinstance(parts[0], dict)):
        node = {**{key: value for key, value in node.items() if key != "allOf"}, **({} if parts[0] is True else parts[0])}
    return node


def _resolve(reference: Any, root: dict[str, Any], place: str) -> dict[str, Any]:
    """Return the target of a reference such as ``#/$defs/Person``; the server knows no other kind, and not the root itself."""
    target: Any = root if str(reference).startswith("#/") else None
    for key in str(reference).removeprefix("#/").split("/"):
        name = key.replace("~1", "/").replace("~0", "~")  # how a JSON pointer writes these two characters
        target = target.get(name) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise unsupported(f"{place}.$ref", reference)
    return target


def _inline(node: Any, root: dict[str, Any], above: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inline(inner, root, above) for inner in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        reference = str(node["$ref"])
        if reference in above:
            raise unsupported(reference, {"$ref": reference})
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return {**_inline(_resolve(reference, root, "$"), root, (*above, reference)), **rest}
    # definitions stay as they are: one that nothing refers to may be recursive
    return {key: inner if key in _DEFINITIONS else _inline(inner, root, above) for key, inner in node.items()}


def unsupported(place: str, part: Any) -> FormatProblem:
    """Return the error of a part of a schema that a server cannot use."""
    return FormatProblem("schema-unsupported", place=place, said=json.dumps(part, ensure_ascii=False, default=str)[:80])
