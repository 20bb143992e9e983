"""The form as widgets, whose callbacks only set values and start daemon threads, so that no click blocks the kernel."""

from __future__ import annotations

import threading
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets

from ollama_magics import settings, texts
from ollama_magics.detected import Remark, remarks
from ollama_magics.diagnosis import CheckReport
from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.secret import Secret
from ollama_magics.session import Session
from ollama_magics.wire import ModelCard

_MAIN = ("model", "base_url", "model_type", "context_length", "max_tokens", "vision", "tools", "embedding_model")
_MORE = tuple(name for name in settings.form() if name not in (*_MAIN, "language"))
_FIELDS = (*_MAIN, *_MORE, "language")
# what a model type has no use for
_HIDDEN = {"completion": ("tools",), "embedding": ("max_tokens", "vision", "tools", "embedding_model")}
_LINES = ("system", "stop", "headers")  # fields of several lines
_NOTED = ("model", "model_type", "context_length", "max_tokens", "vision", "tools", "embedding_model", "language")
_NAMES = ("model", "embedding_model")
_LABEL_WIDTH = 190  # pixels
_NOTE = '<div style="font-size:11px;line-height:1.4;padding:6px 0 0 8px;color:var({colour})">{text}</div>'
_QUIET, _LOUD = "--jp-content-font-color2, #6e7781", "--jp-error-color1, #cf222e"


class KeyField:
    """The field of the key: it is emptied right after it is read, so that no saved notebook holds the key."""

    def __init__(self, session: Session, tell: Callable[[str], None]) -> None:
        self._session, self._tell = session, tell
        self._field = widgets.Password(
            continuous_update=False,
            style={"description_width": f"{_LABEL_WIDTH}px"},
            layout=widgets.Layout(width=f"{_LABEL_WIDTH + 308}px", flex="0 0 auto"),
        )
        self._note = widgets.HTML()
        self.row = widgets.HBox([self._field, self._note])
        self._field.observe(self._take, names="value")

    def label(self) -> None:
        """Say what the field is for, in the language of now."""
        self._field.description = texts.label("api_key", self._session.language)
        text = texts.phrase("note_api_key", self._session.language)
        self._note.value = _NOTE.format(colour=_QUIET, text=escape(text))

    def _take(self, change: Any) -> None:
        if not (typed := Secret(change.pop("new"))).reveal():
            return
        change.pop("owner").value = ""
        try:
            self._session.in_force.hold_key(settings.clean_key(typed.reveal()))
            self._tell(texts.phrase("key_set", self._session.language, origin=self._session.address.origin))
        except OllamaMagicsError as error:
            error.language = self._session.language
            self._tell(f"{error.what} {error.how_we_know}")


