"""Refuse a key or a password that was typed on a line of a magic, and take the line out of IPython's input history."""

from __future__ import annotations

import difflib
import re
import sqlite3
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from IPython import get_ipython

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase
from ollama_magics.notebook import localized_errors
from ollama_magics.secret import BULLETS, SECRET_OPTION, key_places, looks_like_key
from ollama_magics.settings import values

_AT = "@＠﹫"
# A user or password before the host; what follows the colon is no port. A password may hold spaces.
_USER = re.compile(
    rf"""://(?:[^\s/?#"'{_AT}]*[{_AT}]|(?!\[)[^\s/:"'{_AT}]*:(?!\d{{1,5}}(?![^\s/?#"',;)\]}}]))[^\n]*?[{_AT}])"""
    rf"""|(?<![^\s"'=,])[^\s"'=,:/{{}}\[\]{_AT}]+:(?!/)[^\s/"'{{}}{_AT}]+[{_AT}](?!sha256:)[\w\[]"""
)
_NAME = r"[A-Za-z][\w-]*"
_VALUE = r"""(?:\s*=\s*|\s+)(?![-–—]{1,2}[A-Za-z])(?P<value>"[^"]*"|'[^']*'|\S+)"""
_DASHED = re.compile(rf"(?<!\S)(?P<option>[-–—]{{1,2}}{_NAME})(?:{_VALUE})?")
_ANY = re.compile(rf"(?<!\S)(?P<option>[-–—]{{0,2}}{_NAME})(?:{_VALUE})?")
_VARIABLE = re.compile(r"""["']?\$[^\W\d]\w*["']?""")  # of the notebook
_NO_SECRET = ("api-key-env", "key-store", "max-tokens")  # options that are called like secrets
_HIDDEN = ("api-key", "headers")
# an address after its option, on a line that is all options, and before a prompt or an expression
_ADDRESS_OPTION = r"[-–—]{1,2}(?:base[-_]?url|proxy)[=\s]\s*"
_ADDRESS = re.compile(rf"{_ADDRESS_OPTION}(?P<value>.*?)(?=\s[-–—]{{1,2}}[A-Za-z]|$)", re.IGNORECASE)
_ADDRESS_BEFORE_TEXT = re.compile(rf"{_ADDRESS_OPTION}(?P<value>\S+)", re.IGNORECASE)
_WITH_TEXT = ("ollama", "embed")  # magics whose line goes on with a prompt or an expression
_OURS = re.compile(r"%(?:ollama|embed)")
_NUMBERED = re.compile(r"_i\d+")
_LAST = ("_i00", "_i", "_ii", "_iii")  # the cells before this one, as IPython calls them
_UPDATE = """UPDATE history SET source = replace(source, :text, :bullets), source_raw = replace(source_raw, :text, :bullets)
WHERE instr(source, :text) OR instr(source_raw, :text)"""  # of any session: the line may have been typed before


def redact_history(shell: Any, line: str) -> bool:
    """Replace what was typed after the name of the magic in IPython's input history; return whether all of it is gone.

    A front end keeps the cell, and so does a notebook that was saved.
    """
    history = getattr(shell, "history_manager", None)
    if history is None or not line.strip():
        return False
    spellings = tuple(dict.fromkeys((line, repr(line)[1:-1])))  # as it was typed, and as a call of the magic

    for inputs in (history.input_hist_raw, history.input_hist_parsed):
        inputs[:] = [_redacted(cell, spellings) for cell in inputs]
    with history.db_input_cache_lock:  # input that waits to be written, or is being written by a thread
        waiting = history.db_input_cache
        waiting[:] = [(number, *(_redacted(text, spellings) for text in texts)) for number, *texts in waiting]
    for name in _LAST:
        setattr(history, name, _redacted(getattr(history, name, ""), spellings))
    names = shell.user_ns
    for name in [name for name in names if name in _LAST or _NUMBERED.fullmatch(name)]:
        names[name] = _redacted(str(names[name]), spellings)

    # a line that continues with backslashes stands in the cell in pieces, so that it was not found
    newest = str(history.input_hist_raw[-1]) if history.input_hist_raw else ""
    is_split = line not in newest and bool(_OURS.search(newest)) and "\\\n" in newest
    return not is_split and _redact_database(history, spellings)


