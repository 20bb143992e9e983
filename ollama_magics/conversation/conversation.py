"""A conversation as turns, and which of them a cell replaces when it runs again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollama_magics.server.wire import Message


@dataclass(frozen=True)
class Place:
    """Where a turn was typed: the cell, and which run of it; both empty where the front end does not say."""

    cell: str = ""
    run: str = ""

    def replaces(self, other: Place) -> bool:
        """Whether a turn typed here stands in the place of one typed there: the same cell in a later run."""
        return bool(self.cell) and self.cell == other.cell and self.run != other.run


@dataclass(frozen=True)
class Turn:
    """A prompt with its answer, and ``between`` them calls of functions and their results; a cut one is not sent again.

    ``at_limit``: whole, and cut at the max tokens. ``system`` was typed with it, and holds for the turns that follow, too.
    ``tokens`` are those of prompt and answer as the server counted them for ``model``; 0: not known.
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

    @property
    def cut(self) -> bool:
        """Whether the answer could go on."""
        return self.at_limit or not self.complete

    @property
    def messages(self) -> tuple[Message, ...]:
        """What of it is sent again."""
        return (self.prompt, *self.between, self.answer)


class Conversation:
    """The turns so far, in order; turns of a cell that runs again, and all that came after, give way to the new ones."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []

    @property
    def turns(self) -> Sequence[Turn]:
        """The turns so far."""
        return tuple(self._turns)

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that the model knows: the system prompt that was typed, and the whole turns."""
        system = system_of(self._turns)
        first = (Message("system", system),) if system else ()
        return (*first, *(message for turn in self._turns if turn.complete for message in turn.messages))

    def exported(self) -> list[dict[str, Any]]:
        """Return all that the model knows as messages that other programs read."""
        return [message_dict(message) for message in self.messages]

    def history(self, place: Place) -> tuple[Turn, ...]:
        """Return the turns that a prompt typed at this place follows, cut ones too."""
        return tuple(self._turns[: self._position(place)])

    def dropped_by(self, place: Place) -> int:
        """Return how many turns after the replaced ones a prompt typed at this place makes void."""
        return sum(not place.replaces(turn.place) for turn in self._turns[self._position(place) :])

    def keep(self, turn: Turn, instead: Turn | None = None) -> None:
        """Put the turn at its place, or where another one stands ``instead``, and drop what stood there and after it."""
        here = (i for i, old in enumerate(self._turns) if old is instead)
        self._turns[next(here, self._position(turn.place)) :] = [turn]

    def clear(self) -> None:
        """Forget all turns."""
        self._turns.clear()

    def _position(self, place: Place) -> int:
        found = (i for i, turn in enumerate(self._turns) if place.replaces(turn.place))
        return next(found, len(self._turns))


def system_of(turns: Sequence[Turn]) -> str | None:
    """Return the system prompt that was typed last with one of the turns, or None."""
    return next((turn.system for turn in reversed(turns) if turn.system is not None), None)


def message_dict(message: Message) -> dict[str, Any]:
    """Return a message as other programs read it: role and content, and what it says of calls; pictures are left out."""
    more = {"thinking": message.thinking, "tool_calls": list(message.tool_calls), "tool_name": message.tool_name}
    return {"role": message.role, "content": message.content} | {name: value for name, value in more.items() if value}
