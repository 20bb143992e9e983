"""The form as a user sees it: fields by their labels, buttons by their texts, remarks as they are read."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from ipywidgets import HTML, Box, Button, HBox, Label, Password, Select, Text, Textarea, ToggleButtons, Widget

from ollama_magics import messages
from ollama_magics.settings import form

_LANGUAGES = "en", "zh"


class FormView:
    """Finds the parts of a form in its tree of widgets, in whichever language they are labelled."""

    def __init__(self, panel: Box) -> None:
        self._panel = panel

    # Fields.

    def type(self, setting: str, text: str) -> None:
        """Put a value into a field as the front end does."""
        self.field(setting).value = text

    def value(self, setting: str) -> str:
        """Return what is in a field."""
        return str(self.field(setting).value)

    def field(self, setting: str) -> Any:
        """Return the field of a setting."""
        return next(part for part in self._row(setting).children if isinstance(part, Text | Textarea | ToggleButtons))

    def note(self, setting: str) -> str:
        """Return what stands beside a field."""
        return _text(self._row(setting).children[-1])

    def is_red(self, setting: str) -> bool:
        """Return whether it is a warning."""
        return "--jp-error-color1" in self._row(setting).children[-1].value

    @property
    def key(self) -> Any:
        """The field of the key."""
        return next(part for part in _parts(self._panel) if isinstance(part, Password))

    def labels(self) -> list[str]:
        """Return the labels of all fields but the key's."""
        return [_label(self._row(setting)) for setting in form.names()]

    def hidden(self) -> set[str]:
        """Return the settings whose fields are not shown."""
        return {setting for setting in form.names() if not _is_shown(self._row(setting))}

    @property
    def profile(self) -> Any:
        """The field of the profile."""
        return self._profile_row.children[0]

    @property
    def profile_note(self) -> str:
        """What stands beside it."""
        return _text(self._profile_row.children[-1])

    @property
    def _profile_row(self) -> Any:
        labels = {messages.label("profile", language) for language in _LANGUAGES}
        (row,) = (part for part in _parts(self._panel) if isinstance(part, HBox) and _label(part) in labels)
        return row

    # Buttons.

    def click(self, text: str) -> None:
        """Click a button that is shown."""
        button = self.button(text)
        assert _is_shown(button), f"{text} is not shown"
        button.click()

    def button(self, text: str) -> Any:
        """Return the button with a text."""
        return next(part for part in _parts(self._panel) if isinstance(part, Button) and part.description == text)

    def offers(self, text: str) -> bool:
        """Return whether there is a button with a text to click on."""
        found = [part for part in _parts(self._panel) if isinstance(part, Button) and part.description == text]
        return any(_is_shown(button) for button in found)

    def beside(self, setting: str) -> Any:
        """Return the button beside a field, or None where none is shown."""
        return next((part for part in self._row(setting).children if isinstance(part, Button) and _is_shown(part)), None)

    def progress(self, setting: str) -> str:
        """Return what stands below a field about a download, where that is shown."""
        (box,) = (part for part in _parts(self._panel) if self._row(setting) in getattr(part, "children", ()))
        below = box.children[1]
        return _text(below.children[0]) if _is_shown(below) else ""

    @property
    def is_checking(self) -> bool:
        """Whether a check is running: it can be stopped, and not be started."""
        return bool(self.button("Check").disabled)

    # The list of installed models.

    @property
    def models(self) -> Any:
        """The list of the installed models."""
        return next(part for part in _parts(self._panel) if isinstance(part, Select))

    @property
    def models_button(self) -> str:
        """What the button over that list says."""
        (fold,) = (part for part in _parts(self._panel) if isinstance(part, Box) and self.models in _grandchildren(part))
        return str(next(part.description for part in _parts(fold) if isinstance(part, Button)))

    # What is reported.

    @property
    def message(self) -> str:
        """The line under the buttons."""
        (line,) = (part for part in self._panel.children if isinstance(part, HBox) and _are_texts(part))
        return _text(line.children[1])

    @property
    def mark(self) -> str:
        """What stands beside the buttons."""
        (buttons,) = (part for part in self._panel.children if self.button("Check") in getattr(part, "children", ()))
        return _text(buttons.children[-1])

    @property
    def report(self) -> str:
        """The report of the check."""
        return _text(self._panel.children[self._place_of_report])

    @property
    def repairs(self) -> list[str]:
        """The texts of the buttons under the report."""
        below = self._panel.children[self._place_of_report + 1 :]
        return [part.description for box in below for part in _parts(box) if isinstance(part, Button)]

    @property
    def _place_of_report(self) -> int:
        *_, place = (place for place, part in enumerate(self._panel.children) if isinstance(part, HTML))
        return place

    def _row(self, setting: str) -> Any:
        labels = {messages.label(setting, language) for language in _LANGUAGES}
        (row,) = (part for part in _parts(self._panel) if isinstance(part, HBox) and _label(part) in labels)
        return row


def _label(row: Any) -> str:
    """Return what stands left of a field: a label of its own, or the description of the field."""
    first = row.children[0] if row.children else None
    if isinstance(first, Label):
        return str(first.value)
    return str(first.description) if isinstance(first, Text | Textarea) else ""


def _parts(widget: Widget) -> Iterator[Any]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from _parts(child)


def _grandchildren(box: Any) -> list[Any]:
    return [part for child in box.children for part in getattr(child, "children", ())]


def _are_texts(box: Any) -> bool:
    return len(box.children) == 2 and all(isinstance(part, HTML) for part in box.children)


def _is_shown(widget: Any) -> bool:
    return "ollama-hidden" not in widget._dom_classes


def _text(widget: Any) -> str:
    return html.unescape(re.sub(r"<[^>]+>", " ", widget.value)).strip()
