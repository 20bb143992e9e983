"""The models of a server as tables: of all that are installed, and of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ollama_magics import messages
from ollama_magics.messages import Phrase
from ollama_magics.render.answer import answer_html, footer_html
from ollama_magics.render.cleaning import plain
from ollama_magics.render.tables import GREY, Cell, aligned, cells_html

_COLUMNS = ("name", "size", "parameters", "quantization", "context_length", "capabilities", "loaded", "unloads_in")
_NUMBERS = ("size", "parameters", "context_length", "unloads_in")
_TABLE = "border-collapse:collapse;margin:0;font-size:13px"
_CELL = "padding:2px 14px 2px 0;vertical-align:top;white-space:pre-wrap"
_HEAD = f"{_CELL};color:var(--jp-content-font-color2,{GREY});font-weight:normal"
_LONGEST = 2000  # characters of a template or a system prompt


class ModelsTable:
    """What is installed on a server; shows itself as HTML in a notebook and as aligned text elsewhere.

    Attributes
    ----------
    rows : list of dict
        As ``om.models()`` returns them: by name, sizes in bytes, times in seconds.

    """

    def __init__(self, rows: Sequence[Mapping[str, Any]], language: str, *, times: bool = True) -> None:
        self.rows = [dict(row) for row in rows]
        self._language, self._times = language, times

    @property
    def frame(self) -> Any:
        """The rows as a pandas DataFrame."""
        import pandas as pd  # noqa: PLC0415 - only who asks for a frame needs pandas

        return pd.DataFrame(self.rows)

    def _phrase(self, key: str, **facts: object) -> str:
        return messages.phrase(key, self._language, **facts)

    def _texts(self, row: Mapping[str, Any]) -> list[str]:
        texts = {name: str(row[name]) if row.get(name) is not None else "" for name in _COLUMNS}
        texts["size"] = messages.bytes_text(row["size"]) if row["size"] else ""
        if row.get("context_length"):
            texts["context_length"] = messages.group_digits(row["context_length"])
        texts["capabilities"] = ", ".join(messages.capability(word, self._language) for word in row.get("capabilities") or ())
        texts["loaded"] = loaded_text(row, self._language)
        stays = self._phrase("model_stays") if row["loaded"] else ""
        seconds = row.get("unloads_in")
        unloads_in = "" if seconds is None or not self._times else messages.duration(round(seconds)).text(self._language)
        texts["unloads_in"] = stays if seconds is None else unloads_in
        return [" ".join(messages.strip_controls(texts[name]).split()) for name in _COLUMNS]

    def _head(self) -> list[str]:
        return [self._phrase(f"model_{name}") for name in _COLUMNS]

    def __repr__(self) -> str:
        if not self.rows:
            return self._phrase("none_installed")
        return aligned([self._head(), *map(self._texts, self.rows)])

    def _repr_html_(self) -> str:
        if not self.rows:
            return answer_html(footer_html([self._phrase("none_installed")]))
        sides = ["right" if name in _NUMBERS else "left" for name in _COLUMNS]
        head = [Cell(text, f"{_HEAD};text-align:{side}") for text, side in zip(self._head(), sides, strict=True)]
        lines = [
            [Cell(text, f"{_CELL};text-align:{side}") for text, side in zip(self._texts(row), sides, strict=True)]
            for row in self.rows
        ]
        table = cells_html(lines, _TABLE, head, attributes='class="mathjax_ignore"', sections=True)
        return f'<div style="overflow-x:auto">{table}</div>'


def loaded_text(row: Mapping[str, Any], language: str) -> str:
    """Return whether and where a model is in memory; an empty text where it is not."""
    if row.get("remote_host"):
        return messages.phrase("model_remote", language, host=row["remote_host"])
    if not row["loaded"]:
        return ""
    share = row.get("gpu") or 0
    key = "loaded_gpu" if share >= 1 else "loaded_partly" if share else "loaded_cpu"
    return messages.phrase(key, language, share=f"{100 * share:.0f} %")


class ModelSheet(dict[str, Any]):
    """One model, as ``om.show`` returns it; shows itself as a table of two columns, and where the settings contradict it."""

    def __init__(self, facts: Mapping[str, Any], language: str) -> None:
        super().__init__(facts)
        self._language = language

    def _rows(self) -> list[tuple[str, str]]:
        rows = []
        for name, value in self.items():
            if value in (None, "", [], {}) or name == "conflicts":
                continue
            text = str(value)
            if name == "capabilities":
                text = ", ".join(messages.capability(word, self._language) for word in value)
            elif isinstance(value, int):
                text = messages.group_digits(value)
            elif isinstance(value, dict):
                text = "\n".join(f"{key} {one}" for key, values in value.items() for one in values)
            text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
            rows.append((Phrase(f"model_{name}").text(self._language), messages.strip_controls(text)))
        return rows

    def __repr__(self) -> str:
        lines = [
            (label if not number else "", line) for label, text in self._rows() for number, line in enumerate(text.split("\n"))
        ]
        return "\n".join([aligned(lines), *(plain(f"⚠ {text}") for text in self["conflicts"])])

    def _repr_html_(self) -> str:
        rows = [[Cell(label, _HEAD), Cell(text, f"{_CELL};text-align:left", 'dir="auto"')] for label, text in self._rows()]
        table = cells_html(rows, _TABLE, attributes='class="mathjax_ignore"')
        return answer_html(f'<div style="overflow-x:auto">{table}</div>', footer_html([], self["conflicts"]))
