"""Run functions in threads and wait for their results in slices, so that the wait can be ended."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, TypeVar

from ollama_magics.errors import Cancelled

SLICE = 0.2  # seconds that one wait lasts at the most: on Windows a longer one could not be interrupted
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class CancelFlag(threading.Event):
    """Ends the waits of all threads once it is set, and those of one thread by a flag of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._of_thread = threading.local()

    @contextmanager
    def also(self, flag: threading.Event) -> Iterator[None]:
        """Let this thread count as cancelled when the other flag is set, too."""
        self._of_thread.flag = flag
        try:
            yield
        finally:
            self._of_thread.flag = None

    def is_set(self) -> bool:
        """Return whether waits of this thread end."""
        flag: threading.Event | None = getattr(self._of_thread, "flag", None)
        return super().is_set() or (flag is not None and flag.is_set())

    def wait(self, timeout: float | None = None) -> bool:
        """Wait in slices, and return whether waits of this thread end."""
        deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
        while not self.is_set() and (left := deadline - time.monotonic()) > 0:
            super().wait(min(SLICE, left))
        return self.is_set()


class BackgroundCall(Generic[_Result]):
    """Calls a function in a daemon thread, because the call itself cannot be interrupted.

    ``discard`` receives a result that comes too late, such as a connection to close.
    """

    def __init__(
        self,
        function: Callable[[], _Result],
        discard: Callable[[_Result], object] = lambda _: None,
        *,
        name: str = "ollama-background",
    ) -> None:
        self._function, self._discard = function, discard
        self._outcome: queue.SimpleQueue[tuple[_Result | None, BaseException | None]] = queue.SimpleQueue()
        self._lock, self._abandoned = threading.Lock(), False
        self.thread = threading.Thread(target=self._run, daemon=True, name=name)

    def wait(self, check: Callable[[], object], seconds: float = float("inf"), interval: float = SLICE) -> _Result:
        """Start the call and return its result; ``check`` is called before each slice of the wait and may raise.

        Raises what the function or ``check`` raises, and TimeoutError after so many seconds.
        """
        self.thread.start()
        # The loop is a call of its own: where a try begins with a loop, Python 3.11 counts an interrupt that lands on the jump
        # back as one before the try, and runs no finally.
        try:
            return self._result(check, time.monotonic() + seconds, interval)
        finally:
            with self._lock:
                self._abandoned = True
                while not self._outcome.empty():
                    result, error = self._outcome.get()
                    if error is None:
                        self._discard(result)  # type: ignore[arg-type] # there is no error, so this is the result

    def _result(self, check: Callable[[], object], deadline: float, interval: float) -> _Result:
        while time.monotonic() < deadline:
            check()
            try:
                result, error = self._outcome.get(timeout=interval)
            except queue.Empty:
                continue
            if error is not None:
                raise error
            return result  # type: ignore[return-value] # as above
        raise TimeoutError

    def _run(self) -> None:
        try:
            result = self._function()
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            self._outcome.put((None, error))
            return
        with self._lock:
            if self._abandoned:
                self._discard(result)
            else:
                self._outcome.put((result, None))


def in_parallel(
    items: Iterable[_Item], act: Callable[[_Item], _Result], seconds: float, stop: threading.Event | None = None
) -> list[_Result]:
    """Return the results that came in time, from one daemon thread for each item; ``stop`` ends the wait with Cancelled."""
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    work = list(items)
    for item in work:
        threading.Thread(target=lambda one: results.put(act(one)), args=(item,), daemon=True, name="ollama-parallel").start()
    deadline = time.monotonic() + seconds
    found: list[_Result] = []
    while len(found) < len(work) and (left := deadline - time.monotonic()) > 0:
        if stop and stop.is_set():
            raise Cancelled
        with suppress(queue.Empty):
            found.append(results.get(timeout=min(SLICE, left)))
    return found
