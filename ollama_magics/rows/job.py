"""Run one job of many rows: feed requests to the workers, decide about failures, and end the workers."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

import msgspec

from ollama_magics.conversation.exchange import Round, ToolLoop
from ollama_magics.conversation.tools import Toolbox
from ollama_magics.errors import Cancelled, FormatProblem, OllamaMagicsError, PromptProblem, RowsProblem, ToolProblem
from ollama_magics.jobs.interrupt import DeferredInterrupt
from ollama_magics.jobs.queue import BatchFailure, BatchQueue, RetryPolicy, Server, WorkerThreads
from ollama_magics.messages import Joined
from ollama_magics.rows.cache import RowCache
from ollama_magics.rows.formats import Request, RowAnswer, RowFormat
from ollama_magics.rows.width import WidthSearch
from ollama_magics.server.client import Client
from ollama_magics.server.failures import FailureKind, failure_kind
from ollama_magics.server.wire import ChatRequest, Message

_NANO = 1e-9
_FIRST, _MOST_FAILED = 20, 10  # of the first rows that are asked, after which the job stops
_MOST_CRASHES = 3  # of the runner with one row, after which the row is at fault
_MOST_FAILURES = 3  # of a server without a success between them, after which it is left out if there is another
_AHEAD = 4  # requests that are ready for each one in flight
_MOST_AT_ONCE = 50  # rows that are prepared before failures and interrupts are looked at
_MOST_PROMPT_TIMES = 8
MOST_LATEST = 8  # rows that are shown while a job runs


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What became of one row: the values of the columns, or why there are none."""

    values: Mapping[str, Any] = field(default_factory=dict)
    error: OllamaMagicsError | None = None
    seconds: float = 0.0
    tokens: int = 0
    is_reused: bool = False
    is_asked: bool = True  # False for a row whose error was found before it was sent


@dataclass(frozen=True, eq=False)
class QueuedRow:
    """A row with its request, as it waits or is in flight."""

    row: int
    request: Request
    prompt: Request  # the request before the format has adapted it
    key: bytes = b""
    attempts: int = 0
    crashes: int = 0
    exclusive: bool = False
    due: float = 0.0


