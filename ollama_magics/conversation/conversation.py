"""A conversation as turns, and which of them a cell replaces when it runs again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ollama_magics.errors import PromptProblem
from ollama_magics.server.wire import Message


@dataclass(frozen=True)
class Place:
    """Where a turn was typed: the id of the cell and of its run; both empty where the front end gives none."""

    cell: str = ""
    run: str = ""

    def replaces(self, other: Place) -> bool:
        """Whether a turn of this place replaces one of the other: the same cell in another run."""
        return bool(self.cell) and self.cell == other.cell and self.run != other.run


_MOST_UNDONE = 20  # changes
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


class Conversation:
    """The turns of a conversation, in order.

    When a cell runs again, its turn replaces the turns of its last run and all later ones; ``undo()`` brings them back.

    Example::

        chat = om.Conversation()
        om.chat("My name is Ada.", conversation=chat).text
        om.chat("What is my name?", conversation=chat).text
    """

    def __init__(self) -> None:
        self._turns: list[Turn] = []
        self._before: deque[tuple[Turn, ...]] = deque(maxlen=_MOST_UNDONE)  # the turns before each change that dropped some

    @property
    def turns(self) -> Sequence[Turn]:
        """The turns so far."""
        return tuple(self._turns)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that the next prompt follows: the system prompt that was typed, and the complete turns."""
        system = system_of(self._turns)
        first = (Message("system", system),) if system else ()
        return (*first, *(message for turn in self._turns if turn.complete for message in turn.messages))

    def exported(self) -> list[dict[str, Any]]:
        """Return the same messages as a list of dicts with ``role`` and ``content``; pictures are left out."""
        return [message_dict(message) for message in self.messages]

    def history(self, place: Place) -> tuple[Turn, ...]:
        """Return the turns that a prompt at this place follows, cut ones too."""
        return tuple(self._turns[: self._position(place)])

    def dropped_by(self, place: Place) -> int:
        """Return how many later turns a prompt at this place drops, besides those that it replaces."""
        return sum(not place.replaces(turn.place) for turn in self._turns[self._position(place) :])

    def keep(self, turn: Turn, instead: Turn | None = None) -> None:
        """Put the turn at its place, or ``instead`` of another one, and drop what was there and after it."""
        positions = (position for position, old in enumerate(self._turns) if old is instead)
        position = next(positions, self._position(turn.place))
        if self._turns[position + (instead is not None) :]:
            self._before.append(tuple(self._turns))
        self._turns[position:] = [turn]

    def clear(self) -> None:
        """Drop all turns."""
        if self._turns:
            self._before.append(tuple(self._turns))
        self._turns.clear()

    def undo(self) -> tuple[int, int]:
        """Return to the turns before the last change that dropped some; return how many came back, and how many are gone.

        Raises PromptProblem (``nothing-to-undo``).
        """
        if not self._before:
            raise PromptProblem("nothing-to-undo")
        now, before = self._turns, self._before.pop()
        self._turns = list(before)
        known, wanted = set(map(id, now)), set(map(id, before))
        return len(wanted - known), len(known - wanted)

    def _position(self, place: Place) -> int:
        positions = (position for position, turn in enumerate(self._turns) if place.replaces(turn.place))
        return next(positions, len(self._turns))


def system_of(turns: Sequence[Turn]) -> str | None:
    """Return the system prompt that was typed last with one of the turns, or None."""
    return next((turn.system for turn in reversed(turns) if turn.system is not None), None)


def message_dict(message: Message) -> dict[str, Any]:
    """Return a message as a dict: role, content, thoughts and calls of functions; pictures are left out."""
    more = {"thinking": message.thinking, "tool_calls": list(message.tool_calls), "tool_name": message.tool_name}
    return {"role": message.role, "content": message.content} | {name: value for name, value in more.items() if value}