def _redacted(cell: str, spellings: Sequence[str]) -> str:
    for spelling in spellings:
        cell = cell.replace(spelling, BULLETS)
    return cell


def _redact_database(history: Any, spellings: Sequence[str]) -> bool:
    """Replace the line in the file of past sessions; return whether the file, if there is one, no longer holds it."""
    if not getattr(history, "enabled", False):
        return True
    with suppress(sqlite3.Error, UnicodeEncodeError):  # of half a character
        history.db.execute("PRAGMA secure_delete = ON")  # so that what is replaced does not stay in the file
        with history.db:
            for text in spellings:
                history.db.execute(_UPDATE, {"text": text, "bullets": BULLETS})
        return True
    return False


def refuse_secrets(parser: ArgumentParser, line: str, known: Mapping[str, Any], rest: str = "") -> None:
    """Raise SettingError, which shows nothing of the line, for a key or a password before the ``rest`` of the line.

    ``known`` are the options of the parser by their spellings.
    The line is taken out of the history before. Prompts and expressions are not looked at: they may speak of keys.
    """
    magic = parser.prog.lstrip("%")
    is_whole = magic not in _WITH_TEXT
    end = len(line) if is_whole else len(line.rstrip()) - len(rest)
    for start in _places(line, end, known, is_whole=is_whole):
        setting, instead = _advice(f"%{magic}", line[:start], known)
        error = SettingError("secret-on-line", setting=setting, instead=instead)
        if redact_history(get_ipython(), line):
            error.with_advice(Phrase("removed_from_history"))
        with localized_errors():
            raise error


def _places(line: str, end: int, known: Mapping[str, Any], *, is_whole: bool) -> Iterator[int]:
    """Yield where secrets stand that begin before the end, behind the options that they are values of."""
    head = line[:end]
    for typed in (_ADDRESS if is_whole else _ADDRESS_BEFORE_TEXT).finditer(head):
        text = typed["value"].strip()
        is_hidden = any(sign in text for sign in _AT) or any(map(values.holds_password, text.split(",")))
        if is_hidden and not _VARIABLE.fullmatch(text):
            yield typed.start("value")
    yield from _values_of_secret_options(head, known, _ANY if is_whole else _DASHED)
    yield from (found.start() for found in _USER.finditer(line) if found.start() < end)
    for start in key_places(head):
        if _options(head[:start])[-1:] != ["--headers"]:  # which the setting refuses itself
            yield start


def _values_of_secret_options(head: str, known: Mapping[str, Any], words: re.Pattern[str]) -> Iterator[int]:
    """Yield where a value stands behind an option that is, or was meant to be, one of a key."""
    position = 0
    while found := words.search(head, position):
        option, value = found["option"], found["value"]
        is_switch = option in known and known[option].nargs == 0
        position = found.end("option") if is_switch or value is None else found.end()
        if value is not None and not _VARIABLE.fullmatch(value) and _takes_secret(option, value.strip("\"'"), known):
            yield found.start("value")


def _takes_secret(option: str, value: str, known: Mapping[str, Any]) -> bool:
    plain = option.strip("-–—").replace("_", "-").lower()
    if option in known and plain != "api-key":
        return False
    names = [name.lstrip("-") for name in known]
    near = next(iter(difflib.get_close_matches(plain, [*names, "api-key", "headers"], n=1)), "")
    if near in _NO_SECRET:
        return looks_like_key(value)
    if plain in names and plain not in _HIDDEN:
        return False
    return near in _HIDDEN or bool(SECRET_OPTION.search(plain))


def _advice(magic: str, before: str, known: Mapping[str, Any]) -> tuple[str | Phrase, str]:
    """Return the last option before a secret, and what to type instead."""
    typed = _options(before)
    option = typed[-1] if typed and typed[-1] in known else ""
    if not option or option == "--api-key":
        is_key = option or any(map(SECRET_OPTION.search, typed[-1:]))
        setting = "--api-key" if is_key else Phrase("this_line")
        return setting, "%ollama_config --api-key"
    return option, f"{magic} {option} $name"


def _options(text: str) -> list[str]:
    """Return the options on the start of a line, as they were typed."""
    return [found["option"] for found in _DASHED.finditer(text)]
