"""Read the arguments of a call as a model writes them, whatever spelling of JSON it chose."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from typing import Any

_DEEPEST = 3  # JSON inside a text inside a text
_WRAPPERS = ("arguments", "parameters")  # of all arguments, which some models repeat inside
_TYPES: dict[str, type | tuple[type, ...]] = {
    "null": type(None),
    "boolean": bool,
    "integer": int,
    "number": (int, float),
    "array": list,
    "object": dict,
}


def read_arguments(given: Any, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments by name; raises ValueError where they are not an object, nor the only argument there is.

    ``parameters`` is the JSON schema of the function. A text stands for the JSON in it where the schema takes no text; null, or
    nothing, for a parameter that may be left out.
    """
    properties, required = parameters.get("properties", {}), parameters.get("required", ())
    found = {}
    for name, written in _decoded_object(given, properties).items():
        schema = properties.get(name, {})
        value = _read(written, schema)
        is_nothing = value is None or (isinstance(value, str) and not value)
        if not is_nothing or name in required or _takes(schema, value):
            found[name] = value
    return found


def _decoded_object(given: Any, properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was written instead of an object with the arguments as one."""
    found = given
    for _ in range(_DEEPEST):
        if not isinstance(found, str) or not found.strip():
            break
        found = _decoded(found)
    if found is None or (isinstance(found, str) and not found.strip()):
        return {}
    if isinstance(found, dict):
        inner = next(iter(found.values())) if len(found) == 1 else None
        wraps = isinstance(inner, (dict, str)) and next(iter(found)) in _WRAPPERS and next(iter(found)) not in properties
        return _decoded_object(inner, properties) if wraps else found
    if len(properties) == 1:
        return {next(iter(properties)): found if isinstance(found, str) else given}
    raise ValueError(f"the arguments are not a JSON object with {', '.join(properties) or 'nothing in it'}")


def _read(written: Any, schema: Mapping[str, Any]) -> Any:
    """Return the value of one argument: the JSON in a text where the schema takes no text, and whole numbers as such."""
    types = set(_types(schema))
    if isinstance(written, int) and not isinstance(written, bool) and types == {"string"}:
        return str(written)
    if isinstance(written, str) and types and "string" not in types:
        found = _decoded(written)
        if isinstance(found, float) and found.is_integer() and "number" not in types:
            found = int(found)
        fits = any(isinstance(found, _TYPES[name]) for name in types) and not (isinstance(found, bool) and "boolean" not in types)
        return found if fits else written
    return written


def _decoded(text: str) -> Any:
    """Return the value that a text holds as JSON, or as a list, dict, True, False or None of Python, else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip()) if text.strip()[:1] in ("[", "{", "T", "F", "N") else text
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return text


def _takes(schema: Mapping[str, Any], value: Any) -> bool:
    types = set(_types(schema))
    return not types or ("null" if value is None else "string") in types


def _types(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield the JSON types that a schema takes; none where it does not say."""
    kinds = schema.get("type", ())
    yield from [kinds] if isinstance(kinds, str) else kinds
    for value in [*schema.get("enum", ()), *([schema["const"]] if "const" in schema else [])]:
        yield next((name for name, kind in _TYPES.items() if isinstance(value, kind)), "string")
    for branch in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _types(branch)
