"""Keep the answers to rows in one SQLite file, by a hash of request and model, until their job is finished and longer."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from ollama_magics.store.background_store import BackgroundStore
from ollama_magics.store.sqlite_file import Damaged, FileFormat, SqliteFile, used_bytes

_LIMIT = 256 * 1024**2
# rows: the latest has the highest id; the blob begins with its CRC-32, since SQLite would not notice a flipped bit
_FORMAT = FileFormat(
    content="rows",
    application=0x4F4D5253,  # "OMRS"
    version=1,
    schema=(
        "CREATE TABLE rows (id INTEGER PRIMARY KEY, key BLOB UNIQUE, finished INTEGER, answer BLOB)",
        "CREATE INDEX rows_by_state ON rows (finished, key)",
    ),
    # FULL: a row that is written survives a loss of power. One write takes all rows that have come during the one before.
    pragmas=("synchronous=FULL", "trusted_schema=OFF", "cell_size_check=ON"),
    write_ahead_log=True,
)
_CHECKED_EVERY = 64  # rows, after which the size of the file is looked at
_CHECKSUM_SIZE = 4  # bytes
_EVICT = "DELETE FROM rows WHERE id IN (SELECT id FROM rows ORDER BY finished DESC, id LIMIT 20)"
_READ_AHEAD = 64  # rows that are read at a time, since a job asks for them in about the order in which they were written
_MOST_AHEAD = 4 * _READ_AHEAD  # that wait to be asked for: rows are not written quite in their order
_FIND = "SELECT key, answer FROM rows WHERE id >= (SELECT id FROM rows WHERE key = ?) ORDER BY id LIMIT ?"
_Row = tuple[bytes, bytes]  # key, answer


class RowFile(SqliteFile):
    """The file of rows at ``path``, at most ``limit`` bytes large."""

    def __init__(self, path: Path, limit: int, *, own_folder: bool, busy_timeout: float) -> None:
        super().__init__(path, _FORMAT, own_folder=own_folder, busy_timeout=busy_timeout)
        self._limit, self._until_check = limit, 0

    def keys(self, *, finished: bool) -> set[bytes]:
        """Return the keys of the rows whose job is not finished, or of all."""
        query = "SELECT key FROM rows" if finished else "SELECT key FROM rows WHERE finished = 0"
        with self.transaction() as connection:
            return {key for (key,) in connection.execute(query)}

    def find(self, key: bytes) -> dict[bytes, bytes]:
        """Return the answer of a key and those that were written after it, by their keys, checked."""
        with self.transaction() as connection:
            rows = connection.execute(_FIND, (key, _READ_AHEAD)).fetchall()
        for _, blob in rows:
            if not isinstance(blob, bytes) or _checksum(blob[_CHECKSUM_SIZE:]) != blob[:_CHECKSUM_SIZE]:
                raise Damaged("a row is not what was written")
        return {name: blob[_CHECKSUM_SIZE:] for name, blob in rows}

    def put(self, rows: Sequence[_Row]) -> None:
        """Write rows of jobs that are not finished, and remove the oldest of finished ones while there are too many."""
        with self.transaction("BEGIN IMMEDIATE") as connection:
            packed = [(key, _checksum(answer) + answer) for key, answer in rows]
            connection.executemany("INSERT OR REPLACE INTO rows (key, finished, answer) VALUES (?, 0, ?)", packed)
            self._until_check -= len(rows)
            if self._until_check <= 0:
                self._until_check = _CHECKED_EVERY
                while used_bytes(connection) > self._limit and connection.execute(_EVICT).rowcount:
                    pass

    def finish(self, keys: Iterable[bytes]) -> None:
        """Note that the job of these rows is finished."""
        with self.transaction("BEGIN IMMEDIATE") as connection:
            connection.executemany("UPDATE rows SET finished = 1 WHERE key = ?", ((key,) for key in keys))

    def drop(self, keys: Iterable[bytes]) -> None:
        """Remove these rows."""
        with self.transaction("BEGIN IMMEDIATE") as connection:
            connection.executemany("DELETE FROM rows WHERE key = ?", ((key,) for key in keys))

    def forget(self) -> int:
        """Remove every row, give the space back to the disk, and return how many there were."""
        with self.transaction("BEGIN IMMEDIATE") as connection:
            count = connection.execute("DELETE FROM rows").rowcount
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return count


class RowStore(BackgroundStore[RowFile, _Row]):
    """Answers to rows by 16-byte keys; ``limit`` is the largest size of the file in bytes, beyond which old ones are removed."""

    name = "rows.sqlite"
    content = "Rows"
    most_waiting = 8
    gathering = 0.003

    def __init__(self, path: Path | None = None, *, limit: int = _LIMIT) -> None:
        super().__init__(path)
        self._limit = limit
        self._ahead: dict[bytes, bytes] = {}  # answers that were read with the one that was asked for

    def keys(self, *, finished: bool) -> set[bytes]:
        """Return the keys of the rows whose job is not finished, or of all."""
        self._ahead = {}
        return self._attempt_after_writing(lambda file: file.keys(finished=finished), set())

    def find(self, key: bytes) -> bytes | None:
        """Return the answer of a key that was there when keys() was called, or None."""
        if key not in self._ahead:
            if len(self._ahead) > _MOST_AHEAD:
                self._ahead.clear()
            nothing: dict[bytes, bytes] = {}
            self._ahead |= self._attempt(lambda file: file.find(key), nothing)
        return self._ahead.pop(key, None)

    def put(self, key: bytes, answer: bytes) -> None:
        """Hand over the answer of a row to be written."""
        self._ahead.pop(key, None)
        self._hand_over((key, answer))

    def finish(self, keys: Sequence[bytes]) -> None:
        """Note that the job of these rows is finished: the next one asks anew."""
        self._attempt_after_writing(lambda file: file.finish(keys), None)

    def drop(self, keys: Sequence[bytes]) -> None:
        """Remove these rows: they are not what their keys say."""
        self._attempt_after_writing(lambda file: file.drop(keys), None)

    def forget(self) -> int:
        """Remove every row from the disk and return how many there were."""
        return self._attempt_after_writing(RowFile.forget, 0)

    def open_file(self, path: Path, *, own_folder: bool, busy_timeout: float) -> RowFile:
        """Return the file of rows at the path."""
        return RowFile(path, self._limit, own_folder=own_folder, busy_timeout=busy_timeout)

    def write(self, file: RowFile, items: Sequence[_Row]) -> None:
        """Write rows into the file."""
        file.put(items)


def _checksum(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CHECKSUM_SIZE, "big")
