"""Which screen a cell has: a notebook's, a terminal's, plain text, or none."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from ollama_magics.conversation.reply.several import Replies
from ollama_magics.conversation.reply.stream import Reply
from ollama_magics.notebook.display.waiting import Waiting, Watch


class Screen(Protocol):
    """Where one reply, or several, are shown while they come."""

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it, and show it while it comes; the last paint is made when the screen is left."""


def opened(  # noqa: PLR0913 - each its own matter, by name
    shell: Any, model: str, language: str, watch: Callable[[], Watch], *, raw: bool = False, quiet: bool = False
) -> AbstractContextManager[Screen]:
    """Return the screen of the shell; once entered it says that the model is waited for.

    ``raw``: plain text; ``quiet``: nothing. With OLLAMA_MAGICS_STREAM=off all is shown once, at the end and without times.
    """
    moves = os.environ.get("OLLAMA_MAGICS_STREAM") != "off"
    in_kernel = getattr(shell, "kernel", None) is not None
    if quiet or not moves:
        return _still(quiet=quiet, raw=raw or not in_kernel)
    if raw or not (in_kernel or _is_window()):
        from ollama_magics.notebook.display.plain import Plain  # noqa: PLC0415 - each screen brings in what only it needs

        return Plain(flush=not in_kernel)
    return _moving(Waiting(model, language, watch()), in_kernel=in_kernel)


def _still(*, quiet: bool, raw: bool) -> AbstractContextManager[Screen]:
    from ollama_magics.notebook.display.plain import Plain  # noqa: PLC0415 - as above
    from ollama_magics.notebook.display.still import Quiet, Still  # noqa: PLC0415 - as above

    if quiet:
        return Quiet()
    return Plain(flush=False, times=False) if raw else Still()


def _moving(waiting: Waiting, *, in_kernel: bool) -> AbstractContextManager[Screen]:
    if in_kernel:
        from ollama_magics.notebook.display.notebook import Notebook  # noqa: PLC0415 - as above

        return Notebook(waiting)
    from ollama_magics.notebook.display.terminal import Terminal  # noqa: PLC0415 - brings in rich

    return Terminal(waiting)


def _is_window() -> bool:
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
