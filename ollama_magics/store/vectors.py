"""Keep vectors in one SQLite file, written by a thread of its own; a file that fails costs a job only time."""

from __future__ import annotations

import atexit
import errno
import hashlib
import json
import os
import sqlite3
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import platformdirs

from ollama_magics.store.sqlite_file import (
    BUSY_TIMEOUT,
    LOCK_TIMEOUT,
    Damaged,
    FileFormat,
    SqliteFile,
    aside_text,
    error_code,
    is_damage,
    is_lock,
    retry_while_locked,
    used_bytes,
)

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def key(digest: str, options: Mapping[str, object]) -> Callable[[str], bytes]:
    """Return a function from a text to its key of 16 bytes, for the model of this digest and these options.

    Keys are the same in every process and for every order of the options, whose values are what JSON can hold; True, 1 and
    1.0 give different keys. 128 bits of BLAKE2b: the probability that two of a billion texts get one key is below 1e-20.
    """
    # NUL cannot occur in a digest, and JSON escapes it: no two triples give one string
    prefix = hashlib.blake2b(f"{digest}\0{_CANONICAL.encode(options)}\0".encode("utf-8", "surrogatepass"), digest_size=16)

    def key_of(text: str) -> bytes:
        found = prefix.copy()
        found.update(text.encode("utf-8", "surrogatepass"))
        return found.digest()

    return key_of


# batches: the rows of one batch, one after another, as float32 in little-endian order; the oldest has the lowest id
# places:  under which key which row of which batch is found, and its CRC-32: SQLite would not notice a flipped bit
_FORMAT = FileFormat(
    content="vectors",
    application=0x4F4D5653,  # "OMVS"
    version=1,
    schema=(
        "CREATE TABLE batches (id INTEGER PRIMARY KEY, width INTEGER, vectors BLOB)",
        "CREATE TABLE places (key BLOB PRIMARY KEY, batch INTEGER, position INTEGER, checksum INTEGER) WITHOUT ROWID",
        "CREATE INDEX places_of_batch ON places (batch)",
    ),
    # A checkpoint at 16 MB instead of 4 is four times as rare and makes writing twice as fast. NORMAL: a loss of power may
    # take the last batches, never a part of one.
    pragmas=("synchronous=NORMAL", "wal_autocheckpoint=4096", "trusted_schema=OFF", "cell_size_check=ON"),
    write_ahead_log=True,
)
_KEYS_AT_ONCE = 500  # builds of SQLite before 3.32 take 999
_MOST_EVICTED = 16  # batches for each one that is written: a lower limit is reached step by step, not under one long lock

_Place = tuple[bytes, int, int]  # key, position in the batch, checksum


class VectorFile(SqliteFile):
    """The file of vectors at ``path``, at most ``limit`` bytes large apart from the newest batch."""

    def __init__(self, path: Path, limit: int, *, own_folder: bool, busy_timeout: float | None = None) -> None:
        super().__init__(path, _FORMAT, own_folder=own_folder, busy_timeout=busy_timeout)
        self._limit = limit

    def find(self, keys: Sequence[bytes]) -> dict[bytes, memoryview]:
        """Return the rows of the keys that are in the file."""
        found: dict[bytes, memoryview] = {}
        ordered = sorted(set(keys))  # neighbours in the index are read together
        with self.transaction() as connection:
            places: dict[int, list[_Place]] = {}
            for start in range(0, len(ordered), _KEYS_AT_ONCE):
                some = ordered[start : start + _KEYS_AT_ONCE]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, batch, position, checksum FROM places WHERE key IN ({marks})"  # noqa: S608 - only question marks
                for key, batch, position, checksum in connection.execute(query, some):
                    places.setdefault(batch, []).append((key, position, checksum))
            for batch, of_batch in places.items():
                found.update(_read_rows(connection, batch, of_batch))
        return found

    def put(self, keys: Sequence[bytes], rows: bytes, width: int) -> None:
        """Write one batch, and remove the oldest ones while the file is over its limit."""
        data, row = memoryview(rows), 4 * width
        checksums = [zlib.crc32(data[start : start + row]) for start in range(0, row * len(keys), row)]
        with self.transaction("BEGIN IMMEDIATE") as connection:
            newest = connection.execute("INSERT INTO batches (width, vectors) VALUES (?, ?)", (width, rows)).lastrowid
            places = [(key, newest, at, checksum) for at, (key, checksum) in enumerate(zip(keys, checksums, strict=True))]
            connection.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)", places)

            query = "SELECT id FROM batches WHERE id < ? ORDER BY id LIMIT ?"
            for batch in connection.execute(query, (newest, _MOST_EVICTED)).fetchall():
                if used_bytes(connection) <= self._limit:
                    break
                connection.execute("DELETE FROM places WHERE batch = ?", batch)
                connection.execute("DELETE FROM batches WHERE id = ?", batch)

    def count(self) -> int:
        """Return the number of rows that can be found."""
        with self.transaction() as connection:
            return int(connection.execute("SELECT count(*) FROM places").fetchone()[0])

    def forget(self) -> None:
        """Remove every row and give the space back to the disk."""
        with self.transaction("BEGIN IMMEDIATE") as connection:
            connection.execute("DELETE FROM places")
            connection.execute("DELETE FROM batches")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _read_rows(connection: sqlite3.Connection, batch: int, places: Sequence[_Place]) -> Iterator[tuple[bytes, memoryview]]:
    """Yield each key with its row, checked; the batch is read as a whole only if most of it is needed."""
    query = "SELECT 4 * width, length(vectors) FROM batches WHERE id = ? AND typeof(vectors) = 'blob'"
    row, size = connection.execute(query, (batch,)).fetchone() or (None, 0)
    if not isinstance(row, int) or not all(isinstance(position, int) for _, position, _ in places):
        raise Damaged(f"batch {batch} is missing")
    with connection.blobopen("batches", "vectors", batch, readonly=True) as blob:
        data: Any = memoryview(blob.read()) if 2 * row * len(places) > size else blob  # typeshed knows no slices of a Blob
        for key, position, checksum in places:
            found = memoryview(data[position * row : (position + 1) * row])
            if len(found) != row or zlib.crc32(found) != checksum:
                raise Damaged(f"row {position} of batch {batch} is not what was written")
            yield key, found


