"""Keep vectors on disk, by a hash of text, model and options."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import sqlite3
import stat
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from ollama_magics.store.background_store import BackgroundStore
from ollama_magics.store.sqlite_file import Damaged, FileFormat, SqliteFile, used_bytes
from ollama_magics.store.vector_index import KEY_SIZE, VectorIndex

# Vectors are appended to segments, files of at most a 64th of the limit, and an SQLite file lists the batches in them: keys,
# checksums and place of each. The keys of all batches are read once into a hash table in memory, so a text costs the same
# whether a thousand or a million are stored. In a b-tree of random keys, of SQLite as of LMDB, almost every key changes a page
# of its own once it is large, and a vector inside SQLite is written twice, through its log.
#
# A batch is listed after its vectors were written, so a process may be killed at any moment. After a loss of power the list may
# name vectors that never reached the disk: their checksums tell, and they are missing like those of a damaged disk.

# batches: where the rows of a batch lie, one after another, as float32 in little-endian order; their keys and checksums. The
# number of a segment is that of its first batch, and no number is used twice: the newest batch is never deleted.
_FORMAT = FileFormat(
    content="vectors",
    application=0x4F4D5653,  # "OMVS"
    version=2,
    schema=(
        "CREATE TABLE batches (id INTEGER PRIMARY KEY, segment INTEGER, start INTEGER, width INTEGER, keys BLOB, checksums BLOB)",
    ),
    # NORMAL: a loss of power may take the last batches
    pragmas=("synchronous=NORMAL", "trusted_schema=OFF", "cell_size_check=ON"),
    write_ahead_log=True,
)
_LIMIT = 4 * 1024**3
_SEGMENTS = 64  # that the limit has room for
_SEGMENT_ENDING = ".rows"
_MOST_EVICTED = 8  # segments for each one that is begun: a lower limit is reached step by step, not under one long lock
_GIVEN_BACK = 4 * 1024**2  # bytes of a segment after which the system may have their memory
_NUMBER = 4  # bytes of a float32
_FACTOR = 0x9E37_79B9_7F4A_7C15  # odd, with bits in no order
_Array = np.ndarray[Any, np.dtype[Any]]
Batch = tuple[Sequence[bytes], bytes | memoryview, int]  # keys, rows, width


class VectorFile(SqliteFile):
    """The list of batches at ``path`` and the segments beside it, at most ``limit`` bytes large apart from the newest segment."""

    def __init__(self, path: Path, limit: int, *, own_folder: bool, busy_timeout: float | None = None) -> None:
        super().__init__(path, _FORMAT, own_folder=own_folder, busy_timeout=busy_timeout)
        self.damaged = 0  # rows that find() did not return since they are; the caller sets it back
        self._limit = limit
        self._index, self._oldest = VectorIndex(), 0
        self._listed = -math.inf  # when the list was read last
        self._readers: dict[int, FileIO] = {}
        self._writer: tuple[int, FileIO] | None = None

    def find(self, keys: Sequence[bytes]) -> dict[bytes, memoryview]:
        """Return the rows of the keys that are in the file, each as it was written."""
        found: dict[bytes, memoryview] = {}
        names = b"".join(keys)
        self._listed = time.monotonic()
        with self.transaction() as connection:
            self._read_keys(connection)
            queries, batches, positions = self._index.find(names)
            is_there = batches >= self._oldest
            queries, batches, positions = queries[is_there], batches[is_there], positions[is_there]

            order = np.lexsort((positions, batches))
            for part in np.split(order, np.flatnonzero(np.diff(batches[order])) + 1):
                if len(part):
                    wanted = _words(names, 8)[queries[part]]
                    rows = self._read_rows(connection, int(batches[part[0]]), positions[part], wanted)
                    found.update((keys[queries[part[at]]], row) for at, row in rows)
        return found

    def has_none(self, keys: Sequence[bytes], max_age: float) -> bool:
        """Whether none of the keys is known from a list that was read at most so many seconds ago."""
        return time.monotonic() - self._listed < max_age and not len(self._index.find(b"".join(keys))[0])

    def put(self, batches: Sequence[Batch]) -> None:
        """Write batches one after another, and remove the oldest segments while there are too many bytes."""
        parts, listed, size = [], [], 0
        for keys, rows, width in batches:
            names, data = b"".join(keys), memoryview(rows).cast("B")
            listed.append((size, width, names, _checksums(_words(names, 8), data, _NUMBER * width).tobytes()))
            parts.append(data)
            size += len(data)
        evicted: list[Path] = []
        with self.transaction("BEGIN IMMEDIATE") as connection:
            segment, start = self._next_place(connection, size)
            self._write(segment, start, parts)
            insert = "INSERT INTO batches (segment, start, width, keys, checksums) VALUES (?, ?, ?, ?, ?)"
            connection.executemany(insert, [(segment, start + offset, *values) for offset, *values in listed])
            if start == 0:
                evicted = self._evict(connection, segment)
        _remove(evicted)

    def count(self) -> int:
        """Return the number of rows that can be found."""
        with self.transaction() as connection:
            self._read_keys(connection)
        return self._index.count_from(self._oldest)

    def forget(self) -> None:
        """Remove every row and give the space back to the disk."""
        with self.transaction("BEGIN IMMEDIATE") as connection:
            connection.execute("INSERT INTO batches (keys) VALUES (x'')")
            connection.execute("DELETE FROM batches WHERE id < (SELECT max(id) FROM batches)")
            segments = list(self._segments().values())
        self._close_segments()
        for path in segments:
            with contextlib.suppress(OSError):  # where another process has it open, Windows does not remove it
                os.truncate(path, 0)
        _remove(segments)
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close all files; the next use opens them again."""
        super().close()
        self._close_segments()
        self._index, self._oldest, self._listed = VectorIndex(), 0, -math.inf

    def _read_keys(self, connection: sqlite3.Connection) -> None:
        """Bring the index up to date with the list, to which other processes may have written."""
        self._oldest = connection.execute("SELECT coalesce(min(id), 0) FROM batches").fetchone()[0]
        if self._index.is_mostly_before(self._oldest):
            self._index = VectorIndex()
        new = connection.execute("SELECT id, keys FROM batches WHERE id > ? ORDER BY id", (self._index.newest,)).fetchall()
        if not all(isinstance(keys, bytes) and len(keys) % KEY_SIZE == 0 for _, keys in new):
            raise Damaged("the keys of a batch are not what was written")
        if new:
            self._index.add(new)

    def _read_rows(
        self, connection: sqlite3.Connection, batch: int, positions: _Array, wanted: _Array
    ) -> Iterator[tuple[int, memoryview]]:
        """Yield each row that is sound, with its place among ``positions``; most of a batch is read as a whole."""
        query = "SELECT segment, start, width, keys, checksums FROM batches WHERE id = ?"
        values = connection.execute(query, (batch,)).fetchone()
        kinds = (int, int, int, bytes, bytes)
        if not values or not all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True)):
            raise Damaged(f"batch {batch} is not what was written")
        segment, start, width, keys, checksums = values
        if start < 0 or width < 1 or len(checksums) * 2 != len(keys) or len(keys) // KEY_SIZE <= positions.max():
            raise Damaged(f"batch {batch} is not what was written")

        size, count = _NUMBER * width, len(keys) // KEY_SIZE
        try:
            reader = self._reader(segment)
            if 2 * len(positions) > count:
                reader.seek(start)
                whole = np.frombuffer(reader.read(size * count).ljust(size * count, b"\0"), np.uint8)
                data = memoryview(whole.reshape(count, size)[positions].data).cast("B")
                rows = [data[at : at + size] for at in range(0, len(data), size)]
            else:
                rows = [memoryview(_read(reader, start + size * position, size)) for position in positions.tolist()]
                data = memoryview(b"".join(rows))
        except FileNotFoundError:
            self.damaged += len(positions)
            return
        is_same = (_words(keys, 8)[positions] == wanted).all(axis=1)
        is_whole = _checksums(wanted, data, size) == np.frombuffer(checksums, "<u8")[positions]
        self.damaged += int(np.count_nonzero(is_same & ~is_whole))
        yield from ((at, rows[at]) for at in np.flatnonzero(is_same & is_whole).tolist())

    def _next_place(self, connection: sqlite3.Connection, size: int) -> tuple[int, int]:
        """Return the segment for so many bytes and where they begin in it."""
        query = "SELECT id, segment, start + width * length(keys) * ? / ? FROM batches ORDER BY id DESC LIMIT 1"
        newest, segment, end = connection.execute(query, (_NUMBER, KEY_SIZE)).fetchone() or (0, None, 0)
        if not newest:
            _remove(self._segments().values())  # of a list that is gone: nobody can read them
        if segment is None or end + size > self._limit // _SEGMENTS:
            return newest + 1, 0
        if not isinstance(segment, int) or not isinstance(end, int):
            raise Damaged(f"batch {newest} is not what was written")
        return segment, end

    def _evict(self, connection: sqlite3.Connection, newest: int) -> list[Path]:
        """Delete the batches of the oldest segments while there are too many bytes; return the files to be removed then."""
        sizes: dict[int, int] = {}
        for segment, path in self._segments().items():
            with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                sizes[segment] = path.stat().st_size
        evicted: list[Path] = []
        for segment in sorted(sizes)[:_MOST_EVICTED]:
            if sum(sizes.values()) + used_bytes(connection) <= self._limit or segment >= newest:
                break
            connection.execute("DELETE FROM batches WHERE id < (SELECT min(id) FROM batches WHERE segment > ?)", (segment,))
            evicted.append(self._segment(segment))
            del sizes[segment]
        return evicted

    # The segments.

    def _parts(self) -> list[Path]:
        return [*super()._parts(), *self._segments().values()]

    def _segments(self) -> dict[int, Path]:
        """Return the files of the segments by their numbers."""
        start = self.path.name + "-"
        with contextlib.suppress(FileNotFoundError):
            names = [path.name for path in self.path.parent.iterdir()]
            ours = [name for name in names if name.startswith(start) and name.endswith(_SEGMENT_ENDING)]
            numbers = [name.removeprefix(start).removesuffix(_SEGMENT_ENDING) for name in ours]
            return {int(number): self._segment(int(number)) for number in numbers if number.isdecimal()}
        return {}

    def _segment(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}-{number}{_SEGMENT_ENDING}")

    def _reader(self, segment: int) -> FileIO:
        if segment not in self._readers:
            self._readers[segment] = _open(self._segment(segment), os.O_RDONLY)
        return self._readers[segment]

    def _write(self, segment: int, start: int, parts: Iterable[memoryview]) -> None:
        if not self._writer or self._writer[0] != segment:
            self._end_writing()
            self._writer = (segment, _open(self._segment(segment), os.O_RDWR | os.O_CREAT))
        _, file = self._writer
        file.seek(start)
        for data in parts:
            left = data
            while left:
                left = left[file.write(left) :]
        if start // _GIVEN_BACK < file.tell() // _GIVEN_BACK:
            _give_back(file)

    def _end_writing(self) -> None:
        """Bring what was written to the disk, and close the segment."""
        writer, self._writer = self._writer, None
        if writer:
            with writer[1] as file:
                os.fsync(file.fileno())
                _give_back(file)

    def _close_segments(self) -> None:
        with contextlib.suppress(OSError):
            self._end_writing()
        for reader in self._readers.values():
            reader.close()
        self._readers.clear()


