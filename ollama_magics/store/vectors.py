"""The store of vectors: it keeps what it can, and a file that fails costs a job no more than some time."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import platformdirs

from ollama_magics.background import SLICE
from ollama_magics.store.sqlite_file import LONGEST, PATIENCE, explained, is_damage, is_lock, set_aside, waited_for
from ollama_magics.store.vector_file import VectorFile

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def key(digest: str, options: Mapping[str, object]) -> Callable[[str], bytes]:
    """Return what gives the 16 bytes that stand for a text embedded with these options by the model of this digest.

    They are the same in every process and for every order of the options, whose values are what JSON can hold; True, 1 and
    1.0 are three different ones. 128 bits of BLAKE2b: two of a billion texts meet with a probability below 1e-20.
    """
    # NUL cannot occur in a digest, and JSON escapes it: no two triples give one string
    asked = hashlib.blake2b(f"{digest}\0{_CANONICAL.encode(options)}\0".encode("utf-8", "surrogatepass"), digest_size=16)

    def of(text: str) -> bytes:
        found = asked.copy()
        found.update(text.encode("utf-8", "surrogatepass"))
        return found.digest()

    return of


_NAME = "vectors.sqlite"
_LIMIT = 4 * 1024**3
_MOST_WAITING = 1  # batches, the one that is being written included: what is not written yet is lost when a process is killed
_IMPATIENT = 0.05  # seconds for a lock after one that lasted too long: it must not slow down every batch

_FAILURES = (sqlite3.Error, OSError, MemoryError, OverflowError)

_FORKED = "Vectors are neither found nor kept in a process that was forked while the store was open."
_Batch = tuple[Sequence[bytes], bytes, int]  # keys, rows, width
_Found = TypeVar("_Found")


class VectorStore:
    """Vectors in one file, by 16-byte keys; threads and processes may use it at once.

    ``path`` is the file, by default ``vectors.sqlite`` in the person's cache folder; ``limit`` its size in bytes, beyond which
    the oldest batches go. Nothing is opened before the first use, and a use after close() opens it again. No method raises
    for anything that is wrong with the file: rows are then not found or not kept, and ``problem`` says why in one sentence,
    until the caller empties it.
    """

    def __init__(self, path: Path | None = None, *, limit: int = _LIMIT) -> None:
        self.problem = ""
        self._path, self._limit = path, limit
        self._begin()

    def _begin(self) -> None:
        # ``_changed`` guards ``_waiting``, ``_writer`` and the two counts, ``_using`` the file
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[_Batch] = deque()
        self._accepted = self._written = 0
        self._writer: threading.Thread | None = None
        self._using = threading.Lock()
        self._file: VectorFile | None = None
        self._begun_anew = self._forked = False

    def find(self, keys: Sequence[bytes]) -> dict[bytes, memoryview]:
        """Return the rows that are kept, as float32 in little-endian order; what was put before is among them."""
        return self._attempt_after_writing(lambda file: file.find(keys), {}) if keys else {}

    def put(self, keys: Sequence[bytes], rows: bytes, width: int) -> None:
        """Hand over a batch to be written by the store's own thread; wait while the one before is not yet written.

        ``rows`` holds one row of ``width`` float32 numbers for each key; raises ValueError where it does not.
        """
        if len(rows) != len(keys) * width * 4:
            raise ValueError(f"{len(rows)} bytes are not {len(keys)} rows of {width} float32 numbers")
        if not rows:
            return
        with self._mine():
            self._wait(lambda: len(self._waiting) < _MOST_WAITING)
            self._waiting.append((tuple(keys), rows, width))
            self._accepted += 1
            self._start_writer()
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
        with self._mine():
            self._wait(lambda: not self._waiting)
            writer, self._writer = self._writer, None
            self._changed.notify_all()
        if writer:
            writer.join()
        with self._using:
            if self._file and not self._forked:
                self._file.close()
        atexit.unregister(self.close)

    # The thread that writes.

    def _mine(self) -> threading.Condition:
        """Return the lock of this process; a forked one has neither the writer nor the right to its parent's file."""
        if self._process != os.getpid():
            parents, in_use = self._file, self._using.locked()
            self._begin()
            if parents and (parents.is_open or in_use):
                self._file, self._forked = parents, True  # kept, for not even its end may close it here
        return self._changed

    def _wait(self, until: Callable[[], bool]) -> None:
        while not until():
            self._changed.wait(SLICE)

    def _start_writer(self) -> None:
        if not (self._writer and self._writer.is_alive()):
            self._writer = threading.Thread(target=self._write, name="ollama_magics store", daemon=True)
            self._writer.start()
            atexit.register(self.close)  # runs while daemon threads still do: the end of a script loses no batch

    def _write(self) -> None:
        while batch := self._next_batch():
            try:
                self._attempt(partial(VectorFile.put, keys=batch[0], rows=batch[1], width=batch[2]), None)
            finally:
                with self._changed:
                    self._waiting.popleft()
                    self._written += 1
                    self._changed.notify_all()

    def _next_batch(self) -> _Batch | None:
        with self._changed:
            while self._writer is threading.current_thread():
                if self._waiting:
                    return self._waiting[0]
                self._changed.wait()
        return None

    # The file.

    def _attempt_after_writing(self, do: Callable[[VectorFile], _Found], otherwise: _Found) -> _Found:
        with self._mine():
            last = self._accepted
            self._wait(lambda: self._written >= last)
        return self._attempt(do, otherwise)

    def _attempt(self, do: Callable[[VectorFile], _Found], otherwise: _Found) -> _Found:
        if self._forked:  # SQLite forbids even a new connection to a file that was open at the fork
            self.problem = _FORKED
            return otherwise
        with self._using:
            file = self._file = self._file or self._located()
            try:
                found = waited_for(partial(self._done, do, file), 0.0 if file.patience < PATIENCE else LONGEST)
            except _FAILURES as error:
                file.close()
                file.patience = _IMPATIENT if is_lock(error) else PATIENCE
                self.problem = explained(error, file.path)
                return otherwise
            file.patience = PATIENCE
            return found

    def _done(self, do: Callable[[VectorFile], _Found], file: VectorFile) -> _Found:
        try:
            return do(file)
        except sqlite3.Error as error:
            if not is_damage(error) or self._begun_anew:  # a second damaged file: the disk is at fault
                raise
            self._begun_anew = True
            if aside := file.set_aside():
                self.problem = set_aside(error, file.path, aside)
            return do(file)

    def _located(self) -> VectorFile:
        folder = platformdirs.user_cache_path("ollama_magics", appauthor=False)
        return VectorFile(self._path or folder / _NAME, self._limit, own_folder=self._path is None)
