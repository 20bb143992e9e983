"""The folder of the profiles: where it is, and how a file in it is replaced so that no other kernel sees half of it."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase

DEFAULT = "default"
_LONGEST_WAIT = 10  # seconds for another kernel that is writing
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


class _BusyError(TimeoutError):
    """Another kernel has been writing for too long."""


def folder() -> Path:
    """Return where profiles and keys are: ``OLLAMA_MAGICS_CONFIG``, else the user's own folder for such files.

    Raises SettingError where that is no full path (a user without a home): it would be the folder of the notebook.
    """
    named = os.environ.get("OLLAMA_MAGICS_CONFIG", "").strip()
    path = Path(named) if named else platformdirs.user_config_path("ollama_magics", appauthor=False)
    if not path.is_absolute():
        raise SettingError("OM-S09", path=path, reason=Phrase("no_home"))
    return path


@contextmanager
def locked() -> Iterator[Path]:
    """Give the folder, made if need be, which no other kernel changes meanwhile; raises SettingError."""
    place = folder()
    with told(place):
        place.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
        _tighten(place, _PRIVATE_FOLDER)
        lock = os.open(place / ".lock", os.O_CREAT | os.O_RDWR, _PRIVATE_FILE)
    try:
        with told(place):
            _wait_for(lock)
        with told(place):
            yield place
    finally:
        os.close(lock)  # which also ends the lock


def replace(path: Path, text: str) -> None:
    """Put a file of 0600 with this text into the place of another at once; an interrupt leaves the old one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")  # with 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def set_aside(path: Path) -> Path:
    """Give a file that cannot be read another name, which no other file has, and return it."""
    number = 1
    while (aside := path.with_name(f"{path.name}.unreadable-{number}")).exists():
        number += 1
    return path.rename(aside)


def private(path: Path) -> Path:
    """Return the path, having taken the rights of others to it away."""
    _tighten(path, _PRIVATE_FILE)
    return path


@contextmanager
def told(path: Path, instead: Phrase | None = None) -> Iterator[None]:
    """Turn what the system says about a file into our error; ``instead`` is what to type."""
    try:
        yield
    except OSError as error:
        reason = Phrase("busy_folder") if isinstance(error, _BusyError) else Phrase("system_said", said=error.strerror or error)
        raise SettingError("OM-S09", path=error.filename or path, reason=reason).advised(remedy=instead) from None


def _tighten(path: Path, mode: int) -> None:
    if os.name == "posix" and path.exists() and path.stat().st_mode & 0o077:
        path.chmod(mode)


def _wait_for(lock: int) -> None:
    last = time.monotonic() + _LONGEST_WAIT
    while not _taken(lock):
        if time.monotonic() > last:
            raise _BusyError
        time.sleep(0.02)


def _taken(lock: int) -> bool:
    try:
        _try_lock(lock)
    except (BlockingIOError, PermissionError):
        return False
    return True


if sys.platform == "win32":
    import msvcrt

    def _try_lock(lock: int) -> None:
        msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(lock: int) -> None:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