def _open(path: Path, flags: int) -> FileIO:
    """Open a file for this user alone, unbuffered; raises OSError for a link or anything else that is no file."""
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # of which no system has all
        flags |= getattr(os, name, 0)
    number = os.open(path, flags, 0o600)
    file = FileIO(number, "r+" if flags & os.O_RDWR else "r")
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def _give_back(file: FileIO) -> None:
    """Have the system write out what is in memory of a file, and take back the memory of what was written out before.

    A store of gigabytes would take the memory of everything else; and fresh memory costs more, on a virtual machine many times
    more, than writing into what was just given back.
    """
    if sys.platform == "linux":
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _read(file: FileIO, start: int, size: int) -> bytes:
    file.seek(start)
    return file.read(size).ljust(size, b"\0")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with contextlib.suppress(OSError):  # where another process reads it, Windows keeps it: it is removed another time
            path.unlink()


def _words(data: bytes | memoryview, size: int) -> _Array:
    return np.frombuffer(data, f"<u{size}").reshape(-1, KEY_SIZE // size)


def _checksums(keys: _Array, rows: memoryview, size: int) -> _Array:
    """Return a number for each row of so many bytes and its key; no change of one word of a row leaves it the same.

    It is the sum of the words, each times its own odd number, modulo 2**64. A CRC-32 takes six times as long.
    """
    words = np.frombuffer(rows, "<u4" if size % 8 else "<u8").reshape(len(keys), -1)
    factors = np.arange(1, 2 * words.shape[1], 2, dtype=np.uint64) * np.uint64(_FACTOR)
    sums: _Array = np.einsum("ij,j->i", words, factors, dtype=np.uint64)
    return (sums ^ keys[:, 0]) + keys[:, 1]


class VectorStore(BackgroundStore[VectorFile, Batch]):
    """Vectors in one file, by 16-byte keys; ``limit`` is its largest size in bytes, beyond which the oldest are removed."""

    name = "vectors.sqlite"
    content = "Vectors"
    most_waiting = 4  # batches
    gathering = 0.05

    def __init__(self, path: Path | None = None, *, limit: int = _LIMIT) -> None:
        super().__init__(path)
        self._limit = limit

    def find(self, keys: Sequence[bytes], *, max_age: float = 0.0) -> dict[bytes, memoryview]:
        """Return the rows that are kept, as float32 in little-endian order.

        What was put in the last ``max_age`` seconds, by this process or another, may not be found.
        """
        if not keys or (max_age and self._attempt(partial(VectorFile.has_none, keys=keys, max_age=max_age), otherwise=False)):
            return {}
        return self._attempt_after_writing(partial(self._find, keys=keys), {})

    def _find(self, file: VectorFile, keys: Sequence[bytes]) -> dict[bytes, memoryview]:
        found = file.find(keys)
        damaged, file.damaged = file.damaged, 0
        if damaged:
            self.problem = f"{damaged} vectors in {file.path} are not what was written: they are not used."
        return found

    def put(self, keys: Sequence[bytes], rows: bytes | memoryview, width: int) -> None:
        """Hand over a batch to be written after the last; raises ValueError unless ``rows`` fit the keys and the width."""
        size = memoryview(rows).nbytes
        if size != len(keys) * width * _NUMBER:
            raise ValueError(f"{size} bytes are not {len(keys)} rows of {width} float32 numbers")
        if size:
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

    def write(self, file: VectorFile, items: Sequence[Batch]) -> None:
        """Write batches into the file."""
        file.put(items)
