"""Show a job of rows: a bar and the rows that were done last while it runs, and its first rows, errors and figures at the end."""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Protocol

from IPython.display import DisplayHandle, display

from ollama_magics.jobs.progress import ProgressBar
from ollama_magics.messages import strip_controls
from ollama_magics.render.progress import progress_html, progress_text
from ollama_magics.rows.progress import RowsView

_FASTEST = 0.25  # seconds between two paints
_BYTES_A_SECOND = 60_000  # that go to the browser while a job runs
_SHORT = "…"  # the plain text of a paint that is not the last


class RowsScreen(Protocol):
    """Where a job is shown."""

    def update(self, view: RowsView) -> None:
        """Show how far it is."""

    def end(self, view: RowsView) -> None:
        """Show its first rows, its errors and figures."""


def rows_screen(shell: Any, language: str, *, quiet: bool = False) -> RowsScreen:
    """Return the screen of the shell for a job; with OLLAMA_MAGICS_STREAM=off there is only the end, without times."""
    in_kernel = getattr(shell, "kernel", None) is not None
    if quiet:
        return _Nothing()
    if os.environ.get("OLLAMA_MAGICS_STREAM") == "off":
        return _Text(language, times=False, in_kernel=in_kernel)
    return _Notebook(language) if in_kernel else _Text(language)


class _Nothing:
    def update(self, view: RowsView) -> None:
        pass

    def end(self, view: RowsView) -> None:
        pass


class _Notebook:
    """One output of the cell, which is painted again as often as its size allows."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._handle: DisplayHandle | None = None
        self._next_paint = 0.0

    def update(self, view: RowsView) -> None:
        now = time.monotonic()
        if now < self._next_paint or not view.state.done:
            return
        page = progress_html(view.share, _texts(view.figures(), self._language), view.latest(), language=self._language)
        self._paint({"text/html": page, "text/plain": _SHORT})
        self._next_paint = now + max(_FASTEST, len(page.encode()) / _BYTES_A_SECOND)

    def end(self, view: RowsView) -> None:
        self._paint(_whole(view, self._language))

    def _paint(self, data: dict[str, str]) -> None:
        if self._handle is None:
            self._handle = DisplayHandle()
            self._handle.display(data, raw=True)
        else:
            self._handle.update(data, raw=True)


class _Text:
    """A bar of tqdm, then lines of text."""

    def __init__(self, language: str, *, times: bool = True, in_kernel: bool = False) -> None:
        self._language, self._times, self._in_kernel = language, times, in_kernel
        self._bar: ProgressBar | None = None

    def update(self, view: RowsView) -> None:
        if self._bar is None:
            self._bar = ProgressBar(len(view.rows), "rows")
            self._bar.begin()
        self._bar.update(view.state.done, view.state.reused)

    def end(self, view: RowsView) -> None:
        if self._bar:
            self.update(view)
            self._bar.end()
        data = _whole(view, self._language, times=self._times)
        if self._in_kernel:
            display(data, raw=True)
        else:
            sys.stdout.write(f"{data['text/plain']}\n")


def _whole(view: RowsView, language: str, *, times: bool = True) -> dict[str, str]:
    figures, warnings = _texts(view.figures(times=times), language), _texts(view.warnings(times=times), language)
    page = progress_html(1, figures, view.head(), warnings, language=language)
    return {"text/html": page, "text/plain": progress_text(figures, view.head(), warnings)}


def _texts(phrases: Any, language: str) -> list[str]:
    return [strip_controls(phrase.text(language)) for phrase in phrases]
