"""The queue of batches, with batches that have nothing to do with texts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from ollama_magics.jobs.interrupt import DeferredInterrupt
from ollama_magics.jobs.queue import BatchFailure, BatchQueue, RetryPolicy, Server, WorkerThreads
from ollama_magics.server.client import Client


@dataclass(frozen=True, eq=False)
class Row:
    """A row of a table, sent in a request of its own."""

    number: int
    exclusive: bool = False
    due: float = 0.0


@pytest.fixture
def server(connect: Callable[..., Client]) -> Server[Row]:
    """Return a server that is never asked."""
    return Server(connect("http://127.0.0.1:1"), parallel=2)


def test_rows_are_worked_on_by_several_threads_until_the_queue_is_empty(server: Server[Row]) -> None:
    """A failure waits for the main thread's decision, and the row goes out again."""
    queue: BatchQueue[Row] = BatchQueue()
    finished: list[int] = []
    failed_once = threading.Event()

    def work() -> None:
        while row := queue.take(server):
            failure = None
            if row.number == 3 and not failed_once.is_set():
                failed_once.set()
                failure = BatchFailure(server, row, ValueError("no"))
            else:
                finished.append(row.number)
            queue.finish(server, row, failure)

    threads = WorkerThreads("test-row", DeferredInterrupt(), lambda: False)
    for number in range(8):
        queue.add(Row(number))
    for _ in range(3):
        threads.start(work)
    while not queue.is_empty():
        queue.wait(0)
        while failure := queue.next_failure():
            assert server.awaits_decision
            queue.add_retry(failure.batch)
            queue.resume(failure.server)
    queue.close()
    threads.stop()
    assert sorted(finished) == list(range(8))


def test_an_exclusive_batch_waits_until_nothing_else_is_in_flight(server: Server[Row]) -> None:
    """And nothing is sent beside it, so that a crash can be attributed."""
    queue: BatchQueue[Row] = BatchQueue()
    first, alone, last = Row(1), Row(2, exclusive=True), Row(3)
    queue.add(first)
    assert queue.take(server) is first
    queue.add_retry(alone)
    assert queue._next(server, time.monotonic()) is None
    queue.finish(server, first)
    assert queue.take(server) is alone
    queue.add(last)
    assert queue._next(server, time.monotonic()) is None
    queue.finish(server, alone)
    assert queue.take(server) is last


def test_retries_go_out_before_new_batches_when_they_are_due(server: Server[Row]) -> None:
    """The youngest first: one bisection after another."""
    queue: BatchQueue[Row] = BatchQueue()
    new, older, younger, later = Row(1), Row(2), Row(3), Row(4, due=time.monotonic() + 60)
    queue.add(new)
    for row in (older, younger, later):
        queue.add_retry(row)
    assert [queue._next(server, time.monotonic()) for _ in range(4)] == [younger, older, new, None]
    assert not queue.is_empty()


def test_delays_double_up_to_the_longest_and_a_job_has_a_budget() -> None:
    """One retry for each finished batch is always allowed."""
    policy = RetryPolicy(first=0.5, longest=3, attempts=5, budget=2)
    assert [policy.delay(attempts) for attempts in range(1, 6)] == [0.5, 1, 2, 3, 3]
    assert [policy.allows(retries, finished) for retries, finished in ((2, 0), (3, 0), (3, 1), (4, 1))] == [
        True,
        False,
        True,
        False,
    ]
