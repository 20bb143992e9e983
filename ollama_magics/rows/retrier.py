"""Retry a failed row, note its error, leave out a server, or end the job."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from ollama_magics.errors import FormatProblem, OllamaMagicsError, PromptProblem, ToolProblem
from ollama_magics.jobs.queue import BatchFailure, BatchQueue, RetryPolicy, Server
from ollama_magics.rows.worker import JobState, QueuedRow, RowWorker
from ollama_magics.server.failures import FailureKind, failure_kind

_MOST_CRASHES = 3  # of the runner with one row, after which the row is at fault
_MOST_FAILURES = 3  # of a server without a success between them, after which it is left out if there is another


class RowRetrier:
    """Decides about failed rows in the main thread: retry one, note its error, leave out a server, or end the job."""

    def __init__(
        self,
        queue: BatchQueue[QueuedRow],
        servers: Sequence[Server[QueuedRow]],
        worker: RowWorker,
        state: JobState,
        policy: RetryPolicy,
    ) -> None:
        self._queue, self._servers, self._worker, self._state, self._policy = queue, servers, worker, state, policy
        self._decisions: dict[FailureKind, Callable[[BatchFailure[QueuedRow]], float]] = {
            FailureKind.BUSY: self._wait,
            FailureKind.UNAVAILABLE: self._wait,
            FailureKind.CRASHED: self._ask_alone,
            FailureKind.OUT_OF_MEMORY: self._narrow,
            FailureKind.TOO_LONG: self._fail,
            FailureKind.INPUT: self._fail,
            FailureKind.STUCK: self._fail,
            FailureKind.LOAD_FAILED: self._leave_out_or_end,
            FailureKind.LIMITED: self._leave_out_or_end,
            FailureKind.FATAL: self._leave_out_or_end,
        }

    def decide(self, failure: BatchFailure[QueuedRow]) -> None:
        """Decide about one failure and let the server go on; raises an error that is not about a row or a server."""
        error, pause = failure.error, 0.0
        if not isinstance(error, OllamaMagicsError):
            raise error
        if failure.server.left_out:
            self._queue.add_retry(failure.batch)
        elif isinstance(error, (PromptProblem, ToolProblem, FormatProblem)):
            self._fail(failure)
        else:
            pause = self._decisions[failure_kind(error)](failure)
        self._queue.resume(failure.server, pause=pause)

    # Each decision returns the seconds for which the server gets nothing.

    def _wait(self, failure: BatchFailure[QueuedRow]) -> float:
        queued, server = failure.batch, failure.server
        server.failures += 1
        if server.failures >= _MOST_FAILURES and self._leave_out(server):
            return self._retry(queued)
        attempts = queued.attempts + 1
        if attempts < self._policy.attempts and self._has_budget():
            delay = self._policy.delay(attempts)
            return self._retry(replace(queued, attempts=attempts), delay)
        if server.failures >= attempts:  # nothing else succeeded meanwhile
            return self._end(failure)
        return self._fail(failure)

    def _ask_alone(self, failure: BatchFailure[QueuedRow]) -> float:
        queued = replace(failure.batch, crashes=failure.batch.crashes + 1, exclusive=True)
        if queued.crashes >= _MOST_CRASHES or not self._has_budget():
            return self._fail(failure)
        return self._retry(queued, self._policy.first)

    def _narrow(self, failure: BatchFailure[QueuedRow]) -> float:
        if self._state.search.width > 1:
            self._state.search.narrow()
            return self._retry(failure.batch)
        return self._fail(failure) if self._state.answered else self._leave_out_or_end(failure)

    def _leave_out_or_end(self, failure: BatchFailure[QueuedRow]) -> float:
        return self._retry(failure.batch) if self._leave_out(failure.server) else self._end(failure)

    def _fail(self, failure: BatchFailure[QueuedRow]) -> float:
        assert isinstance(failure.error, OllamaMagicsError)  # noqa: S101 - decide() has asked
        self._worker.fail(failure.batch.row, failure.error, is_asked=True)
        return 0.0

    def _end(self, failure: BatchFailure[QueuedRow]) -> float:
        assert isinstance(failure.error, OllamaMagicsError)  # noqa: S101 - as above
        if not self._state.answered:
            raise failure.error
        self._state.ended_early = failure.error
        return 0.0

    def _retry(self, queued: QueuedRow, delay: float = 0.0) -> float:
        self._queue.add_retry(replace(queued, due=time.monotonic() + delay))
        return delay

    def _has_budget(self) -> bool:
        self._state.retries += 1
        return self._policy.allows(self._state.retries, self._state.done)

    def _leave_out(self, server: Server[QueuedRow]) -> bool:
        """Leave the server out of the job if there is another; return whether there is."""
        server.left_out = any(not (other.left_out or other is server) for other in self._servers)
        if server.left_out:
            self._state.left_out.append(server.url)
        return server.left_out
