"""Retry, split or drop a failed batch, or abort the job."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import numpy as np
from msgspec.structs import replace

from ollama_magics.embeddings.batcher import Batch, JobState
from ollama_magics.embeddings.decoding import FlawedVectors, flaws_of
from ollama_magics.errors import EmbeddingProblem, OllamaMagicsError, PromptTooLong
from ollama_magics.jobs.queue import BatchFailure, RetryPolicy, Server, WorkerThreads
from ollama_magics.messages import Phrase
from ollama_magics.server.failures import FailureKind, failure_kind

_MOST_CRASHES = 3  # of the runner with one text alone, after which the text is at fault
_MOST_FAILURES = 3  # of a server without a success between them, after which it is left out if there is another
_MOST_FAILED = 40  # texts that failed before a single one succeeded; then a text that any model can embed is tried
_TEST_TEXT = "a"  # any model can embed it
_Failure = BatchFailure[Batch]
_Vector = np.ndarray[tuple[int], np.dtype[np.float64]]


class SingleTexts:
    """Embeds single texts while the main thread waits: to compare vectors, and to tell a bad text from a bad server."""

    def __init__(
        self,
        embed_alone: Callable[[Server[Batch], int, str], _Vector],
        servers: Sequence[Server[Batch]],
        threads: WorkerThreads,
        retry_policy: RetryPolicy,
    ) -> None:
        self._embed_alone, self._servers, self._threads, self._retry_policy = embed_alone, servers, threads, retry_policy

    def vector(self, row: int, text: str) -> _Vector:
        """Return the vector of a text from a server in use; temporary failures are retried."""
        for attempt in range(1, self._retry_policy.attempts):
            try:
                return self._threads.call(lambda: self._embed_alone(self._server(), row, text))
            except OllamaMagicsError as error:
                if not failure_kind(error).is_temporary:
                    raise
            self._threads.pause(self._retry_policy.delay(attempt))
        return self._threads.call(lambda: self._embed_alone(self._server(), row, text))

    def any_works(self) -> bool:
        """Whether a server in use can embed anything at all."""
        return self._works(self._server(), -1, _TEST_TEXT)

    def works_elsewhere(self, failure: BatchFailure[Batch]) -> bool:
        """Whether another server embeds the first text with which this one fails."""
        others = [server for server in self._servers if not (server.left_out or server is failure.server)]
        return bool(others) and self._works(others[0], failure.batch.rows[0], failure.batch.texts[0])

    def _works(self, server: Server[Batch], row: int, text: str) -> bool:
        try:
            vector = self._threads.call(lambda: self._embed_alone(server, row, text))
        except OllamaMagicsError:
            return False
        return not flaws_of(vector[None])

    def _server(self) -> Server[Batch]:
        return next(server for server in self._servers if not server.left_out)


class TooLong(Phrase):
    """That a text is longer than the model can read."""


class BatchRetrier:
    """Decides about failed batches in the main thread; each decision puts what is left of the batch back into the queue."""

    def __init__(self, state: JobState, servers: Sequence[Server[Batch]], policy: RetryPolicy, single_texts: SingleTexts) -> None:
        self._state, self._servers, self._policy, self._single_texts = state, servers, policy, single_texts
        self._stats = state.stats
        self._retries = self._failed_texts = 0
        self._server_works = False
        self._decisions: dict[FailureKind, Callable[[_Failure], float]] = {
            FailureKind.BUSY: self._wait,
            FailureKind.UNAVAILABLE: self._wait,
            FailureKind.CRASHED: self._find_crashing_text,
            FailureKind.OUT_OF_MEMORY: self._shrink,
            FailureKind.TOO_LONG: self._find_long_texts,
            FailureKind.INPUT: self._find_bad_texts,
            FailureKind.STUCK: self._find_bad_texts,
            FailureKind.LOAD_FAILED: self._leave_out_or_abort,
            FailureKind.LIMITED: self._leave_out_or_abort,
            FailureKind.FATAL: self._leave_out_or_abort,
        }

    def decide(self, failure: _Failure) -> None:
        """Decide about one failure and let the server go on; raises its error where the job cannot go on."""
        error, batch, pause = failure.error, failure.batch, 0.0
        if isinstance(error, FlawedVectors):
            if not batch.had_flaws:
                self._retry(replace(batch, had_flaws=True))
            elif self._leave_out_faulty_server(failure):
                self._retry(replace(batch, had_flaws=False))
            else:
                self._stats.flaws.update(error.flaws)
        elif failure.server.left_out:
            self._retry(batch)
        else:
            pause = self._decisions[failure_kind(error)](failure)
        self._state.queue.resume(failure.server, pause=pause)

    # Each decision returns the seconds for which the server gets nothing.

    def _wait(self, failure: _Failure) -> float:
        batch, server = failure.batch, failure.server
        server.failures += 1
        if server.failures >= _MOST_FAILURES and self._leave_out(failure):
            return self._retry(batch)
        self._count_retry(failure)

        attempts = batch.attempts + 1
        if attempts < self._policy.attempts:
            delay = max(self._policy.delay(attempts), getattr(failure.error, "retry_after", 0.0))
            self._retry(replace(batch, attempts=attempts), delay)
            return delay
        if server.failures >= attempts:  # nothing else succeeded meanwhile
            _abort(failure)
        return self._split_or_drop(failure)

    def _find_crashing_text(self, failure: _Failure) -> float:
        self._count_retry(failure)
        delay = self._policy.first
        batch = replace(failure.batch, crashes=failure.batch.crashes + 1, exclusive=True)
        if len(batch.rows) > 1:
            self._halve(batch, delay)
        elif batch.crashes < _MOST_CRASHES:
            self._retry(batch, delay)
        else:
            self._drop_unless_server_is_at_fault(failure)
        return delay

    def _shrink(self, failure: _Failure) -> float:
        self._state.size.shrink(failure.batch)
        nothing_worked = len(failure.batch.rows) == 1 and not self._stats.batches
        # others may be on their way, and one may fit where this one does not
        if nothing_worked and not self._leave_out(failure) and not self._single_texts.any_works():
            _abort(failure)
        return self._split_or_drop(failure)

    def _find_long_texts(self, failure: _Failure) -> float:
        batch = failure.batch
        if len(batch.rows) > 1:
            by_length = sorted(range(len(batch.rows)), key=lambda position: len(batch.texts[position]))
            return self._halve(batch, order=by_length)
        if self._state.options.truncate and not batch.truncate:
            return self._retry(replace(batch, truncate=True))
        return self._drop(failure)

    def _find_bad_texts(self, failure: _Failure) -> float:
        if not self._stats.batches and self._failed_texts >= _MOST_FAILED and not self._server_works:
            self._server_works = self._single_texts.any_works()
            if not self._server_works:
                _abort(failure)
        return self._split_or_drop(failure)

    def _leave_out_or_abort(self, failure: _Failure) -> float:
        if failure.batch.had_flaws and isinstance(failure.error, EmbeddingProblem):  # the same vectors again, now by themselves
            self._stats.flaws.update(dict.fromkeys(failure.batch.rows, _flaw(failure.error)))
            return 0.0
        if not self._leave_out(failure):
            _abort(failure)
        return self._retry(failure.batch)

    # What decisions are made of.

    def _split_or_drop(self, failure: _Failure) -> float:
        if len(failure.batch.rows) > 1:
            return self._halve(failure.batch)
        return self._drop_unless_server_is_at_fault(failure)

    def _drop_unless_server_is_at_fault(self, failure: _Failure) -> float:
        if self._leave_out_faulty_server(failure):
            return self._retry(replace(failure.batch, attempts=0, crashes=0, exclusive=False))
        return self._drop(failure)

    def _drop(self, failure: _Failure) -> float:
        self._failed_texts += 1
        self._stats.last_error = failure.error
        self._stats.flaws[failure.batch.rows[0]] = _flaw(failure.error)
        return 0.0

    def _halve(self, batch: Batch, delay: float = 0.0, order: Sequence[int] | None = None) -> float:
        """Send both halves, in the order of the positions given, which may separate good texts from bad ones."""
        positions = order or range(len(batch.rows))
        middle = (len(positions) + 1) // 2
        for half in (positions[middle:], positions[:middle]):
            self._retry(batch.part(half), delay)
        return 0.0

    def _retry(self, batch: Batch, delay: float = 0.0) -> float:
        self._stats.retried += 1
        self._state.queue.add_retry(replace(batch, due=time.monotonic() + delay if delay else 0.0))
        return 0.0

    def _count_retry(self, failure: _Failure) -> None:
        self._retries += 1
        if not self._policy.allows(self._retries, self._stats.batches):
            _abort(failure)

    def _leave_out_faulty_server(self, failure: _Failure) -> bool:
        """Leave out a server that fails with a text that another one embeds; return whether that is so."""
        return self._single_texts.works_elsewhere(failure) and self._leave_out(failure)

    def _leave_out(self, failure: _Failure) -> bool:
        """Go on without a server if another one is left; return whether that is so."""
        server, error = failure.server, failure.error
        if all(other.left_out for other in self._servers if other is not server):
            return False
        server.left_out = True
        reason = error.phrase("what") if isinstance(error, OllamaMagicsError) else str(error)
        self._stats.note("server_left_out", url=server.url, reason=reason)
        return True


def _flaw(error: BaseException) -> Phrase:
    """Return why a text has no vector, as the end of a sentence about its row."""
    if isinstance(error, PromptTooLong):
        if error.tokens and error.limit:
            return TooLong("row_longer", by=error.tokens - error.limit, tokens=error.tokens, limit=error.limit)
        return TooLong("row_long")
    facts = getattr(error, "facts", {})
    return Phrase("row_failed", said=facts.get("said") or facts.get("reason") or error)


def _abort(failure: _Failure) -> NoReturn:
    raise failure.error.with_traceback(None) from None
