"""Replies as one output of a notebook cell, painted from their state."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from IPython.display import DisplayHandle

from ollama_magics.conversation.replies import Replies, column_view, column_views
from ollama_magics.conversation.reply import Reply, answer_view, exchange_of
from ollama_magics.notebook.display.screens import NOTHING
from ollama_magics.notebook.display.waiting import Waiting
from ollama_magics.render import answer
from ollama_magics.render.markdown import Markup


class _GrowingAnswer:
    """One reply; finished blocks of it are rendered once."""

    def __init__(self, reply: Reply, waiting: Waiting, *, times: bool, in_column: bool = False) -> None:
        self._reply, self._exchange, self._waiting = reply, exchange_of(reply), waiting
        self._in_column = in_column
        self._markup, self._times = Markup(waiting.language), times
        self._calls_and_rounds = (0, 0)
        waiting.model = reply.model  # the model may have been chosen only now

    @property
    def waits(self) -> bool:
        return not self._exchange.begun

    def stream(self) -> Iterator[bool]:
        """Ask for it, and yield whenever there is something new to show: True where that cannot wait."""
        exchange = self._exchange  # once it is complete, the last paint follows
        return (
            self.has_new_calls() for chunk in self._reply.chunks() if exchange.begun and not (chunk.has_more or exchange.complete)
        )

    def has_new_calls(self) -> bool:
        """Whether functions were called or have returned since the last time: the user may be asked, or a function be slow."""
        before, loop = self._calls_and_rounds, self._exchange.tool_loop
        self._calls_and_rounds = (len(loop.calls), len(loop.ended))
        return self._calls_and_rounds != before

    def page(self) -> str:
        return answer.answer_html(self.piece(), growing=True)

    def render_ahead(self) -> None:
        self.text_html()

    def piece(self) -> str:
        """Return the same without what surrounds an output."""
        if self.waits:
            return answer.footer_html(self._waiting.parts())
        view = answer_view(self._reply, streaming=True, in_column=self._in_column)
        return answer.body_html(view, self.text_html()) + answer.footer_html(view.figures)

    def text_html(self, *, hasty: bool = False) -> str:
        """Return the HTML of the text so far; data is no Markdown."""
        return "" if self._exchange.value.is_expected else self._markup.html(self._exchange.partial_text, hasty=hasty)

    def output(self, *, hasty: bool = False) -> answer.Output | None:
        if self.waits and not self._reply.complete:
            return None
        return answer.answer_output(answer_view(self._reply, times=self._times), self.text_html(hasty=hasty))

    def close(self) -> None:
        self._reply.close()


class _GrowingColumns:
    """The replies of several models; a column that has ended is rendered once, those to come are not there yet."""

    def __init__(self, replies: Replies, waiting: Waiting, *, times: bool) -> None:
        self._replies, self._waiting, self._times = replies, waiting, times
        self._place = -1
        self._answer: _GrowingAnswer | None = None
        self._columns: list[tuple[str, str]] = []
        self._texts: list[str] = []  # of the columns, as HTML
        self._stream = replies.stream()

    @property
    def waits(self) -> bool:
        return self._answer is None or self._answer.waits

    def stream(self) -> Iterator[bool]:
        for place in self._stream:
            begins = place != self._place
            if begins:
                self._end_column()
                self._place, self._answer = place, None
                self._waiting.begin(self._replies.models[place])
            elif self._answer is None:
                self._answer = _GrowingAnswer(self._replies[place], self._waiting, times=self._times, in_column=True)
            # the figures of the last answer are shown at once: the next model may take minutes to load
            yield begins or (self._answer is not None and self._answer.has_new_calls())

    def _end_column(self) -> None:
        if self._place >= 0:
            text_html = self._answer.text_html() if self._answer else ""
            self._texts.append(text_html)
            column = answer.whole_html(column_view(self._replies, self._place), text_html)
            self._columns.append((self._replies.models[self._place], column))

    def page(self) -> str:
        growing = self._answer.piece() if self._answer else answer.footer_html(self._waiting.parts())
        columns = [*self._columns, (self._replies.models[self._place], growing)]
        return answer.answer_html(answer.columns_html(columns), growing=True)

    def render_ahead(self) -> None:
        if self._answer:
            self._answer.render_ahead()

    def output(self, *, hasty: bool = False) -> answer.Output | None:
        if self._place < 0:
            return None
        growing = [self._answer.text_html(hasty=hasty)] if self._answer else []
        return answer.columns_output(column_views(self._replies, times=self._times), [*self._texts, *growing])

    def close(self) -> None:
        self._stream.close()


_FASTEST = 0.1  # seconds between two paints
_AHEAD = 0.25  # seconds between two renderings while no paint is due, so that the last paint has little left to render
# seconds without rendering for each second of it, so that a block of 100 kB, rendered whole each time, delays nothing
_SPARE = 4
_BYTES_A_SECOND = 60_000  # that go to the browser while an answer grows
_SHORT = "…"  # the plain text of a paint that is not the last


class Notebook:
    """One output of a cell: a line that ticks while we wait, then what grows, last the whole, with or without ``times``."""

    def __init__(self, waiting: Waiting, *, times: bool = True) -> None:
        self._waiting, self._times = waiting, times
        self._view: _GrowingAnswer | _GrowingColumns | None = None
        self._handle = DisplayHandle()
        self._lock = threading.RLock()
        self._next_paint = self._next_rendering = 0.0
        self._ended = False

    def __enter__(self) -> Self:
        try:
            self._handle.display({"text/html": self._page(), "text/plain": _SHORT}, raw=True)
            self._waiting.start(self._tick)
            return self  # noqa: TRY300 - an interrupt may come at every step up to this one
        except KeyboardInterrupt:  # __exit__ is not called for a block that was not entered
            self._leave()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._leave(hasty=kind is not None and issubclass(kind, KeyboardInterrupt))
        except KeyboardInterrupt:  # a second one, while the last paint is made after the first
            self._leave(hasty=True)
            raise

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it and paint while it comes."""
        if isinstance(shown, Replies):
            self._view = _GrowingColumns(shown, self._waiting, times=self._times)
        else:
            self._view = _GrowingAnswer(shown, self._waiting, times=self._times)
        for cannot_wait in self._view.stream():
            now = time.monotonic()
            if cannot_wait or now >= self._next_paint:
                with self._lock:
                    page = self._paint()
                self._next_rendering = _after_rest(now, _AHEAD)
                self._next_paint = _after_rest(now, max(_FASTEST, len(page.encode()) / _BYTES_A_SECOND))
            elif now >= self._next_rendering:
                self._view.render_ahead()
                self._next_rendering = _after_rest(now, _AHEAD)

    def _paint(self) -> str:
        page = self._page()
        self._handle.update({"text/html": page, "text/plain": _SHORT}, raw=True, metadata={})
        return page

    def _tick(self) -> None:
        # The message goes to the output of this cell because the handle carries its id, whatever cell runs by then.
        with self._lock:
            if not self._ended and (self._view is None or self._view.waits):
                self._paint()

    def _leave(self, *, hasty: bool = False) -> None:
        """Make the last paint; a hasty one, after an interrupt, shows the source of what is not rendered yet."""
        self._waiting.end()
        if self._view:
            self._view.close()
        with self._lock:
            self._ended = True
            data, metadata = (self._view and self._view.output(hasty=hasty)) or (NOTHING, {})
            self._handle.update(data, raw=True, metadata=metadata)

    def _page(self) -> str:
        return self._view.page() if self._view else answer.answer_html(answer.footer_html(self._waiting.parts()))


def _after_rest(began: float, least: float) -> float:
    """Return when to render next after a rendering that ends now."""
    now = time.monotonic()
    return now + max(least, _SPARE * (now - began))
