"""Queue batches between the thread that makes them and the worker threads, and say when to retry."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from msgspec import Struct, field

from ollama_magics.errors import Cancelled
from ollama_magics.jobs.interrupt import DeferredInterrupt
from ollama_magics.server.background import SLICE, BackgroundCall
from ollama_magics.server.client import Client


class QueuedBatch(Protocol):
    """Rows that are sent in one request."""

    @property
    def exclusive(self) -> bool:
        """Whether its server gets no other request meanwhile, so that a crash can be attributed."""

    @property
    def due(self) -> float:
        """The moment of time.monotonic() before which it is not sent."""


_Batch = TypeVar("_Batch", bound=QueuedBatch)
_Result = TypeVar("_Result")
_SECONDS_TO_END = 1.0  # that the threads get together


class Server(Struct, Generic[_Batch], eq=False):
    """One server of a job and the batches it works on; the queue changes it under its lock."""

    client: Client
    url: str = ""
    parallel: int = 2  # batches that it may have to compute at a time
    # Answers are received and read one at a time: two at once would be done at the same moment, and so would be the answers to
    # their successors. The batch whose answer is read does not count as computing: where reading takes about as long as that, the
    # server would stand still for every delay here.
    reading: threading.Lock = field(default_factory=threading.Lock)
    buffer: bytearray = field(default_factory=bytearray)  # for one answer after another, used by the thread that reads
    computing: set[_Batch] = field(default_factory=set)  # batches whose answers have not begun
    in_flight: int = 0
    failures: int = 0  # since the last success
    runs_exclusive: bool = False
    awaits_decision: bool = False
    paused_until: float = 0.0
    left_out: bool = False

    def is_free(self, now: float) -> bool:
        """Whether it may get a batch now."""
        may_work = not (self.runs_exclusive or self.awaits_decision or self.left_out)
        return may_work and now >= self.paused_until and len(self.computing) < self.parallel


class BatchFailure(Struct, Generic[_Batch], eq=False):
    """A batch that failed, and where."""

    server: Server[_Batch]
    batch: _Batch
    error: BaseException


class BatchQueue(Generic[_Batch]):
    """Batches that are ready, batches that wait for their time, and failures that wait for a decision."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._in_flight = 0
        self._is_closed = False
        self._ready: deque[_Batch] = deque()
        self._later: list[tuple[float, int, _Batch]] = []
        self._failures: deque[BatchFailure[_Batch]] = deque()
        self._order = itertools.count(0, -1)  # of those due at once the youngest comes first: one bisection after another

    # For the main thread.

    def add(self, batch: _Batch) -> None:
        """Add a new batch."""
        with self._changed:
            self._ready.append(batch)
            self._changed.notify_all()

    def add_retry(self, batch: _Batch) -> None:
        """Add a batch that was sent before: it goes out when it is due, ahead of new ones."""
        with self._changed:
            heapq.heappush(self._later, (batch.due, next(self._order), batch))
            self._changed.notify_all()

    def has_room(self, most: int) -> bool:
        """Whether fewer than so many batches are ready."""
        return len(self._ready) < most

    def count_waiting(self) -> int:
        """Return the number of batches that no worker has taken."""
        with self._changed:
            return len(self._ready) + len(self._later)

    def next_failure(self) -> BatchFailure[_Batch] | None:
        """Return a failure that awaits a decision."""
        with self._changed:
            return self._failures.popleft() if self._failures else None

    def resume(self, server: Server[_Batch], *, pause: float = 0.0) -> None:
        """Let a server go on after a failure, in ``pause`` seconds."""
        with self._changed:
            server.awaits_decision = False
            server.paused_until = max(server.paused_until, time.monotonic() + pause)
            self._changed.notify_all()

    def is_empty(self) -> bool:
        """Whether nothing is ready, waits or is in flight."""
        with self._changed:
            return not (self._ready or self._later or self._failures or self._in_flight)

    def wait(self, most: int) -> None:
        """Wait at most a slice for a failure, for room for new batches, or until the queue is empty."""
        with self._changed:
            self._changed.wait_for(lambda: self._failures or self.has_room(most) or self.is_empty(), SLICE)

    def close(self) -> None:
        """Tell the workers to stop."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    # For the workers.

    def take(self, server: Server[_Batch]) -> _Batch | None:
        """Return the next batch for a server when there is one, or None when the job is over."""
        with self._changed:
            while not self._is_closed and not server.left_out:
                now = time.monotonic()
                if batch := self._next(server, now):
                    server.in_flight, self._in_flight = server.in_flight + 1, self._in_flight + 1
                    server.computing.add(batch)
                    server.runs_exclusive = batch.exclusive
                    self._changed.notify_all()
                    return batch
                moments = (server.paused_until, self._later[0][0] if self._later else 0.0)
                self._changed.wait(min([SLICE, *(moment - now for moment in moments if moment > now)]))
        return None

    @contextmanager
    def reading(self, server: Server[_Batch], batch: _Batch) -> Iterator[None]:
        """Hold the server's lock while an answer that has begun is read; from then on the server has room for another batch."""
        with self._changed:
            server.computing.discard(batch)
            self._changed.notify_all()
        with server.reading:
            yield

    def finish(self, server: Server[_Batch], batch: _Batch, failure: BatchFailure[_Batch] | None = None) -> None:
        """Report that a batch is done or failed; after a failure the server waits for a decision."""
        with self._changed:
            server.computing.discard(batch)
            server.in_flight, self._in_flight = server.in_flight - 1, self._in_flight - 1
            server.runs_exclusive = False
            if failure is None:
                server.failures = 0
            else:
                server.awaits_decision = True
                self._failures.append(failure)
            self._changed.notify_all()

    def _next(self, server: Server[_Batch], now: float) -> _Batch | None:
        if not server.is_free(now):
            return None
        if self._later and self._later[0][0] <= now:
            if self._later[0][2].exclusive and server.in_flight:
                return None
            return heapq.heappop(self._later)[2]
        return self._ready.popleft() if self._ready else None


