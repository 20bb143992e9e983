"""How replies, settings and checks reach the screen of a notebook or terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ollama_magics.notebook.display.screens import Screen
    from ollama_magics.session.session import ServerStatus


def open_screen(  # noqa: PLR0913 - each its own matter, by name
    shell: Any, model: str, language: str, status: Callable[[], ServerStatus], *, raw: bool = False, quiet: bool = False
) -> AbstractContextManager[Screen]:
    """Return the screen of the shell for replies; once entered it says that it waits for the model.

    ``raw``: plain text; ``quiet``: nothing. With OLLAMA_MAGICS_STREAM=off all is shown once, at the end and without times.
    """
    from ollama_magics.notebook.display import screens  # noqa: PLC0415 - brings in the renderer

    in_kernel = getattr(shell, "kernel", None) is not None
    is_window = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if quiet:
        return screens.Quiet()
    if os.environ.get("OLLAMA_MAGICS_STREAM") == "off":
        return screens.Plain(flush=False, times=False) if raw or not in_kernel else screens.ShownAtEnd()
    if raw or not (in_kernel or is_window):
        return screens.Plain(flush=not in_kernel)
    line = screens.Waiting(model, language, status())
    if in_kernel:
        from ollama_magics.notebook.display.notebook import Notebook  # noqa: PLC0415 - only what the screen needs

        return Notebook(line)
    from ollama_magics.notebook.display.terminal import Terminal  # noqa: PLC0415 - brings in rich

    return Terminal(line)
