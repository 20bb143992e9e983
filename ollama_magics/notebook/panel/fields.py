"""The fields of the form: labels, inputs, notes and a part that folds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from typing import Any

import ipywidgets as widgets
from traitlets import Unicode

from ollama_magics import messages
from ollama_magics.errors import Cancelled
from ollama_magics.notebook.panel.form_widgets import FIELD_WIDTH, GAP, LABEL_WIDTH, FormWidgets, set_shown
from ollama_magics.settings import form

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
class _AddressInput(widgets.Text):
    value = Unicode().tag(sync=True, echo_update=False)


class _HeadersInput(widgets.Textarea):
    value = Unicode().tag(sync=True, echo_update=False)


class Row:
    """The field of a setting with its note; ``on_change`` gets the setting and what the user typed, under ``lock``."""

    def __init__(
        self, parts: FormWidgets, name: str, text: str, on_change: Callable[[str, str], None], lock: threading.RLock
    ) -> None:
        self.name, self._on_change, self._lock = name, on_change, lock
        self.is_refused = False
        self._is_updating = False  # the field is set by the program
        self._names: tuple[str, ...] = ()
        self.field = _make_field(parts, name, text)
        self._has_buttons = isinstance(self.field, widgets.ToggleButtons)
        # ToggleButtons put their own label above them
        layout = {"width": f"{LABEL_WIDTH}px", "display": "flex", "justify_content": "flex-end", "margin": "2px 6px 2px 2px"}
        if self._has_buttons:
            self._label = parts.make(widgets.Label, layout={"flex": "0 0 auto", **layout})
        self.note = parts.note()
        self.widget = parts.row_of(*([self._label] if self._has_buttons else []), self.field, self.note)
        self.field.observe(self._changed, names="value")

    def put_beside(self, button: Any) -> None:
        """Put a button between the field and its note."""
        *before, note = self.widget.children
        self.widget.children = (*before, button, note)

    def show(self, text: str) -> None:
        """Put a value into the field without calling ``on_change``."""
        with self._updating():
            self.field.value = text

    def set_language(self, language: str) -> None:
        """Name the field, and the words that it offers, in a language."""
        label = messages.label(self.name, language)
        if not self._has_buttons:
            self.field.description = label
            return
        chosen, self._label.value = self.field.value, label
        with self._updating():
            self.field.options = _options(self.name, language)
            self.field.tooltips = [f"{label}: {word}" for word, _ in self.field.options]
            self.field.value = chosen

    def set_names(self, names: tuple[str, ...]) -> None:
        """Set the names that ``offer_names`` will offer."""
        self._names = names

    def offer_names(self) -> None:
        """Let the field offer its names; not while the user may be typing into it.

        A front end drops what is typed, but not yet sent, where the program changes anything of the same widget.
        """
        if self._names != self.field.options:
            self.field.options = self._names

    def set_hidden(self, *, is_hidden: bool) -> None:
        """Hide the row, or show it again."""
        set_shown(self.widget, is_shown=not is_hidden)

    def set_note(self, text: str, *, is_warning: bool = False) -> None:
        """Show a note beside the field."""
        self.note.value = note_html(text, is_warning=is_warning)

    def refuse(self, reason: str) -> None:
        """Show why the value in the field is not accepted."""
        self.is_refused = True
        self.set_note(reason, is_warning=True)

    @contextmanager
    def _updating(self) -> Iterator[None]:
        """Let changes of the field be the program's, not the user's."""
        with self._lock:
            self._is_updating = True
            try:
                yield
            finally:
                self._is_updating = False

    def _changed(self, change: Any) -> None:
        with self._lock:
            if not self._is_updating:
                self._on_change(self.name, change["new"])


def _make_field(parts: FormWidgets, name: str, text: str) -> Any:
    words = form.words(name)
    if words and len(words) <= _MAX_BUTTONS:
        layout = {"width": f"{FIELD_WIDTH + GAP // 2}px", "flex": "0 1 auto", "max_width": "100%", "margin": "2px 0 0 0"}
        look: dict[str, Any] = {"style": {"button_width": "auto"}, "layout": layout}
        return parts.make(widgets.ToggleButtons, options=_options(name, "en"), value=text, **look)
    options: dict[str, Any] = {"value": text, "continuous_update": False, **field_style()}
    if words:
        return parts.make(widgets.Combobox, options=words, **options)
    if name in _MODEL_FIELDS:
        return parts.make(widgets.Combobox, ensure_option=False, **options)
    if name in _MULTILINE:
        return parts.make(_HeadersInput if name in SECRET_FIELDS else widgets.Textarea, rows=2, **options)
    return parts.make(_AddressInput if name in SECRET_FIELDS else widgets.Text, **options)


def field_style() -> dict[str, Any]:
    """Return the width of a labelled field."""
    layout = {"width": f"{LABEL_WIDTH + GAP + FIELD_WIDTH}px", "flex": "0 1 auto", "max_width": "100%"}
    return {"style": {"description_width": f"{LABEL_WIDTH}px"}, "layout": layout}


def _options(name: str, language: str) -> list[tuple[str, str]]:
    keys = [(word, f"word_{word}") for word in form.words(name)]
    return [(messages.phrase(key, language) if messages.has_phrase(key, language) else word, word) for word, key in keys]


class Fold:
    """Content under a button; folded at first. ``indent`` aligns the content with the fields, too."""

    def __init__(self, parts: FormWidgets, *content: Any, indent: bool = False) -> None:
        self._text, self._is_open = "", False
        look = {"layout": {"width": "auto", "padding": "0"}, "style": {"button_color": "transparent"}}
        self.button = parts.make(widgets.Button, **look)
        self.button.on_click(self._toggle)
        self._content = parts.indented(*content) if indent else parts.make(widgets.VBox, children=content)
        self.widget = parts.make(widgets.VBox, children=(parts.indented(self.button), self._content))
        self._paint()

    def set_text(self, text: str) -> None:
        """Put a text on the button."""
        self._text = text
        self._paint()

    def set_content(self, *content: Any) -> None:
        """Put other widgets in the place of the content."""
        self._content.children = content

    def _toggle(self, _: Any) -> None:
        self._is_open = not self._is_open
        self._paint()

    def _paint(self) -> None:
        self.button.description = f"{'▾' if self._is_open else '▸'} {self._text}"
        set_shown(self._content, is_shown=self._is_open)
