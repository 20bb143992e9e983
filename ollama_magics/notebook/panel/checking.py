"""The Check button and the report of a check."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.diagnosis.report import CheckReport
from ollama_magics.notebook.panel import fields
from ollama_magics.notebook.panel.form_widgets import FormWidgets, set_shown

if TYPE_CHECKING:
    from ollama_magics.session.session import Session

OnEnd = Callable[[CheckReport, bool], None]  # the report, and whether the user stopped the check
# A front end holds back what was typed into a field while the kernel is busy with an earlier text of that field, but not a
# click. What arrives so soon after the click was typed before it.
_HELD_BACK = 2.0  # seconds


@dataclass
class _Run:
    deep: bool
    on_end: OnEnd | None  # of Save
    stop: threading.Event = field(default_factory=threading.Event)
    is_stopped: bool = False  # by the user
    is_waiting: bool = True  # for the key; the settings are read after that
    began: float = field(default_factory=time.monotonic)


class CheckControls:
    """Checks the current settings in the background, one check at a time.

    ``wait_for_key`` returns when a typed key is stored. ``apply_repair`` sets a setting to a value that fixes a failure.
    ``show_message`` shows a line below the buttons. ``on_passed`` is called after a check without an error.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what a check reads and changes
        self,
        parts: FormWidgets,
        session: Session,
        wait_for_key: Callable[[], None],
        apply_repair: Callable[[str, str], None],
        show_message: Callable[[str], None],
        on_passed: Callable[[], None],
    ) -> None:
        self._parts, self._session = parts, session
        self._wait_for_key, self._apply_repair = wait_for_key, apply_repair
        self._show_message, self._on_passed = show_message, on_passed
        self._lock = threading.Lock()
        self._run: _Run | None = None
        self.check, self.stop, self.ask_model = (parts.make(widgets.Button) for _ in range(3))
        self.report, self.repairs = parts.make(widgets.HTML), parts.indented()
        self.check.on_click(lambda _: self.begin())
        self.ask_model.on_click(lambda _: self.begin(deep=True))
        self.stop.on_click(lambda _: self._stop(by_user=True))
        self._show_running(is_running=False)

    def set_language(self) -> None:
        """Name the buttons in the current language."""
        language = self._session.language
        self.check.description, self.ask_model.description = (messages.label(key, language) for key in ("check", "ask_model"))
        self.stop.description = messages.phrase("stop", language)

    def begin(self, *, deep: bool = False, on_end: OnEnd | None = None) -> None:
        """Start a check, unless one runs that does as much; ``on_end`` is not called where the settings change meanwhile.

        ``deep``: the model is asked, too.
        """
        with self._lock:
            running = self._run
            if running and running.deep >= deep:
                running.on_end = running.on_end or on_end
                return
            self._run = run = _Run(deep, on_end)
        if running:  # it would end before the model is asked
            running.stop.set()
        self._show_running(is_running=True)
        self._offer()
        self.report.value = fields.note_html(messages.phrase("checking", self._session.language))
        fields.start(lambda: self._check(run))

    def settings_changed(self, *, by_server: bool = False) -> None:
        """Drop the report and stop the check of the former settings.

        It begins again where the server changed them, or where the change was typed before the click.
        """
        with self._lock:
            run = self._run
            if run and run.is_waiting:
                return
            self._run = None
        self.report.value = ""
        self._offer()
        if run is None:
            return
        run.stop.set()
        self._show_running(is_running=False)
        if by_server or time.monotonic() - run.began < _HELD_BACK:
            self.begin(deep=run.deep, on_end=run.on_end)
        else:
            key = "changed_not_saved" if run.on_end else "changed_meanwhile"
            self._show_message(messages.phrase(key, self._session.language))

    def _check(self, run: _Run) -> None:
        report = None
        try:
            self._wait_for_key()
            with self._lock:
                run.is_waiting = False
            report = self._make_report(run)
        finally:
            with self._lock:
                is_current = self._run is run
                if is_current:
                    self._run = None
            if is_current:
                self._show_running(is_running=False)
        if report is None or not is_current:
            return

        self.report.value = report.as_html()
        if report.ok:
            self._offer(*(() if run.deep else (self.ask_model,)))
            self._on_passed()
        elif report.error:
            self._offer(*(self._repair_button(run, setting, value) for setting, value in report.error.repairs))
        if run.on_end:
            run.on_end(report, run.is_stopped)

    def _make_report(self, run: _Run) -> CheckReport:
        def show(report: CheckReport) -> None:
            if self._run is run:
                self.report.value = report.as_html()

        return self._session.check(show, deep=run.deep, stop=run.stop)

    def _repair_button(self, run: _Run, setting: str, value: str) -> Any:
        def repair(_: object) -> None:
            self._apply_repair(setting, value)
            self.begin(deep=run.deep, on_end=run.on_end)

        text = messages.phrase("repair", self._session.language, value=value)
        button = self._parts.make(widgets.Button, description=text, layout={"width": "auto"})
        button.on_click(repair)
        return button

    def _offer(self, *buttons: Any) -> None:
        """Show these buttons below the report, and close those that they replace."""
        former, self.repairs.children = self.repairs.children, buttons
        for button in former:
            if button not in (*buttons, self.ask_model):
                self._parts.close_one(button)

    def close(self) -> None:
        """End the check."""
        self._stop(by_user=False)

    def _stop(self, *, by_user: bool) -> None:
        if run := self._run:
            run.is_stopped = by_user
            run.stop.set()

    def _show_running(self, *, is_running: bool) -> None:
        self.check.disabled = is_running
        set_shown(self.stop, is_shown=is_running)
