"""The line that is shown until the first words of an answer, and the thread in which the lines of all cells tick."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ollama_magics import messages

if TYPE_CHECKING:
    from ollama_magics.session.server_status import ServerStatus

_INTERVAL = 1.0  # seconds between two paints of the line, and two questions to the server


class Waiting:
    """The line that is shown until the first words of an answer; ``parts`` are its words."""

    def __init__(self, model: str, language: str, status: ServerStatus) -> None:
        self.language, self._status = language, status
        self.begin(model)

    def begin(self, model: str) -> None:
        """Wait for the answer of this model from now on; an empty text where it is not known yet."""
        self.model, self._since, self._doing = model, time.monotonic(), ""

    def parts(self) -> list[str]:
        """Return the model, what the server is doing, and the whole seconds since the beginning."""
        seconds = int(time.monotonic() - self._since)
        doing = f"doing_{self._doing}" if self._doing else "waiting"
        spent = [messages.phrase("seconds", self.language, seconds=seconds)] if seconds else []
        return [*([self.model] if self.model else []), messages.phrase(doing, self.language), *spent]

    def start(self, tick: Callable[[], None]) -> None:
        """Call ``tick`` every second, and again when the server does something else, until ``end``."""
        self._tick, self.due = tick, time.monotonic() + _INTERVAL
        _CLOCK.add(self)

    def end(self) -> None:
        """End the ticking; a question to the server is given up."""
        _CLOCK.remove(self)
        self._status.end()

    def step(self) -> None:
        """Tick, and ask what the server is doing."""
        self._tick()
        model = self.model
        doing = self._status.ask(model)
        if doing != self._doing and model == self.model:
            self._doing = doing
            self._tick()
        self.due = time.monotonic() + _INTERVAL


class _Clock:
    """Steps each line when it is due, in one thread, which ends when it finds none.

    It is not woken when a cell is done, and serves the next one: to start and to end a thread takes 0.4 ms, a tenth of a cell
    whose answer comes at once.
    """

    def __init__(self) -> None:
        self._lines: list[Waiting] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def add(self, line: Waiting) -> None:
        with self._lock:
            self._lines.append(line)
            if self._thread is None or not self._thread.is_alive():  # it does not live on in a forked process
                self._thread = threading.Thread(target=self._run, daemon=True, name="ollama-waiting")
                self._thread.start()

    def remove(self, line: Waiting) -> None:
        with self._lock:
            if line in self._lines:
                self._lines.remove(line)

    def _run(self) -> None:
        while (due := self._next_due()) is not None:
            time.sleep(max(0.0, due - time.monotonic()))  # lines that come meanwhile are due later
            for line in self._lines.copy():
                if line.due <= time.monotonic():
                    line.step()

    def _next_due(self) -> float | None:
        with self._lock:
            if not self._lines:
                self._thread = None
                return None
            return min(line.due for line in self._lines)


_CLOCK = _Clock()
