"""A conversation as turns, and which of them a cell replaces when it runs again."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ollama_magics.conversation.turns import Place, Stats, Turn, message_dict, system_of
from ollama_magics.errors import PromptProblem, in_language
from ollama_magics.secret import Secret
from ollama_magics.server.failures import quote
from ollama_magics.server.wire import Message
from ollama_magics.settings import form

_MOST_UNDONE = 20  # changes


class Conversation:
    """The turns of a conversation, in order.

    When a cell runs again, its turn replaces the turns of its last run and all later ones; ``undo()`` brings them back.

    ``messages`` are what it begins with: dicts with ``role`` and ``content``, and perhaps pictures and calls of functions, as
    Ollama or OpenAI write them. Messages of a system or user that follow each other are joined. Raises PromptProblem
    (``messages-invalid``) and PictureProblem.

    Example::

        chat = om.Conversation([{"role": "user", "content": "My name is Ada."}, {"role": "assistant", "content": "Hello Ada."}])
        om.chat("What is my name?", conversation=chat).text
        chat.save("chat.json")
    """

    def __init__(self, messages: Iterable[Any] = ()) -> None:
        self._turns: list[Turn] = []
        if not isinstance(messages, tuple) or messages:  # a table or an array compares each of its values
            from ollama_magics.conversation import message_lists  # noqa: PLC0415 - most conversations begin empty

            with in_language(form.language_in_use):
                self._turns = message_lists.read_turns(messages)
        self._secrets: set[Secret] = set()  # that the prompts were sent with, which no file holds
        self._before: deque[tuple[Turn, ...]] = deque(maxlen=_MOST_UNDONE)  # the turns before each change that dropped some

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_secrets": set()}  # no pickle holds a key

    def __repr__(self) -> str:
        last = quote(self._turns[-1].prompt.content) if self._turns else ""
        return f"<Conversation, turns: {len(self._turns)}" + (f", the last prompt: {last}>" if last else ">")

    @property
    def turns(self) -> Sequence[Turn]:
        """The turns so far."""
        return tuple(self._turns)

    @property
    def stats(self) -> Stats:
        """Token counts and seconds over all turns; the prompt of each turn counts what is sent again of the earlier ones."""
        return sum((turn.stats for turn in self._turns), Stats())

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages that the next prompt follows: the system prompt that was typed, and the complete turns."""
        system = system_of(self._turns)
        first = (Message("system", system),) if system else ()
        return (*first, *(message for turn in self._turns if turn.complete for message in turn.messages))

    @classmethod
    def load(cls, path: str | Path) -> Conversation:
        """Return the conversation in a file that ``save`` wrote.

        Raises PromptProblem (``conversation-unreadable``).

        Example: ``chat = om.Conversation.load("chat.json")``
        """
        from ollama_magics.conversation import conversation_file  # noqa: PLC0415 - brings in Pillow

        found = cls()
        with in_language(form.language_in_use):
            found.replace(conversation_file.load(path))
        return found

    def save(self, path: str | Path) -> Path:
        """Write the turns to a JSON file that only you can read, with pictures and cut answers; return its whole path.

        Where they repeat the key of a server that was asked, the file has bullets.

        An earlier file of a conversation is replaced; raises PromptProblem (``conversation-unwritable``) for any other.

        Example: ``chat.save("chat.json")``
        """
        from ollama_magics.conversation import conversation_file  # noqa: PLC0415 - as above

        with in_language(form.language_in_use):
            return conversation_file.save(path, self._turns, self._secrets)

    def replace(self, turns: Iterable[Turn]) -> None:
        """Put turns in the place of all that there are; ``undo()`` brings those back."""
        self.clear()
        self._turns = list(turns)

    def exported(self) -> list[dict[str, Any]]:
        """Return the same messages as a list of dicts with ``role`` and ``content``; pictures are left out."""
        return [message_dict(message) for message in self.messages]

    def history(self, place: Place) -> tuple[Turn, ...]:
        """Return the turns that a prompt at this place follows, cut ones too."""
        return tuple(self._turns[: self._position(place)])

    def dropped_by(self, place: Place) -> int:
        """Return how many later turns a prompt at this place drops, besides those that it replaces."""
        return sum(not place.replaces(turn.place) for turn in self._turns[self._position(place) :])

    def keep(self, turn: Turn, instead: Turn | None = None, secrets: Iterable[Secret] = ()) -> None:
        """Put the turn at its place, or ``instead`` of another one, and drop what was there and after it."""
        self._secrets.update(secrets)
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
