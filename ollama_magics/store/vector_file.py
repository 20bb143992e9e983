"""One SQLite file of vectors: whole batches in, single rows out."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
import zlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ollama_magics.store.sqlite_file import PATIENCE, Damaged, is_lock

# batches: the rows of one batch, one after another, as float32 in little-endian order; the oldest has the lowest id
# places:  under which key which row of which batch is found, and its CRC-32: SQLite would not notice a flipped bit


_APPLICATION = 0x4F4D5653  # "OMVS"; tells our files from others
_VERSION = 1
_SCHEMA = (
    "CREATE TABLE batches (id INTEGER PRIMARY KEY, width INTEGER, vectors BLOB)",
    "CREATE TABLE places (key BLOB PRIMARY KEY, batch INTEGER, position INTEGER, checksum INTEGER) WITHOUT ROWID",
    "CREATE INDEX places_of_batch ON places (batch)",
)
_OURS = (_APPLICATION, _VERSION, *_SCHEMA)
_FRESH = (0, 0)
# A checkpoint at 16 MB instead of 4 is four times as rare and makes writing twice as fast. NORMAL: a loss of power may take
# the last batches, never a part of one.
_PRAGMAS = ("synchronous=NORMAL", "wal_autocheckpoint=4096", "trusted_schema=OFF", "cell_size_check=ON")
_KEYS_AT_ONCE = 500  # builds of SQLite before 3.32 take 999
_MOST_EVICTED = 16  # batches for each one that comes in: a lower limit is reached step by step, not under one long lock

_Place = tuple[bytes, int, int]  # key, position in the batch, checksum


class VectorFile:
    """The file at ``path``, opened at first use and again whenever another file lies there.

    Every method raises sqlite3.Error or OSError, Damaged among them; after an error the file is closed and nothing of the
    call was written. It is to be used by one thread at a time.
    """

    def __init__(self, path: Path, limit: int, *, own_folder: bool) -> None:
        self.path = path
        self.patience = PATIENCE
        self._limit, self._own_folder = limit, own_folder
        self._opened: tuple[sqlite3.Connection, tuple[int, int]] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection to it."""
        return self._opened is not None

    def find(self, keys: Sequence[bytes]) -> dict[bytes, memoryview]:
        """Return the rows of those keys that are there."""
        found: dict[bytes, memoryview] = {}
        with self._transaction("BEGIN") as connection:
            for batch, places in _places(connection, keys).items():
                found.update(_rows(connection, batch, places))
        return found

    def put(self, keys: Sequence[bytes], rows: bytes, width: int) -> None:
        """Write one batch, and remove the oldest ones while the file is over its limit."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            batch = connection.execute("INSERT INTO batches (width, vectors) VALUES (?, ?)", (width, rows)).lastrowid
            places = ((key, batch, position, zlib.crc32(row)) for key, position, row in _cut(keys, rows, width))
            connection.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?)", places)
            self._evict(connection, batch or 0)

    def count(self) -> int:
        """Return the number of rows that can be found."""
        with self._transaction("BEGIN") as connection:
            return int(connection.execute("SELECT count(*) FROM places").fetchone()[0])

    def size(self) -> int:
        """Return the bytes on disk, with what SQLite keeps next to the file."""
        return sum(part.stat().st_size for part in self._parts() if part.exists())

    def forget(self) -> None:
        """Remove every row and give the space back to the disk."""
        with self._transaction("BEGIN IMMEDIATE") as connection:
            connection.execute("DELETE FROM places")
            connection.execute("DELETE FROM batches")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        opened, self._opened = self._opened, None
        if opened:
            with contextlib.suppress(sqlite3.Error):
                opened[0].close()

    def set_aside(self) -> Path | None:
        """Give the file another name and return it, so that the next use begins a new one.

        None: another process was quicker, and what lies there now is another file than the one that was found damaged.
        """
        judged = self._opened[1] if self._opened else self._identity()
        self.close()
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        aside = self.path.with_name(f"{self.path.name}.{moment}-{os.getpid()}")
        with self._alone():
            if judged != self._identity():
                return None
            for part in reversed(self._parts()):  # the file itself last: a new one must not meet the old log
                with contextlib.suppress(FileNotFoundError):
                    part.rename(f"{aside}{part.name.removeprefix(self.path.name)}")
        return aside

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out, by the lock of an empty database that ends with this process, however that ends."""
        lock = self.path.with_name(f"{self.path.name}-lock")
        with contextlib.closing(sqlite3.connect(lock, timeout=PATIENCE, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            yield

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        connection = self._connected()
        try:
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self.close()  # which rolls back
            raise

    def _connected(self) -> sqlite3.Connection:
        if self._opened and self._opened[1] == self._identity():
            return self._opened[0]
        self.close()
        self._make_private()
        identity = self._identity()  # before: should the file be replaced meanwhile, the next use opens the new one
        connection = sqlite3.connect(self.path, timeout=self.patience, isolation_level=None, check_same_thread=False)
        connection.text_factory = lambda text: text.decode(errors="replace")  # a hostile file is foreign, not unreadable
        self._opened = (connection, identity)
        _prepare(connection, self.patience)
        return connection

    def _identity(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return 0, 0
        return found.st_dev, found.st_ino

    def _parts(self) -> list[Path]:
        return [self.path.with_name(self.path.name + ending) for ending in ("", "-wal", "-shm")]

    def _make_private(self) -> None:
        """Create folder and file for this person alone; SQLite gives its other files the mode of the first one."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._own_folder:
            _tighten(self.path.parent, 0o700)
        with contextlib.suppress(FileExistsError):  # never opened if it exists: closing it would end SQLite's locks (POSIX)
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for part in self._parts():
            with contextlib.suppress(FileNotFoundError):
                _tighten(part, 0o600)

    def _evict(self, connection: sqlite3.Connection, newest: int) -> None:
        oldest = connection.execute("SELECT id FROM batches WHERE id < ? ORDER BY id LIMIT ?", (newest, _MOST_EVICTED))
        for batch in oldest.fetchall():
            if _used(connection) <= self._limit:
                return
            connection.execute("DELETE FROM places WHERE batch = ?", batch)
            connection.execute("DELETE FROM batches WHERE id = ?", batch)


def _tighten(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) & ~mode:
        path.chmod(mode)


def _prepare(connection: sqlite3.Connection, patience: float) -> None:
    """Make sure that the file is ours, and make it so if it is empty."""
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    layout = _layout(connection, "BEGIN")
    if layout in (_OURS, _FRESH):
        _use_wal(connection, patience)
    if layout == _FRESH:
        layout = _layout(connection, "BEGIN IMMEDIATE")
    if layout != _OURS:
        newer = layout[0] == _APPLICATION and int(layout[1]) > _VERSION
        raise Damaged("a newer version of ollama_magics wrote it" if newer else "it is no store of vectors")


def _layout(connection: sqlite3.Connection, begin: str) -> tuple[int | str, ...]:
    """Return what kind of file this is; a transaction that may write turns an empty one into ours."""
    connection.execute(begin)
    tables = connection.execute("SELECT sql FROM sqlite_master ORDER BY rowid").fetchall()
    marks = _pragma(connection, "application_id"), _pragma(connection, "user_version")
    layout: tuple[int | str, ...] = (*marks, *[sql for (sql,) in tables])
    if layout == _FRESH and begin == "BEGIN IMMEDIATE":
        for statement in (*_SCHEMA, f"PRAGMA application_id={_APPLICATION}", f"PRAGMA user_version={_VERSION}"):
            connection.execute(statement)
        layout = _OURS
    connection.execute("COMMIT")
    return layout


def _use_wal(connection: sqlite3.Connection, patience: float) -> None:
    """Switch to the write-ahead log; here SQLite itself does not wait for another process that does the same."""
    deadline = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if not is_lock(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def _used(connection: sqlite3.Connection) -> int:
    pages, free, size = (_pragma(connection, name) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _places(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[int, list[_Place]]:
    """Return the places of the keys by batch; in the order of the keys, so that neighbours in the index are read together."""
    found: dict[int, list[_Place]] = {}
    ordered = sorted(set(keys))
    for start in range(0, len(ordered), _KEYS_AT_ONCE):
        some = ordered[start : start + _KEYS_AT_ONCE]
        marks = ",".join("?" * len(some))
        query = f"SELECT key, batch, position, checksum FROM places WHERE key IN ({marks})"  # noqa: S608 - only question marks
        for key, batch, position, checksum in connection.execute(query, some):
            found.setdefault(batch, []).append((key, position, checksum))
    return found


def _rows(connection: sqlite3.Connection, batch: int, places: Sequence[_Place]) -> Iterator[tuple[bytes, memoryview]]:
    """Yield each key with its row, checked; the batch is read as a whole only where most of it is wanted."""
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


def _cut(keys: Sequence[bytes], rows: bytes, width: int) -> Iterator[tuple[bytes, int, memoryview]]:
    data, row = memoryview(rows), 4 * width
    for position, key in enumerate(keys):
        yield key, position, data[position * row : (position + 1) * row]
