"""One line of the form: a label, a field of the right kind, and what stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ipywidgets as widgets
from traitlets import Unicode

from ollama_magics import messages
from ollama_magics.notebook.panel import looks
from ollama_magics.settings import form

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
        self._caption = widgets.Label(layout=looks.caption_layout())  # ToggleButtons put their own above them
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
        self.note.value = looks.small(text, is_loud=is_loud)

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
        return widgets.ToggleButtons(options=_options(name, "en"), value=shown, style=style, layout=looks.bare_layout())
    options: dict[str, Any] = {"value": shown, "layout": looks.field_layout()}
    options["style"] = {"description_width": f"{looks.LABEL_WIDTH}px"}
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
