"""Notices and a check as lines of a cell; the settings, and the turns of a conversation, as tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.display import display

from ollama_magics import messages
from ollama_magics.notebook.front_end import front_end
from ollama_magics.render.cleaning import escape
from ollama_magics.render.tables import RULE, Cell, aligned, cells_html
from ollama_magics.settings import form

if TYPE_CHECKING:
    from ollama_magics.conversation.conversation import Conversation
    from ollama_magics.conversation.turns import Turn
    from ollama_magics.notebook.display import ShownValues

_MOST_NAMED = 10  # rows in one line
_LONGEST = 160  # characters of a text
_TABLE = "border-collapse:collapse;margin:0;font-size:13px"
_TURN_CELL = "text-align:left;vertical-align:top;padding:2px 14px 2px 0;white-space:pre-wrap"
_SETTING_CELL = "text-align:left;padding:1px 14px 1px 0"
_FORM = "border-collapse:separate;border-spacing:0 3px;margin:0;font-size:13px"
_FIELD = (
    f"text-align:left;padding:3px 8px;min-width:18em;overflow-wrap:anywhere;border:1px solid var(--jp-border-color1,{RULE});"
    "border-radius:2px"
)
_GREY = "color:var(--jp-content-font-color2, #6e7781)"


def _shown_value(name: str, value: str, language: str) -> str:
    """Return a value of a setting on one line, or what holds where it is empty; of a choice also the word in the language."""
    is_choice = language != "en" and name in form.SETTINGS and value in form.words(name)
    if is_choice and messages.has_phrase(word := f"word_{value}", language):
        return messages.phrase("choice", language, word=messages.phrase(word, language), value=value)
    return messages.format_fact(form.shown_on_line(name, value), language)


def typed_answer(question: str) -> str:
    """Return yes, all or no, as the user answers; raises StdinNotImplementedError or EOFError where nobody can be asked."""
    typed = input(question).strip().lower()
    return "yes" if typed in ("y", "yes", "是") else "all" if typed in ("a", "all", "全部") else "no"


def is_confirmed(question: str) -> bool:
    """Return whether the user answers yes; raises as ``typed_answer`` does."""
    return typed_answer(question) == "yes"


def watch_check(run: Callable[[Callable[[Any], None]], Any], shell: Any, shown: ShownValues) -> Any:
    """Return the report of a check, which is shown while it runs.

    ``run`` makes the check and calls its argument with each state of the report; ``shown`` then gets the report. With
    OLLAMA_MAGICS_STREAM=off it is shown at the end, and outside of a kernel not at all.
    """
    user = front_end(shell)
    is_page = user.in_kernel and not user.is_console
    is_compared = os.environ.get("OLLAMA_MAGICS_STREAM") == "off"
    if is_compared and not is_page:
        return run(lambda _: None)
    written: set[tuple[str, str]] = set()

    def write(report: Any, *, waiting: bool = False) -> None:
        new = [stage for stage in report.stages if waiting or stage.state != "not run"]
        new = [stage for stage in new if (stage.name, stage.state) not in written]
        written.update((stage.name, stage.state) for stage in new)
        sys.stdout.write("".join(f"{line}\n" for line in report.lines(new)))
        sys.stdout.flush()

    def page(report: Any) -> dict[str, str]:
        return {"text/html": report.as_html(), "text/plain": str(report)}

    def paint(report: Any) -> None:
        handle.update(page(report), raw=True)

    if not is_page:
        report = run(write)
        write(report, waiting=True)
    elif is_compared:
        report = run(lambda _: None)
        display(page(report), raw=True)
    else:
        handle = display({"text/plain": "…"}, raw=True, display_id=True)
        report = run(paint)
        paint(report)
    shown.add(report)
    return report


def say(key: str, language: str, **facts: object) -> None:
    """Write one phrase as a line of the cell's output."""
    sys.stdout.write(messages.Phrase(key, **facts).text(language) + "\n")


def say_set(name: str, value: str, why: str, language: str) -> None:
    """Write what a setting is now, and why it differs from what was typed, if it does."""
    say("set", language, label=messages.label(name, language), value=why or _shown_value(name, value, language))


def say_lines(lines: Iterable[str]) -> None:
    """Write lines of the cell's output, without control characters."""
    for line in lines:
        sys.stdout.write(messages.strip_controls(line) + "\n")


def say_rows(report: Any, language: str) -> None:
    """Write how many rows of an array were reused, cut or left without a vector, and which."""
    parts = [messages.phrase("rows", language, count=len(report.kept))]
    if report.reused:
        parts.append(messages.phrase("rows_reused", language, count=report.reused))
    for key, rows in (("rows_truncated", report.truncated), ("rows_failed", report.failed)):
        if rows:
            shown = ", ".join(map(str, rows[:_MOST_NAMED])) + (" …" if len(rows) > _MOST_NAMED else "")
            parts.append(messages.phrase(key, language, count=len(rows), rows=shown))
    sys.stdout.write(" · ".join(parts) + "\n")


def show(value: Any, *, raw: bool) -> None:
    """Show a value as an output of the cell; ``raw``: as plain text."""
    if raw:
        sys.stdout.write(f"{value!r}\n")
    else:
        display(value)


