"""What a notebook shows of one reply, or of several beside each other, at any moment: HTML made from their state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from ollama_magics.conversation.reply.looks import body_html, bundle, columns_bundle, columns_metadata, finished_column, metadata
from ollama_magics.conversation.reply.several import Replies
from ollama_magics.conversation.reply.stream import Reply
from ollama_magics.notebook.display.waiting import Waiting
from ollama_magics.render.markdown import pieces
from ollama_magics.render.markdown.growing import Markup


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
        return pieces.answer_html(self.piece(), growing=True)

    def render_ahead(self) -> None:
        """Render the text so far."""
        self.body()

    def piece(self) -> str:
        """Return the same without what surrounds an output."""
        if self.waits:
            return pieces.waiting_html(self._waiting.parts())
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
        growing = answer.piece() if answer else pieces.waiting_html(self._waiting.parts())
        return pieces.answer_html(pieces.columns_html([*self._columns, (model, growing)]), growing=True)

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
