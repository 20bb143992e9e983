"""Whole answers, streams and refusals in the words of Ollama."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from ollama_magics.fake_server import go_json

BAD_REQUEST, NOT_FOUND, BROKEN = 400, 404, 500


class RefusalError(Exception):
    """A request that gets an error: ``status`` is the HTTP status, ``text`` the value of ``"error"``."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def bad_request(text: str) -> RefusalError:
    """Return a refusal with status 400."""
    return RefusalError(BAD_REQUEST, text)


def wrong_type(kind: str, place: str, wanted: str) -> RefusalError:
    """Return a JSON value of one kind where Go's decoder wanted another, for instance ``ChatRequest.model``."""
    return bad_request(f"json: cannot unmarshal {kind} into Go struct field {place} of type {wanted}")


def wrong_document(kind: str, struct: str) -> RefusalError:
    """Return a body that is JSON, but no object."""
    return bad_request(f"json: cannot unmarshal {kind} into Go value of type api.{struct}")


def unknown_model(name: str) -> RefusalError:
    """Return a model that is not here, as chat, generate and show say it."""
    return RefusalError(NOT_FOUND, f"model '{name}' not found")


def unknown_embedding_model(name: str) -> RefusalError:
    """Return a model that is not here, as embed says it."""
    return RefusalError(NOT_FOUND, f'model "{name}" not found, try pulling it first')


def cannot(name: str, what: str) -> RefusalError:
    """Return a model asked for what it is not made for: chat, generate or thinking."""
    return bad_request(f'"{name}" does not support {what}')


def cannot_in_full(full_name: str, what: str) -> RefusalError:
    """Return the same for tools and insert, where Ollama writes the name in full and without quotes."""
    return bad_request(f"{full_name} does not support {what}")


def bad_think_level(level: str) -> RefusalError:
    """Return a level of thinking that is none."""
    return bad_request(f'invalid think value: "{level}" (must be "high", "medium", "low", "max", true, or false)')


def bad_option(name: str, wanted: str) -> RefusalError:
    """Return an option of the wrong type; Ollama takes the blame with status 500."""
    return RefusalError(BROKEN, f'option "{name}" must be of {wanted}')


def bad_format(quoted: str) -> RefusalError:
    """Return a format that is neither "json" nor an object; ``quoted`` is the JSON sent, quoted once more."""
    return RefusalError(BROKEN, f'invalid format: {quoted}; expected "json" or a valid JSON Schema object')


def bad_schema() -> RefusalError:
    """Return a schema that cannot become a grammar."""
    return RefusalError(BROKEN, "invalid JSON schema in format")


def too_long() -> RefusalError:
    """Return a prompt or a text over the context length, where ``truncate`` is false."""
    return bad_request("the input length exceeds the context length")


def bad_base64(position: int) -> RefusalError:
    """Return a picture that is not base64 from ``position`` on."""
    return bad_request(f"illegal base64 data at input byte {position}")


def empty_picture() -> RefusalError:
    """Return a picture of no bytes."""
    text = "Failed to create new sequence: failed to process inputs: received zero length image"
    return RefusalError(BROKEN, text)


def runner_stopped() -> RefusalError:
    """Return a picture that makes the model runner of 0.24.0 fall over: WEBP, TIFF, half a JPEG."""
    text = (
        "model runner has unexpectedly stopped, this may be due to resource limitations or an internal error, "
        "check ollama server logs for details"
    )
    return RefusalError(BROKEN, text)


JSON_TYPE = "application/json; charset=utf-8"
PLAIN_TYPE = "text/plain; charset=utf-8"

Line = dict[str, Any]
Lines = Generator[Line, None, None]


@dataclass(frozen=True)
class Whole:
    """An answer with a body of known length."""

    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Stream:
    """An answer that is sent line by line; a RefusalError before the first line is an answer with its status."""

    lines: Lines


def of(value: Any) -> Whole:
    """Return a JSON answer."""
    return Whole(go_json.json_bytes(value))


def refused(refusal: RefusalError) -> Whole:
    """Return an error in Ollama's form."""
    return Whole(go_json.json_bytes({"error": refusal.text}), refusal.status)
