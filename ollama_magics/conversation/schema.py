"""Convert a type to a JSON schema for the server, and an answer to values and rows of that type."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import re
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from ollama_magics.conversation.notes import Note
from ollama_magics.errors import FormatProblem


class SchemaMismatchError(ValueError):
    """A text that is not a value of the type; the message says where and why."""


@dataclass(frozen=True)
class Schema:
    """A response format: ``format`` goes into the request, ``decoder`` reads an answer, ``notes`` say what was changed."""

    format: str | dict[str, Any]
    decoder: Callable[[str], Any]
    is_list: bool = False  # or an object with a list as its only property: its rows can be shown as they come
    notes: tuple[Note, ...] = ()

    def decode(self, text: str) -> Any:
        """Return the text as a value of the type; raises SchemaMismatchError for one that is incomplete or of another type."""
        try:
            return self.decoder(text)
        except Exception as error:  # noqa: BLE001 - a type of the notebook may raise anything as it is made
            raise SchemaMismatchError(" ".join(str(error).split())[:300]) from None

    def accepts(self, text: str) -> bool:
        """Return whether the text is a value of the type."""
        try:
            self.decode(text)
        except SchemaMismatchError:
            return False
        return True


def make_schema(kind: Any) -> Schema:
    """Return the schema of ``"json"``, a JSON schema (a dict), or a type such as ``list[Person]``; raises FormatProblem."""
    if kind is None or isinstance(kind, str):
        if kind == "json":
            return Schema("json", msgspec.json.decode)
        raise FormatProblem("format-invalid", kind=repr(kind)[:80])
    if isinstance(kind, dict):
        adapted = adapt_to_server(kind)
        decoder = _checking_decoder(kind, adapted)
    else:
        schema, decoder = _schema_of_type(kind)
        adapted = adapt_to_server(schema)

    properties = list(adapted.get("properties", {}).values())
    only = properties[0] if len(properties) == 1 else {}
    return Schema(adapted, decoder, is_list="array" in (adapted.get("type"), only.get("type")))


def _checking_decoder(schema: dict[str, Any], adapted: dict[str, Any]) -> Callable[[str], Any]:
    """Return a function that decodes a text and raises ValueError where it breaks the schema."""
    import jsonschema  # noqa: PLC0415 - takes at least 75 ms, which only a prompt with a JSON schema pays
    import referencing  # noqa: PLC0415 - jsonschema's own

    if not isinstance(version := schema.get("$schema", ""), str):
        raise _unsupported("$.$schema", version)
    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(adapted)
    except jsonschema.exceptions.SchemaError as error:
        raise FormatProblem("schema-unsupported", place=error.json_path, said=" ".join(error.message.split())[:200]) from None
    # with an empty registry a reference to another address is an error; by default jsonschema would download it
    validator = kind(schema, registry=referencing.Registry())

    def decode(text: str) -> Any:
        value = msgspec.json.decode(text)
        if error := next(validator.iter_errors(value), None):
            message = f"{error.message} - at `{error.json_path}`"
            raise ValueError(message)
        return value

    return decode


def _schema_of_type(kind: Any) -> tuple[dict[str, Any], Callable[[str], Any]]:
    if hasattr(kind, "model_json_schema") and (found := _pydantic_schema(kind)):
        return found
    name = str(getattr(kind, "__name__", None) or kind)[:80] if isinstance(kind, type) else str(kind)[:80]
    try:
        return msgspec.json.schema(kind), msgspec.json.Decoder(kind).decode
    except NameError as error:
        raise FormatProblem("format-class-unknown", kind=name, name=error.name or str(error)) from None
    except KeyError:
        # msgspec cannot name two classes alike: a cell that was run again has made its classes anew
        raise FormatProblem("format-class-twice", kind=name) from None
    except TypeError as error:
        if found := _pydantic_schema(kind):
            return found
        raise FormatProblem("format-unsupported", kind=name, reason=str(error).splitlines()[-1]) from None


def _pydantic_schema(kind: Any) -> tuple[dict[str, Any], Callable[[str], Any]] | None:
    """Return schema and decoder of a type with pydantic models in it, or None where it has none or pydantic is not imported."""
    if (pydantic := sys.modules.get("pydantic")) is None:
        return None
    try:
        adapter = pydantic.TypeAdapter(kind)
        return adapter.json_schema(), adapter.validate_json
    except (pydantic.errors.PydanticUserError, AttributeError, TypeError):  # the latter two where it is no type at all
        return None


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
            raise _unsupported("$.$ref", reference)
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
        raise _unsupported(place, node)
    node = _unwrap_all_of(node)
    types = node.get("type", "null")
    for name in types if isinstance(types, list) else [types]:
        if not isinstance(name, str) or name not in _TYPES:
            raise _unsupported(f"{place}.type", types)
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
        raise _unsupported(f"{place}.$ref", reference)
    return target


def _inline(node: Any, root: dict[str, Any], above: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inline(inner, root, above) for inner in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        reference = str(node["$ref"])
        if reference in above:
            raise _unsupported(reference, {"$ref": reference})
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return {**_inline(_resolve(reference, root, "$"), root, (*above, reference)), **rest}
    # definitions stay as they are: one that nothing refers to may be recursive
    return {key: inner if key in _DEFINITIONS else _inline(inner, root, above) for key, inner in node.items()}


def _unsupported(place: str, part: Any) -> FormatProblem:
    return FormatProblem("schema-unsupported", place=place, said=json.dumps(part, ensure_ascii=False, default=str)[:80])


_LIST_START = re.compile(r'\s*(?:\{\s*"(?:[^"\\]|\\.)*"\s*:\s*)?\[')
_SEPARATORS = re.compile(r"[\s,]*")
_NUMBER_END = re.compile(r"[\s,\]]")
# types that stay as they are in a row; msgspec would make texts of them
_KEPT = (dt.datetime, dt.date, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID, bytes)


class RowReader:
    """Reads the rows of a growing text that is a list, or an object that begins with one."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = []
        self._position = 0
        self._decoder = json.JSONDecoder()

    def read(self, text: str) -> list[dict[str, Any]]:
        """Return the rows that are complete so far; the text must begin with the text of the last call."""
        if not self._position:
            start = _LIST_START.match(text)
            self._position = start.end() if start else 0
        while self._position and (gap := _SEPARATORS.match(text, self._position)):
            try:
                value, end = self._decoder.raw_decode(text, gap.end())
            except (ValueError, RecursionError):
                break
            if not isinstance(value, (dict, list, str)) and not _NUMBER_END.match(text, end):
                break  # 12 may still become 123 or 12.5
            self._rows.append(_row(value))
            self._position = end
        return self._rows


def records(value: Any) -> list[dict[str, Any]]:
    """Return the rows of a value: its elements, those of its only property, or the value itself as one row."""
    plain = msgspec.to_builtins(
        value,
        builtin_types=_KEPT,
        str_keys=True,
        enc_hook=lambda one: one.model_dump() if hasattr(one, "model_dump") else str(one),
    )
    if isinstance(plain, dict) and len(plain) == 1 and isinstance(only := next(iter(plain.values())), list):
        plain = only
    return [_row(element) for element in (plain if isinstance(plain, list) else [plain])]


def _row(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {"value": value}


def frame(value: Any) -> Any:
    """Return the rows of a value as a pandas DataFrame; raises FormatProblem (pandas-missing) where pandas is not installed."""
    try:
        import pandas as pd  # noqa: PLC0415 - only a frame needs it
    except ImportError:
        raise FormatProblem("pandas-missing") from None
    return pd.DataFrame(records(value))


def indent_json(text: str) -> str:
    """Return a JSON text with line breaks and indents, and any other text as it is."""
    try:
        return msgspec.json.format(text.encode(), indent=2).decode()
    except (msgspec.DecodeError, UnicodeError):
        return text
