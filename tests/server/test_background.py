"""A call in a thread that the main thread waits for in slices."""

from __future__ import annotations

import threading

import pytest

from ollama_magics.errors import Cancelled
from ollama_magics.server.background import SLICE, BackgroundCall


def no_check() -> None:
    """Let the wait go on."""


def test_the_result_is_returned_and_an_error_is_raised_where_it_is_waited_for() -> None:
    """Also one that no program should catch."""

    def fail() -> None:
        raise SystemExit(3)

    assert BackgroundCall(lambda: 7).wait(no_check) == 7
    with pytest.raises(SystemExit):
        BackgroundCall(fail).wait(no_check)


def test_a_wait_ends_after_its_seconds() -> None:
    """Whatever the call does."""
    goes_on = threading.Event()
    with pytest.raises(TimeoutError):
        BackgroundCall(lambda: goes_on.wait(20)).wait(no_check, seconds=SLICE / 2, interval=SLICE / 10)
    goes_on.set()


def test_a_check_ends_the_wait_and_a_late_result_is_discarded() -> None:
    """Nothing stays open."""
    goes_on, discarded = threading.Event(), threading.Event()
    checks: list[None] = []

    def check() -> None:
        checks.append(None)
        if len(checks) == 3:
            raise Cancelled

    call = BackgroundCall(lambda: goes_on.wait(20), lambda _: discarded.set())
    with pytest.raises(Cancelled):
        call.wait(check, interval=SLICE / 10)
    assert not discarded.is_set()
    goes_on.set()
    assert discarded.wait(5)
