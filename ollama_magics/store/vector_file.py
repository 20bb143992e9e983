"""Store vectors in one SQLite file: whole batches are written, single rows are found."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ollama_magics.store.sqlite_file import Damaged, FileFormat, SqliteFile, used_bytes

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
        with self.transaction() as connection:
            for batch, places in _places(connection, keys).items():
                found.update(_rows(connection, batch, places))
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