class RetryPolicy(Struct, frozen=True):
    """Delays in seconds, ``attempts`` for one item, and the retries of a job beyond one for each finished item (``budget``)."""

    first: float = 0.5
    longest: float = 30.0
    attempts: int = 5
    budget: int = 50

    def delay(self, attempts: int) -> float:
        """Return the seconds to wait after so many attempts."""
        return min(self.longest, self.first * 2.0 ** (attempts - 1))

    def allows(self, retries: int, finished: int) -> bool:
        """Whether a job that finished so many items may have so many retries."""
        return retries <= self.budget + finished


class WorkerThreads:
    """Daemon threads that watch the flag ``cancelled``; waits end with an interrupt, and where the session ``is_closing``."""

    def __init__(self, name: str, interrupt: DeferredInterrupt, is_closing: Callable[[], bool]) -> None:
        self.cancelled = threading.Event()
        self._name, self._interrupt, self._is_closing = name, interrupt, is_closing
        self._threads: list[threading.Thread] = []

    def check(self) -> None:
        """Raise KeyboardInterrupt after an interrupt, Cancelled where the session closes."""
        self._interrupt.check()
        if self._is_closing():
            raise Cancelled

    def start(self, work: Callable[[], object]) -> None:
        """Start a thread."""
        thread = threading.Thread(target=work, daemon=True, name=self._name)
        thread.start()
        self._threads.append(thread)

    def call(self, function: Callable[[], _Result]) -> _Result:
        """Return what a function returns in a thread, where no interrupt lands; raises its errors and those of check()."""
        call = BackgroundCall(function, name=self._name)
        self._threads.append(call.thread)
        return call.wait(self.check)

    def pause(self, seconds: float) -> None:
        """Wait in the main thread; raises what check() does."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.check()
            self.cancelled.wait(min(SLICE, left))

    def stop(self) -> None:
        """Tell the threads to stop and wait a moment for them."""
        self.cancelled.set()
        deadline = time.monotonic() + _SECONDS_TO_END
        for thread in self._threads:
            if thread.ident is not None:  # an interrupt may land before the start
                thread.join(max(0.0, deadline - time.monotonic()))
