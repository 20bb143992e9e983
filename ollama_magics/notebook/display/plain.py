"""Replies as plain text, one below the other, for outputs that only go forward."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from ollama_magics.conversation.replies import Replies
from ollama_magics.conversation.reply import Reply
from ollama_magics.conversation.reply_view import call_line, column_facts, figures, warnings
from ollama_magics.render import cleaning


class Turns(ABC):
    """What screens have in common that write one answer after another."""

    _shown: Reply | Replies | None = None
    _place, _rounds = -1, 0
    times = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it, and write while it comes; the end of the last one is written when the screen is left."""
        self._shown = shown
        for place in _growth(shown):
            if place != self._place:
                self._end()
                self._begin(shown, place)
            self._end_rounds(reply := self._reply(shown))
            self.grow(reply)

    @abstractmethod
    def begin(self, model: str, heading: str) -> None:
        """Begin an answer of the model; the heading is empty where there is but one answer."""

    @abstractmethod
    def grow(self, reply: Reply) -> None:
        """Write what is new in the answer."""

    @abstractmethod
    def end_round(self, text: str, lines: list[str]) -> None:
        """Write the rest of a text that ended in calls of functions, and the calls; what comes is another text."""

    @abstractmethod
    def finish(self, reply: Reply, lines: list[str]) -> None:
        """Write the rest of the answer, and the lines under it."""

    def _begin(self, shown: Reply | Replies, place: int) -> None:
        self._place, self._rounds = place, 0
        model = self._reply(shown).model
        self.begin(model, model if isinstance(shown, Replies) else "")

    def _end(self) -> None:
        shown, place = self._shown, self._place
        if shown is None or place < 0:
            return
        reply = self._reply(shown)
        reply.close()
        self._end_rounds(reply)
        several = isinstance(shown, Replies)
        facts = column_facts(reply, times=self.times) if several else figures(reply, times=self.times)
        said = [" · ".join(facts), *warnings(reply)] if reply.begun or reply.complete else []
        error = shown.errors.get(place) if isinstance(shown, Replies) else None
        calls = [call_line(call) for call in reply.rounds.now.calls]
        self.finish(reply, [*calls, *said, *(error.lines() if error else ())])

    def _end_rounds(self, reply: Reply) -> None:
        for one in reply.rounds.ended[self._rounds :]:
            self._rounds += 1
            self.end_round(one.text, [call_line(call) for call in one.calls])

    def _reply(self, shown: Reply | Replies) -> Reply:
        return shown[self._place] if isinstance(shown, Replies) else shown


def _growth(shown: Reply | Replies) -> Iterator[int]:
    # The place of each answer, when its turn comes and whenever it has grown.
    if isinstance(shown, Replies):
        yield from shown.stream()
        return
    for _ in shown:
        yield 0


class Plain(Turns):
    """Writes to the standard output; a kernel gathers what is not flushed into a few messages a second."""

    def __init__(self, *, flush: bool, times: bool = True) -> None:
        self._flush, self.times = flush, times

    def begin(self, model: str, heading: str) -> None:  # noqa: ARG002 - the heading is all of the model that is written
        """Write the heading."""
        self._cleaned, self._told = cleaning.Cleaned(), 0
        if heading:
            sys.stdout.write(f"{cleaning.plain(heading)}\n")

    def grow(self, reply: Reply) -> None:
        """Write what is new."""
        new, self._told = reply.new_text(self._told)
        sys.stdout.write(self._cleaned.feed(new))
        if self._flush:
            sys.stdout.flush()

    def end_round(self, text: str, lines: list[str]) -> None:
        """Write what was held back, and the calls."""
        end = "\n" if text else ""
        sys.stdout.write(self._cleaned.rest() + end + "".join(f"{line}\n" for line in lines))
        self._cleaned, self._told = cleaning.Cleaned(), 0

    def finish(self, reply: Reply, lines: list[str]) -> None:
        """Write what was held back, and the lines."""
        end = "\n" if reply.so_far else ""
        sys.stdout.write(self._cleaned.rest() + end + "".join(f"{cleaning.plain(line)}\n" for line in lines))
        sys.stdout.flush()
