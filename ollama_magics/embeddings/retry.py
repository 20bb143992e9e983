"""Retry, split or drop a failed batch, or abort the job."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from ollama_magics.embeddings.queue import Batch, BatchFailure, BatchQueue, Flawed, Server
from ollama_magics.embeddings.report import JobStats
from ollama_magics.errors import EmbeddingProblem, OllamaMagicsError, PromptTooLong
from ollama_magics.messages import Phrase
from ollama_magics.server.failures import FailureKind, failure_kind


class TooLong(Phrase):
    """That a text is longer than the model can read."""


def said(error: BaseException) -> Phrase:
    """Return what happened to a text that was asked alone, as the end of a sentence about its row."""
    if isinstance(error, PromptTooLong):
        if error.tokens and error.limit:
            return TooLong("row_longer", by=error.tokens - error.limit, tokens=error.tokens, limit=error.limit)
        return TooLong("row_long")
    facts = getattr(error, "facts", {})
    return Phrase("row_failed", said=facts.get("said") or facts.get("reason") or error)


_DEATHS = 3  # a text with which what computes died so often, alone in the end, is the reason
_HOPELESS = 40  # texts that failed before a single one succeeded: the server is asked for another, whose fault it is
_ALLOWED = 50  # retries of a job beyond one for each finished batch


@dataclass(frozen=True)
class RetryPolicy:
    """Seconds before a batch is asked again, doubled each time up to the longest, and how often."""

    first: float = 0.5
    longest: float = 30.0
    attempts: int = 5

    def delay(self, attempts: int) -> float:
        """Return the seconds to wait after so many attempts."""
        return min(self.longest, self.first * 2.0 ** (attempts - 1))


class Judge:
    """Decides in the main thread; raises the error of a failure after which the job cannot go on."""

    def __init__(self, line: BatchQueue, ledger: JobStats, servers: Sequence[Server], patience: RetryPolicy) -> None:
        self.truncates = False
        self.shrink: Callable[[int], object] = int
        self.is_sound: Callable[[], bool] = lambda: False
        self.is_sound_elsewhere: Callable[[BatchFailure], bool] = lambda _: False
        self._line, self._ledger, self._servers, self._patience = line, ledger, servers, patience
        self._retries = self._failed = 0
        self._was_sound = False
        self._verdicts: dict[FailureKind, Callable[[BatchFailure], float]] = {
            FailureKind.BUSY: self._away,
            FailureKind.UNAVAILABLE: self._away,
            FailureKind.CRASHED: self._crash,
            FailureKind.OUT_OF_MEMORY: self._memory,
            FailureKind.TOO_LONG: self._too_long,
            FailureKind.INPUT: self._text,
            FailureKind.LOAD_FAILED: self._fatal,
            FailureKind.FATAL: self._fatal,
        }

    def judge(self, trouble: BatchFailure) -> None:
        """Decide on one failure and let the server go on."""
        if isinstance(trouble.error, Flawed):
            rest = self._flawed(trouble, trouble.error)
        elif trouble.server.left_out:
            rest = self._again(trouble.batch)
        else:
            rest = self._verdicts[failure_kind(trouble.error)](trouble)
        self._line.judged(trouble.server, rest=rest)

    # Each returns the seconds that the server is left alone.

    def _away(self, trouble: BatchFailure) -> float:
        batch, server = trouble.batch, trouble.server
        server.troubles += 1
        if server.troubles >= _DEATHS and self._leave_out(trouble):
            return self._again(batch)
        self._count(trouble)
        attempts = batch.attempts + 1
        if attempts < self._patience.attempts:
            delay = self._patience.delay(attempts)
            self._again(replace(batch, attempts=attempts), delay)
            return delay
        if server.troubles >= attempts:  # nothing else came through in the meantime
            _give_up(trouble)
        return self._given_up(trouble)

    def _crash(self, trouble: BatchFailure) -> float:
        self._count(trouble)
        delay = self._patience.first
        batch = replace(trouble.batch, crashes=trouble.batch.crashes + 1, alone=True)
        if len(batch.rows) == 1 and batch.crashes < _DEATHS:
            self._again(batch, delay)
        elif len(batch.rows) == 1:
            self._blame(trouble)
        else:
            self._halve(batch, delay)
        return delay

    def _memory(self, trouble: BatchFailure) -> float:
        size = len(trouble.batch.rows)
        self.shrink(max(1, size // 2))
        if size == 1 and not self._ledger.batches and not self._leave_out(trouble):
            _give_up(trouble)
        return self._given_up(trouble)

    def _too_long(self, trouble: BatchFailure) -> float:
        batch = trouble.batch
        if len(batch.rows) > 1:
            order = sorted(range(len(batch.rows)), key=lambda place: len(batch.texts[place]))
            return self._halve(batch, order=order)
        if not self.truncates or batch.truncate:
            return self._flaw(trouble)
        return self._again(replace(batch, truncate=True))

    def _text(self, trouble: BatchFailure) -> float:
        if not self._ledger.batches and self._failed >= _HOPELESS and not self._was_sound:
            self._was_sound = self.is_sound()
            if not self._was_sound:
                _give_up(trouble)
        return self._given_up(trouble)

    def _fatal(self, trouble: BatchFailure) -> float:
        if trouble.batch.flawed and isinstance(trouble.error, EmbeddingProblem):  # the same vectors as before, now by themselves
            self._ledger.flaws.update(dict.fromkeys(trouble.batch.rows, said(trouble.error)))
            return 0.0
        if not self._leave_out(trouble):
            _give_up(trouble)
        return self._again(trouble.batch)

    def _flawed(self, trouble: BatchFailure, error: Flawed) -> float:
        batch = trouble.batch
        if batch.flawed and self._is_its_fault(trouble):
            return self._again(replace(batch, flawed=False))
        if batch.flawed:
            self._ledger.flaws.update(error.flaws)
            return 0.0
        return self._again(replace(batch, flawed=True))

    def _given_up(self, trouble: BatchFailure) -> float:
        return self._halve(trouble.batch) if len(trouble.batch.rows) > 1 else self._blame(trouble)

    def _blame(self, trouble: BatchFailure) -> float:
        """Find the text at fault, unless another server embeds it: then this one is."""
        if self._is_its_fault(trouble):
            return self._again(replace(trouble.batch, attempts=0, crashes=0, alone=False))
        return self._flaw(trouble)

    def _is_its_fault(self, trouble: BatchFailure) -> bool:
        return self.is_sound_elsewhere(trouble) and self._leave_out(trouble)

    def _flaw(self, trouble: BatchFailure) -> float:
        self._failed += 1
        self._ledger.last = trouble.error
        self._ledger.flaws[trouble.batch.rows[0]] = said(trouble.error)
        return 0.0

    def _halve(self, batch: Batch, delay: float = 0.0, order: Sequence[int] | None = None) -> float:
        """Ask for both halves, in the order of the places given, which may part the sound texts from the others."""
        places = order or range(len(batch.rows))
        middle = (len(places) + 1) // 2
        for half in (places[middle:], places[:middle]):
            self._again(batch.part(half), delay)
        return 0.0

    def _again(self, batch: Batch, delay: float = 0.0) -> float:
        self._ledger.retried += 1
        self._line.again(replace(batch, due=time.monotonic() + delay if delay else 0.0))
        return 0.0

    def _count(self, trouble: BatchFailure) -> None:
        self._retries += 1
        if self._retries > _ALLOWED + self._ledger.batches:
            _give_up(trouble)

    def _leave_out(self, trouble: BatchFailure) -> bool:
        """Go on without a server if another one is left; return whether that is so."""
        server = trouble.server
        if all(other.left_out for other in self._servers if other is not server):
            return False
        server.left_out = True
        told = trouble.error.phrase("what") if isinstance(trouble.error, OllamaMagicsError) else str(trouble.error)
        self._ledger.note("server_left_out", url=server.url, reason=told)
        return True


def _give_up(trouble: BatchFailure) -> NoReturn:
    raise trouble.error.with_traceback(None) from None
