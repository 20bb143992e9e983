"""The form of a session as a widget, whose fields and buttons follow the settings, the server and each other."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from IPython.display import display

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.display.lines import FormPicture
from ollama_magics.notebook.panel import fields
from ollama_magics.notebook.panel.checking import CheckControls
from ollama_magics.notebook.panel.fields import SECRET_FIELDS, Fold, Row
from ollama_magics.notebook.panel.form_widgets import FORM_CLASS, FormWidgets
from ollama_magics.notebook.panel.key_field import KeyField
from ollama_magics.notebook.panel.model_list import (
    MODELS,
    ModelList,
    ModelLookup,
    detected_settings,
    make_note,
    missing_model,
    model_notes,
)
from ollama_magics.notebook.panel.pulling import PullControls
from ollama_magics.notebook.panel.saving import ProfileField, SaveControls
from ollama_magics.server.models import ModelRegistry
from ollama_magics.settings import form

if TYPE_CHECKING:
    from ollama_magics.session.session import Session

_MAIN = ("model", "base_url", "model_type", "context_length", "max_tokens", "vision", "tools", "embedding_model")
_MORE = tuple(name for name in form.names() if name not in (*_MAIN, "language"))
_FIELDS = (*_MAIN, *_MORE, "language")
# settings that a model type does not use
_HIDDEN = {kind: form.unused(kind) for kind in form.words("model_type")}
# with another one of these, other models may be installed
_CONNECTION = ("base_url", "ca_bundle", "headers", "proxy", "api_key_env", "key_store", "local_only", "connect_timeout")
_FIRST_ANSWER = 0.25  # seconds that the form waits for the models before it is shown
_SHOWN_AS_NOTES = ("max_over_context",)  # notices that stand beside their field


class Panel(widgets.VBox):
    """The form of a session; a changed field takes effect at once, and a refused value says why beside its field.

    One form is live in a kernel: ``freeze`` leaves a still picture of it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.RLock()  # a field, a line of the notebook, or the server's answer: one at a time
        self._changing = ""  # the setting that its own field changes
        self._is_detecting = False  # while detected settings are set
        self._found: ModelRegistry | OllamaMagicsError | None = None  # what is installed, or why it is not known
        self._handle: Any = None  # of the output that shows the form
        self._parts = parts = FormWidgets()
        self._rows = {name: Row(parts, name, self._text(name), self._take, self._lock) for name in _FIELDS}
        self._message = parts.make(widgets.HTML)
        self._lookup = ModelLookup(session, self._lock, self._update_models)
        self._models = ModelList(parts, lambda name: self._set("model", name))
        self._key = KeyField(parts, session, self._show_message, self._connection_changed)
        self._checks = CheckControls(parts, session, self._key.wait, self._set, self._show_message, self._passed)
        self._profile = ProfileField(parts, session, self._lock, self._profile_changed)
        self._saving = SaveControls(parts, session, self._checks, self._profile, self._refused_field, self._show_message)
        self._more = Fold(parts, *(self._rows[name].widget for name in _MORE))

        self._pulls = {name: PullControls(parts, session, self._look_up) for name in MODELS}
        for name, one in self._pulls.items():
            self._rows[name].put_beside(one.button)

        main = {name: self._rows[name].widget for name in _MAIN}
        main |= {name: parts.make(widgets.VBox, children=(main[name], one.widget)) for name, one in self._pulls.items()}
        model, base_url = main.pop("model"), main.pop("base_url")
        saving, checks = self._saving, self._checks
        buttons = parts.indented(saving.save, checks.check, checks.stop, saving.save_anyway, saving.mark)
        above = [self._profile.widget, model, self._models.widget, base_url, self._key.widget, *main.values()]
        below = [self._rows["language"].widget, buttons, parts.indented(saving.hint, self._message)]
        children = [parts.style_sheet(), *above, self._more.widget, *below, checks.report, checks.repairs]

        self._set_language()
        session.settings.observe(self._follow, names=list(_FIELDS))
        self._look_up()
        self._lookup.wait(_FIRST_ANSWER)
        with self._lock:
            self._offer_names()
            layout = parts.layout()
            parts.open()
            super().__init__(children, layout=layout, _dom_classes=(FORM_CLASS,))
        session.own(self.freeze)

    def show(self) -> None:
        """Show the form as an output of the cell."""
        self._handle = display(self, display_id=True)

    def freeze(self) -> None:
        """Put a still picture in place of the form, and close all of its widgets; does nothing the second time."""
        if self.comm is None:
            return
        session = self._session
        session.disown(self.freeze)
        session.settings.unobserve(self._follow, names=list(_FIELDS))
        self._lookup.cancel()
        for one in self._pulls.values():
            one.close()
        self._checks.close()
        if self._handle is not None:
            picture = FormPicture(list(session.described()), session.language, "form_replaced")
            self._handle.update({"text/html": picture._repr_html_(), "text/plain": repr(picture)}, raw=True)
        self.close()
        self._parts.close()

    def __repr__(self) -> str:
        return "<the form of ollama_magics>"  # an output that notebooks compare: no address, no port

    # Changes by a field, a choice in the list, a repair, or a line of the notebook.

    def _take(self, name: str, typed: str) -> None:
        row = self._rows[name]
        with self._lock:
            self._changing = name
            try:
                self._session.configure({name: typed})
            except OllamaMagicsError as error:
                error.language, error.place = self._session.language, "notebook config"
                row.refuse(f"{error.what} {error.how_we_know}")
                self._hide_secret(row, typed)
            else:
                row.is_refused = False
                self._hide_secret(row, typed)
                self._show_message()
                self._changed(name)
            finally:
                self._changing = ""
            self._offer_names()  # the user is done with this field, and at no other

    def _hide_secret(self, row: Row, typed: str) -> None:
        """Replace a value that may hold a password by what may be seen of it."""
        may_hold_secret = row.name == "headers" or (row.name in SECRET_FIELDS and ("@" in typed or "?" in typed))
        if may_hold_secret and (row.is_refused or getattr(self._session.settings, row.name) != typed):
            row.show(self._text(row.name))

    def _text(self, name: str) -> str:
        """Return the value of a setting as its field shows it, without what is secret."""
        return form.shown(getattr(self._session.settings, name))

    def _set(self, name: str, value: str) -> None:
        self._rows[name].show(value)
        self._take(name, value)

    def _follow(self, change: Any) -> None:
        """Show a setting that was changed elsewhere."""
        name = change["name"]
        with self._lock:
            if name != self._changing:
                self._rows[name].show(self._text(name))
                self._rows[name].is_refused = False
                if not self._is_detecting:
                    self._changed(name)

    def _changed(self, name: str) -> None:
        if name == "language":
            self._set_language()
            return
        self._checks.settings_changed()
        self._saving.hide_save_anyway()
        self._update_notes()
        if name == "model" or name in _CONNECTION:
            self._look_up()

    def _connection_changed(self) -> None:
        self._checks.settings_changed()
        self._saving.hide_save_anyway()
        self._look_up()

    def _profile_changed(self) -> None:
        self._offer_names()
        self._show_message()
        self._saving.update()
        self._connection_changed()

    def _passed(self) -> None:
        self._saving.update()
        self._look_up()  # the server answers, and perhaps the model is in memory now

    def _look_up(self) -> None:
        with self._lock:
            if isinstance(self._found, OllamaMagicsError):
                self._found = None
            self._lookup.begin()
            self._list_models()
            self._update_notes()

    # Answers of the server.

    def _update_models(self, found: ModelRegistry | OllamaMagicsError) -> None:
        """Show what is installed, and set what follows from the chosen model; called under the lock."""
        self._found = found
        self._list_models()
        registry = self._registry
        card = registry.card(str(self._session.settings.model)) if registry else None
        self._is_detecting = True
        try:
            has_changed = self._session.resolved.fill(detected_settings(card, self._session.settings) if card else {})
        finally:
            self._is_detecting = False
        if has_changed:
            self._checks.settings_changed(by_server=True)
            self._saving.hide_save_anyway()
        self._update_notes()

    @property
    def _registry(self) -> ModelRegistry | None:
        return self._found if isinstance(self._found, ModelRegistry) else None

    def _list_models(self) -> None:
        registry, settings = self._registry, self._session.settings
        self._models.show(registry, str(settings.model), self._session.language, is_asked=self._found is None)
        self._rows["embedding_model"].set_names(tuple(registry.able("embedding")) if registry else ())
        self._rows["model"].set_names(tuple(registry.names) if registry else ())

    def _offer_names(self) -> None:
        for name in MODELS:
            self._rows[name].offer_names()
        self._profile.offer_names()

    # Texts.

    def _set_language(self) -> None:
        language = self._session.language
        for name, row in self._rows.items():
            row.set_language(language)
            if row.is_refused and name not in SECRET_FIELDS:  # whose fields do not show all that was typed
                self._take(name, row.field.value)
        self._more.set_text(messages.phrase("more", language))
        self._key.set_language()
        self._checks.set_language()
        self._saving.update()
        self._list_models()
        self._update_notes()

    def _update_notes(self) -> None:
        settings, registry = self._session.settings, self._registry
        card = registry.card(str(settings.model)) if registry else None
        of_model = model_notes(card, settings, self._session.language)
        for name, row in self._rows.items():
            row.set_hidden(is_hidden=name in _HIDDEN.get(settings.model_type, ()))
            if not row.is_refused:
                text, is_warning = make_note(name, self._session, self._found, of_model.get(name))
                row.set_note(text, is_warning=is_warning)
        for name, one in self._pulls.items():
            one.offer(missing_model(name, settings, registry))
        address = ""
        with suppress(OllamaMagicsError):  # its note says why it cannot be used
            address = self._session.address.url
        if not settings.base_url:
            self._rows["base_url"].field.placeholder = address

    def _refused_field(self) -> str:
        names = [name for name, row in self._rows.items() if row.is_refused]
        return messages.label(names[0], self._session.language) if names else ""

    def _show_message(self, text: str = "") -> None:
        language, notices = self._session.language, self._session.resolved.take_notices()
        parts = [text, *(messages.notice(key, facts, language) for key, facts in notices if key not in _SHOWN_AS_NOTES)]
        message = " · ".join(filter(None, parts))
        self._message.value = fields.note_html(message) if message else ""
