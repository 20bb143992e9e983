"""Convert a type to a JSON schema for the server, and an answer to a value of that type."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.server_schema import adapt_to_server, unsupported
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
        raise unsupported("$.$schema", version)
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