class SettingsTable:
    """Shows itself as HTML in a notebook and as aligned text in a terminal; ``rows`` are (setting, value, source)."""

    def __init__(self, rows: Sequence[tuple[str, str, str]], language: str) -> None:
        self.rows = []
        for name, value, source in rows:
            kind, _, detail = source.partition(" ")
            shown_source = messages.phrase(f"source_{kind}", language, detail=detail)
            self.rows.append((messages.label(name, language), _shown_value(name, value, language), shown_source))

    def __repr__(self) -> str:
        return aligned(self.rows)

    def _repr_html_(self) -> str:
        styles = (f"{_SETTING_CELL};{_GREY}", _SETTING_CELL, f"{_SETTING_CELL};{_GREY};font-size:11px")
        return cells_html(([Cell(text, style) for text, style in zip(row, styles, strict=True)] for row in self.rows), _TABLE)


class FormPicture(SettingsTable):
    """A still picture of the form, for a page in which no kernel would answer it; ``caption`` is the phrase that says why."""

    def __init__(self, rows: Sequence[tuple[str, str, str]], language: str, caption: str) -> None:
        super().__init__(rows, language)
        self._caption = messages.phrase(caption, language)

    def __repr__(self) -> str:
        return f"{super().__repr__()}\n{self._caption}"

    def _repr_html_(self) -> str:
        styles = (f"{_SETTING_CELL};text-align:right;{_GREY}", _FIELD, f"{_SETTING_CELL};{_GREY};font-size:11px")
        rows = ([Cell(text, style) for text, style in zip(row, styles, strict=True)] for row in self.rows)
        table = cells_html(rows, _FORM, attributes='class="mathjax_ignore"')
        caption = f'<div style="font-size:11px;margin-top:4px;{_GREY}">{escape(self._caption)}</div>'
        return f'<div style="overflow-x:auto">{table}</div>{caption}'


class ChatsTable:
    """The conversations of a notebook: name, number of turns, and the last prompt."""

    def __init__(self, chats: Mapping[str, Conversation], language: str) -> None:
        self._titles = [messages.phrase(key, language) for key in ("chat_name", "chat_turns", "turn_you")]
        self.rows = []
        for name, chat in chats.items():
            last = " ".join(chat.turns[-1].prompt.content.split()) if chat.turns else ""
            shown = last if len(last) <= _LONGEST else f"{last[:_LONGEST]} …"
            self.rows.append((name or messages.phrase("chat_unnamed", language), str(len(chat.turns)), shown))

    def __repr__(self) -> str:
        return messages.strip_controls("\n".join("  ".join(row) for row in self.rows))

    def _repr_html_(self) -> str:
        head = [Cell(title, f"{_TURN_CELL};{_GREY};font-weight:normal") for title in self._titles]
        return cells_html(([Cell(text, _TURN_CELL, 'class="mathjax_ignore"') for text in row] for row in self.rows), _TABLE, head)


class HistoryTable:
    """Shows itself as HTML in a notebook and as text in a terminal; ``others`` are the names of other conversations."""

    def __init__(self, conversation: Conversation, others: Sequence[str], language: str) -> None:
        self._language, stats = language, conversation.stats
        self.rows = [self._row(number, turn) for number, turn in enumerate(conversation.turns, 1)]
        counts = {"prompts": messages.group_digits(stats.prompt_tokens), "answers": messages.group_digits(stats.tokens)}
        self._total = [self._phrase("chat_tokens", **counts)] if stats.tokens else []
        names = ", ".join(name for name in others if name)
        self._notes = [] if self.rows else [self._phrase("no_turns")]
        self._notes += [self._phrase("other_chats", names=names)] if names else []

    def _row(self, number: int, turn: Turn) -> tuple[str, str, str, str, str]:
        lines = (" ".join(text.split()) for text in (turn.prompt.content, turn.answer.content))
        prompt, answer = (line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …" for line in lines)
        if turn.prompt.images:
            prompt += f" {self._phrase('turn_pictures', count=len(turn.prompt.images))}"
        if turn.cut:
            answer += f" {self._phrase('turn_cut')}"
        return str(number), prompt, answer, turn.model, str(turn.tokens or "")

    def _phrase(self, key: str, **facts: object) -> str:
        return messages.phrase(key, self._language, **facts)

    def __repr__(self) -> str:
        lines = [f"{number}  {prompt}\n   {model}: {answer}" for number, prompt, answer, model, _ in self.rows]
        return messages.strip_controls("\n".join([*lines, *self._total, *self._notes]))

    def _repr_html_(self) -> str:
        from ollama_magics.render.answer import answer_html, footer_html  # noqa: PLC0415 - brings in the renderer

        titles = ("", self._phrase("turn_you"), "", self._phrase("turn_model"), self._phrase("turn_tokens"))
        head = [Cell(title, f"{_TURN_CELL};{_GREY};font-weight:normal") for title in titles]
        rows = ([Cell(text, _TURN_CELL, 'class="mathjax_ignore"') for text in row] for row in self.rows)
        return answer_html((cells_html(rows, _TABLE, head) if self.rows else "") + footer_html(self._total, self._notes))
