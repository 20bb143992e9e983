"""What surrounds a reply: what it must know besides its request, and the figures that the server gave with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ollama_magics.conversation.conversation import Conversation, Place, Turn
from ollama_magics.conversation.schema.kinds import Schema
from ollama_magics.conversation.tools.toolbox import Toolbox
from ollama_magics.messages import Phrase
from ollama_magics.server.wire.answers import Chunk

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

    ``new``: the conversation starts afresh with this turn, once it has come. ``ahead``: the tokens of each earlier turn that goes
    out, the oldest first, and ``before`` those of the system prompt and of the functions; ``left_out``: how many turns were left
    out so that the prompt fits. ``strict``: nothing is left out, nor may the answer reach the end of the context. ``goes_on``:
    the cut turn that this answer goes on with. ``system`` was typed with the prompt. ``notes`` are facts to tell with the answer.
    ``stored`` returns the day on which the answer was given, where it was taken from the store, else an empty text. ``schema``:
    the answer is a value of that type; ``toolbox``: the functions that the model may call.
    """

    conversation: Conversation | None = None
    place: Place = field(default_factory=Place)
    images: tuple[Any, ...] = ()
    context: int = 0
    new: bool = False
    asked_context: int = 0
    remote_host: str = ""
    language: str = "en"
    ahead: tuple[int, ...] = ()
    before: int = 0
    left_out: int = 0
    strict: bool = False
    goes_on: Turn | None = None
    system: str | None = None
    notes: tuple[Phrase, ...] = ()
    digest: str = ""
    server_version: str = ""
    stored: Callable[[], str] = str
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
