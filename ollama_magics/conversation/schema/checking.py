"""Whether a JSON value keeps to a JSON schema: asked of jsonschema where the notebook has it, else of the rules that most use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ollama_magics.errors import FormatProblem

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
        raise FormatProblem("OM-F05", place=error.json_path, said=" ".join(error.message.split())[:200]) from None


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
