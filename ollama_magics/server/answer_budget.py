"""Bound what one answer may take, whatever a server sends."""

from __future__ import annotations

import time
from typing import NoReturn

from ollama_magics.errors import AnswerCut
from ollama_magics.messages import Phrase, group_digits
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest

# A server may ignore the max tokens. The limits are far above what an answer of so many tokens can have: a token has about four
# characters, and the longest in common vocabularies, of blanks, 128.
_CHARACTERS, _LINES, _BYTES, _BYTES_OF_LOGPROBS, _SECONDS = 64, 8, 1024, 8192, 10  # for each token
_MORE_CHARACTERS, _MORE_LINES, _MORE_BYTES = 10_000, 1000, 16 * 2**20  # /api/generate repeats the whole context as numbers
_MOST_TOKENS = 131_072  # of an answer without a limit of its own
_MOST_CALLS = 128  # of functions in one answer; fewer are run
_LONGEST = 24 * 3600.0  # seconds


class AnswerBudget:
    """The bytes, lines, characters of text and thoughts, calls and seconds that are left to one answer.

    ``first`` is the limit in seconds to its first token. The seconds are counted from now on.
    """

    def __init__(self, request: ChatRequest | GenerateRequest, first: float) -> None:
        asked = request.options.get("num_predict")
        tokens = asked if isinstance(asked, int) and 0 < asked < _MOST_TOKENS else _MOST_TOKENS
        bytes_each = _BYTES if request.logprobs is not True else _BYTES_OF_LOGPROBS
        self._most = {
            "bytes": _MORE_BYTES + bytes_each * tokens,
            "characters": _MORE_CHARACTERS + _CHARACTERS * tokens,
            "lines": _MORE_LINES + _LINES * tokens,
            "calls": _MOST_CALLS,
        }
        self._taken = dict.fromkeys(self._most, 0)
        self._tokens, self._seconds = tokens, min(first + _SECONDS * tokens, _LONGEST)
        self._end = time.monotonic() + self._seconds

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

    def take_bytes(self, count: int) -> None:
        """Count bytes as they arrive; raises AnswerCut where they are too many."""
        self._taken["bytes"] += count
        if self._taken["bytes"] > self._most["bytes"]:
            self._raise_exceeded()

    def _raise_exceeded(self) -> NoReturn:
        what = next(what for what, count in self._taken.items() if count > self._most[what])
        most = Phrase(f"most_{what}", most=group_digits(self._most[what]))
        raise AnswerCut("answer-endless", tokens=self._tokens, most=most)
