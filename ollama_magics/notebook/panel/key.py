"""The field of the key, which is emptied right after it is read, so that no saved notebook holds the key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel import background, looks
from ollama_magics.notebook.panel.rows import KeyInput
from ollama_magics.secret import Secret
from ollama_magics.session.notebook import Session
from ollama_magics.settings import hidden


class KeyField:
    """Takes a key for the address of now; ``tell`` says what came of it, ``changed`` is called where there is a new one."""

    def __init__(self, session: Session, tell: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._session, self._tell, self._changed = session, tell, changed
        self._keeping: threading.Thread | None = None
        self.field = KeyInput(
            continuous_update=False,
            style={"description_width": f"{looks.LABEL_WIDTH}px"},
            layout=looks.field_layout(),
        )
        self._note = widgets.HTML(layout=widgets.Layout(flex="1 1 0%", min_width="140px"))
        self.widget = widgets.HBox([self.field, self._note])
        self.field.observe(self._take, names="value")

    def label(self) -> None:
        """Say what the field is for, in the language of now."""
        self.field.description = messages.label("api_key", self._session.language)
        self._note.value = looks.small(messages.phrase("note_api_key", self._session.language))

    def wait(self) -> None:
        """Return when a key that was typed is kept; a keyring may take its time."""
        if self._keeping:
            self._keeping.join()

    def _take(self, change: Any) -> None:
        if not (typed := Secret(change.pop("new"))).reveal():
            return
        change.pop("owner").value = ""
        self._keeping = background.start(lambda: self._keep(typed))

    def _keep(self, typed: Secret) -> None:
        try:
            self._session.in_force.hold_key(hidden.clean_key(typed.reveal()))
        except OllamaMagicsError as error:
            error.language = self._session.language
            self._tell(f"{error.what} {error.how_we_know}")
        else:
            self._tell(messages.phrase("key_set", self._session.language, origin=self._session.address.origin))
            self._changed()
