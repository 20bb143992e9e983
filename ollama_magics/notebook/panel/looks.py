"""How the panel looks: widths, and small texts in colours of the theme."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets

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
