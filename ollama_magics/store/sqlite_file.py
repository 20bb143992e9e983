"""Open an SQLite file for one user, check that it is ours, and set it aside when it is damaged."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import platformdirs

from ollama_magics.files import PRIVATE_FOLDER, UnusableFileError, make_private, require_own
from ollama_magics.messages import Phrase

_VARIABLE = "OLLAMA_MAGICS_CACHE"
LOCK_TIMEOUT = 3.0  # seconds to wait for a lock of another process, which usually lasts some milliseconds
BUSY_TIMEOUT = 0.2  # seconds that SQLite itself waits each time, during which an interrupt is not noticed
_RETRY_INTERVAL = 0.01  # seconds, where SQLite does not wait by itself
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_LOCKED = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_NO_IDENTITY = (0, 0)
_ENDINGS = ("", "-wal", "-shm", "-journal", "-lock")  # of the files that SQLite opens; the last two go when they are done with
_EMPTY = (0, 0)  # application id and version of a new file
_Result = TypeVar("_Result")


def store_path(name: str) -> Path:
    """Return the path of a store: in the folder that OLLAMA_MAGICS_CACHE names, else in the user's cache."""
    folder = os.environ.get(_VARIABLE, "").strip()
    return (Path(folder).expanduser() if folder else platformdirs.user_cache_path("ollama_magics", appauthor=False)) / name


class Damaged(sqlite3.DatabaseError):
    """The file is not what this version wrote: foreign, newer, or broken."""


def error_code(error: Exception) -> int:
    """Return the primary result code of SQLite, or 0 for another error."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF  # the other bits give details that are not needed


def is_damage(error: Exception) -> bool:
    """Return whether the file itself is at fault, so that a new one helps."""
    return isinstance(error, Damaged) or error_code(error) in _DAMAGE


def is_lock(error: Exception) -> bool:
    """Return whether another process holds the file."""
    return error_code(error) in _LOCKED


def retry_while_locked(use: Callable[[], _Result], seconds: float) -> _Result:
    """Call ``use`` until the file is not locked, for up to ``seconds``; SQLite cannot be interrupted, so a call must be short."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return use()
        except sqlite3.Error as error:
            if not is_lock(error) or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_INTERVAL)


@dataclass(frozen=True)
class FileFormat:
    """What marks a kind of file, its name in an error, the statements that create its tables, and how to open it."""

    content: str
    application: int
    version: int
    schema: tuple[str, ...]
    pragmas: tuple[str, ...] = ()
    write_ahead_log: bool = False


