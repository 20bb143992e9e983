"""Show a download while it runs: one bar over all layers, with bytes, speed and the time left."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from IPython.display import DisplayHandle

from ollama_magics import messages
from ollama_magics.jobs.progress import ProgressBar
from ollama_magics.notebook.front_end import front_end
from ollama_magics.render.progress import progress_html
from ollama_magics.server.pulling import PullProgress

_FASTEST = 0.25  # seconds between two paints


def watch_pull(steps: Iterable[PullProgress], model: str, shell: Any, language: str, *, recorded: bool = False) -> None:
    """Run a download to its end and show it; the last line says what was pulled, and stays, alone where it is ``recorded``."""
    user = front_end(shell)
    is_compared = recorded or os.environ.get("OLLAMA_MAGICS_STREAM") == "off"
    last = PullProgress()
    if is_compared or not user.in_kernel or user.is_console:
        bar = ProgressBar(None, "B", in_bytes=True, as_text=True, hidden=is_compared)
        try:
            for last in steps:
                bar.resize(last.size, last.downloaded, last.reused)
        finally:
            bar.end()
        sys.stdout.write(f"{pulled_text(last, model, language)}\n")
        return
    handle = DisplayHandle()
    show = handle.display

    def paint(page: str, text: str) -> None:
        nonlocal show
        show({"text/html": page, "text/plain": text}, raw=True)
        show = handle.update

    paint_pull(steps, model, language, paint)


def paint_pull(steps: Iterable[PullProgress], model: str, language: str, show: Callable[[str, str], object]) -> PullProgress:
    """Run a download to its end and return its last step; ``show`` gets HTML and text of how far it is, also after an error."""
    last, next_paint, complete = PullProgress(), 0.0, False

    def paint(figures: list[str], share: float) -> None:
        show(progress_html(share, figures, (), language=language), " · ".join(figures))

    paint([model, "…"], 0)
    try:
        for last in steps:
            if time.monotonic() >= next_paint:
                paint([model, *(messages.format_fact(fact, language) for fact in last.figures())], min(last.share, 0.999))
                next_paint = time.monotonic() + _FASTEST
        complete = True
    finally:
        figures = [pulled_text(last, model, language)] if complete else [model, _size(last, language)]
        paint([text for text in figures if text], 1 if complete else min(last.share, 0.999))
    return last


def _size(last: PullProgress, language: str) -> str:
    if not last.size:
        return ""
    done, size = messages.bytes_text(last.downloaded), messages.bytes_text(last.size)
    return messages.phrase("pull_bytes", language, done=done, size=size)


def pulled_text(last: PullProgress, model: str, language: str) -> str:
    """Return what was downloaded, as a sentence."""
    key = "pull_done_reused" if last.size and last.reused == last.size else "pull_done"
    return messages.phrase(key, language, model=model, size=messages.bytes_text(last.size))
