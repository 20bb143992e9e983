"""What surrounds a reply: what it must know besides its request, and the figures that the server gave with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ollama_magics.conversation import Conversation, Place
from ollama_magics.schema import Schema
from ollama_magics.tools import Toolbox
from ollama_magics.wire import Chunk

_NANO = 1e-9


@dataclass(frozen=True)
class Stats:
    """Counts in tokens, times in seconds; zero where the server did not say."""

    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    load_seconds: float = 0.0
    first_token_seconds: float = 0.0
    tokens_per_second: float = 0.0


@dataclass(frozen=True)
class Circumstances:
    """What a reply must know besides its request: its conversation and place, the pictures, the context, the host.

    ``new``: the conversation starts afresh with this turn, once it has come. ``schema``: the answer is a value of that type;
    ``toolbox``: the functions that the model may call.
    """

    conversation: Conversation | None = None
    place: Place = field(default_factory=Place)
    images: tuple[Any, ...] = ()
    context: int = 0
    new: bool = False
    asked_context: int = 0
    remote_host: str = ""
    language: str = "en"
    schema: Schema | None = None
    toolbox: Toolbox | None = None


def stats_of(last: Chunk, seconds: float, first: float) -> Stats:
    """Return the figures of an answer: its last line, the seconds it took, and those to its first token."""
    writing = last.eval_duration * _NANO
    return Stats(
        prompt_tokens=last.prompt_eval_count,
        tokens=last.eval_count,
        seconds=seconds,
        load_seconds=last.load_duration * _NANO,
        first_token_seconds=first,
        tokens_per_second=last.eval_count / writing if writing else 0.0,
    )
