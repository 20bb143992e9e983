"""The line that stands in for an answer until its first words: whose it is, since when, and what the server is doing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from ollama_magics import messages

_BEAT = 1.0  # seconds between two looks at the clock and at the server


class Watch(Protocol):
    """Tells what a server is doing, from a thread of its own."""

    def look(self, model: str) -> str:
        """Return ``loading``, ``queue`` or an empty text; takes at most half a second and raises nothing."""

    def end(self) -> None:
        """Give up a look that is under way."""

    def close(self) -> None:
        """Close the connection, when nobody looks any more."""


class Waiting:
    """What is waited for; ``parts`` are the words of the line."""

    def __init__(self, model: str, language: str, watch: Watch) -> None:
        self.language, self._watch = language, watch
        self._ended = threading.Event()
        self.begin(model)

    def begin(self, model: str) -> None:
        """Wait for the answer of this model from now on; an empty text where it is not known yet."""
        self.model, self._since, self._doing = model, time.monotonic(), ""

    def parts(self) -> list[str]:
        """Return the model, what it is waited for, and the whole seconds since then."""
        seconds = int(time.monotonic() - self._since)
        doing = f"doing_{self._doing}" if self._doing else "waiting"
        spent = [messages.phrase("seconds", self.language, seconds=seconds)] if seconds else []
        return [*([self.model] if self.model else []), messages.phrase(doing, self.language), *spent]

    def start(self, tick: Callable[[], None]) -> None:
        """Call ``tick`` every second, and again where the server was seen to do something else, until ``end``."""
        threading.Thread(target=self._beat, args=(tick,), daemon=True, name="ollama-waiting").start()

    def end(self) -> None:
        """End the ticking; a look at the server is given up."""
        self._ended.set()
        self._watch.end()

    def _beat(self, tick: Callable[[], None]) -> None:
        while not self._ended.wait(_BEAT):
            tick()
            self._look(tick)
        self._watch.close()

    def _look(self, tick: Callable[[], None]) -> None:
        model = self.model
        doing = self._watch.look(model)
        if doing != self._doing and model == self.model:
            self._doing = doing
            tick()
