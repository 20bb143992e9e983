"""The settings as a table: each value in force and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from ollama_magics import texts

_GREY = "color:var(--jp-content-font-color2, #6e7781)"
_EMPTY = {"model": "model_chosen", "embedding_model": "model_chosen"}  # what nobody set is not the model's to decide


class SettingsTable:
    """Shows itself as HTML in a notebook and as aligned text in a terminal; ``rows`` are (setting, value, source)."""

    def __init__(self, rows: Sequence[tuple[str, Any, str]], language: str) -> None:
        self._language = language
        self.rows = [
            (texts.label(name, language), self._shown(name, value), self._source(source)) for name, value, source in rows
        ]

    def _shown(self, name: str, value: Any) -> str:
        if value in (None, ""):
            return texts.phrase(_EMPTY.get(name, "server_decides"), self._language)
        return f"{value:g}" if isinstance(value, float) else str(value)

    def _source(self, source: str) -> str:
        return texts.phrase(f"source_{source}", self._language)

    def __repr__(self) -> str:
        widths = [max(len(row[column]) for row in self.rows) for column in range(2)]
        return "\n".join(f"{label:{widths[0]}}  {value:{widths[1]}}  {source}" for label, value, source in self.rows)

    def _repr_html_(self) -> str:
        cell = "text-align:left;padding:1px 14px 1px 0"
        rows = "".join(
            f'<tr style="background:none"><td style="{cell};{_GREY}">{escape(label)}</td><td style="{cell}">{escape(value)}</td>'
            f'<td style="{cell};{_GREY};font-size:11px">{escape(source)}</td></tr>'
            for label, value, source in self.rows
        )
        return f'<table style="border-collapse:collapse;margin:0;font-size:13px">{rows}</table>'
