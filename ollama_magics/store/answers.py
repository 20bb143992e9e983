"""Answers that a cell asked to keep, by a hash of what was asked, in one SQLite file of their own."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import platformdirs

from ollama_magics.store.sqlite_file import PATIENCE, Damaged, is_damage, set_aside, waited_for

# answers: the latest has the highest id; the blob begins with its CRC-32: SQLite would not notice a flipped bit


_NAME = "answers.sqlite"
_LIMIT = 256 * 1024**2
_APPLICATION, _VERSION = 0x4F4D4153, 1  # "OMAS"; tells our files from others
_SCHEMA = "CREATE TABLE answers (id INTEGER PRIMARY KEY, key BLOB UNIQUE, stored TEXT, answer BLOB)"
_CHECK = 4  # bytes of the checksum
_EVICT = "DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY id LIMIT 20)"
_FAILURES = (sqlite3.Error, OSError, MemoryError, OverflowError, zlib.error)
_Found = TypeVar("_Found")


class AnswerStore:
    """Answers by 16-byte keys; threads and processes may use it at once, and each use opens the file.

    ``path`` is the file, by default ``answers.sqlite`` in the person's cache folder, for that person alone; ``limit`` its size
    in bytes, beyond which the oldest answers go. No method raises for anything that is wrong with the file: an answer is then
    not found or not kept, and ``problem`` says why in one sentence, until the caller empties it.
    """

    def __init__(self, path: Path | None = None, *, limit: int = _LIMIT) -> None:
        self.problem = ""
        self._path, self._limit = path, limit
        self._lock = threading.Lock()

    def find(self, key: bytes) -> tuple[bytes, str] | None:
        """Return the answer that is kept and the day (UTC) on which it was given, or None."""

        def search(file: sqlite3.Connection) -> tuple[bytes, str] | None:
            row = file.execute("SELECT answer, stored FROM answers WHERE key = ?", (key,)).fetchone()
            return (_unpacked(row[0]), str(row[1])) if row else None

        return self._attempt(search, None)

    def put(self, key: bytes, answer: bytes) -> None:
        """Keep an answer in place of the one that the key had, and remove the oldest while there are too many."""
        packed, today = zlib.compress(answer), datetime.now(UTC).date().isoformat()
        row = key, today, zlib.crc32(packed).to_bytes(_CHECK, "big") + packed

        def write(file: sqlite3.Connection) -> None:
            file.execute("INSERT OR REPLACE INTO answers (key, stored, answer) VALUES (?, ?, ?)", row)
            while _used(file) > self._limit and file.execute(_EVICT).rowcount:
                pass

        self._attempt(write, None)

    def forget(self) -> int:
        """Remove every answer from the disk; return how many there were."""

        def empty(file: sqlite3.Connection) -> int:
            count = file.execute("DELETE FROM answers").rowcount
            file.commit()
            file.execute("VACUUM")
            return count

        return self._attempt(empty, 0)

    def _attempt(self, do: Callable[[sqlite3.Connection], _Found], otherwise: _Found) -> _Found:
        path = self._path or platformdirs.user_cache_path("ollama_magics", appauthor=False) / _NAME
        with self._lock:
            try:
                return waited_for(partial(_done, do, path))
            except _FAILURES as error:
                self.problem = _aside(error, path) if is_damage(error) else _explained(error, path)
                return otherwise


def _done(do: Callable[[sqlite3.Connection], _Found], path: Path) -> _Found:
    _make_private(path)
    with contextlib.closing(sqlite3.connect(path, timeout=PATIENCE)) as file, file:
        _prepare(file)
        return do(file)


def _prepare(file: sqlite3.Connection) -> None:
    """Make sure that the file is ours, and make it so if it is empty."""
    marks = file.execute("PRAGMA application_id").fetchone()[0], file.execute("PRAGMA user_version").fetchone()[0]
    if marks == (0, 0) and not file.execute("SELECT 1 FROM sqlite_master").fetchone():
        file.executescript(
            f"BEGIN IMMEDIATE; {_SCHEMA.replace('TABLE', 'TABLE IF NOT EXISTS')};"
            f"PRAGMA application_id={_APPLICATION}; PRAGMA user_version={_VERSION}; COMMIT;"
        )
    elif marks != (_APPLICATION, _VERSION):
        raise Damaged("it is no store of answers, or a newer version of ollama_magics wrote it")


def _unpacked(blob: object) -> bytes:
    if not isinstance(blob, bytes) or zlib.crc32(blob[_CHECK:]) != int.from_bytes(blob[:_CHECK], "big"):
        raise Damaged("an answer is not what was written")
    return zlib.decompress(blob[_CHECK:])


def _used(file: sqlite3.Connection) -> int:
    pages, free, size = (
        int(file.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _make_private(path: Path) -> None:
    """Create folder and file for this person alone, and take from others what they may do with those that are there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)


def _explained(error: Exception, path: Path) -> str:
    said = getattr(error, "strerror", None) or error
    return f"Answers are not kept: {path} cannot be used ({said})."


def _aside(error: Exception, path: Path) -> str:
    moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    aside = path.with_name(f"{path.name}.{moment}-{os.getpid()}")
    with contextlib.suppress(OSError):
        path.rename(aside)
    return set_aside(error, path, aside)
