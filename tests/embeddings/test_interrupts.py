"""Interrupts that would be lost or would leave something half done."""

from __future__ import annotations

import signal
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest

from ollama_magics.embeddings.job import Job
from ollama_magics.errors import Interrupted
from ollama_magics.jobs.interrupt import DeferredInterrupt
from ollama_magics.store.vectors import VectorStore
from tests.embeddings.batch_server import Call, Connect, healthy, serving, vectors

TEXTS = [f"text {number}" for number in range(30)]


class _Nothing:
    """Something that weak references can point to."""


def interrupt() -> None:
    """Send the signal to the main thread, whichever calls this."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def threads() -> list[str]:
    """Return the names of the threads of jobs that still run."""
    return [thread.name for thread in threading.enumerate() if thread.name == "ollama-embed"]


def interrupting_in_a_callback() -> Iterator[str]:
    """Yield texts; an interrupt lands in the callback of a weak reference, out of which Python lets no error."""
    yield "first"
    watched = _Nothing()
    reference = weakref.ref(watched, lambda _: interrupt())
    del watched
    assert reference() is None
    yield "last"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_is_not_lost(connect: Connect) -> None:
    """Imports run such callbacks all the time."""
    with serving(healthy) as server, pytest.raises(Interrupted):
        Call(connect, [server])(interrupting_in_a_callback())


def test_a_generator_that_waits_for_ever_can_be_stopped(connect: Connect) -> None:
    """Its code is the user's own: there an interrupt is raised at once."""

    def texts() -> Iterator[str]:
        yield "first"
        threading.Timer(0.1, interrupt).start()
        threading.Event().wait(20)

    with serving(healthy) as server, pytest.raises(Interrupted):
        Call(connect, [server])(texts())


def test_a_check_of_the_model_that_is_not_answered_can_be_stopped(connect: Connect) -> None:
    """Although no batch is on its way any more."""
    over = threading.Event()

    def digest(look: int) -> str:
        if look > 0:
            interrupt()
            over.wait(20)
        return "sha256:1"

    with serving(healthy, digest=digest) as server:
        with pytest.raises(Interrupted):
            Call(connect, [server])(TEXTS)
        assert threads() == []
        over.set()


class Interrupting:
    """Interrupts the main thread at one of the steps that it makes in a job."""

    def __init__(self, step: int) -> None:
        self.left, self.started = step, False

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self._trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, _event: str, _argument: object) -> Any:
        self.started = self.started or frame.f_code is Job.run.__code__
        self.left -= self.started
        if self.left == 0:
            interrupt()
        return self._trace


@pytest.mark.promise("N3")
@pytest.mark.parametrize("first", range(10))
def test_wherever_an_interrupt_lands_threads_end_and_the_next_job_succeeds(connect: Connect, tmp_path: Path, first: int) -> None:
    """Also between a lock and its release."""
    with ExitStack() as stack:
        store = VectorStore(tmp_path / "vectors.sqlite")
        stack.callback(store.close)
        server = stack.enter_context(serving(healthy))
        for step in range(1 + first, 2000, 97):
            interrupting = Interrupting(step)
            with interrupting:
                try:
                    Call(connect, [server], store)(TEXTS, batch=10)
                except KeyboardInterrupt:
                    assert interrupting.left <= 0
                else:
                    assert interrupting.left > 0, f"the interrupt at step {step} was lost"
            assert threads() == []
            assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
            store.forget()
        assert np.array_equal(Call(connect, [server], store)(TEXTS), vectors(TEXTS))


def test_an_interrupt_is_raised_when_the_job_is_over() -> None:
    """Not later, in the cell after this one."""
    with pytest.raises(KeyboardInterrupt), DeferredInterrupt():
        interrupt()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_handler_of_the_program_stays_in_force() -> None:
    """A program that wants to end in its own way does."""
    received: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        with DeferredInterrupt():
            interrupt()
    finally:
        signal.signal(signal.SIGINT, before)
    assert received == [signal.SIGINT]


def test_a_job_in_another_thread_changes_no_handler(connect: Connect) -> None:
    """Python allows only the main thread to take it."""
    found: list[Any] = []
    with serving(healthy) as server:
        call = Call(connect, [server])
        thread = threading.Thread(target=lambda: found.append(call(TEXTS, batch=10)))
        thread.start()
        thread.join()
    assert np.array_equal(found[0], vectors(TEXTS))
