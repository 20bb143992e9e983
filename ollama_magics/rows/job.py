"""Run one job of many rows: feed requests to the workers, decide about failures, and end the workers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice

from ollama_magics.conversation.tools import Toolbox
from ollama_magics.errors import OllamaMagicsError, RowsProblem
from ollama_magics.jobs.interrupt import DeferredInterrupt
from ollama_magics.jobs.queue import BatchQueue, RetryPolicy, Server, WorkerThreads
from ollama_magics.jobs.width import WidthSearch
from ollama_magics.messages import Joined
from ollama_magics.rows.cache import RowCache
from ollama_magics.rows.formats import Request, RowFormat
from ollama_magics.rows.retrier import RowRetrier
from ollama_magics.rows.worker import FIRST_ROWS, JobState, QueuedRow, RowOutcome, RowWorker
from ollama_magics.server.client import Client

_MOST_FAILED = FIRST_ROWS // 2  # of the first rows, after which the job stops
_AHEAD = 4  # requests that are ready for each one in flight
_MOST_AT_ONCE = 50  # rows that are prepared before failures and interrupts are looked at
_THREAD_NAME = "ollama-rows"


class RowJob:
    """Asks for each row, with several requests in flight; ``state`` holds what became of the rows.

    ``request`` returns the request of a row, or raises the error of that row. It is called in order, shortly before the
    request is sent, in the thread that calls run(). ``watch`` is called there too, several times a second. ``parallel`` is the
    number of requests in flight for each server; None: it is found by measuring. ``context_length`` is that of the model, in
    tokens; 0: unknown.
    """

    def __init__(  # noqa: PLR0913 - what a job is made of, by name
        self,
        count: int,
        request: Callable[[int], Request],
        form: RowFormat,
        clients: Sequence[Client],
        *,
        cache: RowCache | None = None,
        toolbox: Toolbox | None = None,
        parallel: int | None = None,
        watch: Callable[[JobState], object] = lambda _: None,
        policy: RetryPolicy | None = None,
        context_length: int = 0,
    ) -> None:
        self.state = JobState([None] * count, WidthSearch(parallel))
        self._request, self._form, self._cache, self._watch = request, form, cache, watch
        self._interrupt = DeferredInterrupt()
        self._threads = WorkerThreads("ollama-rows", self._interrupt, lambda: any(client.is_cancelled for client in clients))
        self._servers = [
            Server[QueuedRow](client.sibling(self._threads.cancelled), client.address.url, self.state.search.width)
            for client in clients
        ]
        self._queue: BatchQueue[QueuedRow] = BatchQueue()
        self._worker = RowWorker(self._queue, self.state, form, cache, toolbox, context_length)
        self._retrier = RowRetrier(self._queue, self._servers, self._worker, self.state, policy or RetryPolicy())

    def run(self) -> JobState:
        """Ask for all rows and return the state. Raises the error that ends the job, or KeyboardInterrupt."""
        try:
            self._ask_all()
        finally:
            self.state.ended = time.monotonic()
        for row in [row for row, outcome in enumerate(self.state.outcomes) if outcome is None]:
            self.state.outcomes[row] = RowOutcome(error=self.state.ended_early, is_asked=False)
        return self.state

    def _ask_all(self) -> None:
        rows = self._queued_rows()
        is_fed = False
        with self._interrupt, self._running_workers():
            while not (self.state.ended_early or (is_fed and self._queue.is_empty())):
                self._threads.check()
                while failure := self._queue.next_failure():
                    self._retrier.decide(failure)
                self._require_some_success()
                for server in self._servers:
                    server.parallel = self.state.search.width
                self._watch(self.state)

                room = _AHEAD * sum(server.parallel for server in self._servers)
                if not is_fed and self._queue.has_room(room // 2):
                    is_fed = not self._feed(rows, room)
                else:
                    self._queue.wait(0 if is_fed else room // 2)

    def _feed(self, rows: Iterator[QueuedRow | None], room: int) -> bool:
        """Fill the queue, or pass over rows that have their outcome already; return whether there were any."""
        count = 0
        for queued in islice(rows, _MOST_AT_ONCE):
            if queued:
                self._queue.add(queued)
            count += 1
            if not self._queue.has_room(room):
                break
        return count > 0

    def _queued_rows(self) -> Iterator[QueuedRow | None]:
        """Yield each row with its request, or None for one that has its outcome without being sent."""
        for row in range(len(self.state.outcomes)):
            try:
                with self._interrupt.raising_at_once():  # the values of a row may be objects of the user
                    prompt = self._request(row)
                    request = self._form.adapt(prompt)
                key = self._cache.key(request) if self._cache else b""
            except OllamaMagicsError as error:
                self._worker.fail(row, error, is_asked=False)
                yield None
                continue
            queued = QueuedRow(row, request, prompt, key)
            if self._cache and (answer := self._cache.find(key)):
                self._worker.finish(queued, answer, is_reused=True)
                yield None
            else:
                yield queued

    def _require_some_success(self) -> None:
        """Raise RowsProblem (rows-mostly-failed) where more than half of the first rows have failed."""
        state = self.state
        if len(state.outcomes) <= FIRST_ROWS or state.first_failed <= _MOST_FAILED:
            return
        errors = [outcome.error for outcome in state.outcomes if outcome and outcome.error and outcome.is_asked]
        code, count = Counter(error.code for error in errors).most_common(1)[0]
        example = next(error for error in errors if error.code == code)
        reason = Joined((example.phrase("what"), example.phrase("how_we_know")), " ")
        raise RowsProblem(
            "rows-mostly-failed", failed=state.first_failed, first=FIRST_ROWS, reason=reason, count=count, same=code
        )

    @contextmanager
    def _running_workers(self) -> Iterator[None]:
        try:
            for server in self._servers:
                for _ in range(self.state.search.most):
                    self._threads.start(partial(self._worker.serve, server))
            yield
        finally:
            self._interrupt.defer()
            self._queue.close()
            self._threads.stop()
            for server in self._servers:
                server.client.close()
