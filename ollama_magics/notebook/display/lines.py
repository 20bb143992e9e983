"""Settings, notices and the check as lines of a cell."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import Any

from IPython.display import display

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


def resolved_value(name: str, value: str, language: str) -> str:
    """Return a value of a setting on one line, or what holds where it is empty."""
    if not value:
        return messages.phrase(_EMPTY.get(name, "nothing_set"), language)
    return " · ".join(value.splitlines())


class SettingsTable:
    """Shows itself as HTML in a notebook and as aligned text in a terminal; ``rows`` are (setting, value, source)."""

    def __init__(self, rows: Sequence[tuple[str, str, str]], language: str) -> None:
        self._language = language
        self.rows = [
            (messages.label(name, language), resolved_value(name, value, language), self._source(source))
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


_Run = Callable[[Callable[[Any], None]], Any]  # gets what is to be called with each report, and returns the last


def watch(run: _Run, shell: Any) -> Any:
    """Return the report of a check that is shown while it runs; with OLLAMA_MAGICS_STREAM=off it is not painted here at all."""
    if os.environ.get("OLLAMA_MAGICS_STREAM") == "off":
        return run(lambda _: None)
    report = _in_terminal(run) if getattr(shell, "kernel", None) is None else _in_notebook(run)
    report.painted = True
    return report


def _in_notebook(run: _Run) -> Any:
    handle = display({"text/plain": "…"}, raw=True, display_id=True)

    def paint(report: Any) -> None:
        handle.update({"text/html": report.as_html(), "text/plain": str(report)}, raw=True)

    last = run(paint)
    paint(last)
    return last


def _in_terminal(run: _Run) -> Any:
    told: set[tuple[str, str]] = set()

    def write(report: Any, *, waiting: bool = False) -> None:
        new = [stage for stage in report.stages if waiting or stage.state != "not asked"]
        new = [stage for stage in new if (stage.name, stage.state) not in told]
        told.update((stage.name, stage.state) for stage in new)
        sys.stdout.write("".join(f"{line}\n" for line in report.lines(new)))
        sys.stdout.flush()

    last = run(write)
    write(last, waiting=True)
    return last


_MOST_NAMED = 10  # rows in one line


def watch_check(run: Callable[[Callable[[Any], None]], Any], shell: Any) -> Any:
    """Return the report of a check, which ``run`` makes while it calls what it is given with each state; shown as it goes on."""
    return watch(run, shell)


def say(key: str, language: str, **facts: object) -> None:
    """Write one phrase as a line of the cell's output."""
    sys.stdout.write(messages.Phrase(key, **facts).text(language) + "\n")


def say_set(name: str, value: str, why: str, language: str) -> None:
    """Write what a setting is now, and why it differs from what was typed, if it does."""
    say("set", language, label=messages.label(name, language), value=why or resolved_value(name, value, language))


def say_notices(notices: Iterable[tuple[str, Mapping[str, object]]], language: str) -> None:
    """Write things that a person has to know, a line for each: (key of a phrase, facts)."""
    say_lines(messages.notice(key, facts, language) for key, facts in notices)


def say_lines(lines: Iterable[str]) -> None:
    """Write lines of the cell's output, made harmless."""
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
