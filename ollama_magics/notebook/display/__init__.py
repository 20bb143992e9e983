"""How replies, settings and checks reach the screen of a notebook or terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from IPython.display import display

from ollama_magics import messages
from ollama_magics.notebook.front_end import front_end
from ollama_magics.notebook.input_transforms import LastStatement
from ollama_magics.render.shown_once import ShownOnce, hide_while

if TYPE_CHECKING:
    from ollama_magics.notebook.display.screens import Screen
    from ollama_magics.session.server_status import ServerStatus


def open_screen(  # noqa: PLR0913 - each its own matter, by name
    shell: Any,
    model: str,
    language: str,
    status: Callable[[], ServerStatus],
    *,
    raw: bool = False,
    quiet: bool = False,
    recorded: bool = False,
) -> AbstractContextManager[Screen]:
    """Return the screen of the shell for replies; once entered it says that it waits for the model.

    ``raw``: plain text; ``quiet``: nothing; ``recorded``: what stays in the output holds no times. With
    OLLAMA_MAGICS_STREAM=off all is shown once, at the end and without times.
    """
    from ollama_magics.notebook.display import screens  # noqa: PLC0415 - brings in the renderer

    user = front_end(shell)
    is_page = user.in_kernel and not user.is_console
    is_window = not user.in_kernel and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if quiet:
        return screens.Quiet()
    if os.environ.get("OLLAMA_MAGICS_STREAM") == "off":
        return screens.Plain(flush=False, times=False) if raw or not is_page else screens.ShownAtEnd(recorded=recorded)
    if raw or not (is_page or is_window):
        return screens.Plain(flush=not user.in_kernel, times=not recorded)
    from ollama_magics.notebook.display.waiting import Waiting  # noqa: PLC0415 - as above

    line = Waiting(model, language, status())
    if is_page:
        from ollama_magics.notebook.display.notebook import Notebook  # noqa: PLC0415 - only what the screen needs

        return Notebook(line, times=not recorded)
    from ollama_magics.notebook.display.terminal import Terminal  # noqa: PLC0415 - brings in rich

    return Terminal(line)


class ShownValues:
    """Hides what a cell has shown where it is also the value of that cell; ``display()`` and a name on the last line show it."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._values: list[ShownOnce] = []

    def add(self, value: ShownOnce, *, quiet: bool = False) -> None:
        """Hide the value until the cell is done; one that is ``quiet``, so not shown, only where the magic is the last line."""
        transformers = self._shell.ast_transformers
        last = next((found.kind for found in transformers if isinstance(found, LastStatement)), "")
        if last == "magic" or (last != "name" and not quiet):
            self._values.append(value)
            hide_while(value, _is_value_of_cell)

    def forget(self, *_: Any) -> None:
        """Let all values show themselves again: their cell is done."""
        for value in self._values:
            hide_while(value, None)
        self._values.clear()


def _is_value_of_cell() -> bool:
    """Return whether a value is asked to show itself by something else than display()."""
    frame = sys._getframe()  # noqa: SLF001 - IPython does not say who asks
    while frame.f_back:
        frame = frame.f_back
        if frame.f_code is display.__code__:
            return False
    return True


class NextCells:
    """Knows which code each cell has put into a cell below, since no front end lets a kernel change or remove that cell."""

    def __init__(self) -> None:
        self._codes: dict[str, str] = {}  # by the id of the cell

    def offer(self, text: str, shell: Any, language: str) -> None:
        """Put the first block of code of an answer into a new cell below, or the next line of a terminal, or say why not."""
        from ollama_magics.render import markdown  # noqa: PLC0415 - brings in the renderer

        user = front_end(shell)  # nbclient, papermill and nbval, where no user can be asked, drop the new cell
        has_next_cell = user.can_ask if user.in_kernel else hasattr(shell, "pt_app")
        code, cell = markdown.first_code(text), user.cell
        said = "no_code" if code is None else "" if has_next_cell else "no_next_cell"
        before = self._codes.pop(cell, None)
        if not said and cell and before is not None:
            said = "next_cell_same" if before == code else "next_cell_again"
        if said:
            sys.stdout.write(messages.phrase(said, language) + "\n")
        if code is not None and said in ("", "next_cell_again"):
            self._codes |= {cell: code} if cell else {}
            shell.set_next_input(code.rstrip("\n"))