class Panel(widgets.VBox):
    """The form of a session; a changed field takes effect at once, a refused one says why beside it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._asking = threading.Lock()
        self._typing = False  # while a field sets its setting, the setting does not set the field
        self._fields = {name: _field(name, session) for name in _FIELDS}
        self._notes = {name: widgets.HTML() for name in _FIELDS}
        self._refused: set[str] = set()
        self._card: ModelCard | None = None  # of the model in the form
        self._report = widgets.HTML()
        self._said = widgets.HTML()
        self._key = KeyField(session, self._tell)
        self._make_buttons()
        self._rows = {name: widgets.HBox([self._fields[name], self._notes[name]]) for name in _FIELDS}
        self._more = widgets.Accordion([widgets.VBox([self._rows[name] for name in _MORE])], selected_index=None)
        rows = [self._rows[name] for name in _MAIN]
        rows.insert(_MAIN.index("base_url") + 1, self._key.row)
        buttons = _indented(self._check, self._deep, self._save, self._anyway)
        super().__init__([*rows, self._more, self._rows["language"], buttons, self._said, self._report])
        self._label()
        for name, field in self._fields.items():
            self._note(name)
            field.observe(self._setter(name), names="value")
        session.settings.observe(self._follow, names=list(_FIELDS))
        self._start(self._open)

    def __repr__(self) -> str:
        return "<the form of ollama_magics>"  # an output that notebooks compare: no address, no port

    def _make_buttons(self) -> None:
        self._check = widgets.Button(button_style="primary")
        self._save, self._anyway = widgets.Button(), widgets.Button(layout=widgets.Layout(display="none", width="auto"))
        self._check.on_click(lambda _: self._start(self._ask))
        self._deep = widgets.Button()
        self._deep.on_click(lambda _: self._start(self._ask_model))
        self._save.on_click(lambda _: self._start(self._verify_and_save))
        self._anyway.on_click(lambda _: self._start(self._keep))

    # Fields.

    def _setter(self, name: str) -> Callable[[Any], None]:
        def take(change: Any) -> None:
            if change["new"] == _shown(name, self._session) and name not in self._refused:
                self._label()  # the setting set the field, which may show less than it: no password
                return
            self._typing = True
            try:
                self._session.configure({name: change["new"]})
                self._refused.discard(name)
            except OllamaMagicsError as error:
                self._refused.add(name)
                error.language = self._session.language
                self._notes[name].value = _NOTE.format(colour=_LOUD, text=escape(f"{error.what} {error.how_we_know}"))
            else:
                self._after(name)
            finally:
                self._typing = False

        return take

    def _after(self, name: str) -> None:
        self._label()
        self._tell_notices()
        if name in ("model", "base_url"):
            self._card = None
            self._start(self._detect)

    def _follow(self, change: Any) -> None:
        # A setting that a line of the notebook changed must not look otherwise here.
        if not self._typing:
            self._fields[change["name"]].value = _shown(change["name"], self._session)
            if change["name"] == "model":
                self._start(self._detect)

    def _label(self) -> None:
        language = self._session.language
        for name, field in self._fields.items():
            field.description = texts.label(name, language)
            self._note(name)
            hidden = name in _HIDDEN.get(self._session.settings.model_type, ())
            self._rows[name].layout.display = "none" if hidden else ""
        self._check.description = texts.label("check", language)
        self._save.description, self._anyway.description = (texts.phrase(key, language) for key in ("save", "save_anyway"))
        self._more.set_title(0, texts.phrase("more", language))
        self._key.label()
        self._deep.description = texts.label("ask_model", language)

    def _note(self, name: str) -> None:
        if name in self._refused:
            return
        remark, is_loud = self._remarks().get(name, ("", False))
        text = " · ".join(part for part in (_told(name, self._session), remark) if part)
        self._notes[name].value = _NOTE.format(colour=_LOUD if is_loud else _QUIET, text=escape(text))

    def _remarks(self) -> dict[str, Remark]:
        return remarks(self._card, self._session.settings, self._session.language) if self._card else {}

    def _tell(self, text: str) -> None:
        self._said.value = _NOTE.format(colour=_QUIET, text=escape(text))

    def _tell_notices(self, first: str = "") -> None:
        notices = self._session.in_force.take_notices()
        said = [texts.notice(key, facts, self._session.language) for key, facts in notices]
        if first or said:
            self._tell(" · ".join(part for part in (first, *said) if part))

    # What a click or the opening starts; never on the kernel's thread.

    def _start(self, work: Callable[[], object]) -> None:
        threading.Thread(target=_until_cancelled, args=(work,), daemon=True, name="ollama-panel").start()

    def _ask_model(self) -> None:
        self._ask(deep=True)

    def _ask(self, *, offering: bool = False, deep: bool = False) -> bool:
        if not self._asking.acquire(blocking=False):
            return False  # a second click is the same check
        try:
            self._check.disabled = self._deep.disabled = True
            self._paint(_NOTE.format(colour=_QUIET, text=texts.phrase("checking", self._session.language)))
            passed = bool(self._session.check(self._show, deep=deep))
            self._suggest()
            if offering and not passed:
                self._offer()
            return passed
        finally:
            self._check.disabled = self._deep.disabled = False
            self._asking.release()

    def _verify_and_save(self) -> None:
        self._anyway.layout.display = "none"
        if self._refused:
            label = texts.label(min(self._refused), self._session.language)
            self._tell(texts.phrase("mend_first", self._session.language, label=label))
        elif self._ask(offering=True):
            self._keep()

    def _offer(self) -> None:
        self._tell(texts.phrase("not_verified", self._session.language))
        self._anyway.layout.display = ""

    def _keep(self) -> None:
        self._anyway.layout.display = "none"
        try:
            path = self._session.in_force.save("")
        except OllamaMagicsError as error:
            error.language = self._session.language
            self._tell(str(error))
        else:
            self._tell_notices(texts.phrase("profile_saved", self._session.language, path=path))

    def _detect(self) -> None:
        model = str(self._session.settings.model)
        try:
            card = self._session.installed.card(model) if model else None
        except OllamaMagicsError:
            card = None  # the check says why
        if model != self._session.settings.model:
            return  # it came too late
        self._card = card
        for name in _MAIN:
            self._note(name)

    def _show(self, report: CheckReport) -> None:
        self._paint(report.as_html())

    def _paint(self, html: str) -> None:
        self._report.value = html

    def _open(self) -> None:
        self._suggest()
        self._detect()

    def _suggest(self) -> None:
        try:
            names = [model.name.removesuffix(":latest") for model in self._session.client.installed()]
        except OllamaMagicsError:
            return  # the check says why; a suggestion is no place for it
        for name in _NAMES:
            self._fields[name].options = tuple(names)


def _until_cancelled(work: Callable[[], object]) -> None:
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
    if name in _LINES:
        return widgets.Textarea(continuous_update=False, rows=2, **options)
    return widgets.Text(continuous_update=False, **options)


def _shown(name: str, session: Session) -> str:
    return settings.shown(getattr(session.settings, name))


def _told(name: str, session: Session) -> str:
    if name == "base_url":
        return _address_told(session)
    if name not in _NOTED:
        return settings.explain(name)
    return texts.phrase(f"note_{name}", session.language, value=getattr(session.settings, name))


def _address_told(session: Session) -> str:
    try:
        address = session.address
    except OllamaMagicsError as error:  # a bad OLLAMA_HOST
        return f"{error.what} {error.how_we_know}"
    return address.explain() or texts.phrase(f"address_{session.typed_address()[1]}", session.language, url=address.url)


def _indented(*buttons: Any) -> Any:
    return widgets.HBox(buttons, layout=widgets.Layout(margin=f"4px 0 8px {_LABEL_WIDTH + 8}px"))
