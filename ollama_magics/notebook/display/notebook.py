"""Replies as one output of a notebook cell, painted from their state."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Protocol, Self

from IPython.display import DisplayHandle

from ollama_magics import messages
from ollama_magics.conversation.replies import Replies
from ollama_magics.conversation.reply import Reply
from ollama_magics.conversation.reply_view import body_html, bundle, columns_bundle, columns_metadata, finished_column, metadata
from ollama_magics.notebook.display.waiting import Waiting
from ollama_magics.render import answer, markdown
from ollama_magics.render.answer import answer_html, columns_html, waiting_html
from ollama_magics.render.growing import Markup


class View(Protocol):
    """Something that grows, and that can be shown at any moment."""

    @property
    def waits(self) -> bool:
        """Whether something is asked of which nothing has come yet."""

    def stream(self) -> Iterator[bool]:
        """Ask for it, and yield whenever there is something new to show; True where that cannot wait."""

    def page(self) -> str:
        """Return what there is of it as HTML."""

    def render_ahead(self) -> None:
        """Render what has come, so that the next page costs little."""

    def final(self) -> tuple[dict[str, str], dict[str, Any]] | None:
        """Return the whole, with its metadata, for the last paint; None where nothing came."""

    def close(self) -> None:
        """End the stream."""


class Answer:
    """One reply; finished blocks of it are rendered once."""

    def __init__(self, reply: Reply, waiting: Waiting) -> None:
        self._reply, self._waiting = reply, waiting
        self._markup = Markup(waiting.language)
        self._acts = (0, 0)
        waiting.model = reply.model  # which may have been chosen only now

    @property
    def waits(self) -> bool:
        """Whether nothing has come yet."""
        return not self._reply.begun

    def stream(self) -> Iterator[bool]:
        """Ask for it, and yield whenever it has grown."""
        return (self.has_acted() for _ in self._reply if self._reply.begun)

    def has_acted(self) -> bool:
        """Whether functions were called or have come back since the last time: a person may be asked, or a function be slow."""
        before, self._acts = self._acts, (len(self._reply.tool_calls), len(self._reply.rounds.ended))
        return self._acts != before

    def page(self) -> str:
        """Return the answer so far, or the line that stands in for it."""
        return answer_html(self.piece(), growing=True)

    def render_ahead(self) -> None:
        """Render the text so far."""
        self.body()

    def piece(self) -> str:
        """Return the same without what surrounds an output."""
        if self.waits:
            return waiting_html(self._waiting.parts())
        return body_html(self._reply, self.body(), streaming=True)

    def body(self) -> str:
        """Return the HTML of the text so far; data is no Markdown, and has its own."""
        return "" if self._reply.circumstances.schema else self._markup.html(self._reply.so_far)

    def final(self) -> tuple[dict[str, str], dict[str, Any]] | None:
        """Return the whole with its figures."""
        if self.waits and not self._reply.complete:
            return None
        return bundle(self._reply, self.body()), metadata(self._reply)

    def close(self) -> None:
        """End the stream."""
        self._reply.close()


class Columns:
    """The replies of several models; a column that is done is rendered once, those to come are not there yet."""

    def __init__(self, replies: Replies, waiting: Waiting) -> None:
        self._replies, self._waiting = replies, waiting
        self._place = -1
        self._answer: Answer | None = None
        self._columns: list[tuple[str, str]] = []
        self._stream = replies.stream()

    @property
    def waits(self) -> bool:
        """Whether the model whose turn it is has said nothing yet."""
        return self._answer is None or self._answer.waits

    def stream(self) -> Iterator[bool]:
        """Ask one model after another, and yield whenever one begins or has grown."""
        for place in self._stream:
            begins = place != self._place
            if begins:
                self._next(place)
            elif self._answer is None:
                self._answer = Answer(self._replies[place], self._waiting)
            # the figures of the one before, and the next may take minutes to load
            yield begins or (self._answer is not None and self._answer.has_acted())

    def page(self) -> str:
        """Return the columns that are done, and the one that grows."""
        model = self._replies.models[self._place]
        answer = self._answer
        growing = answer.piece() if answer else waiting_html(self._waiting.parts())
        return answer_html(columns_html([*self._columns, (model, growing)]), growing=True)

    def render_ahead(self) -> None:
        """Render the text of the column that grows."""
        if self._answer:
            self._answer.render_ahead()

    def final(self) -> tuple[dict[str, str], dict[str, Any]] | None:
        """Return all columns with their figures."""
        if self._place < 0:
            return None
        return columns_bundle(self._replies), columns_metadata(self._replies)

    def close(self) -> None:
        """End the stream of the model whose turn it is."""
        self._stream.close()

    def _next(self, place: int) -> None:
        if self._place >= 0:
            done = finished_column(self._replies, self._place, self._answer.body() if self._answer else "")
            self._columns.append((self._replies.models[self._place], done))
        self._place, self._answer = place, None
        self._waiting.begin(self._replies.models[place])


def view_of(shown: Reply | Replies, waiting: Waiting) -> View:
    """Return what is to be shown of a reply or of several."""
    return Columns(shown, waiting) if isinstance(shown, Replies) else Answer(shown, waiting)


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
        return self._view.page() if self._view else answer.answer_html(answer.waiting_html(self._waiting.parts()))

    def _update(self, data: dict[str, str], metadata: dict[str, Any] | None = None) -> None:
        self._handle.update(data, raw=True, metadata=metadata or {})


def _rested(began: float, least: float) -> float:
    """Return when to render next after a rendering that ends now."""
    now = time.monotonic()
    return now + max(least, _SPARE * (now - began))


def _shown(page: str) -> dict[str, str]:
    return {"text/html": page, "text/plain": _SHORT}


def offer(text: str, shell: Any, language: str) -> None:
    """Put the first block of code of an answer into a new cell below, or the next line of a terminal, or say why not."""
    code = markdown.first_code(text)
    if code is None:
        _say("no_code", language)
    elif not _has_cells(shell):
        _say("no_next_cell", language)
    else:
        shell.set_next_input(code.rstrip("\n"))


def _has_cells(shell: Any) -> bool:
    # Who runs a notebook without a person (nbclient, papermill, nbval) says that there is nobody to ask, and drops the cell.
    if getattr(shell, "kernel", None) is None:
        return hasattr(shell, "pt_app")
    return bool((shell.get_parent() or {}).get("content", {}).get("allow_stdin"))


def _say(key: str, language: str) -> None:
    sys.stdout.write(messages.phrase(key, language) + "\n")
