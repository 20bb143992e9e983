"""Threads for what a click or a choice sets going; none of them keeps the kernel from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ollama_magics.errors import Cancelled


def start(work: Callable[[], object]) -> threading.Thread:
    """Return the daemon thread that has begun the work; the end of the session ends it quietly."""
    thread = threading.Thread(target=_until_cancelled, args=(work,), daemon=True, name="ollama-panel")
    thread.start()
    return thread


def _until_cancelled(work: Callable[[], object]) -> None:
    try:
        work()
    except Cancelled:
        return  # the session was closed
