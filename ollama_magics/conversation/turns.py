"""A turn of a conversation: a prompt, its answer and its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from ollama_magics.server.wire import Message


class Place(Struct, frozen=True):
    """Where a turn was typed: the id of the cell and of its run; both empty where the front end gives none."""

    cell: str = ""
    run: str = ""

    def replaces(self, other: Place) -> bool:
        """Whether a turn of this place replaces one of the other: the same cell in another run."""
        return bool(self.cell) and self.cell == other.cell and self.run != other.run


_FEWEST_TOKENS, _SHORTEST_WRITING = 5, 0.01  # below either, in tokens and seconds, a rate would be noise


@dataclass(frozen=True)
class Stats:
    """Counts in tokens and times in seconds, over all rounds of a turn with tools; zero where the server gave none.

    ``prompt_tokens`` adds up the prompts of all rounds, each of which repeats the one before. ``seconds`` and
    ``first_token_seconds`` run from the moment at which the request is sent; ``seconds`` includes the functions that ran.
    ``load_seconds`` is the time that the server took to load the model, ``writing_seconds`` that in which the model wrote. An
    answer that was continued has the figures of all its parts, as far as the server gave them.
    """

    prompt_tokens: int = 0
    tokens: int = 0
    seconds: float = 0.0
    load_seconds: float = 0.0
    first_token_seconds: float = 0.0
    writing_seconds: float = 0.0

    @property
    def tokens_per_second(self) -> float:
        """The speed of writing; zero where too few tokens, or too short a time, would make it meaningless."""
        is_known = self.tokens >= _FEWEST_TOKENS and self.writing_seconds >= _SHORTEST_WRITING
        return self.tokens / self.writing_seconds if is_known else 0.0

    def __add__(self, later: Stats) -> Stats:
        """Return the figures of two parts of one turn."""
        return Stats(
            self.prompt_tokens + later.prompt_tokens,
            self.tokens + later.tokens,
            self.seconds + later.seconds,
            self.load_seconds + later.load_seconds,
            self.first_token_seconds or later.first_token_seconds,
            self.writing_seconds + later.writing_seconds,
        )


@dataclass(frozen=True)
class Turn:
    """A prompt with its answer; only complete turns are sent again.

    ``between`` prompt and answer are calls of functions and their results. ``at_limit``: complete, but cut at the max tokens.
    ``system`` was typed with the prompt, and holds for the turns that follow, too. ``tokens`` are those of the turn as the
    server counted them for ``model``, 0 where they are not known; ``stats`` are its figures.
    """

    prompt: Message
    answer: Message
    place: Place
    complete: bool
    model: str = ""
    system: str | None = None
    at_limit: bool = False
    tokens: int = 0
    between: tuple[Message, ...] = ()
    stats: Stats = field(default_factory=Stats, compare=False)

    @property
    def cut(self) -> bool:
        """Whether the answer can be continued."""
        return self.at_limit or not self.complete

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that are sent again."""
        return (self.prompt, *self.between, self.answer)


def system_of(turns: Sequence[Turn]) -> str | None:
    """Return the system prompt that was typed last with one of the turns, or None."""
    return next((turn.system for turn in reversed(turns) if turn.system is not None), None)


def message_dict(message: Message) -> dict[str, Any]:
    """Return a message as a dict: role, content, thoughts and calls of functions; pictures are left out."""
    more = {"thinking": message.thinking, "tool_calls": list(message.tool_calls), "tool_name": message.tool_name}
    return {"role": message.role, "content": message.content} | {name: value for name, value in more.items() if value}
