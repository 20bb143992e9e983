"""Responses and errors of the stand-in server, in JSON as Go writes it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from ollama_magics.fake_server.releases import Release

JSON_TYPE = "application/json; charset=utf-8"
PLAIN_TYPE = "text/plain; charset=utf-8"

# Go escapes what could end a script element, and what JavaScript takes for a line end; it leaves U+0085 alone.
_ESCAPES = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})

Line = dict[str, Any]
Lines = Generator[Line, None, None]  # sent line by line; an ApiError before the first one sets the status
_NDJSON = "application/x-ndjson"
_BARE_JSON = "application/json"  # of an error in place of a stream: without the charset


class ApiError(Exception):
    """A request that gets an error: ``text`` is the value of ``"error"``, ``status`` the HTTP status; ``newest``: 0.34's."""

    def __init__(self, text: str, status: int = 400, newest: ApiError | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self._newest = newest

    def of(self, release: Release) -> ApiError:
        """Return the error as that release words it."""
        return self._newest if self._newest and release.runs_llama_server else self


def relayed(message: str, kind: str = "invalid_request_error", **more: Any) -> ApiError:
    """Return an error of llama-server, which Ollama passes on as JSON in a text."""
    return ApiError(json_text({"error": {"code": 400, "message": message, "type": kind, **more}}))


@dataclass(frozen=True)
class Response:
    """A response with a body of known length."""

    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Events:
    """The lines of an answer, sent in another form, with errors in that form."""

    lines: Lines
    encode: Callable[[Line], bytes]
    error: Callable[[ApiError], Response]
    content_type: str = "text/event-stream"


def ndjson(lines: Lines) -> Events:
    """Return lines as they are sent by Ollama's own routes."""

    def encode(line: Line) -> bytes:
        return json_bytes(line) + b"\n"

    def error(raised: ApiError) -> Response:
        return replace(error_response(raised), content_type=_BARE_JSON)

    return Events(lines, encode, error, _NDJSON)


def json_response(value: Any) -> Response:
    """Return a response with a JSON body."""
    return Response(json_bytes(value))


def error_response(error: ApiError) -> Response:
    """Return an error in Ollama's form."""
    return Response(json_bytes({"error": error.text}), error.status)


def json_text(value: Any) -> str:
    """Return the value as compact JSON in the spelling of Go's encoder."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).translate(_ESCAPES)


def json_bytes(value: Any) -> bytes:
    """Return the same as UTF-8; a lone surrogate, which Go cannot hold, becomes a question mark."""
    return json_text(value).encode(errors="replace")


def created_at() -> str:
    """Return the current time in UTC, in RFC 3339 with up to nine fractional digits."""
    seconds, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    fraction = f".{nanoseconds:09d}".rstrip("0").rstrip(".")
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"


def wrong_type(kind: str, field: str, expected: str) -> ApiError:
    """Return the error for a JSON value of the wrong type; ``field`` is for instance ``ChatRequest.model``."""
    newest = f".{field}" if field.startswith(("ChatRequest.", "GenerateRequest.")) else field
    texts = (f"json: cannot unmarshal {kind} into Go struct field {named} of type {expected}" for named in (field, newest))
    return ApiError(next(texts), newest=ApiError(next(texts)))


def unknown_model(name: str) -> ApiError:
    """Return the error of chat and generate for a model that is not here."""
    return ApiError(f"model '{name}' not found", 404)


def unknown_model_to_show(name: str) -> ApiError:
    """Return the error of show for a model that is not here."""
    full = name if ":" in name else f"{name}:latest"
    return ApiError(f"model '{name}' not found", 404, newest=unknown_model(full))


def bad_option(name: str, expected: str) -> ApiError:
    """Return the error for an option of the wrong type, which Ollama reports as its own."""
    return ApiError(f'option "{name}" must be of {expected}', 500)


def bad_schema(reason: str = "schema must be an object") -> ApiError:
    """Return the error for a schema that cannot become a grammar; newer servers tell the reason."""
    newest = f"Field 'json_schema': \"json_schema\": JSON schema conversion failed:\nJSON schema error at #: {reason}"
    return ApiError("invalid JSON schema in format", 500, newest=relayed(newest))


def runner_stopped() -> ApiError:
    """Return the error for what crashes the runner of a model."""
    reason = "this may be due to resource limitations or an internal error, check ollama server logs for details"
    return ApiError(f"model runner has unexpectedly stopped, {reason}", 500)


def too_much_repeated() -> ApiError:
    """Return the error for a schema with a length over 2000, which crashes the runner of older releases."""
    older = runner_stopped()
    return ApiError(older.text, older.status, newest=relayed("Failed to initialize samplers: failed to parse grammar"))


def unreadable_picture(older: ApiError) -> ApiError:
    """Return the error for a picture that cannot be read, which older releases word by its kind."""
    return ApiError(older.text, older.status, newest=relayed("Failed to load image or audio file"))


def text_too_long() -> ApiError:
    """Return the error for a text to be embedded that is over the context length, if ``truncate`` is false."""
    return ApiError("the input length exceeds the context length")


def prompt_too_long(tokens: int, limit: int) -> ApiError:
    """Return the error for a prompt over the context length, if ``truncate`` is false."""
    said = f"request ({tokens} tokens) exceeds the available context size ({limit} tokens), try increasing it"
    newest = relayed(said, "exceed_context_size_error", n_prompt_tokens=tokens, n_ctx=limit)
    return ApiError("the input length exceeds the context length", newest=newest)
