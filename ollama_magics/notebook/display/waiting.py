"""The line that is shown until the first words of an answer: the model, the seconds, and what the server is doing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from ollama_magics import messages

_INTERVAL = 1.0  # seconds between two paints of the line, and two questions to the server


class ServerStatus(Protocol):
    """Says what a server is doing; called from a thread of its own."""

    def look(self, model: str) -> str:
        """Return ``loading``, ``queue`` or an empty text; takes at most half a second and raises nothing."""

    def end(self) -> None:
        """Give up a question that is under way."""

    def close(self) -> None:
        """Close the connection; nothing is asked any more."""


class Waiting:
    """What is waited for; ``parts`` are the words of the line."""

    def __init__(self, model: str, language: str, status: ServerStatus) -> None:
        self.language, self._status = language, status
        self._ended = threading.Event()
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
        threading.Thread(target=self._run, args=(tick,), daemon=True, name="ollama-waiting").start()

    def end(self) -> None:
        """End the ticking; a question to the server is given up."""
        self._ended.set()
        self._status.end()

    def _run(self, tick: Callable[[], None]) -> None:
        while not self._ended.wait(_INTERVAL):
            tick()
            model = self.model
            doing = self._status.look(model)
            if doing != self._doing and model == self.model:
                self._doing = doing
                tick()
        self._status.close()
