"""What is asked for each row, and how an answer becomes the columns of the result."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from ollama_magics.conversation.json_answer import SchemaMismatchError
from ollama_magics.conversation.records import plain_value, resolved
from ollama_magics.conversation.schema import Schema
from ollama_magics.errors import AnswerCut, FormatProblem
from ollama_magics.server.wire import ChatRequest, GenerateRequest

Request = ChatRequest | GenerateRequest


class RowAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole answer to one row, as it is stored; times are in seconds, over all rounds of a turn with tools."""

    text: str = ""
    done_reason: str = ""
    logprobs: tuple[dict[str, Any], ...] = ()
    tokens: int = 0
    prompt_tokens: int = 0
    used_tokens: int = 0  # of the context, by the prompt and the answer of its longest round
    seconds: float = 0.0
    prompt_seconds: float = 0.0  # that the server needed to read the prompt

    def followed_by(self, other: RowAnswer) -> RowAnswer:
        """Return this answer and another one to the same row as one, with the sums of their figures."""
        return RowAnswer(
            text=self.text + other.text,
            done_reason=other.done_reason,
            logprobs=(*self.logprobs, *other.logprobs),
            tokens=self.tokens + other.tokens,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            used_tokens=max(self.used_tokens, other.used_tokens),
            seconds=self.seconds + other.seconds,
            prompt_seconds=self.prompt_seconds + other.prompt_seconds,
        )


class RowFormat(Protocol):
    """What is asked for each row.

    ``columns`` are the names of the result's columns and the types of their values: str, int, float, bool, datetime, date,
    ``[type]`` for a list, ``{name: type}`` for an object, or object for anything else.
    """

    @property
    def columns(self) -> Mapping[str, Any]:
        """The columns that each answer fills."""

    def adapt(self, request: Request) -> Request:
        """Return the request with the fields that this kind of answer needs."""

    def next_request(self, request: Request, answer: RowAnswer) -> Request | None:
        """Return what else to ask about a row after the answers so far, or None; ``request`` is that before ``adapt``."""

    def decode(self, answer: RowAnswer) -> Mapping[str, Any]:
        """Return the values of the columns; raises AnswerCut for a cut answer, with what it has of them as ``partial``."""


class OneRequest:
    """What needs one request for each row, as the prompt makes it."""

    def adapt(self, request: Request) -> Request:
        """Return the request as it is; a schema is in it already."""
        return request

    def next_request(self, request: Request, answer: RowAnswer) -> None:  # noqa: ARG002 - that of the protocol
        """Ask nothing else."""
        return


@dataclass(frozen=True)
class TextFormat(OneRequest):
    """The text of the answer in a column ``reply``."""

    columns = {"reply": str}  # noqa: RUF012 - never changed

    def decode(self, answer: RowAnswer) -> Mapping[str, Any]:
        """Return the text; raises AnswerCut for an answer that ends at the max tokens, with the text so far as ``partial``."""
        if answer.done_reason == "length":
            cut = AnswerCut("row-reply-cut", most=answer.tokens, start=answer.text[:60])
            cut.partial = {"reply": answer.text} if answer.text.strip() else None
            raise cut
        return {"reply": answer.text}


class FieldsFormat(OneRequest):
    """The fields of a type as columns, or the one value of a type without fields in a column ``reply``.

    Raises FormatProblem (format-is-list) for a list, which would be several rows for each row.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        root: Any = schema.format if isinstance(schema.format, dict) else {}
        if _kind(root, root) is list:
            raise FormatProblem("format-is-list")
        fields = root.get("properties") or {}
        self.columns: Mapping[str, Any] = {name: _column_type(field, root) for name, field in fields.items()}
        self._has_fields = bool(fields)
        if not fields:
            self.columns = {"reply": _column_type(root, root)}

    def decode(self, answer: RowAnswer) -> Mapping[str, Any]:
        """Return the value of each field, None for one that is left out.

        Raises FormatProblem where the answer is of another type, and AnswerCut where it was cut.
        """
        if answer.done_reason == "length":
            raise AnswerCut("object-cut", most=answer.tokens, characters=len(answer.text))
        try:
            value = plain_value(self._schema.decode(answer.text), self._schema.format)
        except SchemaMismatchError as error:
            raise FormatProblem("object-invalid", reason=error.args[0]) from None
        if not self._has_fields:
            return {"reply": value}
        return {name: value.get(name) for name in self.columns}


_TYPES: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool, "array": list, "object": dict}
_TIMES: dict[str, type] = {"date-time": dt.datetime, "date": dt.date}


def _column_type(node: Any, root: dict[str, Any], outer: tuple[Any, ...] = ()) -> Any:
    """Return the type of a column for a part of a schema; object where values may be of several types, or inside themselves."""
    found = _kind(node, root)
    if found not in (list, dict):
        return found
    part = resolved(node, root)
    inner = part.get("items") if found is list and "prefixItems" not in part else part.get("properties")
    if part in outer or not isinstance(inner, dict) or not inner:
        return object
    if found is list:
        return [_column_type(inner, root, (*outer, part))]
    return {name: _column_type(one, root, (*outer, part)) for name, one in inner.items()}


def _kind(node: Any, root: dict[str, Any]) -> type:
    if not isinstance(node, dict):
        return object
    if isinstance(reference := node.get("$ref"), str):
        target = root
        for key in reference.removeprefix("#/").split("/"):
            target = target.get(key, {})
        return _kind(target, root)
    branches = node.get("anyOf") or node.get("oneOf")
    if branches:
        kinds = {_kind(branch, root) for branch in branches if branch != {"type": "null"}}
    elif "enum" in node or "const" in node:
        kinds = {type(value) for value in node.get("enum", [node.get("const")]) if value is not None}
    else:
        names = node.get("type", ())
        kinds = {_TYPES.get(name, object) for name in ([names] if isinstance(names, str) else names) if name != "null"}
    if kinds == {int, float}:
        return float
    only = kinds.pop() if len(kinds) == 1 else object
    return _TIMES.get(node.get("format", ""), str) if only is str else only
