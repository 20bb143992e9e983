"""Show a download while it runs: one bar over all layers, with bytes, speed and the time left."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import Any

from IPython.display import DisplayHandle

from ollama_magics import messages
from ollama_magics.jobs.progress import ProgressBar
from ollama_magics.render.progress import progress_html
from ollama_magics.server.pulling import PullProgress

_FASTEST = 0.25  # seconds between two paints


def watch_pull(steps: Iterable[PullProgress], model: str, shell: Any, language: str) -> None:
    """Run a download to its end and show it; the last line says what was pulled, and stays."""
    in_kernel = getattr(shell, "kernel", None) is not None
    is_compared = os.environ.get("OLLAMA_MAGICS_STREAM") == "off"
    last = PullProgress()
    if is_compared or not in_kernel:
        bar = ProgressBar(None, "B", in_bytes=True)
        try:
            for last in steps:
                bar.resize(last.size, last.downloaded, last.reused)
        finally:
            bar.end()
        sys.stdout.write(f"{_ended(last, model, language)}\n")
        return
    _paint(steps, model, language)


def _paint(steps: Iterable[PullProgress], model: str, language: str) -> None:
    """Show the steps as one output of the cell; after an interrupt or an error it shows how far it came."""
    handle, last, next_paint, complete = DisplayHandle(), PullProgress(), 0.0, False

    def paint(figures: list[str], share: float, *, first: bool = False) -> None:
        page = progress_html(share, figures, (), language=language)
        data = {"text/html": page, "text/plain": " · ".join(figures)}
        (handle.display if first else handle.update)(data, raw=True)

    paint([model, "…"], 0, first=True)
    try:
        for last in steps:
            if time.monotonic() >= next_paint:
                paint([model, *(messages.format_fact(fact, language) for fact in last.figures())], min(last.share, 0.999))
                next_paint = time.monotonic() + _FASTEST
        complete = True
    finally:
        figures = [_ended(last, model, language)] if complete else [model, _size(last, language)]
        paint([text for text in figures if text], 1 if complete else min(last.share, 0.999))


def _size(last: PullProgress, language: str) -> str:
    if not last.size:
        return ""
    done, size = messages.bytes_text(last.downloaded), messages.bytes_text(last.size)
    return messages.phrase("pull_bytes", language, done=done, size=size)


def _ended(last: PullProgress, model: str, language: str) -> str:
    key = "pull_done_reused" if last.size and last.reused == last.size else "pull_done"
    return messages.phrase(key, language, model=model, size=messages.bytes_text(last.size))
