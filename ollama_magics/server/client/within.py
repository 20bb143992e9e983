"""Errors that stand within an answer which began with 200: in a line of a stream, or in place of what was asked for."""

from __future__ import annotations

from collections.abc import Iterable

from ollama_magics.errors import AnswerCut, RequestRefused
from ollama_magics.server.client.headers import without
from ollama_magics.server.http_errors import error_object, quote
from ollama_magics.server.wire import answers


def checked(chunk: answers.Chunk, hidden: Iterable[str], *, started: bool) -> answers.Chunk:
    """Return the chunk, unless it is an error: RequestRefused as the first, AnswerCut after others."""
    if chunk.error is None:
        return chunk
    said = str(error_object({"error": chunk.error}).get("message") or chunk.error)
    said = quote(without(said.encode(), hidden).decode())
    if not started:
        raise RequestRefused("OM-R01", status=200, said=said)
    raise AnswerCut("OM-C03", said=said)


def refuse_error(body: bytes, hidden: Iterable[str]) -> None:
    """Raise RequestRefused where the body is nothing but an error."""
    try:
        chunk = answers.chunk(body)
    except RequestRefused:
        return  # no such thing can be read from it
    checked(chunk, hidden, started=False)
