"""Show a job of rows: a bar and the rows that were done last while it runs, and its first rows, errors and figures at the end."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Self

from IPython.display import DisplayHandle, display

from ollama_magics.messages import strip_controls
from ollama_magics.notebook.front_end import front_end
from ollama_magics.render.progress import progress_html, progress_text
from ollama_magics.rows.progress import RowsBar, RowsView

_FASTEST = 0.25  # seconds between two paints
_BYTES_A_SECOND = 60_000  # that go to the browser while a job runs
_SHORT = "…"  # the plain text of a paint that is not the last


class RowsScreen:
    """Shows nothing; also where a job is shown that ends by itself, by an error or by an interrupt."""

    times = True  # whether what changes from run to run stays in the output
    _view: RowsView | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._view:
            self.end(self._view)

    def update(self, view: RowsView) -> None:
        """Show how far a job is; the last view is shown at the end."""
        self._view = view

    def end(self, view: RowsView) -> None:
        """Show the first rows of a job, its errors and figures."""

    def finish(self, data: dict[str, str]) -> None:  # noqa: ARG002 - for those that show something
        """Show this at the end instead."""
        self._view = None


class _Notebook(RowsScreen):
    """One output of the cell, which is painted again as often as its size allows."""

    def __init__(self, language: str, *, times: bool) -> None:
        self._language, self.times = language, times
        self._handle: DisplayHandle | None = None
        self._next_paint = 0.0

    def update(self, view: RowsView) -> None:
        super().update(view)
        now = time.monotonic()
        if now < self._next_paint or not view.state.done:
            return
        page = progress_html(view.share, _texts(view.figures(), self._language), view.latest(), language=self._language)
        self._paint({"text/html": page, "text/plain": _SHORT})
        self._next_paint = now + max(_FASTEST, len(page.encode()) / _BYTES_A_SECOND)

    def end(self, view: RowsView) -> None:
        self._paint(_whole(view, self._language, times=self.times))

    def finish(self, data: dict[str, str]) -> None:
        super().finish(data)
        self._paint(data)

    def _paint(self, data: dict[str, str]) -> None:
        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(data, raw=True)
        else:
            self._handle.update(data, raw=True)


class _Text(RowsScreen):
    """A bar of tqdm, then lines of text."""

    def __init__(self, language: str, *, times: bool = True, is_page: bool = False) -> None:
        self._language, self.times, self._is_page = language, times, is_page
        self._bar = RowsBar(as_text=True, hidden=not times)

    def update(self, view: RowsView) -> None:
        super().update(view)
        self._bar.update(view)

    def end(self, view: RowsView) -> None:
        self._bar.update(view)
        self._write(_whole(view, self._language, times=self.times))

    def finish(self, data: dict[str, str]) -> None:
        super().finish(data)
        self._write(data)

    def _write(self, data: dict[str, str]) -> None:
        self._bar.end()
        if self._is_page:
            display(data, raw=True)
        else:
            sys.stdout.write(f"{data['text/plain']}\n")


def rows_screen(shell: Any, language: str, *, quiet: bool = False, recorded: bool = False) -> RowsScreen:
    """Return the screen of the shell for a job; with OLLAMA_MAGICS_STREAM=off there is only the end, without times.

    Where the job is ``recorded``, what stays in the output holds no times either.
    """
    user = front_end(shell)
    is_page = user.in_kernel and not user.is_console
    if quiet:
        return RowsScreen()
    if os.environ.get("OLLAMA_MAGICS_STREAM") == "off":
        return _Text(language, times=False, is_page=is_page)
    return _Notebook(language, times=not recorded) if is_page else _Text(language, times=not recorded)


def _whole(view: RowsView, language: str, *, times: bool = True) -> dict[str, str]:
    figures, warnings = _texts(view.figures(times=times), language), _texts(view.warnings(), language)
    page = progress_html(1, figures, view.head(), warnings, language=language)
    return {"text/html": page, "text/plain": progress_text(figures, view.head(), warnings)}


def _texts(phrases: Any, language: str) -> list[str]:
    return [strip_controls(phrase.text(language)) for phrase in phrases]
