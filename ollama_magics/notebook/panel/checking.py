"""The Check and Save buttons: one check at a time, and what is saved after it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.diagnosis import stages
from ollama_magics.diagnosis.report import CheckReport
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel import fields
from ollama_magics.session.session import Session

Ended = Callable[[CheckReport, bool], None]  # the report, and whether the person stopped it


@dataclass
class _Run:
    deep: bool
    ended: Ended | None  # what Save does with it
    stop: threading.Event = field(default_factory=threading.Event)
    is_stopped: bool = False  # by the person


class Checking:
    """Runs checks in the background, of the settings as they are.

    ``wait`` returns when a key that was typed is kept, ``repair`` sets a setting to a value that mends a failure, ``tell``
    says something below the buttons, and ``proved`` is called when the model itself was asked and nothing was wrong.
    """

    def __init__(
        self,
        session: Session,
        wait: Callable[[], None],
        repair: Callable[[str, str], None],
        tell: Callable[[str], None],
        proved: Callable[[], None],
    ) -> None:
        self._session, self._wait, self._repair, self._tell, self._proved = session, wait, repair, tell, proved
        self._lock = threading.Lock()
        self._run: _Run | None = None
        self.check, self.stop, self.ask_model = widgets.Button(), widgets.Button(), widgets.Button()
        self.report, self.offers = widgets.HTML(), fields.indented()
        self.check.on_click(lambda _: self.begin())
        self.ask_model.on_click(lambda _: self.begin(deep=True))
        self.stop.on_click(lambda _: self._stop(by_person=True))
        self._show_running(is_running=False)
        session.own(lambda: self._stop(by_person=False))

    def label(self) -> None:
        """Name the buttons in the language of now."""
        language = self._session.language
        self.check.description, self.ask_model.description = (messages.label(key, language) for key in ("check", "ask_model"))
        self.stop.description = messages.phrase("stop", language)

    def begin(self, *, deep: bool = False, ended: Ended | None = None) -> None:
        """Check in the background; a second click is the same check. ``ended`` is not called where the settings changed."""
        with self._lock:
            running = self._run
            if running and running.deep >= deep:
                running.ended = running.ended or ended
                return
            self._run = run = _Run(deep, ended)
        if running:  # it would end before the model is asked
            running.stop.set()
        self._begun()
        fields.start(lambda: self._check(run))

    def settings_changed(self, *, by_server: bool = False) -> None:
        """Drop the report, and the check that runs, of what the settings were; where the server filled them, check anew."""
        with self._lock:
            run, self._run = self._run, None
        self.report.value, self.offers.children = "", ()
        if run is None:
            return
        run.stop.set()
        self._show_running(is_running=False)
        if by_server:
            self.begin(deep=run.deep, ended=run.ended)
        else:
            self._tell(messages.phrase("changed_not_saved" if run.ended else "changed_meanwhile", self._session.language))

    def _check(self, run: _Run) -> None:
        report = None
        try:
            self._wait()
            report = self._found(run)
        finally:
            with self._lock:
                is_late = self._run is not run
                self._run = self._run if is_late else None
            if not is_late:
                self._show_running(is_running=False)
        if report is not None and not is_late:
            self._end(run, report)

    def _found(self, run: _Run) -> CheckReport | None:
        self._session.forget_models()
        try:
            question = self._session.question(deep=run.deep)
        except OllamaMagicsError as error:  # a variable that should hold the key, and does not
            error.language = self._session.language
            self.report.value = fields.small(str(error), is_loud=True)
            return None
        return stages.check(question, lambda report: self._paint(run, report), stop=run.stop)

    def _begun(self) -> None:
        self._show_running(is_running=True)
        self.offers.children = ()
        self.report.value = fields.small(messages.phrase("checking", self._session.language))

    def _paint(self, run: _Run, report: CheckReport) -> None:
        if self._run is run:
            self.report.value = report.as_html()

    def _end(self, run: _Run, report: CheckReport) -> None:
        self.report.value = report.as_html()
        self.offers.children = self._offered(run, report)
        if run.deep and report.ok:
            self._proved()
        if run.ended:
            run.ended(report, run.is_stopped)

    def _offered(self, run: _Run, report: CheckReport) -> tuple[Any, ...]:
        if report.ok:
            return () if run.deep else (self.ask_model,)
        repairs = report.error.repairs if report.error else ()
        return tuple(self._button(run, setting, value) for setting, value in repairs)

    def _button(self, run: _Run, setting: str, value: str) -> Any:
        text = messages.phrase("repair", self._session.language, value=value)

        def mend(_: object) -> None:
            self._repair(setting, value)
            self.begin(deep=run.deep, ended=run.ended)

        button = widgets.Button(description=text, layout=widgets.Layout(width="auto"))
        button.on_click(mend)
        return button

    def _stop(self, *, by_person: bool) -> None:
        if run := self._run:
            run.is_stopped = by_person
            run.stop.set()

    def _show_running(self, *, is_running: bool) -> None:
        self.check.disabled = is_running
        self.stop.layout.display = "" if is_running else "none"


class Saving:
    """The buttons that save, and the mark of a profile that no check has proved; ``refused`` names a field that blocks it."""

    def __init__(self, session: Session, checking: Checking, refused: Callable[[], str], tell: Callable[[str], None]) -> None:
        self._session, self._checking, self._refused, self._tell = session, checking, refused, tell
        self.save = widgets.Button(button_style="primary")
        self.anyway = widgets.Button(layout=widgets.Layout(display="none", width="auto"))
        self.mark = widgets.HTML()
        self.save.on_click(lambda _: self._verify())
        self.anyway.on_click(lambda _: fields.start(lambda: self._keep("profile_saved", verified=False)))

    def label(self) -> None:
        """Name the buttons in the language of now."""
        language = self._session.language
        self.save.description, self.anyway.description = (messages.phrase(key, language) for key in ("save", "save_anyway"))
        self.show_mark()

    def show_mark(self) -> None:
        """Say whether the saved profile is one that no check has proved."""
        is_unverified = False
        with suppress(OllamaMagicsError):  # a file that cannot be read was told when it was to be used
            is_unverified = self._session.in_force.is_unverified()
        words = (messages.phrase(key, self._session.language) for key in ("unverified", "unverified_why"))
        self.mark.value = fields.mark(*words) if is_unverified else ""

    def withdraw(self) -> None:
        """Offer no longer to save without a check: it was about other settings, or another check."""
        self.anyway.layout.display = "none"

    def confirm(self) -> None:
        """Take the mark off: the model has answered."""
        with suppress(OllamaMagicsError):  # the mark stays, and the next Save says why
            self._session.in_force.confirm()
        self.show_mark()

    def _verify(self) -> None:
        self.withdraw()
        if label := self._refused():
            self._tell(messages.phrase("fix_first", self._session.language, label=label))
        else:
            self._checking.begin(deep=True, ended=self._checked)

    def _checked(self, report: CheckReport, is_stopped: bool) -> None:  # noqa: FBT001 - as Checking calls it
        if report.ok:
            self._keep("profile_saved", verified=True)
        elif is_stopped:
            self._keep("stopped_saved", verified=False)
        else:
            self._tell(messages.phrase("not_verified", self._session.language))
            self.anyway.layout.display = ""

    def _keep(self, key: str, *, verified: bool) -> None:
        self.withdraw()
        try:
            path = self._session.in_force.save("", verified=verified)
        except OllamaMagicsError as error:
            error.language = self._session.language
            self._tell(str(error))
        else:
            self._tell(messages.phrase(key, self._session.language, path=path))
        self.show_mark()
