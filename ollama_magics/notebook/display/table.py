"""The settings as a table: each value in force and where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from ollama_magics import messages

_GREY = "color:var(--jp-content-font-color2, #6e7781)"
_SAMPLING = ("system", "temperature", "top_p", "top_k", "seed")
# what is in force where nobody set anything
_EMPTY = {
    **dict.fromkeys(("model", "embedding_model"), "model_chosen"),
    **dict.fromkeys(("ca_bundle", "proxy"), "system_decides"),
    **dict.fromkeys(_SAMPLING, "server_decides"),
    "keep_alive": "servers_own",
}


def in_force(name: str, value: str, language: str) -> str:
    """Return a value of a setting on one line, or what holds where it is empty."""
    if not value:
        return messages.phrase(_EMPTY.get(name, "nothing_set"), language)
    return " · ".join(value.splitlines())


class SettingsTable:
    """Shows itself as HTML in a notebook and as aligned text in a terminal; ``rows`` are (setting, value, source)."""

    def __init__(self, rows: Sequence[tuple[str, str, str]], language: str) -> None:
        self._language = language
        self.rows = [
            (messages.label(name, language), in_force(name, value, language), self._source(source))
            for name, value, source in rows
        ]

    def _source(self, source: str) -> str:
        kind, _, detail = source.partition(" ")
        return messages.phrase(f"source_{kind}", self._language, detail=detail)

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
