"""Explain what is wrong with an SQLite file."""

from __future__ import annotations

import errno
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

LONGEST = 3.0  # seconds that a lock of another process is waited for; it holds one for some milliseconds
PATIENCE = 0.2  # seconds of one wait, in which no interrupt lands
_Found = TypeVar("_Found")
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NO_ROOM = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}  # a file at its largest size is an I/O error to SQLite
_NO_ROOM_ON_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}


class Damaged(sqlite3.DatabaseError):
    """The file is not what this version wrote: foreign, newer, or broken."""


def is_damage(error: Exception) -> bool:
    """Whether the file itself is at fault, so that a new one helps."""
    return isinstance(error, Damaged) or _code(error) in _DAMAGE


def is_lock(error: Exception) -> bool:
    """Whether another process holds the file."""
    return _code(error) in _LOCKED


def waited_for(do: Callable[[], _Found], seconds: float = LONGEST) -> _Found:
    """Return what ``do`` returns, called again for so many seconds while another process holds the file.

    SQLite itself waits deaf to interrupts: each call should do so for a moment only.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return do()
        except sqlite3.Error as error:
            if not is_lock(error) or time.monotonic() > deadline:
                raise


def explained(error: Exception, path: Path) -> str:
    """Return one sentence: why vectors are not kept for now."""
    code, said = _code(error), getattr(error, "strerror", None) or str(error)
    if is_lock(error):
        return f"Some vectors were not kept: another process has locked {path}."
    if code in _NO_ROOM or getattr(error, "errno", None) in _NO_ROOM_ON_DISK:
        return f"Some vectors were not kept: there is no room left for {path} ({said})."
    if code in _UNWRITABLE or isinstance(error, PermissionError):
        return f"Vectors are not kept: {path} cannot be written ({said})."
    return f"Vectors are not kept: {path} cannot be used ({said})."


def set_aside(error: Exception, path: Path, aside: Path) -> str:
    """Return one sentence: what became of a file that was damaged."""
    return f"{path} could not be read ({error}): it was kept as {aside.name}, and a new one was begun."


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF  # the rest of the bits says more than we need
