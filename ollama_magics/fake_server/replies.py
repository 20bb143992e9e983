"""Answers to be sent, whole or as a stream of lines; how they travel is not said here."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from ollama_magics.fake_server import framing
from ollama_magics.fake_server.refusals import RefusalError

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
    return Whole(framing.json_bytes(value))


def refused(refusal: RefusalError) -> Whole:
    """Return an error in Ollama's form."""
    return Whole(framing.json_bytes({"error": refusal.text}), refusal.status)
