"""An answer token by token, with what ends it early and a count of what was said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ollama_magics.fake_server.answers import Spoken
from ollama_magics.fake_server.tokens import tokenise


@dataclass(frozen=True)
class Piece:
    """What one line of a stream carries; a tag that opens or closes thoughts carries nothing."""

    content: str = ""
    thinking: str = ""
    calls: tuple[dict[str, Any], ...] = ()


class Generation:
    """An answer being said: iterate over its pieces, then ask why it ended and how much it was.

    ``longest`` is the number of tokens after which it is cut, ``stop`` are texts that end it, and ``pause`` is
    called before every token (it waits, and raises if nobody listens any more).
    """

    def __init__(self, spoken: Spoken, longest: int, stop: tuple[str, ...], pause: Callable[[], None]) -> None:
        self._spoken = spoken
        self._longest = longest
        self._stop = stop
        self._pause = pause
        self._started = time.perf_counter_ns()
        self._first = 0
        self.tokens = 0
        self.done_reason: str | None = None

    def __iter__(self) -> Iterator[Piece]:
        held = ""
        for piece in self._counted():
            if not piece.content:
                yield piece
                continue
            held += piece.content
            ends = [held.index(text) for text in self._stop if text in held]
            if ends:
                self.done_reason = "stop"
                yield from _said(held[: min(ends)])
                return
            if not _may_be_cut(held, self._stop):
                yield Piece(held)
                held = ""
        yield from _said(held)

    def durations(self) -> tuple[int, int]:
        """Return nanoseconds until the first token, and from there to the last."""
        first = self._first or time.perf_counter_ns()
        return first - self._started, time.perf_counter_ns() - first if self.tokens > 1 else 0

    def _counted(self) -> Iterator[Piece]:
        for piece in _pieces(self._spoken):
            self._pause()
            self._first = self._first or time.perf_counter_ns()
            self.tokens += 1
            yield piece
            if self.tokens >= self._longest:
                self.done_reason = "length"
                return
        self.tokens += 1  # the token that ends an answer counts, as Ollama counts it
        self.done_reason = "stop" if self._spoken.done else None


def _pieces(spoken: Spoken) -> Iterable[Piece]:
    if spoken.thoughts:
        yield Piece()
        yield from (Piece(thinking=token) for token in tokenise(spoken.thoughts))
        yield Piece()
    yield from (Piece(token) for token in spoken.tokens)
    if spoken.calls:
        yield Piece(calls=spoken.calls)


def _said(text: str) -> Iterator[Piece]:
    if text:
        yield Piece(text)


def _may_be_cut(text: str, stop: tuple[str, ...]) -> bool:
    """Return whether the text ends with the beginning of a stop text, so that it must wait for the next token."""
    return any(text.endswith(end[:size]) for end in stop for size in range(1, len(end)))
