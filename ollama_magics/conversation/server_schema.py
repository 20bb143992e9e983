"""Adapt a JSON schema to what a server makes a grammar of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ollama_magics.errors import FormatProblem

# What the grammar of a server enforces, refuses or ignores: tests/contract checks it against Ollama 0.24.0.

_TYPES = ("object", "array", "string", "number", "boolean", "null")
# Whatever else is in a schema is left out, and checked in the answer: `pattern` can crash the server's runner, `not` is refused,
# the others change no grammar.
_READ = {
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "prefixItems",
    "anyOf",
    "oneOf",
    "allOf",
    "enum",
    "const",
}
_READ |= {"$ref", "$defs", "definitions", "format", "title", "description", "multipleOf", "uniqueItems"}
# Without a type or one of these, a part of a schema is refused if it is not empty, and stands for any object if it is.
_SAY_WHAT = {"$ref", "anyOf", "oneOf", "allOf", "enum", "const", "properties", "items", "prefixItems"}
# A length over 2000 crashes the runner; a few are kept for what the server adds. Larger numbers than these are refused, or make
# the server compute without end.
_LENGTHS = {
    "minLength": 1996,
    "maxLength": 1996,
    "minItems": 1996,
    "maxItems": 1996,
    "minProperties": 1996,
    "maxProperties": 1996,
}
_BOUNDS = _LENGTHS | dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), 2**53)
_PAIRS = (("minLength", "maxLength"), ("minItems", "maxItems"))  # which the server crosses without end
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
        node = {}
    if not isinstance(node, dict):
        raise unsupported(place, node)
    node = _unwrap_all_of(node)
    types = node.get("type", "null")
    for name in types if isinstance(types, list) else [types]:
        if not isinstance(name, str) or name not in {*_TYPES, "integer"}:
            raise unsupported(f"{place}.type", types)
    if "$ref" in node:
        _resolve(node["$ref"], root, place)
    for least, most in _PAIRS:
        if _is_bound(node.get(least), 2**53) and _is_bound(node.get(most), 2**53) and node[least] > node[most]:
            raise unsupported(place, {least: node[least], most: node[most]})
    adapted = dict(_adapted_members(node, place, root))
    return adapted if "type" in adapted or _SAY_WHAT & adapted.keys() else {**adapted, "type": list(_TYPES)}


def _is_bound(value: Any, most: int) -> bool:
    """Return whether a bound is a whole number that the server can take."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= most and value == int(value)


def _adapted_members(node: dict[str, Any], place: str, root: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        inner_place = f"{place}.{key}"
        if key in _BOUNDS:
            if _is_bound(value, _BOUNDS[key]):
                yield key, value
        elif key not in _READ or (key == "items" and value is False and "prefixItems" in node):
            continue  # a tuple also has minItems and maxItems
        elif key in _NAMED_SCHEMAS and isinstance(value, dict):
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
