"""The bar of a job of more than one batch, as a widget or as text."""

from __future__ import annotations

import os
from multiprocessing import parent_process
from threading import current_thread, main_thread
from typing import Any

from ollama_magics.embeddings.report import JobStats


class Progress:
    """Shows rows, rows a second and the time left from the second batch on, where somebody looks."""

    def __init__(self, ledger: JobStats, length: int | None) -> None:
        self._ledger, self._length = ledger, length
        self._bar: Any = None
        self._is_seen = _is_seen()

    def begin(self) -> None:
        """Show the bar, unless it is there."""
        if self._bar is not None or not self._is_seen:
            return
        from tqdm.auto import tqdm  # noqa: PLC0415 - brings in ipywidgets in a notebook

        class Bar(tqdm):  # type: ignore[type-arg] # its own stubs make it generic, itself it is not
            monitor_interval = 0  # no thread of its own that would outlive the job

        self._bar = Bar(total=self._length, unit=" texts", initial=0)

    def show(self) -> None:
        """Move the bar to where the job is."""
        if self._bar is None:
            return
        if self._ledger.reused:
            self._bar.set_postfix(reused=self._ledger.reused, refresh=False)
        self._bar.update(self._ledger.done - self._bar.n)

    def end(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def _is_seen() -> bool:
    """Whether somebody looks: at a worker process nobody does, and threads would show several bars at once."""
    alone = parent_process() is None and current_thread() is main_thread()
    return alone and os.environ.get("OLLAMA_MAGICS_STREAM") != "off"  # outputs that are compared hold no times