_WAIT = 0.2  # seconds of one wait: on Windows a longer one could not be interrupted
_NAME = "vectors.sqlite"
_LIMIT = 4 * 1024**3
_MOST_WAITING = 1  # batches, the one that is being written included: what is not written yet is lost when a process is killed
_SHORT_TIMEOUT = 0.05  # seconds for a lock after one that lasted too long: it must not slow down every batch

_FAILURES = (sqlite3.Error, OSError, MemoryError, OverflowError)
_NO_SPACE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}  # a file at its largest size is an I/O error to SQLite
_NO_SPACE_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}
_FORKED = "Vectors are neither found nor kept in a process that was forked while the store was open."

_Batch = tuple[Sequence[bytes], bytes, int]  # keys, rows, width
_Result = TypeVar("_Result")


class VectorStore:
    """Vectors in one file, by 16-byte keys; threads and processes may use it at once.

    ``path`` is the file, by default ``vectors.sqlite`` in the user's cache folder; ``limit`` is its largest size in bytes,
    beyond which the oldest batches are removed. Nothing is opened before the first use, and a use after close() opens it
    again. No method raises if something is wrong with the file: rows are then not found or not kept, and ``problem`` says
    why in one sentence, until the caller empties it.
    """

    def __init__(self, path: Path | None = None, *, limit: int = _LIMIT) -> None:
        self.problem = ""
        self._path, self._limit = path, limit
        self._reset()

    def _reset(self) -> None:
        # ``_changed`` guards ``_waiting``, ``_writer`` and the two counts; ``_file_lock`` guards the file
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[_Batch] = deque()
        self._accepted = self._written = 0
        self._writer: threading.Thread | None = None
        self._file_lock = threading.Lock()
        self._file: VectorFile | None = None
        self._busy_timeout = BUSY_TIMEOUT
        self._set_aside_before = self._forked = False

    def find(self, keys: Sequence[bytes]) -> dict[bytes, memoryview]:
        """Return the rows that are kept, as float32 in little-endian order; what was put before is among them."""
        return self._attempt_after_writing(lambda file: file.find(keys), {}) if keys else {}

    def put(self, keys: Sequence[bytes], rows: bytes, width: int) -> None:
        """Hand over a batch to be written after the last; raises ValueError unless ``rows`` fit the keys and the width."""
        if len(rows) != len(keys) * width * 4:
            raise ValueError(f"{len(rows)} bytes are not {len(keys)} rows of {width} float32 numbers")
        if not rows:
            return
        with self._own_condition():
            self._wait(lambda: len(self._waiting) < _MOST_WAITING)
            self._waiting.append((tuple(keys), rows, width))
            self._accepted += 1
            if not (self._writer and self._writer.is_alive()):
                self._writer = threading.Thread(target=self._write, name="ollama_magics store", daemon=True)
                self._writer.start()
                atexit.register(self.close)  # runs while daemon threads still do: the end of a script loses no batch
            self._changed.notify_all()

    def count(self) -> int:
        """Return the number of rows that can be found."""
        return self._attempt_after_writing(VectorFile.count, 0)

    def size(self) -> int:
        """Return the bytes on disk."""
        return self._attempt_after_writing(VectorFile.size, 0)

    def forget(self) -> None:
        """Remove every row from the disk; files that were set aside stay where they are."""
        self._attempt_after_writing(VectorFile.forget, None)

    def close(self) -> None:
        """Write what waits, close the file, and end the thread."""
        with self._own_condition():
            self._wait(lambda: not self._waiting)
            writer, self._writer = self._writer, None
            self._changed.notify_all()
        if writer:
            writer.join()
        with self._file_lock:
            if self._file and not self._forked:
                self._file.close()
        atexit.unregister(self.close)

    def _own_condition(self) -> threading.Condition:
        """Return the condition of this process; a forked one has neither the writer nor the right to its parent's file."""
        if self._process != os.getpid():
            parents_file, in_use = self._file, self._file_lock.locked()
            self._reset()
            if parents_file and (parents_file.is_open or in_use):
                self._file, self._forked = parents_file, True  # referenced, so that it is not closed here even at exit
        return self._changed

    def _wait(self, until: Callable[[], bool]) -> None:
        while not until():
            self._changed.wait(_WAIT)

    def _write(self) -> None:
        """Write batches until close() names another writer or none."""
        while True:
            with self._changed:
                while self._writer is threading.current_thread() and not self._waiting:
                    self._changed.wait()
                if self._writer is not threading.current_thread():
                    return
                keys, rows, width = self._waiting[0]
            try:
                self._attempt(partial(VectorFile.put, keys=keys, rows=rows, width=width), None)
            finally:
                del rows  # may be large
                with self._changed:
                    self._waiting.popleft()
                    self._written += 1
                    self._changed.notify_all()

    def _attempt_after_writing(self, use: Callable[[VectorFile], _Result], otherwise: _Result) -> _Result:
        with self._own_condition():
            last = self._accepted
            self._wait(lambda: self._written >= last)
        return self._attempt(use, otherwise)

    def _attempt(self, use: Callable[[VectorFile], _Result], otherwise: _Result) -> _Result:
        """Return what ``use`` returns, or ``otherwise`` if the file fails."""
        if self._forked:  # SQLite forbids even a new connection to a file that was open at the fork
            self.problem = _FORKED
            return otherwise
        with self._file_lock:
            folder = platformdirs.user_cache_path("ollama_magics", appauthor=False)
            file = self._file = self._file or VectorFile(
                self._path or folder / _NAME, self._limit, own_folder=self._path is None, busy_timeout=self._busy_timeout
            )
            try:
                seconds = 0.0 if self._busy_timeout < BUSY_TIMEOUT else LOCK_TIMEOUT
                found = retry_while_locked(partial(self._use, use, file), seconds)
            except _FAILURES as error:
                file.close()
                self._file = None
                self._busy_timeout = _SHORT_TIMEOUT if is_lock(error) else BUSY_TIMEOUT
                self.problem = _failure_text(error, file.path)
                return otherwise
            self._busy_timeout = BUSY_TIMEOUT
            return found

    def _use(self, use: Callable[[VectorFile], _Result], file: VectorFile) -> _Result:
        """Return what ``use`` returns; a damaged file is set aside and a new one used, once for each store."""
        try:
            return use(file)
        except sqlite3.Error as error:
            if not is_damage(error) or self._set_aside_before:  # a second damaged file: the disk is at fault
                raise
            self._set_aside_before = True
            if aside := file.set_aside():
                self.problem = aside_text(error, file.path, aside)
            return use(file)


def _failure_text(error: Exception, path: Path) -> str:
    """Return one sentence that says why vectors are not kept for now."""
    code, reason = error_code(error), getattr(error, "strerror", None) or str(error)
    if is_lock(error):
        return f"Some vectors were not kept: another process has locked {path}."
    if code in _NO_SPACE or getattr(error, "errno", None) in _NO_SPACE_ERRNO:
        return f"Some vectors were not kept: there is no room left for {path} ({reason})."
    if code in _UNWRITABLE or isinstance(error, PermissionError):
        return f"Vectors are not kept: {path} cannot be written ({reason})."
    return f"Vectors are not kept: {path} cannot be used ({reason})."
