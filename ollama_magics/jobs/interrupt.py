"""Note an interrupt when it arrives, and raise it where nothing is left half done."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

# Python runs the handler of a signal between any two steps of the main thread. An error raised there may land in a callback of a
# weak reference, where it is dropped with a line on stderr (each import runs some), or between a lock and its release, for which
# all other threads then wait. So the handler only notes the interrupt, and the main thread looks at it at safe points. It is also
# raised at once while code of the user runs, such as a generator that gives the texts, since that may never return.


_QUICK = 0.5  # seconds between two presses of a stop button that mean one
SECONDS_TO_END = 1.0  # that a stopped call of an event loop is waited for


class AwaitedCalls:
    """Stops the calls of a running event loop on SIGINT, instead of the default handler, which would stop the loop alone.

    That leaves the tasks of the loop unfinished, so nothing would end what they wait for. As in asyncio.run(), a second interrupt
    is raised at once; so is one while the loop stands still, as between two cells of a terminal: its calls go on.
    """

    def __init__(self) -> None:
        self._stops: dict[Any, Callable[[], bool]] = {}
        self._last = -SECONDS_TO_END

    @property
    def are_ending(self) -> bool:
        """Whether an interrupt stops the calls of this thread just now: what begins meanwhile was meant, too."""
        is_recent = time.monotonic() - self._last < SECONDS_TO_END
        return is_recent and bool(self._stops) and threading.current_thread() is threading.main_thread()

    def add(self, call: object, stop: Callable[[], bool]) -> None:
        """Add a call; ``stop`` returns whether it could stop it. Only the main thread can be interrupted."""
        if threading.current_thread() is threading.main_thread() and raises_at_once():
            self._last = self._last if self._stops else -SECONDS_TO_END
            self._stops[call] = stop
            signal.signal(signal.SIGINT, self.handle)

    def remove(self, call: object) -> None:
        """Forget a call, and put the default handler back after the last one."""
        self._stops.pop(call, None)
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and not self._stops and signal.getsignal(signal.SIGINT) == self.handle:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def handle(self, *_: object) -> None:
        """Stop the calls, or raise KeyboardInterrupt where there is nothing to stop."""
        now = time.monotonic()
        stopped = [stop() for stop in tuple(self._stops.values())]
        if any(stopped):
            self._last = now
        elif now - self._last > _QUICK:
            raise KeyboardInterrupt


AWAITED = AwaitedCalls()


def raises_at_once() -> bool:
    """Return whether an interrupt of synchronous code is raised wherever it lands, as in Python without a handler of anyone's."""
    return signal.getsignal(signal.SIGINT) in (signal.default_int_handler, AWAITED.handle)


class DeferredInterrupt:
    """Replaces the default handler of SIGINT, or any if it ``replaces_any``, within a ``with`` in the main thread."""

    def __init__(self, *, replaces_any: bool = False) -> None:
        self._replaces_any = replaces_any
        self._noted = self._raises_at_once = False

    def __enter__(self) -> Self:
        self._before = signal.getsignal(signal.SIGINT)
        replaced = callable(self._before) if self._replaces_any else raises_at_once()
        if replaced and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if signal.getsignal(signal.SIGINT) == self._note:
            signal.signal(signal.SIGINT, self._before)
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raise KeyboardInterrupt if an interrupt was noted."""
        if self._noted:
            raise KeyboardInterrupt

    @contextmanager
    def raising_at_once(self) -> Iterator[None]:
        """Raise an interrupt at once within a ``with``: for code of the user, which may take any time."""
        self._raises_at_once = True
        try:
            yield
        finally:
            self._raises_at_once = False
        self.check()

    def defer(self) -> None:
        """Raise only in check() from now on, also where an interrupt has ended raising_at_once() half-way."""
        self._raises_at_once = False

    def _note(self, *_: object) -> None:
        self._noted = True
        if self._raises_at_once:
            raise KeyboardInterrupt


def defer_interrupt() -> DeferredInterrupt:
    """Return a context that lets interrupts, also a second one, wait for its end; what runs in it must be short."""
    return DeferredInterrupt(replaces_any=True)


@contextmanager
def ignoring_quick_repeats(*, is_reset: bool) -> Iterator[None]:
    """Ignore interrupts for half a second after one: a second press would stop the closing and the report half-way.

    ``is_reset``: the front end sets its own handler again after the cell, so that this one may stay after an interrupt.
    """
    last = -_QUICK

    def handle(*_: object) -> None:
        nonlocal last
        if (now := time.monotonic()) - last > _QUICK:
            last = now
            raise KeyboardInterrupt

    if not raises_at_once() or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        if not (is_reset and last > 0) and signal.getsignal(signal.SIGINT) is handle:
            signal.signal(signal.SIGINT, before)
