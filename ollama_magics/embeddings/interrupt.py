"""Note an interrupt when it arrives, and raise it where nothing is left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

# Python runs the handler of a signal between any two steps of the main thread. What it raises there may land in a callback of a
# weak reference, where it is dropped with a word on stderr (each import runs some), or between a lock and its release, for which
# all other threads then wait. So the handler only writes the press down, and the job looks at it; only while the person's own
# code runs, which gives the texts and may take for ever, is it raised at once, too.


class StopButton:
    """Takes the place of Python's own handler of SIGINT for the time of a ``with``, in the main thread only.

    A handler that somebody else has set stays in force.
    """

    def __init__(self) -> None:
        self._pressed = self._raises = False

    def __enter__(self) -> Self:
        here = threading.current_thread() is threading.main_thread()
        if here and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._press)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if signal.getsignal(signal.SIGINT) == self._press:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if kind is None:
            self.look()

    def look(self) -> None:
        """Raise KeyboardInterrupt if the button was pressed."""
        if self._pressed:
            raise KeyboardInterrupt

    @contextmanager
    def raising(self) -> Iterator[None]:
        """Raise at once in here: for code that is not ours and takes as long as it likes."""
        self._raises = True
        try:
            yield
        finally:
            self._raises = False
        self.look()

    def defer(self) -> None:
        """Raise nowhere but in look(), whatever a press has left behind."""
        self._raises = False

    def _press(self, *_: object) -> None:
        self._pressed = True
        if self._raises:
            raise KeyboardInterrupt