class SqliteFile:
    """The file at ``path``, opened at first use and again whenever another file lies there.

    File and folder are created for this user alone. ``own_folder`` says that the folder holds nothing else, so that its mode
    may be tightened too. ``busy_timeout`` is in seconds. Every method raises sqlite3.Error or OSError, Damaged among them;
    after an error the file is closed and nothing of the call was written. It is to be used by one thread at a time.
    """

    def __init__(self, path: Path, file_format: FileFormat, *, own_folder: bool, busy_timeout: float | None = None) -> None:
        self.path = path
        self._format = file_format
        self._own_folder = own_folder
        self._busy_timeout = BUSY_TIMEOUT if busy_timeout is None else busy_timeout
        self._connection: sqlite3.Connection | None = None
        self._opened_identity: tuple[int, int] | None = None  # of the file opened last, also when it is closed again

    @property
    def is_open(self) -> bool:
        """Whether there is a connection to it."""
        return self._connection is not None

    @contextlib.contextmanager
    def transaction(self, begin: str = "BEGIN") -> Iterator[sqlite3.Connection]:
        """Open the file if needed and commit what the block does, or close the file and roll back."""
        try:
            connection = self._connect()
            connection.execute(begin)
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            self.close()  # which rolls back
            raise

    def size(self) -> int:
        """Return the bytes on disk, including SQLite's files next to it."""
        return sum(part.stat().st_size for part in self._parts() if part.exists())

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def set_aside(self) -> Path | None:
        """Rename the damaged file and return its new path, or None where another process did so first."""
        damaged = self._opened_identity or self._identity()
        self.close()
        moment = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        aside = self.path.with_name(f"{self.path.name}.{moment}-{os.getpid()}")
        # The lock of an empty database keeps other processes out, and ends with this process however that ends.
        lock = self._beside("-lock")
        with contextlib.closing(sqlite3.connect(lock, timeout=BUSY_TIMEOUT, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            if damaged != self._identity():
                return None
            for part in reversed(self._parts()):  # the file itself last: a new one must not meet the old log
                with contextlib.suppress(FileNotFoundError):
                    part.rename(f"{aside}{part.name.removeprefix(self.path.name)}")
        return aside

    def _connect(self) -> sqlite3.Connection:
        if self._connection and self._opened_identity == self._identity():
            return self._connection
        self.close()

        for part in map(self._beside, _ENDINGS):
            if os.path.lexists(part) and not stat.S_ISREG(part.lstat().st_mode):  # a link may lead to anything
                raise UnusableFileError(part, Phrase("not_regular"))

        self._prepare_folder()
        with contextlib.suppress(FileExistsError):  # never opened if it exists: closing it would end SQLite's locks (POSIX)
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        for part in self._parts():
            with contextlib.suppress(FileNotFoundError):
                make_private(part)
                require_own(part)

        self._opened_identity = self._identity()  # before: should the file be replaced meanwhile, the next use opens the new one
        connection = self._connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout, isolation_level=None, check_same_thread=False
        )
        connection.text_factory = lambda text: text.decode(errors="replace")  # a hostile file is foreign, not unreadable

        # an empty file gets our format, any other must have it
        for pragma in self._format.pragmas:
            connection.execute(f"PRAGMA {pragma}")
        ours = (self._format.application, self._format.version, *self._format.schema)
        found = self._read_format(connection, "BEGIN")
        if found in (ours, _EMPTY) and self._format.write_ahead_log:
            # Here SQLite does not wait by itself for another process that does the same.
            retry_while_locked(lambda: connection.execute("PRAGMA journal_mode=WAL"), self._busy_timeout)
        if found == _EMPTY:
            found = self._read_format(connection, "BEGIN IMMEDIATE")
        if found != ours:
            if found[0] == self._format.application and found[1] != self._format.version:
                age = "a newer" if int(found[1]) > self._format.version else "an older"
                raise Damaged(f"{age} version of ollama_magics wrote it")
            raise Damaged(f"it is no store of {self._format.content}")
        return connection

    def _prepare_folder(self) -> None:
        """Create the folder if needed, for this user alone."""
        if self._own_folder and not self.path.is_absolute():  # it would depend on the folder of each notebook
            named = os.environ.get(_VARIABLE, "").strip()
            raise UnusableFileError(self.path, Phrase("not_absolute" if named else "no_home", variable=_VARIABLE))
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise UnusableFileError(self.path, Phrase("not_folder", path=error.filename)) from None
        if self._own_folder:
            make_private(self.path.parent, PRIVATE_FOLDER)
            require_own(self.path.parent)

    def _read_format(self, connection: sqlite3.Connection, begin: str) -> tuple[int | str, ...]:
        """Return application, version and tables of the file; with BEGIN IMMEDIATE an empty file gets ours."""
        connection.execute(begin)
        tables = connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
        marks = _pragma(connection, "application_id"), _pragma(connection, "user_version")
        found: tuple[int | str, ...] = (*marks, *[sql for (sql,) in tables])
        if found == _EMPTY and begin == "BEGIN IMMEDIATE":
            application, version, schema = self._format.application, self._format.version, self._format.schema
            for statement in (*schema, f"PRAGMA application_id={application}", f"PRAGMA user_version={version}"):
                connection.execute(statement)
            found = (application, version, *schema)
        connection.execute("COMMIT")
        return found

    def _identity(self) -> tuple[int, int]:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return _NO_IDENTITY
        return found.st_dev, found.st_ino

    def _parts(self) -> list[Path]:
        return [*map(self._beside, _ENDINGS[:3])]

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(self.path.name + ending)


def used_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the pages in use."""
    pages, free, size = (_pragma(connection, name) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def aside_text(error: Exception, path: Path, aside: Path) -> str:
    """Return one sentence that says what became of a damaged file."""
    return f"{path} could not be read ({error}): it was kept as {aside.name}, and a new one was begun."


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
