"""Settings, notices and a check as lines of a cell."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from IPython.display import display

from ollama_magics import messages

_SAMPLING = ("system", "temperature", "top_p", "top_k", "seed")
# the phrase for a setting without a value
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


def watch_check(run: Callable[[Callable[[Any], None]], Any], shell: Any) -> Any:
    """Return the report of a check, which is shown while it runs.

    ``run`` makes the check and calls its argument with each state of the report. With OLLAMA_MAGICS_STREAM=off nothing is shown.
    """
    if os.environ.get("OLLAMA_MAGICS_STREAM") == "off":
        return run(lambda _: None)
    report = _write_check(run) if getattr(shell, "kernel", None) is None else _paint_check(run)
    report.painted = True
    return report


def _paint_check(run: Callable[[Callable[[Any], None]], Any]) -> Any:
    handle = display({"text/plain": "…"}, raw=True, display_id=True)

    def paint(report: Any) -> None:
        handle.update({"text/html": report.as_html(), "text/plain": str(report)}, raw=True)

    last = run(paint)
    paint(last)
    return last


def _write_check(run: Callable[[Callable[[Any], None]], Any]) -> Any:
    written: set[tuple[str, str]] = set()

    def write(report: Any, *, waiting: bool = False) -> None:
        new = [stage for stage in report.stages if waiting or stage.state != "not run"]
        new = [stage for stage in new if (stage.name, stage.state) not in written]
        written.update((stage.name, stage.state) for stage in new)
        sys.stdout.write("".join(f"{line}\n" for line in report.lines(new)))
        sys.stdout.flush()

    last = run(write)
    write(last, waiting=True)
    return last


_MOST_NAMED = 10  # rows in one line


def say(key: str, language: str, **facts: object) -> None:
    """Write one phrase as a line of the cell's output."""
    sys.stdout.write(messages.Phrase(key, **facts).text(language) + "\n")


def say_set(name: str, value: str, why: str, language: str) -> None:
    """Write what a setting is now, and why it differs from what was typed, if it does."""
    say("set", language, label=messages.label(name, language), value=why or resolved_value(name, value, language))


def say_notices(notices: Iterable[tuple[str, Mapping[str, object]]], language: str) -> None:
    """Write notices, a line for each: the key of a phrase, and its facts."""
    say_lines(messages.notice(key, facts, language) for key, facts in notices)


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
