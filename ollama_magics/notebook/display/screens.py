"""The screens that need no repainting: nothing, the whole at the end, and plain text."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, Self

from IPython.display import display

from ollama_magics.conversation.exchange import Exchange
from ollama_magics.conversation.replies import Replies, column_views
from ollama_magics.conversation.reply import Reply, answer_view, exchange_of, round_view
from ollama_magics.render import cleaning
from ollama_magics.render.answer import Output, answer_output, call_line, columns_output


class Screen(Protocol):
    """Where one reply, or several, are shown while they come."""

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it, and show it while it comes; the last paint is made when the screen is left."""


class Quiet:
    """Asks, and shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it to its end."""
        for _ in shown.stream() if isinstance(shown, Replies) else shown.chunks():
            pass


# what stays of the waiting line after an error before the first word
NOTHING: dict[str, str] = {"text/html": "", "text/plain": ""}


class ShownAtEnd(Quiet):
    """One display for the whole, at the end, without the times: for outputs that are compared.

    One that is ``recorded`` leaves what a front end that streams leaves, also where there is no answer.
    """

    def __init__(self, *, recorded: bool = False) -> None:
        self._leaves_nothing = not recorded

    def __exit__(self, *_: object) -> None:
        if not self._leaves_nothing:
            display(NOTHING, raw=True)

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it to its end, then show what there is, also after an error."""
        try:
            super().show(shown)
        finally:
            if isinstance(shown, Replies):
                self._display(columns_output(column_views(shown, times=False)))
            else:
                shown.close()
                if exchange_of(shown).begun or shown.complete:
                    self._display(answer_output(answer_view(shown, times=False)))

    def _display(self, output: Output) -> None:
        self._leaves_nothing = True
        data, metadata = output
        display(data, raw=True, metadata=metadata)


class ForwardScreen(ABC):
    """What the screens have in common that write one answer after another."""

    _shown: Reply | Replies | None = None
    _place, _written_rounds = -1, 0

    def __init__(self, *, times: bool = True) -> None:
        self._times = times

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it, and write while it comes; the end of the last answer is written when the screen is left."""
        self._shown = shown
        for place in shown.stream() if isinstance(shown, Replies) else (0 for _ in shown.chunks()):
            reply = shown[place] if isinstance(shown, Replies) else shown
            if place != self._place:
                self._end()
                self._place, self._written_rounds = place, 0
                self.begin(reply.model, reply.model if isinstance(shown, Replies) else "")
            self._end_rounds(exchange_of(reply))
            self.grow(exchange_of(reply))

    @abstractmethod
    def begin(self, model: str, heading: str) -> None:
        """Begin an answer of the model; the heading is empty where there is but one answer."""

    @abstractmethod
    def grow(self, exchange: Exchange) -> None:
        """Write what is new in the answer."""

    @abstractmethod
    def end_round(self, text: str, lines: list[str]) -> None:
        """Write the rest of a text that ended in calls of functions, and the calls; another text follows."""

    @abstractmethod
    def finish(self, exchange: Exchange, lines: list[str]) -> None:
        """Write the rest of the answer, and the lines under it."""

    def _end(self) -> None:
        shown, place = self._shown, self._place
        if shown is None or place < 0:
            return
        reply = shown[place] if isinstance(shown, Replies) else shown
        reply.close()
        exchange = exchange_of(reply)
        self._end_rounds(exchange)
        view = answer_view(reply, times=self._times, in_column=isinstance(shown, Replies))
        lines = [call_line(call) for call in view.calls]
        if exchange.begun or exchange.complete:
            lines += [" · ".join(view.figures), *view.warnings]
        if isinstance(shown, Replies) and (error := shown.errors.get(place)):
            lines += error.lines()
        self.finish(exchange, lines)

    def _end_rounds(self, exchange: Exchange) -> None:
        for one in map(round_view, exchange.tool_loop.ended[self._written_rounds :]):
            self._written_rounds += 1
            self.end_round(one.text, [call_line(call) for call in one.calls])


class Plain(ForwardScreen):
    """Writes to the standard output; a kernel gathers what is not flushed into a few messages a second."""

    def __init__(self, *, flush: bool, times: bool = True) -> None:
        super().__init__(times=times)
        self._flush = flush

    def begin(self, model: str, heading: str) -> None:  # noqa: ARG002 - the heading is all of the model that is written
        """Write the heading."""
        self._cleaned, self._known = cleaning.Cleaned(), 0
        if heading:
            sys.stdout.write(f"{cleaning.plain(heading)}\n")

    def grow(self, exchange: Exchange) -> None:
        """Write what is new."""
        new, self._known = exchange.tool_loop.now.pieces_after(self._known)
        sys.stdout.write(self._cleaned.feed("".join(new)))
        if self._flush:
            sys.stdout.flush()

    def end_round(self, text: str, lines: list[str]) -> None:
        """Write what was held back, and the calls."""
        end = "\n" if text else ""
        sys.stdout.write(self._cleaned.rest() + end + "".join(f"{line}\n" for line in lines))
        self._cleaned, self._known = cleaning.Cleaned(), 0

    def finish(self, exchange: Exchange, lines: list[str]) -> None:
        """Write what was held back, and the lines."""
        end = "\n" if exchange.partial_text else ""
        sys.stdout.write(self._cleaned.rest() + end + "".join(f"{cleaning.plain(line)}\n" for line in lines))
        sys.stdout.flush()