@dataclass
class JobState:
    """How far a job is; ``outcomes`` has a place for each row."""

    outcomes: list[RowOutcome | None]
    search: WidthSearch
    started: float = field(default_factory=time.monotonic)
    ended: float = 0.0
    done: int = 0
    failed: int = 0
    reused: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    retries: int = 0
    answered: int = 0  # rows that were asked and have values
    first_asked: int = 0  # of the first 20 rows that were asked
    first_failed: int = 0  # of these
    ended_early: OllamaMagicsError | None = None  # why the rest of the rows was not asked
    left_out: list[str] = field(default_factory=list)  # addresses of servers that failed too often
    latest: list[int] = field(default_factory=list)  # rows in the order in which they were finished, the last few
    prompt_seconds: list[float] = field(default_factory=list)  # that the first prompts took to be read

    def add(self, row: int, outcome: RowOutcome) -> None:
        """Put the outcome of a row into its place."""
        self.outcomes[row] = outcome
        self.done += 1
        self.failed += outcome.error is not None
        self.reused += outcome.is_reused
        self.tokens += outcome.tokens
        self.latest = [*self.latest[1 - MOST_LATEST :], row]
        if not outcome.is_asked or outcome.is_reused:
            return
        self.answered += outcome.error is None
        if self.first_asked < _FIRST:
            self.first_asked += 1
            self.first_failed += outcome.error is not None

    @property
    def seconds(self) -> float:
        """How long the job has run."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def is_finished(self) -> bool:
        """Whether each row has an outcome that was asked for."""
        return self.done == len(self.outcomes) and self.ended_early is None


class RowWorker:
    """Sends the requests of all threads of a job, and puts each answer into the store and its place."""

    def __init__(
        self, queue: BatchQueue[QueuedRow], state: JobState, form: RowFormat, cache: RowCache | None, toolbox: Toolbox | None
    ) -> None:
        self._queue, self._state, self._form, self._cache, self._toolbox = queue, state, form, cache, toolbox
        self._lock = threading.Lock()

    def serve(self, server: Server[QueuedRow]) -> None:
        """Send one request after another to a server until the job is over."""
        while queued := self._queue.take(server):
            failure = None
            try:
                self.finish(queued, self._ask(server.client, queued))
            except Cancelled:
                self._queue.finish(server, queued)
                return
            except BaseException as error:  # noqa: BLE001 - the main thread decides about it, or raises it
                failure = BatchFailure(server, queued, error)
            self._queue.finish(server, queued, failure)

    def _ask(self, client: Client, queued: QueuedRow) -> RowAnswer:
        answer = ask(client, queued.request, self._toolbox)
        while request := self._form.next_request(queued.prompt, answer):
            answer = answer.followed_by(ask(client, request, self._toolbox))
        return answer

    def finish(self, queued: QueuedRow, answer: RowAnswer, *, is_reused: bool = False) -> None:
        """Decode an answer, keep it if it is what was asked for, and put it into its place."""
        outcome = self._outcome(answer, is_reused=is_reused)
        if self._cache and not (is_reused or outcome.error):
            self._cache.keep(queued.key, answer)
        with self._lock:
            self._state.add(queued.row, outcome)
            if not is_reused:
                self._state.prompt_tokens += answer.prompt_tokens
                if len(self._state.prompt_seconds) < _MOST_PROMPT_TIMES:
                    self._state.prompt_seconds.append(answer.prompt_seconds)
                self._state.search.add(answer.tokens, time.monotonic())

    def fail(self, row: int, error: OllamaMagicsError, *, is_asked: bool) -> None:
        """Put an error into the place of a row."""
        error = error.with_traceback(None)  # which holds the request
        with self._lock:
            self._state.add(row, RowOutcome(error=error, is_asked=is_asked))

    def _outcome(self, answer: RowAnswer, *, is_reused: bool) -> RowOutcome:
        found = RowOutcome(seconds=answer.seconds, tokens=answer.tokens, is_reused=is_reused)
        try:
            return replace(found, values=self._form.decode(answer))
        except OllamaMagicsError as error:
            return replace(found, error=error)


def ask(client: Client, request: Request, toolbox: Toolbox | None = None) -> RowAnswer:
    """Return the answer to a request, after the functions that the model calls have run."""
    started = time.monotonic()

    def send(between: tuple[Message, ...]) -> Iterator[Any]:
        if between and isinstance(request, ChatRequest):
            return client.chat(msgspec.structs.replace(request, messages=(*request.messages, *between)))
        return client.chat(request)

    loop = ToolLoop(send, toolbox, Round())
    answer, logprobs = RowAnswer(), list[dict[str, Any]]()
    for chunk in loop.stream():
        logprobs += chunk.logprobs or ()
        if chunk.done:
            answer = RowAnswer(
                done_reason=chunk.done_reason or "",
                tokens=answer.tokens + chunk.eval_count,
                prompt_tokens=answer.prompt_tokens + chunk.prompt_eval_count,
                prompt_seconds=answer.prompt_seconds + chunk.prompt_eval_duration * _NANO,
            )
    seconds = time.monotonic() - started
    return msgspec.structs.replace(answer, text=loop.now.text, logprobs=tuple(logprobs), seconds=seconds)


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
            FailureKind.LOAD_FAILED: self._leave_out_or_end,
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


class RowJob:
    """Asks for each row, with several requests in flight; ``state`` holds what became of the rows.

    ``request`` returns the request of a row, or raises the error of that row. It is called in order, shortly before the
    request is sent, in the thread that calls run(). ``watch`` is called there too, several times a second. ``parallel`` is the
    number of requests in flight for each server; None: it is found by measuring.
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
        self._worker = RowWorker(self._queue, self.state, form, cache, toolbox)
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
        if len(state.outcomes) <= _FIRST or state.first_failed <= _MOST_FAILED:
            return
        errors = [outcome.error for outcome in state.outcomes if outcome and outcome.error and outcome.is_asked]
        code, count = Counter(error.code for error in errors).most_common(1)[0]
        example = next(error for error in errors if error.code == code)
        reason = Joined((example.phrase("what"), example.phrase("how_we_know")), " ")
        raise RowsProblem("rows-mostly-failed", failed=state.first_failed, first=_FIRST, reason=reason, count=count, same=code)

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
