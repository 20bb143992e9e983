"""Replies as one output of a notebook cell, painted from their state at a calm rate."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Self

from IPython.display import DisplayHandle

from ollama_magics.conversation.reply.several import Replies
from ollama_magics.conversation.reply.stream import Reply
from ollama_magics.notebook.display.views import View, view_of
from ollama_magics.notebook.display.waiting import Waiting
from ollama_magics.render.markdown import pieces

_FASTEST = 0.1  # seconds between two paints
_AHEAD = 0.25  # seconds between two renderings while no paint is due: the last paint must not wait for seconds of text
# For each second of rendering so many without: one block of 100 kB that is rendered whole each time must not hold the answer up.
_SPARE = 4
_BYTES_A_SECOND = 60_000  # that go to the browser while an answer grows
_SHORT = "…"  # the plain text of a paint that is not the last
# Takes the place of the waiting line where an error came before the first word: the error says all there is to say.
_NOTHING: dict[str, str] = {"text/html": "", "text/plain": ""}


class Notebook:
    """One display handle: a line that ticks while we wait, then what grows, last the whole."""

    def __init__(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._view: View | None = None
        self._handle = DisplayHandle()
        self._lock = threading.RLock()
        self._due = self._behind = 0.0
        self._over = False

    def __enter__(self) -> Self:
        try:
            self._handle.display(_shown(self._page()), raw=True)
            self._waiting.start(self._tick)
            return self  # noqa: TRY300 - a press may land at every step up to this one
        except KeyboardInterrupt:  # a press that lands here: a block that was not entered is not left either
            self._leave()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._leave()
        except KeyboardInterrupt:  # a second one, while the last paint is made after the first
            self._leave()
            raise

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it and paint while it comes."""
        self._view = view_of(shown, self._waiting)
        for cannot_wait in self._view.stream():
            now = time.monotonic()
            if cannot_wait or now >= self._due:
                self._paint()
            elif now >= self._behind:
                self._view.render_ahead()
                self._behind = _rested(now, _AHEAD)

    def _paint(self) -> None:
        began = time.monotonic()
        with self._lock:
            page = self._page()
            self._update(_shown(page))
        self._behind = _rested(began, _AHEAD)
        self._due = _rested(began, max(_FASTEST, len(page.encode()) / _BYTES_A_SECOND))

    def _tick(self) -> None:
        # The message goes to the output of this cell because the handle carries its id, whatever cell runs by then.
        with self._lock:
            if not self._over and (self._view is None or self._view.waits):
                self._update(_shown(self._page()))

    def _leave(self) -> None:
        self._waiting.end()
        if self._view:
            self._view.close()
        with self._lock:
            self._over = True
            data, metadata = (self._view and self._view.final()) or (_NOTHING, {})
            self._update(data, metadata)

    def _page(self) -> str:
        return self._view.page() if self._view else pieces.answer_html(pieces.waiting_html(self._waiting.parts()))

    def _update(self, data: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
        self._handle.update(data, raw=True, metadata=metadata or {})


def _rested(began: float, least: float) -> float:
    """Return when to render next after a rendering that ends now."""
    now = time.monotonic()
    return now + max(least, _SPARE * (now - began))


def _shown(page: str) -> dict[str, str]:
    return {"text/html": page, "text/plain": _SHORT}
