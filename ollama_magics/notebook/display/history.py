"""The turns of a conversation as a table."""

from __future__ import annotations

from collections.abc import Sequence

from ollama_magics import messages
from ollama_magics.conversation.conversation import Turn
from ollama_magics.render import cleaning
from ollama_magics.render.answer import answer_html, footer_html
from ollama_magics.server.wire import Message

_LONGEST = 160  # signs of a text
_CELL = "text-align:left;vertical-align:top;padding:2px 14px 2px 0;white-space:pre-wrap"
_GREY = "color:var(--jp-content-font-color2, #6e7781)"


class HistoryTable:
    """Shows itself as HTML in a notebook and as text in a terminal; ``others`` are the names of other conversations."""

    def __init__(self, turns: Sequence[Turn], others: Sequence[str], language: str) -> None:
        self._language = language
        self.rows = [self._row(number, turn) for number, turn in enumerate(turns, 1)]
        named = [name for name in others if name]
        self._under = self._say("other_chats", names=", ".join(named)) if named else ""

    def _row(self, number: int, turn: Turn) -> tuple[str, str, str, str, str]:
        said = _beginning(turn.answer.content)
        answer = f"{said} {self._say('turn_cut')}" if turn.cut else said
        return str(number), self._asked(turn.prompt), answer, turn.model, str(turn.tokens or "")

    def _asked(self, prompt: Message) -> str:
        pictures = f" {self._say('turn_pictures', count=len(prompt.images))}" if prompt.images else ""
        return _beginning(prompt.content) + pictures

    def _heads(self) -> tuple[str, ...]:
        return ("", self._say("turn_you"), "", self._say("turn_model"), self._say("turn_tokens"))

    def _say(self, key: str, **facts: object) -> str:
        return messages.phrase(key, self._language, **facts)

    def __repr__(self) -> str:
        lines = [f"{number}  {asked}\n   {model}: {said}" for number, asked, said, model, _ in self.rows]
        return messages.strip_controls("\n".join([*(lines or [self._say("no_turns")]), *([self._under] if self._under else [])]))

    def _repr_html_(self) -> str:
        heads = "".join(f'<th style="{_CELL};{_GREY};font-weight:normal">{cleaning.escape(head)}</th>' for head in self._heads())
        rows = "".join(f'<tr style="background:none">{"".join(map(_cell, row))}</tr>' for row in self.rows)
        table = f'<table style="border-collapse:collapse;margin:0;font-size:13px"><tr>{heads}</tr>{rows}</table>'
        under = [line for line in (self._under, "" if self.rows else self._say("no_turns")) if line]
        return answer_html((table if rows else "") + footer_html([], under[::-1]))


def _cell(text: str) -> str:
    return f'<td class="mathjax_ignore" style="{_CELL}">{cleaning.escape(text)}</td>'


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
