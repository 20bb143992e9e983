"""Choose how a cell shows its replies: a notebook, a terminal, plain text, or nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

from IPython.display import display

from ollama_magics.conversation.replies import Replies, column_views
from ollama_magics.conversation.reply import Reply, answer_view, exchange_of
from ollama_magics.notebook.display.plain import Plain
from ollama_magics.notebook.display.waiting import ServerStatus, Waiting
from ollama_magics.render.answer import answer_output, columns_output


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
        for _ in shown.stream() if isinstance(shown, Replies) else shown:
            pass


class ShownAtEnd(Quiet):
    """One display for the whole, at the end, without the times: for outputs that are compared."""

    def show(self, shown: Reply | Replies) -> None:
        """Ask for it to its end, then show what there is, also after an error."""
        try:
            super().show(shown)
        finally:
            if isinstance(shown, Replies):
                data, metadata = columns_output(column_views(shown, times=False))
                display(data, raw=True, metadata=metadata)
            else:
                shown.close()
                if exchange_of(shown).begun or shown.complete:
                    data, metadata = answer_output(answer_view(shown, times=False))
                    display(data, raw=True, metadata=metadata)


def opened(  # noqa: PLR0913 - each its own matter, by name
    shell: Any, model: str, language: str, status: Callable[[], ServerStatus], *, raw: bool = False, quiet: bool = False
) -> AbstractContextManager[Screen]:
    """Return the screen of the shell; once entered it says that it waits for the model.

    ``raw``: plain text; ``quiet``: nothing. With OLLAMA_MAGICS_STREAM=off all is shown once, at the end and without times.
    """
    in_kernel = getattr(shell, "kernel", None) is not None
    is_window = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if quiet:
        return Quiet()
    if os.environ.get("OLLAMA_MAGICS_STREAM") == "off":
        return Plain(flush=False, times=False) if raw or not in_kernel else ShownAtEnd()
    if raw or not (in_kernel or is_window):
        return Plain(flush=not in_kernel)
    if in_kernel:
        from ollama_magics.notebook.display.notebook import Notebook  # noqa: PLC0415 - only what the screen needs

        return Notebook(Waiting(model, language, status()))
    from ollama_magics.notebook.display.terminal import Terminal  # noqa: PLC0415 - brings in rich

    return Terminal(Waiting(model, language, status()))
