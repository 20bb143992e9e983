"""Replies in a terminal: finished blocks are printed once, the open one is repainted, thoughts are dim."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment, Segments
from rich.syntax import Syntax
from rich.text import Text

from ollama_magics.conversation.exchange import Exchange
from ollama_magics.conversation.reply import live_figures
from ollama_magics.notebook.display.screens import ForwardScreen
from ollama_magics.notebook.display.waiting import Waiting
from ollama_magics.render import cleaning, markdown

_FASTEST = 0.1  # seconds between two paints
_MARGIN = 3  # lines of the window that the open block leaves free, one of them for the figures


class Terminal(ForwardScreen):
    """A window of which the lower end is repainted."""

    _thoughts = _text = ""  # what has come and is not printed yet

    def __init__(self, waiting: Waiting) -> None:
        super().__init__()
        self._waiting = waiting
        self._console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, transient=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._lock = threading.RLock()
        self._is_waiting = True
        self._due = 0.0
        self._start_answer()

    def __enter__(self) -> Self:
        try:
            self._live.start()
            self._wait()
            self._waiting.start(self._tick)
            return self  # noqa: TRY300 - an interrupt may come at every step up to this one
        except KeyboardInterrupt:  # __exit__ is not called for a block that was not entered
            self._leave()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._leave()
        except KeyboardInterrupt:  # a second one
            self._leave()
            raise

    def begin(self, model: str, heading: str) -> None:
        """Print the heading and wait."""
        with self._lock:
            self._start_answer()
            self._waiting.model = model
            if heading:
                self._waiting.begin(model)
                self._console.print(Text(cleaning.plain(heading), style="bold"))
            self._is_waiting = True
            self._wait()

    def grow(self, exchange: Exchange) -> None:
        """Print the blocks that are finished, and repaint the open one."""
        calls = bool(exchange.tool_loop.now.calls)  # the user may be asked for permission below the text
        if not exchange.begun or (time.monotonic() < self._due and not calls):
            return
        with self._lock:
            self._is_waiting = False
            self._take(exchange)
            if calls:
                self._print_rest()
            elif not exchange.value.is_expected:
                self._print_finished()
            if not self._text:
                open_end: RenderableType = _dim(self._thoughts)
            else:
                open_end = _markdown(self._text) if not exchange.value.is_expected else Text(self._text)
            figures = "" if calls else cleaning.plain(" · ".join(live_figures(exchange)))  # a question is asked on the next line
            self._live.update(Group(_Tail(open_end), Text(figures, style="dim")) if figures else _Tail(open_end), refresh=True)
        self._due = time.monotonic() + _FASTEST

    def end_round(self, text: str, lines: list[str]) -> None:  # noqa: ARG002 - it is printed when the calls have come
        """Print the calls."""
        with self._lock:
            self._print_small(lines)
            self._cleaned_text, self._has_printed = cleaning.Cleaned(), True
            self._seen_text = self._late_thoughts = 0

    def finish(self, exchange: Exchange, lines: list[str]) -> None:
        """Print the rest for good, and the lines small."""
        with self._lock:
            self._is_waiting = False
            self._take(exchange)
            if not exchange.value.is_expected:
                self._print_rest()
            else:
                self._print(self._thoughts + self._cleaned_thoughts.rest(), "")
                self._live.update(Text(""), refresh=True)
                if data := cleaning.plain(exchange.shown_text):
                    self._console.print(Syntax(data, "json", theme="ansi_dark", background_color="default", word_wrap=True))
            self._print_small(lines)

    def _leave(self) -> None:
        self._waiting.end()
        with self._lock:
            self._is_waiting = False
            self._live.update(Text(""))
            self._end()
            self._live.stop()

    def _print_small(self, lines: list[str]) -> None:
        self._live.update(Text(""), refresh=True)
        for line in lines:
            self._console.print(Text(cleaning.plain(line), style="dim"))

    def _print_rest(self) -> None:
        self._print(self._thoughts + self._cleaned_thoughts.rest(), self._text + self._cleaned_text.rest())
        self._thoughts = self._text = ""

    def _start_answer(self) -> None:
        self._cleaned_thoughts, self._cleaned_text = cleaning.Cleaned(), cleaning.Cleaned()
        self._thoughts = self._text = ""
        self._seen_thoughts = self._seen_text = self._late_thoughts = 0
        self._has_printed = False

    def _take(self, exchange: Exchange) -> None:
        thoughts, text, late = exchange.thinking, exchange.partial_text, exchange.tool_loop.now.late_thoughts
        if late != self._late_thoughts:  # the text so far was thoughts; what is printed of it stays
            self._thoughts, self._text = self._text, ""
            self._cleaned_thoughts, self._cleaned_text = self._cleaned_text, cleaning.Cleaned()
            self._seen_thoughts, self._seen_text, self._late_thoughts = self._seen_text, 0, late
        self._thoughts += self._cleaned_thoughts.feed(thoughts[self._seen_thoughts :])
        self._text += self._cleaned_text.feed(text[self._seen_text :])
        self._seen_thoughts, self._seen_text = len(thoughts), len(text)

    def _print_finished(self) -> None:
        thoughts = len(self._thoughts) if self._text else self._thoughts.rfind("\n") + 1
        text = markdown.finished(self._text)
        self._print(self._thoughts[:thoughts], self._text[:text])
        self._thoughts, self._text = self._thoughts[thoughts:], self._text[text:]

    def _print(self, thoughts: str, text: str) -> None:
        if thoughts.strip() or text.strip():
            self._live.update(Text(""), refresh=True)  # else it would be painted again below what is printed
        if thoughts.strip():
            self._console.print(_dim(thoughts))
            self._has_printed = True
        if text.strip():
            self._console.print(*([""] if self._has_printed else []), _markdown(text), sep="\n")
            self._has_printed = True

    def _wait(self) -> None:
        self._live.update(Text(cleaning.plain(" · ".join(self._waiting.parts())), style="dim"), refresh=True)

    def _tick(self) -> None:
        with self._lock:
            if self._is_waiting:
                self._wait()


class _Tail:
    """The lower end of something that may be higher than the window."""

    def __init__(self, shown: RenderableType) -> None:
        self._shown = shown

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterable[RenderableType]:
        lines = console.render_lines(self._shown, options.update(height=None), pad=False)
        for line in lines[-max(1, console.height - _MARGIN) :]:
            yield Segments([*line, Segment.line()])


def _dim(thoughts: str) -> Text:
    return Text(thoughts.rstrip("\n"), style="dim italic")


def _markdown(text: str) -> Markdown:
    shown = Markdown("", code_theme="ansi_dark", hyperlinks=False)
    shown.parsed = markdown.words_only(text)
    return shown
