"""Adapt a JSON schema to the grammar of the server, and check values against a schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

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
    return FormatProblem("schema-unsupported", place=place, said=json.dumps(said, ensure_ascii=False, default=str)[:80])


_KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def require_sound(schema: dict[str, Any]) -> None:
    """Raise FormatProblem for what is no JSON schema, as far as jsonschema knows, where the notebook has it."""
    if (jsonschema := _jsonschema()) is None:
        return
    try:
        jsonschema.validators.validator_for(schema).check_schema(schema)
    except jsonschema.exceptions.SchemaError as error:
        raise FormatProblem("schema-unsupported", place=error.json_path, said=" ".join(error.message.split())[:200]) from None


def reader(schema: dict[str, Any]) -> Callable[[str], Any]:
    """Return a function that decodes a text and raises ValueError where it breaks the schema."""

    def read(text: str) -> Any:
        value = msgspec.json.decode(text)
        if fault := next(_faults_of(value, schema), None):
            raise ValueError(fault)
        return value

    return read


def _faults_of(value: Any, schema: dict[str, Any]) -> Iterator[str]:
    if (jsonschema := _jsonschema()) is None:
        return _Rules(schema).faults(value, schema, "$")
    validator = jsonschema.validators.validator_for(schema)(schema)
    return (f"{error.message} - at `{error.json_path}`" for error in validator.iter_errors(value))


def _jsonschema() -> Any:
    try:
        import jsonschema  # noqa: PLC0415 - only if the notebook has it
    except ImportError:
        return None
    return jsonschema


class _Rules:
    """The rules that a grammar cannot enforce, or that a server may not have enforced."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root

    def faults(self, value: Any, schema: Any, place: str) -> Iterator[str]:
        """Yield what is wrong with the value, in words."""
        if not isinstance(schema, dict):
            return
        yield from self._of_kind(value, schema, place)
        yield from self._combined(value, schema, place)
        if isinstance(value, dict):
            yield from self._of_object(value, schema, place)
        elif isinstance(value, list):
            yield from self._of_array(value, schema, place)
        elif isinstance(value, str):
            yield from self._of_text(value, schema, place)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield from self._of_number(value, schema, place)

    def _of_kind(self, value: Any, schema: dict[str, Any], place: str) -> Iterator[str]:
        named = schema.get("type", [])
        kinds = named if isinstance(named, list) else [named]
        if kinds and not any(_is(value, kind) for kind in kinds):
            yield f"expected {' or '.join(map(str, kinds))} - at `{place}`"
        if "enum" in schema and value not in schema["enum"]:
            yield f"expected one of {schema['enum']} - at `{place}`"
        if "const" in schema and value != schema["const"]:
            yield f"expected {schema['const']!r} - at `{place}`"

    def _combined(self, value: Any, schema: dict[str, Any], place: str) -> Iterator[str]:
        if "$ref" in schema:
            yield from self.faults(value, self._named(schema["$ref"]), place)
        for part in schema.get("allOf", ()):
            yield from self.faults(value, part, place)
        for word in ("anyOf", "oneOf"):
            parts = schema.get(word, ())
            if parts and all(next(self.faults(value, part, place), None) for part in parts):
                yield f"none of {word} fits - at `{place}`"

    def _named(self, reference: str) -> Any:
        target: Any = self._root
        for key in reference.removeprefix("#").strip("/").split("/"):
            target = target.get(key, {}) if key and isinstance(target, dict) else target
        return target

    def _of_object(self, value: dict[str, Any], schema: dict[str, Any], place: str) -> Iterator[str]:
        known = schema.get("properties", {})
        yield from (f"`{name}` is missing - at `{place}`" for name in schema.get("required", ()) if name not in value)
        for name, inner in value.items():
            here = f"{place}.{name}"
            if name not in known and schema.get("additionalProperties") is False:
                yield f"`{name}` is not wanted - at `{place}`"
            yield from self.faults(inner, known.get(name, schema.get("additionalProperties")), here)

    def _of_array(self, value: list[Any], schema: dict[str, Any], place: str) -> Iterator[str]:
        yield from _within(len(value), schema, "minItems", "maxItems", place)
        first = schema.get("prefixItems", [])
        for index, inner in enumerate(value):
            rule = first[index] if index < len(first) else schema.get("items")
            if rule is False:
                yield f"more items than wanted - at `{place}`"
            yield from self.faults(inner, rule, f"{place}[{index}]")

    def _of_text(self, value: str, schema: dict[str, Any], place: str) -> Iterator[str]:
        yield from _within(len(value), schema, "minLength", "maxLength", place)
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield f"does not match {schema['pattern']} - at `{place}`"

    def _of_number(self, value: float, schema: dict[str, Any], place: str) -> Iterator[str]:
        yield from _within(value, schema, "minimum", "maximum", place)
        if value <= schema.get("exclusiveMinimum", value - 1) or value >= schema.get("exclusiveMaximum", value + 1):
            yield f"{value} is out of range - at `{place}`"


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    whole = kind == "integer" and isinstance(value, float) and value.is_integer()
    return whole or isinstance(value, _KINDS.get(kind, object))


def _within(size: float, schema: dict[str, Any], least: str, most: str, place: str) -> Iterator[str]:
    if size < schema.get(least, size) or size > schema.get(most, size):
        yield f"{size} is out of range - at `{place}`"
