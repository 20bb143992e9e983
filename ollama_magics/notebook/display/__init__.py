"""How things reach the screen: replies as one live output in a notebook or as they come in a terminal, settings as lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ollama_magics import messages
from ollama_magics.notebook.display.table import in_force

_MOST_NAMED = 10  # rows in one line


def watch(run: Callable[[Callable[[Any], None]], Any], shell: Any) -> Any:
    """Return the report of a check, which ``run`` makes while it calls what it is given with each state; shown as it goes on."""
    from ollama_magics.notebook.display import checking  # noqa: PLC0415 - most cells check nothing

    return checking.watch(run, shell)


def say(key: str, language: str, **facts: object) -> None:
    """Write one phrase as a line of the cell's output."""
    sys.stdout.write(messages.Phrase(key, **facts).spoken(language) + "\n")


def say_set(name: str, value: str, why: str, language: str) -> None:
    """Write what a setting is now, and why it differs from what was typed, if it does."""
    say("set", language, label=messages.label(name, language), value=why or in_force(name, value, language))


def say_notices(notices: Iterable[tuple[str, Mapping[str, object]]], language: str) -> None:
    """Write things that a person has to know, a line for each: (key of a phrase, facts)."""
    say_lines(messages.notice(key, facts, language) for key, facts in notices)


def say_lines(lines: Iterable[str]) -> None:
    """Write lines of the cell's output, made harmless."""
    for line in lines:
        sys.stdout.write(messages.harmless(line) + "\n")


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
