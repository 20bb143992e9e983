"""Keep vectors in one SQLite file, by a hash of text, model and options."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ollama_magics.store.background_store import BackgroundStore
from ollama_magics.store.sqlite_file import Damaged, FileFormat, SqliteFile, used_bytes

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


_LIMIT = 4 * 1024**3
_Batch = tuple[Sequence[bytes], bytes, int]  # keys, rows, width


class VectorStore(BackgroundStore[VectorFile, _Batch]):
    """Vectors in one file, by 16-byte keys; ``limit`` is its largest size in bytes, beyond which the oldest are removed."""

    name = "vectors.sqlite"
    content = "Vectors"
    most_waiting = 1  # batches

    def __init__(self, path: Path | None = None, *, limit: int = _LIMIT) -> None:
        super().__init__(path)
        self._limit = limit

    def find(self, keys: Sequence[bytes]) -> dict[bytes, memoryview]:
        """Return the rows that are kept, as float32 in little-endian order; what was put before is among them."""
        return self._attempt_after_writing(lambda file: file.find(keys), {}) if keys else {}

    def put(self, keys: Sequence[bytes], rows: bytes, width: int) -> None:
        """Hand over a batch to be written after the last; raises ValueError unless ``rows`` fit the keys and the width."""
        if len(rows) != len(keys) * width * 4:
            raise ValueError(f"{len(rows)} bytes are not {len(keys)} rows of {width} float32 numbers")
        if rows:
            self._hand_over((tuple(keys), rows, width))

    def count(self) -> int:
        """Return the number of rows that can be found."""
        return self._attempt_after_writing(VectorFile.count, 0)

    def size(self) -> int:
        """Return the bytes on disk."""
        return self._attempt_after_writing(VectorFile.size, 0)

    def forget(self) -> None:
        """Remove every row from the disk; files that were set aside stay where they are."""
        self._attempt_after_writing(VectorFile.forget, None)

    def open_file(self, path: Path, *, own_folder: bool, busy_timeout: float) -> VectorFile:
        """Return the file of vectors at the path."""
        return VectorFile(path, self._limit, own_folder=own_folder, busy_timeout=busy_timeout)

    def write(self, file: VectorFile, items: Sequence[_Batch]) -> None:
        """Write batches into the file."""
        for keys, rows, width in items:
            file.put(keys, rows, width)
