"""Answers kept by --reuse, by a hash of the request, in one SQLite file."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from ollama_magics.store.sqlite_file import (
    LOCK_TIMEOUT,
    Damaged,
    FileFormat,
    SqliteFile,
    aside_text,
    is_damage,
    retry_while_locked,
    store_path,
    used_bytes,
)

_NAME = "answers.sqlite"
_LIMIT = 256 * 1024**2
# answers: the latest has the highest id; the blob begins with its CRC-32, since SQLite would not notice a flipped bit
_FORMAT = FileFormat(
    content="answers",
    application=0x4F4D4153,  # "OMAS"
    version=1,
    schema=("CREATE TABLE answers (id INTEGER PRIMARY KEY, key BLOB UNIQUE, stored TEXT, answer BLOB)",),
)
_CHECKSUM_SIZE = 4  # bytes
_EVICT = "DELETE FROM answers WHERE id IN (SELECT id FROM answers ORDER BY id LIMIT 20)"
_FAILURES = (sqlite3.Error, OSError, MemoryError, OverflowError, zlib.error)
_Result = TypeVar("_Result")


class AnswerStore:
    """Answers by 16-byte keys; threads and processes may use it at once, and each use opens the file.

    ``path`` is the file, by default ``answers.sqlite`` in the user's cache folder, for that user alone; ``limit`` is its
    largest size in bytes, beyond which the oldest answers are removed. No method raises if something is wrong with the file:
    an answer is then not found or not kept, and ``problem`` says why in one sentence, until the caller empties it.
    """

    def __init__(self, path: Path | None = None, *, limit: int = _LIMIT) -> None:
        self.problem = ""
        self._path, self._limit = path, limit
        self._lock = threading.Lock()

    def find(self, key: bytes) -> tuple[bytes, str] | None:
        """Return the answer of a key and the day (UTC, ISO 8601) on which it was given, or None."""

        def search(file: SqliteFile) -> tuple[bytes, str] | None:
            with file.transaction() as connection:
                row = connection.execute("SELECT answer, stored FROM answers WHERE key = ?", (key,)).fetchone()
            if not row:
                return None
            blob, stored = row
            if not isinstance(blob, bytes) or _checksum(blob[_CHECKSUM_SIZE:]) != blob[:_CHECKSUM_SIZE]:
                raise Damaged("an answer is not what was written")
            return zlib.decompress(blob[_CHECKSUM_SIZE:]), str(stored)

        return self._attempt(search, None)

    def put(self, key: bytes, answer: bytes) -> None:
        """Keep an answer in place of the one that the key had, and remove the oldest while there are too many."""
        packed, today = zlib.compress(answer), datetime.now(UTC).date().isoformat()
        row = key, today, _checksum(packed) + packed

        def write(file: SqliteFile) -> None:
            with file.transaction("BEGIN IMMEDIATE") as connection:
                connection.execute("INSERT OR REPLACE INTO answers (key, stored, answer) VALUES (?, ?, ?)", row)
                while used_bytes(connection) > self._limit and connection.execute(_EVICT).rowcount:
                    pass

        self._attempt(write, None)

    def forget(self) -> int:
        """Remove every answer from the disk and return how many there were."""

        def empty(file: SqliteFile) -> int:
            with file.transaction("BEGIN IMMEDIATE") as connection:
                count = connection.execute("DELETE FROM answers").rowcount
            connection.execute("VACUUM")
            return count

        return self._attempt(empty, 0)

    def _attempt(self, use: Callable[[SqliteFile], _Result], otherwise: _Result) -> _Result:
        """Return what ``use`` returns, or ``otherwise`` if the file fails; a damaged file is set aside."""
        path = self._path or store_path(_NAME)
        file = SqliteFile(path, _FORMAT, own_folder=self._path is None)
        with self._lock, contextlib.closing(file):
            try:
                return retry_while_locked(partial(use, file), LOCK_TIMEOUT)
            except _FAILURES as error:
                reason = getattr(error, "strerror", None) or error
                self.problem = f"Answers are not kept: {path} cannot be used ({reason})."
                if is_damage(error):
                    with contextlib.suppress(OSError, sqlite3.Error):
                        aside = file.set_aside()
                        self.problem = aside_text(error, path, aside) if aside else ""
                return otherwise


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CHECKSUM_SIZE, "big")
