"""The fields of the form: labels, inputs, the key, a part that folds, and their style."""

from __future__ import annotations

import threading
from collections.abc import Callable
from html import escape
from typing import Any

import ipywidgets as widgets
from traitlets import Unicode

from ollama_magics import messages
from ollama_magics.errors import Cancelled, OllamaMagicsError
from ollama_magics.secret import Secret
from ollama_magics.session.session import Session
from ollama_magics.settings import form, secret_values

LABEL_WIDTH, FIELD_WIDTH = 190, 300  # pixels
_BETWEEN = 8  # pixels that ipywidgets puts between a label and its field
_QUIET, _LOUD = "--jp-content-font-color2, #6e7781", "--jp-error-color1, #cf222e"


def small(text: str, *, is_loud: bool = False) -> str:
    """Return the HTML of a remark; the text is escaped."""
    colour = _LOUD if is_loud else _QUIET
    return f'<div style="font-size:11px;line-height:1.4;padding:7px 0 0 8px;color:var({colour})">{escape(text)}</div>'


def mark(word: str, why: str) -> str:
    """Return the HTML of a word in a frame with the reason beside it."""
    frame = "border:1px solid currentColor;border-radius:9px;padding:1px 7px;margin-right:6px"
    head = f'<div style="font-size:11px;line-height:1.4;padding:5px 0 0 8px;color:var({_LOUD})">'
    return f'{head}<span style="{frame}">{escape(word)}</span>{escape(why)}</div>'


def indented(*children: Any) -> Any:
    """Return the widgets side by side, where the fields of the form begin."""
    return widgets.HBox(children, layout=widgets.Layout(margin=f"2px 0 0 {LABEL_WIDTH + _BETWEEN}px", flex_flow="row wrap"))


def field_layout() -> Any:
    """Return the layout of a field with its label."""
    return widgets.Layout(width=f"{LABEL_WIDTH + _BETWEEN + FIELD_WIDTH}px", flex="0 0 auto")


def bare_layout() -> Any:
    """Return the layout of a field whose label stands beside it on its own."""
    return widgets.Layout(width=f"{FIELD_WIDTH + _BETWEEN // 2}px", flex="0 0 auto", margin="2px 0 0 0")


def caption_layout() -> Any:
    """Return the layout of a label on its own."""
    width = f"{LABEL_WIDTH}px"
    return widgets.Layout(width=width, flex="0 0 auto", display="flex", justify_content="flex-end", margin="2px 6px 2px 2px")


def start(work: Callable[[], object]) -> threading.Thread:
    """Return the daemon thread that has begun the work; the end of the session ends it quietly."""
    thread = threading.Thread(target=_until_cancelled, args=(work,), daemon=True, name="ollama-panel")
    thread.start()
    return thread


def _until_cancelled(work: Callable[[], object]) -> None:
    try:
        work()
    except Cancelled:
        return  # the session was closed


_NAMES = ("model", "embedding_model")  # of models: a list is offered
_LINES = ("system", "stop", "headers")  # fields of several lines
# No drop-down lists: JupyterLab takes the arrow keys for its cells, and who has no mouse could choose nothing.
_MOST_BUTTONS = 3
HIDING = ("base_url", "proxy", "headers")  # which may be typed with a password in them


# ipywidgets 8 sends back to all front ends what one of them has sent; a secret must not go out again.


class KeyInput(widgets.Password):
    """The field of a key."""

    value = Unicode().tag(sync=True, echo_update=False)


class _AddressInput(widgets.Text):
    value = Unicode().tag(sync=True, echo_update=False)


class _HeadersInput(widgets.Textarea):
    value = Unicode().tag(sync=True, echo_update=False)


class Row:
    """A setting in the form; ``take`` gets its name and what the person typed."""

    def __init__(self, name: str, shown: str, take: Callable[[str, str], None]) -> None:
        self.name, self._take = name, take
        self.is_refused = False
        self._ours = False  # while the field is set from here
        self.field = _field(name, shown)
        self._caption = widgets.Label(layout=caption_layout())  # ToggleButtons put their own above them
        self.note = widgets.HTML(layout=widgets.Layout(flex="1 1 0%", min_width="140px"))
        captioned = [self._caption, self.field] if self._offers_words() else [self.field]
        self.widget = widgets.HBox([*captioned, self.note])
        self.field.observe(self._typed, names="value")

    def show(self, text: str) -> None:
        """Put a value into the field; nobody typed it."""
        self._ours = True
        try:
            self.field.value = text
        finally:
            self._ours = False

    def label(self, language: str) -> None:
        """Name the field, and the words that it offers, in a language."""
        label = messages.label(self.name, language)
        if not self._offers_words():
            self.field.description = label
            return
        chosen, self._caption.value = self.field.value, label
        self._ours = True
        try:
            self.field.options = _options(self.name, language)
            self.field.tooltips = [f"{label}: {word}" for word, _ in self.field.options]
            self.field.value = chosen
        finally:
            self._ours = False

    def _offers_words(self) -> bool:
        return isinstance(self.field, widgets.ToggleButtons)

    def offer(self, names: tuple[str, ...]) -> None:
        """Put names into the list that the field offers."""
        if self.field.options != names:
            self.field.options = names

    def hide(self, *, is_hidden: bool) -> None:
        """Leave the row out, or bring it back."""
        self.widget.layout.display = "none" if is_hidden else ""

    def say(self, text: str, *, is_loud: bool = False) -> None:
        """Put a remark beside the field."""
        self.note.value = small(text, is_loud=is_loud)

    def refuse(self, why: str) -> None:
        """Say why what was typed is not taken."""
        self.is_refused = True
        self.say(why, is_loud=True)

    def _typed(self, change: Any) -> None:
        if not self._ours:
            self._take(self.name, change["new"])


