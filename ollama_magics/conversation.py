"""A conversation as turns, and which of them a cell replaces when it runs again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ollama_magics.wire import Message


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
    """A prompt with its answer, and between them calls of functions and their results; a cut one is not sent again."""

    prompt: Message
    answer: Message
    place: Place
    complete: bool
    between: tuple[Message, ...] = ()


class Conversation:
    """The turns so far, in order; turns of a cell that runs again, and all that came after, give way to the new ones."""

    def __init__(self) -> None:
        self._turns: list[Turn] = []

    @property
    def turns(self) -> Sequence[Turn]:
        """The turns so far."""
        return tuple(self._turns)

    def before(self, place: Place) -> tuple[Message, ...]:
        """Return the messages to send ahead of a prompt typed at this place."""
        kept = self._turns[: self._position(place)]
        return tuple(message for turn in kept if turn.complete for message in (turn.prompt, *turn.between, turn.answer))

    def dropped_by(self, place: Place) -> int:
        """Return how many turns after the replaced ones a prompt typed at this place makes void."""
        return sum(not place.replaces(turn.place) for turn in self._turns[self._position(place) :])

    def keep(self, turn: Turn) -> None:
        """Put the turn at its place and drop what stood there and after it."""
        self._turns[self._position(turn.place) :] = [turn]

    def clear(self) -> None:
        """Forget all turns."""
        self._turns.clear()

    def _position(self, place: Place) -> int:
        found = (i for i, turn in enumerate(self._turns) if place.replaces(turn.place))
        return next(found, len(self._turns))
