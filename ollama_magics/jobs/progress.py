"""The progress bar of a job, as a widget or as text."""

from __future__ import annotations

import os
import sys
from threading import current_thread, main_thread
from typing import Any

_COLUMNS = 80  # of the line that stays


class ProgressBar:
    """Shows finished rows, their speed and the time left (if ``length`` is known), unless nobody would see it.

    It is a widget in a kernel with ipywidgets, unless ``as_text``, for front ends that show none; its last state stays as a line
    of text, since widgets take memory for as long as they live. One that is ``hidden`` shows
    nothing: while exchanges are recorded, outputs hold nothing that differs from run to run.
    """

    def __init__(
        self, length: int | None, unit: str, *, in_bytes: bool = False, as_text: bool = False, hidden: bool = False
    ) -> None:
        self._length, self._unit, self._in_bytes, self._as_text = length, unit, in_bytes, as_text
        self._bar: Any = None
        self._output: Any = None  # where the widget is shown
        # a worker process has no screen, and bars of several threads would paint over each other; outputs that are compared
        # (OLLAMA_MAGICS_STREAM=off) hold no times
        processes = sys.modules.get("multiprocessing")  # which a worker process has loaded
        is_worker = processes is not None and processes.parent_process() is not None
        is_alone = not is_worker and current_thread() is main_thread()
        self._is_visible = is_alone and not hidden and os.environ.get("OLLAMA_MAGICS_STREAM") != "off"

    def begin(self, before: str = "") -> None:
        """Show the bar, unless it is there; ``before`` is shown until the first rows are finished."""
        if self._bar is not None or not self._is_visible:
            return
        if self._as_text:
            from tqdm import tqdm  # noqa: PLC0415 - as the other
        else:
            from tqdm.auto import tqdm  # noqa: PLC0415 - brings in ipywidgets in a notebook

        class Bar(tqdm):  # type: ignore[type-arg] # its own stubs make it generic, itself it is not
            monitor_interval = 0  # no thread of its own that would outlive the job

        is_widget = any(kind.__name__ == "tqdm_notebook" for kind in Bar.__mro__)
        options: dict[str, Any] = {"display": False} if is_widget else {}
        self._bar = Bar(
            total=self._length,
            unit=self._unit if self._in_bytes else f" {self._unit}",
            initial=0,
            unit_scale=self._in_bytes,
            **options,
        )
        if is_widget:
            from tqdm import notebook  # noqa: PLC0415 - as above; it shows by IPython's display

            show: Any = vars(notebook)["display"]
            if hasattr(self._bar.container, "_ipython_display_"):  # ipywidgets 7 shows itself, where nothing can be put later
                show(self._bar.container)
            else:
                self._output = show(self._bar.container, display_id=True)
        self._bar.set_postfix_str(before)

    def update(self, done: int, reused: int) -> None:
        """Move the bar to so many finished rows, of which some were reused."""
        if self._bar is None:
            return
        if reused:
            self._bar.initial = reused  # they took no time: the rate and the time left are those of the others
            self._bar.set_postfix(reused=reused, refresh=False)
        elif done and not self._bar.n:
            self._bar.set_postfix_str("", refresh=False)
        self._bar.update(done - self._bar.n)
        if not done:
            self._bar.refresh()  # the time so far

    def resize(self, length: int, done: int, reused: int) -> None:
        """Move a bar whose length grows, and show it once there is one."""
        if not length:
            return
        self.begin()
        if self._bar is not None:
            self._bar.total, self._bar.initial = length, reused
            self._bar.update(done - self._bar.n)

    def end(self) -> None:
        """Leave the bar as it is, in text."""
        if self._bar is None:
            return
        self._bar.close()
        if self._output is not None:
            line = self._bar.format_meter(**{**self._bar.format_dict, "ncols": _COLUMNS})
            self._output.update({"text/plain": line}, raw=True)
            _close(self._bar.container)
            self._output = None
        if self._as_text:
            sys.stderr.flush()  # a kernel sends it apart from the standard output, which may come next


def _close(widget: Any) -> None:
    """Close a widget with all that it is made of."""
    for part in (*getattr(widget, "children", ()), getattr(widget, "style", None), widget.layout):
        if hasattr(part, "layout"):
            _close(part)
        elif part is not None:
            part.close()
    widget.close()
