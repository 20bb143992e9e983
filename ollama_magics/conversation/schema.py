"""Convert a type to a JSON schema for the server, and an answer to a value of that type."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any

import msgspec
from msgspec import Struct

from ollama_magics.conversation import pydantic_types
from ollama_magics.conversation.json_answer import SchemaMismatchError, decode_json, read_answer
from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.server_schema import adapt_to_server, unsupported
from ollama_magics.conversation.type_schema import schema_of_type
from ollama_magics.errors import FormatProblem
from ollama_magics.messages import Phrase

# jsonschema leaves some of these to other packages, and takes anything where they are missing
_TIME_FORMATS = {"date-time": dt.datetime, "date": dt.date, "time": dt.time, "duration": dt.timedelta}
# Words of JSON schema that check nothing, and words whose values are data or are schemas with names
_ANNOTATIONS = {
    "$schema",
    "$defs",
    "definitions",
    "dependencies",
    "then",
    "else",
    "minContains",
    "maxContains",
    "additionalItems",
}
_ANNOTATIONS |= {"title", "description", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "discriminator"}
_ANNOTATIONS |= {"additionalItems", "contentEncoding", "contentMediaType", "contentSchema"}
_DATA = {"enum", "const", "default", "example", "examples", "discriminator"}
_NAMED_SCHEMAS = {"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"}
_EXACT = 2**53  # beyond it, a float with nothing behind its point may stand for another whole number


class Schema(Struct, frozen=True):
    """A response format: ``format`` goes into the request, ``decoder`` reads JSON, ``notes`` say what was changed."""

    format: str | dict[str, Any]
    decoder: Callable[[str], Any]
    is_list: bool = False  # or an object with a list as its only property: its rows can be shown as they come
    notes: tuple[Note, ...] = ()

    def decode(self, text: str, thinking: str = "") -> Any:
        """Return the value in an answer; raises SchemaMismatchError where it is incomplete or of another type.

        ``thinking`` are the thoughts before the answer, where the value may have ended up.
        """
        return read_answer(text, self.decoder, thinking)

    def convert(self, value: Any) -> Any:
        """Return a JSON value, as it was decoded, as a value of the type; raises SchemaMismatchError."""
        return decode_json(value, lambda one: self.decoder(msgspec.json.encode(one).decode()))

    def accepts(self, text: str) -> bool:
        """Return whether there is a value of the type in the text."""
        try:
            self.decode(text)
        except SchemaMismatchError:
            return False
        return True


def make_schema(kind: Any, *, strict: bool = True) -> Schema:
    """Return the schema of ``"json"``, a JSON schema (a dict), or a type such as ``list[Person]``; raises FormatProblem.

    If not ``strict``, a text such as ``"2"`` becomes a number where the type takes no text.
    """
    if kind is None or isinstance(kind, str):
        if kind == "json":
            return Schema("json", msgspec.json.decode)
        raise FormatProblem("format-invalid", kind=repr(kind)[:80])
    if isinstance(kind, dict):
        adapted = adapt_to_server(kind)
        decoder, notes = _checking_decoder(kind)
    else:
        schema, decoder = _read_type(kind, strict=strict)
        adapted, notes = adapt_to_server(schema), ()

    properties = list(adapted.get("properties", {}).values())
    only = properties[0] if len(properties) == 1 else {}
    return Schema(adapted, decoder, is_list="array" in (adapted.get("type"), only.get("type")), notes=notes)


def _checking_decoder(schema: dict[str, Any]) -> tuple[Callable[[str], Any], tuple[Note, ...]]:
    """Return a function that decodes a text and raises ValueError where it breaks the schema, and what it cannot check."""
    import jsonschema  # noqa: PLC0415 - takes at least 75 ms, which only a prompt with a JSON schema pays
    import referencing  # noqa: PLC0415 - jsonschema's own

    if not isinstance(version := schema.get("$schema", ""), str):
        raise unsupported("$.$schema", version)
    kind = jsonschema.validators.validator_for(schema)
    try:
        kind.check_schema(schema)
    except jsonschema.exceptions.SchemaError as error:
        raise FormatProblem("schema-unsupported", place=error.json_path, said=" ".join(error.message.split())[:200]) from None
    formats = jsonschema.FormatChecker()
    for name, of_python in _TIME_FORMATS.items():
        formats.checks(name, raises=ValueError)(_time_check(of_python))
    # with an empty registry a reference to another address is an error; by default jsonschema would download it
    validator = kind(schema, registry=referencing.Registry(), format_checker=formats)

    def decode(text: str) -> Any:
        value = msgspec.json.decode(text)
        if error := next(validator.iter_errors(value), None):
            message = f"{error.message} - at `{error.json_path}`"
            raise ValueError(message)
        return value

    known = kind.VALIDATORS.keys() | _ANNOTATIONS
    if _unknown_words(schema, known) and not schema.keys() & (kind.VALIDATORS.keys() | _NAMED_SCHEMAS):
        raise unsupported("$", schema)  # such as {"name": "string"}, or the schema inside of another service's envelope
    inner = list(_schemas(schema, known))
    names = {one["format"] for one in inner if isinstance(one.get("format"), str)} - formats.checkers.keys()
    words = {word for one in inner for word in _unknown_words(one, known)}
    notes = [Note(Phrase("format_unchecked", name=name), loses=False) for name in sorted(names)]
    return decode, (*notes, *(Note(Phrase("schema_word_unknown", name=name)) for name in sorted(words)))


def _time_check(kind: Any) -> Callable[[Any], bool]:
    return lambda value: not isinstance(value, str) or msgspec.convert(value, kind) is not None


def _schemas(node: Any, known: AbstractSet[str]) -> Iterator[dict[str, Any]]:
    """Yield a JSON schema and each one inside it, below the words that are ``known``."""
    if isinstance(node, list):
        for inner in node:
            yield from _schemas(inner, known)
    elif isinstance(node, dict):
        yield node
        for word in node.keys() & known - _DATA:
            named = word in _NAMED_SCHEMAS and isinstance(node[word], dict)
            yield from _schemas(list(node[word].values()) if named else node[word], known)


def _unknown_words(schema: dict[str, Any], known: AbstractSet[str]) -> AbstractSet[str]:
    return {word for word in schema.keys() - known if not word.startswith(("x-", "$"))}


def _read_type(kind: Any, *, strict: bool) -> tuple[dict[str, Any], Callable[[str], Any]]:
    """Return schema and decoder of a type: pydantic's where something of pydantic is in it, or where msgspec has none."""
    name = str(getattr(kind, "__name__", None) or kind)[:80] if isinstance(kind, type) else str(kind)[:80]
    try:
        if pydantic_types.needs_pydantic(kind):
            return pydantic_types.read_type(kind)
        try:
            return schema_of_type(kind), _msgspec_decoder(kind, strict=strict)
        except TypeError as error:
            with suppress(TypeError, ImportError):
                return pydantic_types.read_type(kind)
            raise FormatProblem("format-unsupported", kind=name, reason=_last_line(error)) from None
    except NameError as error:
        raise FormatProblem("format-class-unknown", kind=name, name=error.name or str(error)) from None
    except ImportError:
        raise FormatProblem("pydantic-missing", kind=name) from None
    except TypeError as error:
        raise FormatProblem("format-unsupported", kind=name, reason=_last_line(error)) from None


def _last_line(error: Exception) -> str:
    return str(error).rstrip(".").splitlines()[-1]


def _msgspec_decoder(kind: Any, *, strict: bool) -> Callable[[str], Any]:
    decoder, lenient = msgspec.json.Decoder(kind), msgspec.json.Decoder(kind, strict=False)

    def decode(text: str) -> Any:
        try:
            return decoder.decode(text)
        except msgspec.ValidationError:
            # JSON has one type of number, in which 1815.0 is a whole one; msgspec refuses it for an int
            plain = msgspec.json.decode(text)
            whole = _whole_numbers(plain)
            if strict and repr(whole) == repr(plain):
                raise
        again = decoder if strict else lenient
        return again.decode(msgspec.json.encode(whole))

    return decode


def _whole_numbers(value: Any) -> Any:
    """Return a JSON value in which each number is an int that has nothing behind its point."""
    if isinstance(value, dict):
        return {key: _whole_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT else value
