"""The form of a session, put together: rows, buttons, the report, and what follows when one of them changes."""

from __future__ import annotations

import threading
from typing import Any

import ipywidgets as widgets

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.notebook.panel import fields
from ollama_magics.notebook.panel.checking import Checking, Saving
from ollama_magics.notebook.panel.fields import HIDING, Fold, KeyField, Row
from ollama_magics.notebook.panel.models import Asking, ModelList, Remark, found, remarks
from ollama_magics.notebook.panel.notes import note, place, shown
from ollama_magics.server.models import ModelRegistry
from ollama_magics.session.session import Session
from ollama_magics.settings import form

_MAIN = ("model", "base_url", "model_type", "context_length", "max_tokens", "vision", "tools", "embedding_model")
_MORE = tuple(name for name in form.form() if name not in (*_MAIN, "language"))
_FIELDS = (*_MAIN, *_MORE, "language")
_HIDDEN = {kind: form.unused(kind) for kind in form.words("model_type")}
_ELSEWHERE = ("base_url", "ca_bundle", "headers", "proxy", "api_key_env", "key_store", "local_only", "connect_timeout")

_BESIDE = ("max_over_context",)  # notices that stand beside their field


class Panel(widgets.VBox):
    """The form of a session; a changed field takes effect at once, a refused one says why beside it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.RLock()  # one of: a field, a line of the notebook, what the server said
        self._setting = ""  # the setting that its own field is changing
        self._is_filling = False  # while what follows from the model is set
        self._stock: ModelRegistry | None = None
        self._rows = {name: Row(name, shown(name, session), self._take) for name in _FIELDS}
        self._said = widgets.HTML()
        self._asking = Asking(session, self._lock, self._learn)
        self._models = ModelList(lambda name: self._set("model", name))
        self._key = KeyField(session, self._tell, self._key_changed)
        self._checking = Checking(session, self._key.wait, self._set, self._tell, self._proved)
        self._saving = Saving(session, self._checking, self._refused, self._tell)
        self._more = Fold(*(self._rows[name].widget for name in _MORE))
        super().__init__(self._parts())
        self._label()
        session.settings.observe(self._follow, names=list(_FIELDS))
        self._asking.begin()

    def __repr__(self) -> str:
        return "<the form of ollama_magics>"  # an output that notebooks compare: no address, no port

    def _parts(self) -> list[Any]:
        main = {name: self._rows[name].widget for name in _MAIN}
        model, base_url = main.pop("model"), main.pop("base_url")
        saving, checking = self._saving, self._checking
        buttons = fields.indented(saving.save, checking.check, checking.stop, saving.anyway, saving.mark)
        above = [model, self._models.widget, base_url, self._key.widget, *main.values()]
        below = [self._rows["language"].widget, buttons, fields.indented(self._said)]
        return [*above, self._more.widget, *below, checking.report, checking.offers]

    # A field, a click in the list, a repair, a line of the notebook.

    def _take(self, name: str, typed: str) -> None:
        row = self._rows[name]
        with self._lock:
            self._setting = name
            try:
                self._session.configure({name: typed})
            except OllamaMagicsError as error:
                error.language = self._session.language
                row.refuse(f"{error.what} {error.how_we_know}")
                self._hide_secret(row, typed)
            else:
                row.is_refused = False
                self._hide_secret(row, typed)
                self._tell()
                self._changed(name)
            finally:
                self._setting = ""

    def _hide_secret(self, row: Row, typed: str) -> None:
        """Put what may be seen into a field in which a password was, or may have been, typed."""
        is_telling = row.name in HIDING and (row.is_refused or getattr(self._session.settings, row.name) != typed)
        if is_telling and (row.name == "headers" or "@" in typed or "?" in typed):
            row.show(shown(row.name, self._session))

    def _set(self, name: str, value: str) -> None:
        self._rows[name].show(value)
        self._take(name, value)

    def _follow(self, change: Any) -> None:
        name = change["name"]
        with self._lock:
            if name != self._setting:  # a field that showed something else than what is in force would lie
                self._rows[name].show(shown(name, self._session))
                self._rows[name].is_refused = False
                if not self._is_filling:
                    self._changed(name)

    def _changed(self, name: str) -> None:
        if name == "language":
            self._label()
            return
        self._checking.settings_changed()
        self._saving.withdraw()
        self._note_all()
        if name == "model" or name in _ELSEWHERE:
            self._asking.begin()

    def _key_changed(self) -> None:
        self._checking.settings_changed()
        self._saving.withdraw()
        self._asking.begin()

    def _proved(self) -> None:
        self._saving.confirm()
        self._asking.begin()  # the model is in memory now

    # What the server said.

    def _learn(self, stock: ModelRegistry | None) -> None:
        """Take what there is on the server: lists, remarks, and what follows from the model; called under the lock."""
        self._stock = stock
        self._list()
        card = stock.card(str(self._session.settings.model)) if stock else None
        self._fill(found(card, self._session.settings) if card else {})
        self._note_all()

    def _fill(self, values: dict[str, Any]) -> None:
        self._is_filling = True
        try:
            changed = self._session.resolved.fill(values)
        finally:
            self._is_filling = False
        if changed:
            self._checking.settings_changed(by_server=True)
            self._saving.withdraw()

    def _list(self) -> None:
        stock, chosen = self._stock, self._session.settings
        self._models.show(stock, str(chosen.model), self._session.language)
        able = tuple(stock.able("embedding")) if stock else ()
        self._rows["embedding_model"].offer(able)
        self._rows["model"].offer(tuple(stock.names) if stock else ())

    # What is said.

    def _label(self) -> None:
        language = self._session.language
        for row in self._rows.values():
            row.label(language)
        self._more.label(messages.phrase("more", language))
        for part in (self._key, self._checking, self._saving):
            part.label()
        self._list()
        self._note_all()

    def _note_all(self) -> None:
        known = self._remarks()
        for name, row in self._rows.items():
            row.hide(is_hidden=name in _HIDDEN.get(self._session.settings.model_type, ()))
            if not row.is_refused:
                text, is_loud = note(name, self._session, self._stock, known.get(name))
                row.say(text, is_loud=is_loud)
        self._rows["base_url"].field.placeholder = place(self._session)

    def _remarks(self) -> dict[str, Remark]:
        chosen = self._session.settings
        return remarks(self._stock.card(str(chosen.model)) if self._stock else None, chosen, self._session.language)

    def _refused(self) -> str:
        names = [name for name, row in self._rows.items() if row.is_refused]
        return messages.label(names[0], self._session.language) if names else ""

    def _tell(self, text: str = "") -> None:
        language, notices = self._session.language, self._session.resolved.take_notices()
        said = [messages.notice(key, facts, language) for key, facts in notices if key not in _BESIDE]
        self._said.value = fields.small(" · ".join(filter(None, (text, *said)))) if text or said else ""
