"""Save: the form as the profile default, after a check that asks the model too, or marked as unverified."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.diagnosis.report import CheckReport
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel import background, looks
from ollama_magics.notebook.panel.checking import Checking
from ollama_magics.session.notebook import Session


class Saving:
    """The buttons that save, and the mark of a profile that no check has proved; ``refused`` names a field that blocks it."""

    def __init__(self, session: Session, checking: Checking, refused: Callable[[], str], tell: Callable[[str], None]) -> None:
        self._session, self._checking, self._refused, self._tell = session, checking, refused, tell
        self.save = widgets.Button(button_style="primary")
        self.anyway = widgets.Button(layout=widgets.Layout(display="none", width="auto"))
        self.mark = widgets.HTML()
        self.save.on_click(lambda _: self._verify())
        self.anyway.on_click(lambda _: background.start(lambda: self._keep("profile_saved", verified=False)))

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
        self.mark.value = looks.mark(*words) if is_unverified else ""

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
            self._tell(messages.phrase("mend_first", self._session.language, label=label))
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
