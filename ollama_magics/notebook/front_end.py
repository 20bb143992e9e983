"""What the front end that sent the running cell can do: show updates and widgets, ask the user, name its cells."""

from __future__ import annotations

import os
from typing import Any

from msgspec import Struct


class FrontEnd(Struct, frozen=True):
    """What is known of the front end of the cell that runs now; a terminal has none, as IPython runs in its own process.

    ``cell`` and ``run`` are the id of the cell and of this run of it, both empty where it does not say.
    """

    in_kernel: bool
    can_ask: bool = True  # the user can be asked for a line of text
    is_console: bool = False  # shows the first state of an output, as text: no HTML, no updates, no widgets
    shows_widgets: bool = False
    cell: str = ""
    run: str = ""


def front_end(shell: Any) -> FrontEnd:
    """Return what can be known of the front end from the request of the cell that runs now.

    No front end says what it is. JupyterLab, Notebook 7 and VS Code send ``cellId`` in the metadata; where no user can be asked
    (nbclient, nbconvert, papermill, nbval), ``allow_stdin`` is false. QtConsole, Spyder and ``jupyter console`` are written in
    Python: jupyter_client begins the id of a message with that of its session, which no front end in a browser does.
    """
    if getattr(shell, "kernel", None) is None:
        return FrontEnd(in_kernel=False)
    parent: dict[str, Any] = getattr(shell, "get_parent", dict)() or {}
    header, content = parent.get("header") or {}, parent.get("content") or {}
    request, session = str(header.get("msg_id", "")), str(header.get("session", ""))
    cell = str((parent.get("metadata") or {}).get("cellId") or "")
    can_ask = bool(content.get("allow_stdin", True))
    is_console = can_ask and not cell and bool(session) and request.startswith(f"{session}_")
    is_live_page = os.environ.get("SERVER_SOFTWARE", "").startswith("voila")  # runs the cells like nbclient, and shows widgets
    shows_widgets = is_live_page or (can_ask and not is_console)
    return FrontEnd(
        in_kernel=True,
        can_ask=can_ask,
        is_console=is_console,
        shows_widgets=shows_widgets,
        cell=cell,
        run=request if cell else "",
    )
