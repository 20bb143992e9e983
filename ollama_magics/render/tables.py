"""Data that a model gave -> safe HTML: rows as a table, other values as JSON, and the functions that it called as cards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ollama_magics import messages
from ollama_magics.render.cleaning import escape, normalise
from ollama_magics.render.colours import AMBER, GREY, RULE
from ollama_magics.render.markdown import code_html

_MOST_ROWS = 100  # shown; of more, the first and the last half
_LONGEST_CELL = 300  # characters
_MOST_COLUMNS = 50
_TABLE = "border-collapse:collapse;margin:8px 0;font-size:inherit"
_CELL = f"padding:2px 14px 2px 0;text-align:start;vertical-align:top;border-bottom:1px solid var(--jp-border-color2,{RULE})"
_CARD = f"margin:6px 0;border-left:2px solid var(--jp-border-color2,{RULE});padding-left:10px;font-size:12px"
_OUTCOME = "white-space:pre-wrap;overflow-wrap:anywhere;max-height:12em;overflow-y:auto"


def table_html(rows: Sequence[Mapping[str, Any]], language: str = "en") -> str:
    """Return rows as a table that scrolls, its columns in the order of their first use; of many rows the middle is left out."""
    columns = list(dict.fromkeys(str(name) for row in rows for name in row))[:_MOST_COLUMNS]
    head = "".join(f'<th style="{_CELL};font-weight:600">{escape(_short(name))}</th>' for name in columns)
    half = _MOST_ROWS // 2
    shown = rows if len(rows) <= _MOST_ROWS else (*rows[:half], *rows[-half:])
    lines = [_row_html(row, columns) for row in shown]
    if len(rows) > _MOST_ROWS:
        words = escape(messages.phrase("rows_left_out", language, count=len(rows) - _MOST_ROWS))
        lines.insert(half, f'<tr><td colspan="{max(1, len(columns))}" style="{_CELL};{_grey()}">{words}</td></tr>')
    body = f'<table class="mathjax_ignore" style="{_TABLE}"><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table>'
    return f'<div style="overflow-x:auto">{body}</div>'


def json_html(text: str) -> str:
    """Return a JSON text, or the beginning of one, as coloured code."""
    return code_html(normalise(text), "json")


def tool_card_html(call: str, outcome: str | None, *, failed: bool) -> str:
    """Return a call of a function, and what came of it: None while it runs or waits for a yes."""
    colour = f"color:var(--jp-warn-color0,{AMBER})" if failed else _grey()
    return (
        f'<div class="mathjax_ignore" style="{_CARD}"><div style="{_OUTCOME}"><code>{escape(call)}</code></div>'
        f'<div dir="auto" style="{_OUTCOME};{colour}">{escape("…" if outcome is None else outcome)}</div></div>'
    )


def _row_html(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    cells = "".join(f'<td dir="auto" style="{_CELL}">{escape(_short(_cell(row.get(name))))}</td>' for name in columns)
    return f'<tr style="background:none">{cells}</tr>'


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list, bool)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"


def _grey() -> str:
    return f"color:var(--jp-content-font-color2,{GREY})"
