"""The threads of a job and their end, and the waits of its main thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from ollama_magics.background import SLICE, BackgroundCall
from ollama_magics.errors import Cancelled
from ollama_magics.jobs.interrupt import DeferredInterrupt

_SECONDS_TO_END = 1.0  # that the threads get together
_Result = TypeVar("_Result")


class WorkerThreads:
    """Daemon threads that watch the flag ``cancelled``, which ``stop()`` sets.

    ``is_closing`` says whether the session closes, which ends the waits of the main thread as an interrupt does.
    """

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
        """Return the result of a function that is called in a thread, so that no connection is left half used.

        Raises what the function raises, and what check() does.
        """
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
