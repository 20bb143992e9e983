"""The fields of the form: labels, inputs, the key, a part that folds, and their style."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets
from traitlets import Unicode

from ollama_magics import messages
from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.secret import Secret
from ollama_magics.settings import form
from ollama_magics.settings.values import clean_key

if TYPE_CHECKING:
    from ollama_magics.session.session import Session

LABEL_WIDTH, FIELD_WIDTH = 190, 300  # pixels
_GAP = 8  # pixels that ipywidgets puts between a label and its field
_GREY, _RED = "--jp-content-font-color2, #6e7781", "--jp-error-color1, #cf222e"


def note_html(text: str, *, is_warning: bool = False) -> str:
    """Return the HTML of a note; the text is escaped."""
    colour = _RED if is_warning else _GREY
    return f'<div style="font-size:11px;line-height:1.4;padding:7px 0 0 8px;color:var({colour})">{escape(text)}</div>'


def badge_html(word: str, reason: str) -> str:
    """Return the HTML of a word in a frame with the reason beside it; both are escaped."""
    frame = "border:1px solid currentColor;border-radius:9px;padding:1px 7px;margin-right:6px"
    head = f'<div style="font-size:11px;line-height:1.4;padding:5px 0 0 8px;color:var({_RED})">'
    return f'{head}<span style="{frame}">{escape(word)}</span>{escape(reason)}</div>'


def indented(*children: Any) -> Any:
    """Return the widgets side by side, aligned with the fields of the form."""
    return widgets.HBox(children, layout=widgets.Layout(margin=f"2px 0 0 {LABEL_WIDTH + _GAP}px", flex_flow="row wrap"))


def note_widget() -> Any:
    """Return an empty note, which takes the space beside a field."""
    return widgets.HTML(layout=widgets.Layout(flex="1 1 0%", min_width="140px"))


def start(work: Callable[[], object]) -> threading.Thread:
    """Return a daemon thread that does the work; it ends quietly when the session is closed."""

    def run() -> None:
        with suppress(Cancelled):
            work()

    thread = threading.Thread(target=run, daemon=True, name="ollama-panel")
    thread.start()
    return thread


_MODEL_FIELDS = ("model", "embedding_model")  # the installed models are offered
_MULTILINE = ("system", "stop", "headers")
# No drop-down lists: JupyterLab takes the arrow keys for its cells, so that without a mouse nothing could be chosen.
_MAX_BUTTONS = 3
SECRET_FIELDS = ("base_url", "proxy", "headers")  # a password may be typed into them


# ipywidgets 8 sends back to all front ends what one of them has sent; a secret must not go out again.


class KeyInput(widgets.Password):
    """The field of a key."""

    value = Unicode().tag(sync=True, echo_update=False)


class _AddressInput(widgets.Text):
    value = Unicode().tag(sync=True, echo_update=False)


class _HeadersInput(widgets.Textarea):
    value = Unicode().tag(sync=True, echo_update=False)


class Row:
    """The field of a setting with its note; ``on_change`` gets the name of the setting and what the user typed."""

    def __init__(self, name: str, text: str, on_change: Callable[[str, str], None]) -> None:
        self.name, self._on_change = name, on_change
        self.is_refused = False
        self._is_updating = False  # the field is set by the program
        self.field = _make_field(name, text)
        self._has_buttons = isinstance(self.field, widgets.ToggleButtons)
        # ToggleButtons put their own label above them
        layout = {"width": f"{LABEL_WIDTH}px", "display": "flex", "justify_content": "flex-end", "margin": "2px 6px 2px 2px"}
        self._label = widgets.Label(layout=widgets.Layout(flex="0 0 auto", **layout))
        self.note = note_widget()
        self.widget = widgets.HBox([*([self._label] if self._has_buttons else []), self.field, self.note])
        self.field.observe(self._changed, names="value")

    def show(self, text: str) -> None:
        """Put a value into the field without calling ``on_change``."""
        self._is_updating = True
        try:
            self.field.value = text
        finally:
            self._is_updating = False

    def set_language(self, language: str) -> None:
        """Name the field, and the words that it offers, in a language."""
        label = messages.label(self.name, language)
        if not self._has_buttons:
            self.field.description = label
            return
        chosen, self._label.value = self.field.value, label
        self._is_updating = True
        try:
            self.field.options = _options(self.name, language)
            self.field.tooltips = [f"{label}: {word}" for word, _ in self.field.options]
            self.field.value = chosen
        finally:
            self._is_updating = False

    def set_options(self, names: tuple[str, ...]) -> None:
        """Set the names that the field offers."""
        if self.field.options != names:
            self.field.options = names

    def set_hidden(self, *, is_hidden: bool) -> None:
        """Hide the row, or show it again."""
        self.widget.layout.display = "none" if is_hidden else ""

    def set_note(self, text: str, *, is_warning: bool = False) -> None:
        """Show a note beside the field."""
        self.note.value = note_html(text, is_warning=is_warning)

    def refuse(self, reason: str) -> None:
        """Show why the value in the field is not accepted."""
        self.is_refused = True
        self.set_note(reason, is_warning=True)

    def _changed(self, change: Any) -> None:
        if not self._is_updating:
            self._on_change(self.name, change["new"])


def _make_field(name: str, text: str) -> Any:
    words = form.words(name)
    if words and len(words) <= _MAX_BUTTONS:
        layout = widgets.Layout(width=f"{FIELD_WIDTH + _GAP // 2}px", flex="0 0 auto", margin="2px 0 0 0")
        return widgets.ToggleButtons(options=_options(name, "en"), value=text, style={"button_width": "auto"}, layout=layout)
    options: dict[str, Any] = {"value": text, "continuous_update": False, **_field_style()}
    if words:
        return widgets.Combobox(options=words, **options)
    if name in _MODEL_FIELDS:
        return widgets.Combobox(ensure_option=False, **options)
    if name in _MULTILINE:
        return (_HeadersInput if name in SECRET_FIELDS else widgets.Textarea)(rows=2, **options)
    return (_AddressInput if name in SECRET_FIELDS else widgets.Text)(**options)


def _field_style() -> dict[str, Any]:
    layout = widgets.Layout(width=f"{LABEL_WIDTH + _GAP + FIELD_WIDTH}px", flex="0 0 auto")
    return {"style": {"description_width": f"{LABEL_WIDTH}px"}, "layout": layout}


def _options(name: str, language: str) -> list[tuple[str, str]]:
    keys = [(word, f"word_{word}") for word in form.words(name)]
    return [(messages.phrase(key, language) if messages.has_phrase(key, language) else word, word) for word, key in keys]


class Fold:
    """Content under a button; folded at first. ``indent`` aligns the content with the fields, too."""

    def __init__(self, *content: Any, indent: bool = False) -> None:
        self._text, self._is_open = "", False
        self.button = widgets.Button(layout=widgets.Layout(width="auto", padding="0"))
        self.button.style.button_color = "transparent"
        self.button.on_click(self._toggle)
        self._content = indented(*content) if indent else widgets.VBox(content)
        self.widget = widgets.VBox([indented(self.button), self._content])
        self._paint()

    def set_text(self, text: str) -> None:
        """Put a text on the button."""
        self._text = text
        self._paint()

    def _toggle(self, _: Any) -> None:
        self._is_open = not self._is_open
        self._paint()

    def _paint(self) -> None:
        self.button.description = f"{'▾' if self._is_open else '▸'} {self._text}"
        self._content.layout.display = "" if self._is_open else "none"


class KeyField:
    """Takes a key for the current address; ``show_message`` gets the outcome, ``on_change`` is called for a new key."""

    def __init__(self, session: Session, show_message: Callable[[str], None], on_change: Callable[[], None]) -> None:
        self._session, self._show_message, self._on_change = session, show_message, on_change
        self._thread: threading.Thread | None = None
        self.field = KeyInput(continuous_update=False, **_field_style())
        self._note = note_widget()
        self.widget = widgets.HBox([self.field, self._note])
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
            self._session.resolved.secrets.hold_key(clean_key(key.reveal()))
        except OllamaMagicsError as error:
            error.language = self._session.language
            self._show_message(f"{error.what} {error.how_we_know}")
        else:
            self._show_message(messages.phrase("key_set", self._session.language, origin=self._session.address.origin))
            self._on_change()
