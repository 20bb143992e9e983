"""A job of many rows as safe HTML and as plain text: a bar, its figures, and some of its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ollama_magics.render.answer import answer_html, footer_html
from ollama_magics.render.cleaning import plain
from ollama_magics.render.tables import RULE, table_html

_BAR = f"height:4px;border-radius:2px;background:var(--jp-border-color2,{RULE});margin:2px 0;max-width:40em"
_DONE = "height:4px;border-radius:2px;background:var(--jp-brand-color1,#2f7bd1)"


def progress_html(
    share: float, figures: Sequence[str], rows: Sequence[Mapping[str, Any]], warnings: Iterable[str] = (), *, language: str = "en"
) -> str:
    """Return a bar that is filled by its share from 0 to 1, a line of figures, rows as a table, and a line for each warning."""
    bar = (
        f'<div style="{_BAR}"><div style="{_DONE};width:{100 * min(1.0, max(0.0, share)):.1f}%"></div></div>' if share < 1 else ""
    )
    table = table_html(rows, language) if rows else ""
    return answer_html(bar + footer_html(figures) + table + footer_html([], warnings))


def progress_text(figures: Sequence[str], rows: Sequence[Mapping[str, Any]], warnings: Iterable[str] = ()) -> str:
    """Return the same as lines of text, with the rows as an aligned table."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [names, *([_cell(row.get(name)) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return plain("\n".join([*(lines if rows else []), " · ".join(figures), *warnings]))


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())
