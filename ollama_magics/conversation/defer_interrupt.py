"""Short steps that an interrupt does not cut in two."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def defer_interrupt() -> Iterator[None]:
    """Hold an interrupt back until the end of this block, which must be short.

    A second interrupt must not keep the first one from closing the connection and keeping the text.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        yield  # only the main thread gets interrupts
        return
    held_back: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: held_back.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if held_back:
        raise KeyboardInterrupt
