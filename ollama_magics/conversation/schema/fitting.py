"""A JSON schema as the server's grammar takes it, or the error that says why it cannot."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ollama_magics.errors import FormatProblem

# What is enforced, refused or ignored was asked of Ollama 0.24.0; tests/contract holds the answers.


_TYPES = {"object", "array", "string", "integer", "number", "boolean", "null"}
# `pattern` can kill the server's runner, `not` is refused; both are checked in the answer. The others bind no grammar.
_LEFT_OUT = {"pattern", "not", "default", "examples"}
_BY_NAME = {"properties", "$defs", "definitions"}
_IN_ORDER = {"anyOf", "oneOf", "allOf", "prefixItems"}


def fit(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema without what the server cannot read; raises FormatProblem where nothing would be left of its meaning.

    A root that is a reference is replaced by what it names: with it the server would enforce nothing below the root.
    """
    lifted = _lifted(schema)
    fitted = _fitted(lifted, "$", lifted)
    return fitted if isinstance(fitted, dict) else {}


def inlined(schema: Any) -> dict[str, Any]:
    """Return a fitted schema with each reference replaced by what it names; raises FormatProblem for one that names itself."""
    found = _inlined(schema, schema, ())
    return {key: value for key, value in found.items() if key not in ("$defs", "definitions")}


def _lifted(schema: dict[str, Any]) -> dict[str, Any]:
    seen: list[Any] = []
    while "$ref" in (schema := _flat(schema)):
        reference = schema["$ref"]
        if reference in seen:
            raise _refused("$.$ref", reference)
        seen.append(reference)
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**rest, **_named(reference, schema, "$")}
    return schema


def _fitted(node: Any, place: str, root: dict[str, Any]) -> Any:
    if node is True:
        return {}
    if not isinstance(node, dict):
        raise _refused(place, node)
    flat = _flat(node)
    _check_type(flat, place)
    if "$ref" in flat:
        _named(flat["$ref"], root, place)
    return dict(_members(flat, place, root))


def _flat(node: dict[str, Any]) -> dict[str, Any]:
    # an allOf of one part, as some libraries wrap a reference, is that part
    while isinstance(parts := node.get("allOf"), list) and len(parts) == 1 and (parts[0] is True or isinstance(parts[0], dict)):
        node = {**{key: value for key, value in node.items() if key != "allOf"}, **({} if parts[0] is True else parts[0])}
    return node


def _members(node: dict[str, Any], place: str, root: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        here = f"{place}.{key}"
        if key in _LEFT_OUT or (key == "items" and value is False and "prefixItems" in node):
            continue  # the lengths of a tuple stand beside its items
        if key in _BY_NAME and isinstance(value, dict):
            yield key, {name: _fitted(inner, f"{here}.{name}", root) for name, inner in value.items()}
        elif (key in _IN_ORDER or key == "items") and isinstance(value, list):
            yield key, [_fitted(inner, f"{here}[{index}]", root) for index, inner in enumerate(value)]
        elif key == "items" or (key == "additionalProperties" and not isinstance(value, bool)):
            yield key, _fitted(value, here, root)
        else:
            yield key, value


def _check_type(node: dict[str, Any], place: str) -> None:
    named = node.get("type", "null")
    for name in named if isinstance(named, list) else [named]:
        if not isinstance(name, str) or name not in _TYPES:
            raise _refused(f"{place}.type", named)


def _named(reference: Any, root: dict[str, Any], place: str) -> dict[str, Any]:
    """Return what a reference such as ``#/$defs/Person`` names; the server knows no other kind, and not the root itself."""
    target: Any = root if str(reference).startswith("#/") else None
    for key in str(reference).removeprefix("#/").split("/"):
        key = key.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901 - how JSON pointers write the two signs
        target = target.get(key) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise _refused(f"{place}.$ref", reference)
    return target


def _inlined(node: Any, root: dict[str, Any], above: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inlined(inner, root, above) for inner in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        reference = str(node["$ref"])
        if reference in above:
            raise _refused(reference, {"$ref": reference})
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return {**_inlined(_named(reference, root, "$"), root, (*above, reference)), **rest}
    # the definitions themselves are left alone: one that nobody uses may name itself
    return {key: inner if key in ("$defs", "definitions") else _inlined(inner, root, above) for key, inner in node.items()}


def _refused(place: str, said: Any) -> FormatProblem:
    return FormatProblem("OM-F05", place=place, said=json.dumps(said, ensure_ascii=False, default=str)[:80])
