"""The form as widgets, whose callbacks only set values and start daemon threads, so that no click blocks the kernel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from ollama_magics import settings, texts
from ollama_magics.diagnosis import CheckReport
from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.session import Session

_FIELDS = ("model", "base_url", "model_type", "context_length", "max_tokens", "vision", "embedding_model", "language")
_NAMES = ("model", "embedding_model")
_LABEL_WIDTH = 190  # pixels
_NOTE = '<div style="font-size:11px;line-height:1.4;padding:6px 0 0 8px;color:var({colour})">{text}</div>'
_QUIET, _LOUD = "--jp-content-font-color2, #6e7781", "--jp-error-color1, #cf222e"


class Panel(widgets.VBox):
    """The form of a session; a changed field takes effect at once, a refused one says why beside it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._asking = threading.Lock()
        self._typing = False  # while a field sets its setting, the setting does not set the field
        self._fields = {name: _field(name, session) for name in _FIELDS}
        self._notes = {name: widgets.HTML() for name in _FIELDS}
        self._report = widgets.HTML()
        self._check = widgets.Button(description=texts.label("check", session.language), button_style="primary")
        self._check.on_click(lambda _: self._start(self._ask))
        self._deep = widgets.Button(description=texts.label("ask_model", session.language))
        self._deep.on_click(lambda _: self._start(self._ask_model))
        rows = [widgets.HBox([self._fields[name], self._notes[name]]) for name in _FIELDS]
        super().__init__([*rows, _indented(self._check, self._deep), self._report])
        for name, field in self._fields.items():
            self._note(name)
            field.observe(self._setter(name), names="value")
        session.settings.observe(self._follow, names=list(_FIELDS))
        self._start(self._suggest)

    def __repr__(self) -> str:
        return "<the form of ollama_magics>"  # an output that notebooks compare: no address, no port

    # Fields.

    def _setter(self, name: str) -> Callable[[Any], None]:
        def take(change: Any) -> None:
            self._typing = True
            try:
                self._session.configure({name: change["new"]})
            except OllamaMagicsError as error:
                error.language = self._session.language
                self._notes[name].value = _NOTE.format(colour=_LOUD, text=escape(f"{error.what} {error.how_we_know}"))
            else:
                self._note(name)
                if name == "language":
                    self._label()
            finally:
                self._typing = False

        return take

    def _follow(self, change: Any) -> None:
        # A setting that a line of the notebook changed must not look otherwise here.
        if not self._typing:
            self._fields[change["name"]].value = _shown(change["name"], self._session)

    def _label(self) -> None:
        language = self._session.language
        for name, field in self._fields.items():
            field.description = texts.label(name, language)
            self._note(name)
        self._check.description = texts.label("check", language)
        self._deep.description = texts.label("ask_model", language)

    def _note(self, name: str) -> None:
        self._notes[name].value = _NOTE.format(colour=_QUIET, text=escape(_told(name, self._session)))

    # What a click or the opening starts; never on the kernel's thread.

    def _start(self, work: Callable[[], None]) -> None:
        threading.Thread(target=_until_cancelled, args=(work,), daemon=True, name="ollama-panel").start()

    def _ask_model(self) -> None:
        self._ask(deep=True)

    def _ask(self, *, deep: bool = False) -> None:
        if not self._asking.acquire(blocking=False):
            return  # a second click is the same check
        try:
            self._check.disabled = self._deep.disabled = True
            self._paint(_NOTE.format(colour=_QUIET, text=texts.phrase("checking", self._session.language)))
            self._session.check(self._show, deep=deep)
            self._suggest()
        finally:
            self._check.disabled = self._deep.disabled = False
            self._asking.release()

    def _show(self, report: CheckReport) -> None:
        self._paint(report.as_html())

    def _paint(self, html: str) -> None:
        self._report.value = html

    def _suggest(self) -> None:
        try:
            names = [model.name.removesuffix(":latest") for model in self._session.client.installed()]
        except OllamaMagicsError:
            return  # the check says why; a suggestion is no place for it
        for name in _NAMES:
            self._fields[name].options = tuple(names)


def _until_cancelled(work: Callable[[], None]) -> None:
    try:
        work()
    except Cancelled:
        return  # the session was closed


def _field(name: str, session: Session) -> Any:
    options: dict[str, Any] = {
        "value": _shown(name, session),
        "description": texts.label(name, session.language),
        "style": {"description_width": f"{_LABEL_WIDTH}px"},
        "layout": widgets.Layout(width=f"{_LABEL_WIDTH + 308}px", flex="0 0 auto"),
    }
    if name in _NAMES:
        return widgets.Combobox(ensure_option=False, continuous_update=False, **options)
    if words := settings.words(name):
        return widgets.Dropdown(options=words, **options)
    return widgets.Text(continuous_update=False, **options)


def _shown(name: str, session: Session) -> str:
    return str(getattr(session.settings, name))


def _told(name: str, session: Session) -> str:
    if name == "base_url":
        return _address_told(session)
    return texts.phrase(f"note_{name}", session.language, value=getattr(session.settings, name))


def _address_told(session: Session) -> str:
    try:
        address = session.address
    except OllamaMagicsError as error:  # a bad OLLAMA_HOST
        return f"{error.what} {error.how_we_know}"
    return address.explain() or texts.phrase(f"address_{session.typed_address()[1]}", session.language, url=address.url)


def _indented(*buttons: Any) -> Any:
    return widgets.HBox(list(buttons), layout=widgets.Layout(margin=f"4px 0 8px {_LABEL_WIDTH + 8}px"))
