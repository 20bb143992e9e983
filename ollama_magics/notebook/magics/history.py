"""A line that held a secret is taken out of what IPython remembers: In, _i, and the file of past sessions."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from ollama_magics.secret import BULLETS

_NUMBERED = re.compile(r"_i\d+")
_LAST = ("_i00", "_i", "_ii", "_iii")  # the cells before this one, as IPython calls them
_UPDATE = """UPDATE history SET source = replace(source, :text, :blot), source_raw = replace(source_raw, :text, :blot)
WHERE instr(source, :text) OR instr(source_raw, :text)"""  # of any session: the line may have been typed before


def blot(shell: Any, line: str) -> bool:
    """Replace what stood after the name of the magic wherever IPython keeps its input; return whether all of it is gone.

    A front end keeps the cell all the same, and so does a notebook that was saved.
    """
    history = getattr(shell, "history_manager", None)
    if history is None or not line.strip():
        return False
    spellings = tuple(dict.fromkeys((line, repr(line)[1:-1])))  # as it was typed, and as a call of the magic
    for kept in (history.input_hist_raw, history.input_hist_parsed):
        kept[:] = [_blotted(cell, spellings) for cell in kept]
    with history.db_input_cache_lock:  # what waits to be written, or is being written right now by a thread
        waiting = history.db_input_cache
        waiting[:] = [(number, *(_blotted(text, spellings) for text in texts)) for number, *texts in waiting]
    for name in _LAST:
        setattr(history, name, _blotted(getattr(history, name, ""), spellings))
    names = shell.user_ns
    for name in [name for name in names if name in _LAST or _NUMBERED.fullmatch(name)]:
        names[name] = _blotted(str(names[name]), spellings)
    return not _is_split(history, line) and _filed(history, spellings)


def _blotted(cell: str, spellings: Sequence[str]) -> str:
    for spelling in spellings:
        cell = cell.replace(spelling, BULLETS)
    return cell


def _is_split(history: Any, line: str) -> bool:
    """Whether the cell holds the line in pieces, with backslashes between them, so that it was not found."""
    newest = str(history.input_hist_raw[-1]) if history.input_hist_raw else ""
    return line not in newest and "ollama_config" in newest and "\\\n" in newest


def _filed(history: Any, spellings: Sequence[str]) -> bool:
    """Whether the file of past sessions, if there is one, does not hold the line any more."""
    if not getattr(history, "enabled", False):
        return True
    with suppress(sqlite3.Error):
        history.db.execute("PRAGMA secure_delete = ON")  # so that what is replaced does not stay in the file
        with history.db:
            for text in spellings:
                history.db.execute(_UPDATE, {"text": text, "blot": BULLETS})
        return True
    return False
