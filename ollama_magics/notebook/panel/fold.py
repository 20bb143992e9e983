"""A part of the form that is folded away behind a line of text, which mouse and keyboard reach."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from ollama_magics.notebook.panel import looks


class Fold:
    """Content under a button; folded at first. ``indent`` moves the content, too, to where the fields begin."""

    def __init__(self, *content: Any, indent: bool = False) -> None:
        self._text, self._is_open = "", False
        self.button = widgets.Button(layout=widgets.Layout(width="auto", padding="0"))
        self.button.style.button_color = "transparent"
        self.button.on_click(self._turn)
        self._content = looks.indented(*content) if indent else widgets.VBox(content)
        self.widget = widgets.VBox([looks.indented(self.button), self._content])
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
