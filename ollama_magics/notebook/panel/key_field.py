"""The field of the API key, which is emptied as soon as the kernel has the key."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from traitlets import Unicode

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel.fields import field_style, note_html, start
from ollama_magics.notebook.panel.form_widgets import FormWidgets
from ollama_magics.secret import Secret
from ollama_magics.settings.values import clean_key

if TYPE_CHECKING:
    from ollama_magics.session.session import Session


# ipywidgets 8 sends back to all front ends what one of them has sent; a secret must not go out again.
class KeyInput(widgets.Password):
    """The field of a key."""

    value = Unicode().tag(sync=True, echo_update=False)


class KeyField:
    """Takes a key for the current address; ``show_message`` gets the outcome, ``on_change`` is called for a new key."""

    def __init__(
        self, parts: FormWidgets, session: Session, show_message: Callable[[str], None], on_change: Callable[[], None]
    ) -> None:
        self._session, self._show_message, self._on_change = session, show_message, on_change
        self._thread: threading.Thread | None = None
        self.field = parts.make(KeyInput, continuous_update=False, **field_style())
        self._note = parts.note()
        self.widget = parts.row_of(self.field, self._note)
        self.field.observe(self._take, names="value")

    def set_language(self) -> None:
        """Name the field in the current language."""
        self.field.description = messages.label("api_key", self._session.language)
        self._note.value = note_html(messages.phrase("note_api_key", self._session.language))

    def wait(self) -> None:
        """Return when a typed key is stored; a keyring may take a while."""
        if self._thread:
            self._thread.join()

    def _take(self, change: Any) -> None:
        if not (key := Secret(change.pop("new"))).reveal():
            return
        change.pop("owner").value = ""
        self._thread = start(lambda: self._store(key))

    def _store(self, key: Secret) -> None:
        try:
            self._session.resolved.secrets.hold_key(clean_key(key))
        except OllamaMagicsError as error:
            error.language, error.place = self._session.language, "notebook config"
            self._show_message(f"{error.what} {error.how_we_know}")
        else:
            self._show_message(messages.phrase("key_set", self._session.language, origin=self._session.address.origin))
            self._on_change()