def _field(name: str, shown: str) -> Any:
    words = form.words(name)
    if words and len(words) <= _MOST_BUTTONS:
        style = {"button_width": "auto"}
        return widgets.ToggleButtons(options=_options(name, "en"), value=shown, style=style, layout=bare_layout())
    options: dict[str, Any] = {"value": shown, "layout": field_layout()}
    options["style"] = {"description_width": f"{LABEL_WIDTH}px"}
    if words:
        return widgets.Combobox(options=words, continuous_update=False, **options)
    if name in _NAMES:
        return widgets.Combobox(ensure_option=False, continuous_update=False, **options)
    if name in _LINES:
        kind = _HeadersInput if name in HIDING else widgets.Textarea
        return kind(continuous_update=False, rows=2, **options)
    return (_AddressInput if name in HIDING else widgets.Text)(continuous_update=False, **options)


def _options(name: str, language: str) -> list[tuple[str, str]]:
    return [(_word(word, language), word) for word in form.words(name)]


def _word(word: str, language: str) -> str:
    key = f"word_{word}"
    return messages.phrase(key, language) if messages.has_phrase(key, language) else word


class Fold:
    """Content under a button; folded at first. ``indent`` moves the content, too, to where the fields begin."""

    def __init__(self, *content: Any, indent: bool = False) -> None:
        self._text, self._is_open = "", False
        self.button = widgets.Button(layout=widgets.Layout(width="auto", padding="0"))
        self.button.style.button_color = "transparent"
        self.button.on_click(self._turn)
        self._content = indented(*content) if indent else widgets.VBox(content)
        self.widget = widgets.VBox([indented(self.button), self._content])
        self._paint()

    def label(self, text: str) -> None:
        """Put a text on the button."""
        self._text = text
        self._paint()

    def _turn(self, _: Any) -> None:
        self._is_open = not self._is_open
        self._paint()

    def _paint(self) -> None:
        self.button.description = f"{'▾' if self._is_open else '▸'} {self._text}"
        self._content.layout.display = "" if self._is_open else "none"


class KeyField:
    """Takes a key for the address of now; ``tell`` says what came of it, ``changed`` is called where there is a new one."""

    def __init__(self, session: Session, tell: Callable[[str], None], changed: Callable[[], None]) -> None:
        self._session, self._tell, self._changed = session, tell, changed
        self._keeping: threading.Thread | None = None
        self.field = KeyInput(
            continuous_update=False,
            style={"description_width": f"{LABEL_WIDTH}px"},
            layout=field_layout(),
        )
        self._note = widgets.HTML(layout=widgets.Layout(flex="1 1 0%", min_width="140px"))
        self.widget = widgets.HBox([self.field, self._note])
        self.field.observe(self._take, names="value")

    def label(self) -> None:
        """Say what the field is for, in the language of now."""
        self.field.description = messages.label("api_key", self._session.language)
        self._note.value = small(messages.phrase("note_api_key", self._session.language))

    def wait(self) -> None:
        """Return when a key that was typed is kept; a keyring may take its time."""
        if self._keeping:
            self._keeping.join()

    def _take(self, change: Any) -> None:
        if not (typed := Secret(change.pop("new"))).reveal():
            return
        change.pop("owner").value = ""
        self._keeping = start(lambda: self._keep(typed))

    def _keep(self, typed: Secret) -> None:
        try:
            self._session.resolved.hold_key(secret_values.clean_key(typed.reveal()))
        except OllamaMagicsError as error:
            error.language = self._session.language
            self._tell(f"{error.what} {error.how_we_know}")
        else:
            self._tell(messages.phrase("key_set", self._session.language, origin=self._session.address.origin))
            self._changed()
