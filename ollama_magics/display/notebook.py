"""A reply as one output of a notebook cell, painted from its state at a calm rate."""

from __future__ import annotations

import os
import threading
import time
from types import TracebackType
from typing import Any, Self

from IPython.display import display

from ollama_magics import markup, texts
from ollama_magics.reply import Reply, body_html, bundle

_FASTEST = 0.1  # seconds between two paints
_BYTES_A_SECOND = 60_000  # that go to the browser while an answer grows
# Takes the place of the waiting line where an error came before the first word: the error says all there is to say.
_NOTHING = {"text/html": "", "text/plain": ""}


def show(reply: Reply) -> None:
    """Paint the reply while it comes and whole at the end; with OLLAMA_MAGICS_STREAM=off, once and without times."""
    if os.environ.get("OLLAMA_MAGICS_STREAM") == "off":
        _show_once(reply)
        return
    with _Painter(reply) as painter:
        for _ in reply:
            painter.paint()


def _show_once(reply: Reply) -> None:
    try:
        for _ in reply:
            pass
    finally:
        reply.close()
        if reply.begun or reply.complete:
            display(bundle(reply, times=False), raw=True)


class _Painter:
    """One display handle: a waiting line that ticks, then the growing answer, last the whole."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._markup = markup.Markup(reply.circumstances.language)
        self._lock = threading.Lock()
        self._answering = threading.Event()
        self._due = 0.0

    def __enter__(self) -> Self:
        self._handle = display(self._waiting(0), raw=True, display_id=True)
        threading.Thread(target=self._tick, daemon=True, name="ollama-waiting").start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._reply.close()
        with self._lock:
            self._answering.set()
            self._update(bundle(self._reply) if self._reply.complete or self._begun() else _NOTHING)

    def paint(self) -> None:
        """Paint what has come so far, if the last paint is long enough ago."""
        if time.monotonic() < self._due or not self._begun():
            return
        body = body_html(self._reply, self._markup.html(self._reply.so_far), streaming=True)
        page = markup.answer_html(body)
        with self._lock:
            self._answering.set()
            self._update({"text/html": page, "text/plain": "…"})
        self._due = time.monotonic() + max(_FASTEST, len(page.encode()) / _BYTES_A_SECOND)

    def _begun(self) -> bool:
        return self._reply.begun

    def _tick(self) -> None:
        # The message goes to the output of this cell because the handle carries its id, whatever cell runs by then.
        seconds = 1
        while not self._answering.wait(1):
            with self._lock:
                if not self._answering.is_set():
                    self._update(self._waiting(seconds))
            seconds += 1

    def _waiting(self, seconds: int) -> dict[str, str]:
        language = self._reply.circumstances.language
        parts = [self._reply.model, texts.phrase("waiting", language)]
        if seconds:
            parts.append(texts.phrase("seconds", language, seconds=seconds))
        return {"text/html": markup.answer_html(markup.waiting_html(parts)), "text/plain": "…"}

    def _update(self, shown: dict[str, Any]) -> None:
        self._handle.update(shown, raw=True)
