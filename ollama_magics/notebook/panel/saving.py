"""The Save button, the profile that it writes, and the mark of a profile without proof."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel import fields
from ollama_magics.notebook.panel.form_widgets import FormWidgets, set_shown
from ollama_magics.settings import profiles

if TYPE_CHECKING:
    from ollama_magics.diagnosis.report import CheckReport
    from ollama_magics.notebook.panel.checking import CheckControls
    from ollama_magics.session.session import Session


class ProfileField:
    """Shows the profile in use and offers the others; a new name is that of the file which Save will write.

    ``on_use`` is called, under ``lock``, when another profile is in use.
    """

    def __init__(self, parts: FormWidgets, session: Session, lock: RLock, on_use: Callable[[], None]) -> None:
        self._session, self._lock, self._on_use = session, lock, on_use
        self._new = ""  # the name of a profile that does not exist yet
        self._is_updating = False
        self.field = parts.make(widgets.Combobox, continuous_update=False, ensure_option=False, **fields.field_style())
        self._note = parts.note()
        self.widget = parts.row_of(self.field, self._note)
        self.field.observe(self._typed, names="value")

    @property
    def name(self) -> str:
        """The name of the profile that Save writes."""
        return self._new or self._session.resolved.profile

    def update(self) -> None:
        """Show the profile in use and what is known of it."""
        self.field.description = messages.label("profile", self._session.language)
        with self._lock:
            self._is_updating = True
            self.field.value = self.name
            self._is_updating = False
        kind, _, detail = self._session.resolved.profile_state().partition(" ")
        if self._new:
            kind, detail = "new", ""
        self._show_note(messages.phrase(f"source_{kind}", self._session.language, detail=detail), is_warning=kind == "broken")

    def offer_names(self) -> None:
        """Let the field offer all profiles; not while the user may be typing into it, see ``Row.offer_names``."""
        with suppress(OllamaMagicsError):
            self.field.options = tuple(profiles.names())

    def saved(self) -> None:
        """Take it that the profile exists now, and offer it."""
        self._new = ""
        self.offer_names()

    def _show_note(self, text: str, *, is_warning: bool) -> None:
        self._note.value = fields.note_html(text, is_warning=is_warning)

    def _typed(self, change: Any) -> None:
        with self._lock:
            if not self._is_updating:
                self._choose(change["new"].strip() or self._session.resolved.profile)

    def _choose(self, name: str) -> None:
        try:
            self._new = "" if profiles.exists(name) or name == self._session.resolved.profile else name
            if not self._new and name != self._session.resolved.profile:
                self._session.resolved.use(name)
        except OllamaMagicsError as error:  # not a name, or a file that cannot be read
            error.language, error.place = self._session.language, "notebook config"
            self.update()
            self._show_note(f"{error.what} {error.how_we_know}", is_warning=True)
        else:
            self.update()
        self._on_use()


class SaveControls:
    """Saves the settings after a check, or without one on request, and marks a profile that no check has verified.

    ``refused_field`` returns the label of a field with a refused value, which prevents saving. ``profile`` names the file.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - what saving reads and changes
        self,
        parts: FormWidgets,
        session: Session,
        checks: CheckControls,
        profile: ProfileField,
        refused_field: Callable[[], str],
        show_message: Callable[[str], None],
    ) -> None:
        self._session, self._checks, self._profile = session, checks, profile
        self._refused_field, self._show_message = refused_field, show_message
        self.save = parts.make(widgets.Button, button_style="primary")
        self.save_anyway = parts.make(widgets.Button, layout={"width": "auto"})
        self.mark, self.hint = parts.make(widgets.HTML), parts.make(widgets.HTML)
        self.hide_save_anyway()
        self.save.on_click(lambda _: self._check_and_save())
        self.save_anyway.on_click(lambda _: fields.start(lambda: self._save("saved_unverified")))

    def update(self) -> None:
        """Name the buttons in the current language, and show which profile is written and whether it was saved without proof."""
        language = self._session.language
        self.save.description, self.save_anyway.description = (messages.phrase(key, language) for key in ("save", "save_anyway"))
        self._profile.update()
        self.hint.value = fields.note_html(messages.phrase("save_hint", language, profile=self._profile.name))
        is_unverified = False
        with suppress(OllamaMagicsError):  # the field of the profile says what is wrong with it
            is_unverified = profiles.is_unverified(self._session.resolved.profile)
        words = (messages.phrase(key, language) for key in ("unverified", "unverified_why"))
        self.mark.value = fields.badge_html(*words) if is_unverified else ""

    def hide_save_anyway(self) -> None:
        """Hide the button that saves without a check: it was about other settings, or another check."""
        set_shown(self.save_anyway, is_shown=False)

    def _check_and_save(self) -> None:
        def save(report: CheckReport, is_stopped: bool) -> None:  # noqa: FBT001 - an OnEnd
            if self._is_refused():  # a value that arrived after the click
                return
            if report.ok:
                self._save("profile_saved")
            elif is_stopped:
                self._save("stopped_saved")
            else:
                self._show_message(messages.phrase("not_verified", self._session.language))
                set_shown(self.save_anyway, is_shown=True)

        self.hide_save_anyway()
        if not self._is_refused():
            self._checks.begin(deep=True, on_end=save)

    def _is_refused(self) -> bool:
        if label := self._refused_field():
            self._show_message(messages.phrase("fix_first", self._session.language, label=label))
        return bool(label)

    def _save(self, key: str) -> None:
        self.hide_save_anyway()
        if self._is_refused():
            return
        try:
            path = self._session.resolved.save(self._profile.name)
            self._profile.saved()
        except OllamaMagicsError as error:
            error.language, error.place = self._session.language, "notebook config"
            self._show_message(str(error))
        else:
            self._show_message(messages.phrase(key, self._session.language, path=path))
        self.update()
