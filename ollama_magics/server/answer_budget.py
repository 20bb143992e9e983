"""Bound what one answer may take, whatever a server sends."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Self

from ollama_magics.errors import AnswerCut, RequestRefused
from ollama_magics.messages import Phrase, group_digits
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest

# A server may ignore the max tokens. The limits are far above what an answer of so many tokens can have: a token has about four
# characters, and the longest in common vocabularies, of blanks, 128.
_CHARACTERS, _LINES, _BYTES, _BYTES_OF_LOGPROBS, _SECONDS = 64, 8, 1024, 8192, 10  # for each token
_MORE_CHARACTERS, _MORE_LINES, _MORE_BYTES = 10_000, 1000, 16 * 2**20  # /api/generate repeats the whole context as numbers
_MOST_TOKENS = 131_072  # of an answer without a limit of its own
_MOST_CALLS = 128  # of functions in one answer; fewer are run
_LONGEST = 24 * 3600.0  # seconds
# A download has no tokens. A server reports some twenty times a second how far it is, perhaps for days.
_PULL, _PULL_A_SECOND = {"bytes": 16 * 2**20, "lines": 50_000}, {"bytes": 2**16, "lines": 200}
_LONGEST_PULL = 7 * _LONGEST


class AnswerBudget:
    """The bytes, lines, characters of text and thoughts, calls and seconds that are left to one answer, counted from now on.

    ``a_second``: what comes to the limits in ``most`` with each second that passes.
    """

    def __init__(
        self, most: Mapping[str, int], seconds: float = _LONGEST, *, tokens: int = 0, a_second: Mapping[str, int] | None = None
    ) -> None:
        self._most, self._a_second, self._taken = dict(most), a_second or {}, dict.fromkeys(most, 0)
        self._tokens, self._seconds, self._start = tokens, seconds, time.monotonic()
        self._end = self._start + seconds

    @classmethod
    def of_answer(cls, request: ChatRequest | GenerateRequest, first: float) -> Self:
        """Return that of an answer of a model; ``first`` is the limit in seconds to its first token."""
        asked = request.options.get("num_predict")
        tokens = asked if isinstance(asked, int) and 0 < asked < _MOST_TOKENS else _MOST_TOKENS
        bytes_each = _BYTES if request.logprobs is not True else _BYTES_OF_LOGPROBS
        most = {
            "bytes": _MORE_BYTES + bytes_each * tokens,
            "characters": _MORE_CHARACTERS + _CHARACTERS * tokens,
            "lines": _MORE_LINES + _LINES * tokens,
            "calls": _MOST_CALLS,
        }
        return cls(most, min(first + _SECONDS * tokens, _LONGEST), tokens=tokens)

    @classmethod
    def of_pull(cls) -> Self:
        """Return that of the progress of a download."""
        return cls(_PULL, _LONGEST_PULL, a_second=_PULL_A_SECOND)

    @classmethod
    def of_body(cls, texts: int = 0) -> Self:
        """Return that of one body: a small answer, or so many vectors, each of which has far less than a megabyte."""
        return cls({"bytes": _MORE_BYTES + 2**20 * texts})

    def seconds_left(self) -> float:
        """Return the seconds until the answer must have ended; raises AnswerCut where that is now."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise AnswerCut("answer-endless", tokens=self._tokens, most=Phrase("most_seconds", most=f"{self._seconds:g}"))
        return left

    def end_within(self, seconds: float) -> None:
        """Leave so many seconds from now to what may still come after the last line."""
        self._end = min(self._end, time.monotonic() + seconds)

    def take(self, chunk: Chunk) -> None:
        """Count what a line of the answer holds; raises AnswerCut where that is too much."""
        taken, most = self._taken, self._most  # this runs for each token
        taken["lines"] += 1
        taken["characters"] += len(chunk.text) + len(chunk.thinking)
        if calls := chunk.tool_calls:
            taken["calls"] += len(calls)
        if taken["characters"] > most["characters"] or taken["lines"] > most["lines"] or taken["calls"] > most["calls"]:
            self._raise_exceeded()

    def take_lines(self, count: int) -> None:
        """Count lines that are no part of an answer of a model; raises AnswerCut where they are too many."""
        self._taken["lines"] += count
        if self._taken["lines"] > self._most["lines"]:
            self._raise_exceeded()

    def take_bytes(self, count: int) -> None:
        """Count bytes as they arrive; raises AnswerCut where they are too many."""
        self._taken["bytes"] += count
        if self._taken["bytes"] > self._most["bytes"]:
            self._raise_exceeded()

    def _raise_exceeded(self) -> None:
        """Raise AnswerCut, unless the time that has passed allows for more."""
        passed = int(time.monotonic() - self._start)
        for what, taken in self._taken.items():
            if taken > (allowed := self._most[what] + self._a_second.get(what, 0) * passed):
                most = Phrase(f"most_{what}", most=group_digits(allowed))
                raise AnswerCut("answer-endless", tokens=self._tokens, most=most)


@contextmanager
def unreadable_if_endless() -> Iterator[None]:
    """Let the error of a body that does not end be that of one that cannot be read: nothing of it is kept."""
    try:
        yield
    except AnswerCut as cut:
        raise RequestRefused("answer-unreadable", status=200, reason=cut.facts["most"]) from None
