"""Tables as safe HTML: the rows that a model gave, and what the project lists itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from ollama_magics import messages
from ollama_magics.render.cleaning import escape

# Fallbacks for a page without a theme; the grey can be read on white and on black.
GREY, RULE = "#767c83", "rgba(128,128,128,.4)"
_MOST_ROWS = 100  # shown; of more, the first and the last half
_LONGEST_CELL = 300  # characters
_MOST_COLUMNS = 50
_TABLE = "border-collapse:collapse;margin:8px 0;font-size:inherit"
_CELL = f"padding:2px 14px 2px 0;text-align:start;vertical-align:top;border-bottom:1px solid var(--jp-border-color2,{RULE})"


class Cell(Struct, frozen=True):
    """A cell of a table: its text, the CSS of its style, other attributes as HTML, and HTML that follows the text."""

    text: str
    style: str
    attributes: str = ""
    html: str = ""

    def as_html(self, tag: str) -> str:
        """Return the cell with its text escaped."""
        attributes = f" {self.attributes}" if self.attributes else ""
        return f'<{tag}{attributes} style="{self.style}">{escape(self.text)}{self.html}</{tag}>'


def cells_html(
    rows: Iterable[Iterable[Cell]], style: str, head: Iterable[Cell] = (), *, attributes: str = "", sections: bool = False
) -> str:
    """Return a table of rows of cells, under a head where there is one; with ``sections`` as ``thead`` and ``tbody``."""
    top = "".join(cell.as_html("th") for cell in head)
    top = f"<tr>{top}</tr>" if top or sections else ""
    body = "".join(f'<tr style="background:none">{"".join(cell.as_html("td") for cell in row)}</tr>' for row in rows)
    if sections:
        top, body = f"<thead>{top}</thead>", f"<tbody>{body}</tbody>"
    return f'<table{f" {attributes}" if attributes else ""} style="{style}">{top}{body}</table>'


def table_html(rows: Sequence[Mapping[str, Any]], language: str = "en") -> str:
    """Return rows as a table that scrolls, its columns in the order of their first use; of many rows the middle is left out."""
    names = list(dict.fromkeys(str(name) for row in rows for name in row))[:_MOST_COLUMNS]
    head = [Cell(_text(name), f"{_CELL};font-weight:600") for name in names]
    half, grey = _MOST_ROWS // 2, f"{_CELL};color:var(--jp-content-font-color2,{GREY})"
    shown = rows if len(rows) <= _MOST_ROWS else (*rows[:half], *rows[-half:])
    lines = [[Cell(_text(row.get(name)), _CELL if name else grey, 'dir="auto"') for name in names] for row in shown]
    if len(rows) > _MOST_ROWS:
        words = messages.phrase("rows_left_out", language, count=len(rows) - _MOST_ROWS)
        lines.insert(half, [Cell(words, grey, f'colspan="{max(1, len(names))}"')])
    table = cells_html(lines, _TABLE, head, attributes='class="mathjax_ignore"', sections=True)
    return f'<div style="overflow-x:auto">{table}</div>'


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of texts as lines whose columns stand below each other in a terminal."""
    widths = [max(map(messages.terminal_width, column)) + 2 for column in zip(*rows, strict=True)]
    lines = (
        "".join(f"{text}{' ' * (width - messages.terminal_width(text))}" for text, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(map(str.rstrip, lines))


def _text(value: Any) -> str:
    text = "" if value is None else str(value)
    if isinstance(value, (dict, list, bool)):
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
