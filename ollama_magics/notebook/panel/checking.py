"""The Check and Save buttons, the report of a check, and the mark of a profile without one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.diagnosis.report import CheckReport
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel import fields
from ollama_magics.settings import profiles

if TYPE_CHECKING:
    from ollama_magics.session.session import Session

OnEnd = Callable[[CheckReport, bool], None]  # the report, and whether the user stopped the check


@dataclass
class _Run:
    deep: bool
    on_end: OnEnd | None  # of Save
    stop: threading.Event = field(default_factory=threading.Event)
    is_stopped: bool = False  # by the user


class CheckControls:
    """Checks the current settings in the background, one check at a time.

    ``wait_for_key`` returns when a typed key is stored. ``apply_repair`` sets a setting to a value that fixes a failure.
    ``show_message`` shows a line below the buttons. ``on_verified`` is called when the model has answered without an error.
    """

    def __init__(
        self,
        session: Session,
        wait_for_key: Callable[[], None],
        apply_repair: Callable[[str, str], None],
        show_message: Callable[[str], None],
        on_verified: Callable[[], None],
    ) -> None:
        self._session, self._wait_for_key, self._apply_repair = session, wait_for_key, apply_repair
        self._show_message, self._on_verified = show_message, on_verified
        self._lock = threading.Lock()
        self._run: _Run | None = None
        self.check, self.stop, self.ask_model = widgets.Button(), widgets.Button(), widgets.Button()
        self.report, self.repairs = widgets.HTML(), fields.indented()
        self.check.on_click(lambda _: self.begin())
        self.ask_model.on_click(lambda _: self.begin(deep=True))
        self.stop.on_click(lambda _: self._stop(by_user=True))
        self._show_running(is_running=False)
        session.own(lambda: self._stop(by_user=False))

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
        self.repairs.children = ()
        self.report.value = fields.note_html(messages.phrase("checking", self._session.language))
        fields.start(lambda: self._check(run))

    def settings_changed(self, *, by_server: bool = False) -> None:
        """Drop the report and stop the check of the former settings; where the server changed them, check again."""
        with self._lock:
            run, self._run = self._run, None
        self.report.value, self.repairs.children = "", ()
        if run is None:
            return
        run.stop.set()
        self._show_running(is_running=False)
        if by_server:
            self.begin(deep=run.deep, on_end=run.on_end)
        else:
            key = "changed_not_saved" if run.on_end else "changed_meanwhile"
            self._show_message(messages.phrase(key, self._session.language))

    def _check(self, run: _Run) -> None:
        report = None
        try:
            self._wait_for_key()
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
            self.repairs.children = () if run.deep else (self.ask_model,)
        elif report.error:
            self.repairs.children = [self._repair_button(run, setting, value) for setting, value in report.error.repairs]
        if run.deep and report.ok:
            self._on_verified()
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
        button = widgets.Button(description=text, layout=widgets.Layout(width="auto"))
        button.on_click(repair)
        return button

    def _stop(self, *, by_user: bool) -> None:
        if run := self._run:
            run.is_stopped = by_user
            run.stop.set()

    def _show_running(self, *, is_running: bool) -> None:
        self.check.disabled = is_running
        self.stop.layout.display = "" if is_running else "none"


class SaveControls:
    """Saves the settings after a check, or without one on request, and marks a profile that no check has verified.

    ``refused_field`` returns the label of a field with a refused value, which prevents saving.
    """

    def __init__(
        self, session: Session, checks: CheckControls, refused_field: Callable[[], str], show_message: Callable[[str], None]
    ) -> None:
        self._session, self._checks, self._refused_field, self._show_message = session, checks, refused_field, show_message
        self.save = widgets.Button(button_style="primary")
        self.save_anyway = widgets.Button(layout=widgets.Layout(display="none", width="auto"))
        self.mark = widgets.HTML()
        self.save.on_click(lambda _: self._check_and_save())
        self.save_anyway.on_click(lambda _: fields.start(lambda: self._save("saved_unverified")))

    def set_language(self) -> None:
        """Name the buttons in the current language."""
        language = self._session.language
        self.save.description, self.save_anyway.description = (messages.phrase(key, language) for key in ("save", "save_anyway"))
        self.update_mark()

    def hide_save_anyway(self) -> None:
        """Hide the button that saves without a check: it was about other settings, or another check."""
        self.save_anyway.layout.display = "none"

    def update_mark(self) -> None:
        """Show whether the profile in use was saved without proof."""
        is_unverified = False
        with suppress(OllamaMagicsError):  # a file that cannot be read was reported when it was to be used
            is_unverified = profiles.is_unverified(self._session.resolved.profile)
        words = (messages.phrase(key, self._session.language) for key in ("unverified", "unverified_why"))
        self.mark.value = fields.badge_html(*words) if is_unverified else ""

    def _check_and_save(self) -> None:
        def save(report: CheckReport, is_stopped: bool) -> None:  # noqa: FBT001 - an OnEnd
            if report.ok:
                self._save("profile_saved")
            elif is_stopped:
                self._save("stopped_saved")
            else:
                self._show_message(messages.phrase("not_verified", self._session.language))
                self.save_anyway.layout.display = ""

        self.hide_save_anyway()
        if label := self._refused_field():
            self._show_message(messages.phrase("fix_first", self._session.language, label=label))
        else:
            self._checks.begin(deep=True, on_end=save)

    def _save(self, key: str) -> None:
        self.hide_save_anyway()
        try:
            path = self._session.resolved.save()
        except OllamaMagicsError as error:
            error.language = self._session.language
            self._show_message(str(error))
        else:
            self._show_message(messages.phrase(key, self._session.language, path=path))
        self.update_mark()
