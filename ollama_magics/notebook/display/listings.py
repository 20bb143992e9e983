"""The settings, and the turns of a conversation, as tables."""

from __future__ import annotations

from collections.abc import Sequence

from ollama_magics import messages
from ollama_magics.conversation.conversation import Turn
from ollama_magics.notebook.display.lines import resolved_value
from ollama_magics.render.answer import answer_html, footer_html
from ollama_magics.render.tables import Cell, cells_html

_LONGEST = 160  # characters of a text
_TABLE = "border-collapse:collapse;margin:0;font-size:13px"
_TURN_CELL = "text-align:left;vertical-align:top;padding:2px 14px 2px 0;white-space:pre-wrap"
_SETTING_CELL = "text-align:left;padding:1px 14px 1px 0"
_GREY = "color:var(--jp-content-font-color2, #6e7781)"


class SettingsTable:
    """Shows itself as HTML in a notebook and as aligned text in a terminal; ``rows`` are (setting, value, source)."""

    def __init__(self, rows: Sequence[tuple[str, str, str]], language: str) -> None:
        self.rows = []
        for name, value, source in rows:
            kind, _, detail = source.partition(" ")
            shown_source = messages.phrase(f"source_{kind}", language, detail=detail)
            self.rows.append((messages.label(name, language), resolved_value(name, value, language), shown_source))

    def __repr__(self) -> str:
        widths = [max(len(row[column]) for row in self.rows) for column in range(2)]
        return "\n".join(f"{label:{widths[0]}}  {value:{widths[1]}}  {source}" for label, value, source in self.rows)

    def _repr_html_(self) -> str:
        styles = (f"{_SETTING_CELL};{_GREY}", _SETTING_CELL, f"{_SETTING_CELL};{_GREY};font-size:11px")
        return cells_html(([Cell(text, style) for text, style in zip(row, styles, strict=True)] for row in self.rows), _TABLE)


class HistoryTable:
    """Shows itself as HTML in a notebook and as text in a terminal; ``others`` are the names of other conversations."""

    def __init__(self, turns: Sequence[Turn], others: Sequence[str], language: str) -> None:
        self._language = language
        self.rows = [self._row(number, turn) for number, turn in enumerate(turns, 1)]
        names = ", ".join(name for name in others if name)
        self._notes = [] if self.rows else [self._phrase("no_turns")]
        self._notes += [self._phrase("other_chats", names=names)] if names else []

    def _row(self, number: int, turn: Turn) -> tuple[str, str, str, str, str]:
        prompt, answer = _beginning(turn.prompt.content), _beginning(turn.answer.content)
        if turn.prompt.images:
            prompt += f" {self._phrase('turn_pictures', count=len(turn.prompt.images))}"
        if turn.cut:
            answer += f" {self._phrase('turn_cut')}"
        return str(number), prompt, answer, turn.model, str(turn.tokens or "")

    def _phrase(self, key: str, **facts: object) -> str:
        return messages.phrase(key, self._language, **facts)

    def __repr__(self) -> str:
        lines = [f"{number}  {prompt}\n   {model}: {answer}" for number, prompt, answer, model, _ in self.rows]
        return messages.strip_controls("\n".join([*lines, *self._notes]))

    def _repr_html_(self) -> str:
        titles = ("", self._phrase("turn_you"), "", self._phrase("turn_model"), self._phrase("turn_tokens"))
        head = [Cell(title, f"{_TURN_CELL};{_GREY};font-weight:normal") for title in titles]
        rows = ([Cell(text, _TURN_CELL, 'class="mathjax_ignore"') for text in row] for row in self.rows)
        return answer_html((cells_html(rows, _TABLE, head) if self.rows else "") + footer_html([], self._notes))


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
