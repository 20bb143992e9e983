"""Steps that an interrupt does not cut in two."""

from __future__ import annotations

import signal
import threading

import pytest

from ollama_magics.jobs.interrupt import defer_interrupt


def _interrupted_work() -> list[str]:
    signal.raise_signal(signal.SIGINT)
    return ["all of it"]


def test_an_interrupt_waits_for_the_end_of_the_step() -> None:
    """It is not lost."""
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt), defer_interrupt():
        done += _interrupted_work()
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_step_that_fails_fails_as_it_did() -> None:
    """The signal handler is the old one again."""
    with pytest.raises(ValueError, match="broken"), defer_interrupt():
        raise ValueError("broken")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_leave_the_signal_handler_alone() -> None:
    """They get no interrupts."""
    done = []

    def step() -> None:
        with defer_interrupt():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=step)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]
