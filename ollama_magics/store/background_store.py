"""Keep what jobs have finished in a file that a thread of its own writes; a file that fails costs a job only time."""

from __future__ import annotations

import atexit
import errno
import math
import os
import sqlite3
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

from ollama_magics.store.sqlite_file import (
    BUSY_TIMEOUT,
    LOCK_TIMEOUT,
    SqliteFile,
    aside_text,
    error_code,
    is_damage,
    is_lock,
    retry_while_locked,
    store_path,
)

_WAIT = 0.2  # seconds of one wait: on Windows a longer one could not be interrupted
_LONGEST_WAIT = LOCK_TIMEOUT + 1  # seconds for what is left at the end of a job
_SHORT_TIMEOUT = 0.05  # seconds for a lock after one that lasted too long: it must not slow down every write

_FAILURES = (sqlite3.Error, OSError, MemoryError, OverflowError)
_NO_SPACE = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}  # a file at its largest size is an I/O error to SQLite
_NO_SPACE_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}

_File = TypeVar("_File", bound=SqliteFile)
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class BackgroundStore(ABC, Generic[_File, _Item]):
    """Items in one SQLite file; threads and processes may use it at once.

    ``path`` is the file, by default one called ``name`` in the user's cache folder. Nothing is opened before the first use, and a
    use after close() opens it again. No method raises if something is wrong with the file: items are then not found or not kept,
    and ``problem`` says why in one sentence, until the caller empties it. ``content`` is what that sentence calls the items.
    ``most_waiting`` items may wait to be written, those being written included: they are lost when a process is killed.
    """

    name: str
    content: str
    most_waiting: int
    gathering: float = 0.0  # seconds that an item waits for others, since one write of several costs little more

    def __init__(self, path: Path | None) -> None:
        self.problem = ""
        self._path = path
        self._reset()

    @abstractmethod
    def open_file(self, path: Path, *, own_folder: bool, busy_timeout: float) -> _File:
        """Return the file at the path."""

    @abstractmethod
    def write(self, file: _File, items: Sequence[_Item]) -> None:
        """Write items into the file."""

    def _reset(self) -> None:
        # ``_changed`` guards ``_waiting``, ``_writer`` and the counts; ``_file_lock`` guards the file
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[_Item] = deque()
        self._accepted = self._written = self._needed = 0
        self._writer: threading.Thread | None = None
        self._file_lock = threading.Lock()
        self._file: _File | None = None
        self._busy_timeout = BUSY_TIMEOUT
        self._set_aside_before = self._forked = False

    def close(self) -> None:
        """Write what waits, close the file, and end the thread."""
        with self._own_condition():
            self._wait_until_written()
            writer, self._writer = self._writer, None
            self._changed.notify_all()
        if writer:
            writer.join()
        with self._file_lock:
            if self._file and not self._forked:
                self._file.close()
        atexit.unregister(self.close)

    def finish_writing(self) -> None:
        """Have all written that was handed over, and return then, or after some seconds where the disk does not answer."""
        with self._own_condition():
            self._wait_until_written(time.monotonic() + _LONGEST_WAIT)

    def _hand_over(self, item: _Item) -> None:
        """Let the thread write an item after those before it; waits while too many do."""
        with self._own_condition():
            self._wait(lambda: len(self._waiting) < self.most_waiting)
            self._waiting.append(item)
            self._accepted += 1
            if not (self._writer and self._writer.is_alive()):
                self._writer = threading.Thread(target=self._write_all, name="ollama_magics store", daemon=True)
                self._writer.start()
                atexit.register(self.close)  # runs while daemon threads still do: the end of a script loses nothing
            if len(self._waiting) in (1, self.most_waiting):  # what the writer waits for
                self._changed.notify_all()

    def _own_condition(self) -> threading.Condition:
        """Return the condition of this process; a forked one has neither the writer nor the right to its parent's file."""
        if self._process != os.getpid():
            parents_file, in_use = self._file, self._file_lock.locked()
            self._reset()
            if parents_file and (parents_file.is_open or in_use):
                self._file, self._forked = parents_file, True  # referenced, so that it is not closed here even at exit
        return self._changed

    def _wait_until_written(self, deadline: float = math.inf) -> None:
        """Have all written that was handed over, without waiting for more, and return then; called under the condition."""
        last = self._needed = self._accepted
        self._changed.notify_all()
        self._wait(lambda: self._written >= last, deadline)

    def _wait(self, until: Callable[[], bool], deadline: float = math.inf) -> None:
        while not until() and time.monotonic() < deadline:
            self._changed.wait(_WAIT)

    def _write_all(self) -> None:
        """Write what waits, all of it at once, until close() names another writer or none."""
        while True:
            with self._changed:
                while self._writer is threading.current_thread() and not self._waiting:
                    self._changed.wait()
                if self._writer is not threading.current_thread():
                    return
                self._changed.wait_for(self._has_gathered, self.gathering)
                items = list(self._waiting)
            try:
                self._attempt(partial(self.write, items=items), None)
            finally:
                count = len(items)
                del items  # may be large
                with self._changed:
                    for _ in range(count):
                        self._waiting.popleft()
                    self._written += count
                    self._changed.notify_all()

    def _has_gathered(self) -> bool:
        return len(self._waiting) >= self.most_waiting or self._needed > self._written

    def _attempt_after_writing(self, use: Callable[[_File], _Result], otherwise: _Result) -> _Result:
        with self._own_condition():
            self._wait_until_written()
        return self._attempt(use, otherwise)

    def _attempt(self, use: Callable[[_File], _Result], otherwise: _Result) -> _Result:
        """Return what ``use`` returns, or ``otherwise`` if the file fails."""
        self._own_condition()  # a forked process has a lock of its own, too
        if self._forked:  # SQLite forbids even a new connection to a file that was open at the fork
            self.problem = f"{self.content} are neither found nor kept in a process that was forked while the store was open."
            return otherwise
        with self._file_lock:
            file = self._file = self._file or self.open_file(
                self._path or store_path(self.name),
                own_folder=self._path is None,
                busy_timeout=self._busy_timeout,
            )
            try:
                seconds = 0.0 if self._busy_timeout < BUSY_TIMEOUT else LOCK_TIMEOUT
                found = retry_while_locked(partial(self._use, use, file), seconds)
            except _FAILURES as error:
                file.close()
                self._file = None
                self._busy_timeout = _SHORT_TIMEOUT if is_lock(error) else BUSY_TIMEOUT
                self.problem = self._failure_text(error, file.path)
                return otherwise
            self._busy_timeout = BUSY_TIMEOUT
            return found

    def _use(self, use: Callable[[_File], _Result], file: _File) -> _Result:
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

    def _failure_text(self, error: Exception, path: Path) -> str:
        """Return one sentence that says why nothing is kept for now."""
        code, reason = error_code(error), getattr(error, "strerror", None) or str(error)
        if is_lock(error):
            return f"Some {self.content.lower()} were not kept: another process has locked {path}."
        if code in _NO_SPACE or getattr(error, "errno", None) in _NO_SPACE_ERRNO:
            return f"Some {self.content.lower()} were not kept: there is no room left for {path} ({reason})."
        if code in _UNWRITABLE or isinstance(error, PermissionError):
            return f"{self.content} are not kept: {path} cannot be written ({reason})."
        return f"{self.content} are not kept: {path} cannot be used ({reason})."
