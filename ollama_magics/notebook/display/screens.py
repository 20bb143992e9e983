"""Choose how a cell shows its replies: a notebook, a terminal, plain text, or nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

from IPython.display import display

from ollama_magics.conversation.replies import Replies
from ollama_magics.conversation.reply import Reply
from ollama_magics.conversation.reply_view import bundle, columns_bundle, columns_metadata, metadata
from ollama_magics.notebook.display.waiting import Waiting, Watch


class Quiet:
    """Asks, and shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it to its end."""
        for _ in shown.stream() if isinstance(shown, Replies) else shown:
            pass


class Still(Quiet):
    """One display for the whole, at the end, without the times: for outputs that are compared."""

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it to its end, then show what there is."""
        try:
            super().show(shown)
        finally:
            _show(shown)


def _show(shown: Reply | Replies) -> None:
    if isinstance(shown, Replies):
        display(columns_bundle(shown, times=False), raw=True, metadata=columns_metadata(shown, times=False))
        return
    shown.close()
    if shown.begun or shown.complete:
        display(bundle(shown, times=False), raw=True, metadata=metadata(shown, times=False))


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
