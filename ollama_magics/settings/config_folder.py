"""Read and write the files in the folder of profiles and keys: bounded, all at once, and for their owner only."""

from __future__ import annotations

import codecs
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import platformdirs

from ollama_magics.errors import SettingError
from ollama_magics.files import PRIVATE_FILE, PRIVATE_FOLDER, UnusableFileError, make_private, read_regular, require_own
from ollama_magics.messages import Phrase

LARGEST = 1_000_000  # bytes of a file
_VARIABLE = "OLLAMA_MAGICS_CONFIG"
_LOCK_TIMEOUT = 10.0  # seconds for another kernel that is writing
_LOCK_INTERVAL = 0.02  # seconds between two attempts
_TEMPORARY = ".writing-"  # how the name of a file begins that will replace another


def folder() -> Path:
    """Return the folder of profiles and keys: ``OLLAMA_MAGICS_CONFIG``, else the user's configuration folder.

    Raises SettingError if that is not an absolute path, as for a user without a home: it would depend on the notebook.
    """
    named = os.environ.get(_VARIABLE, "").strip()
    path = Path(named) if named else platformdirs.user_config_path("ollama_magics", appauthor=False)
    if not path.is_absolute():
        raise SettingError("file-unusable", path=path, reason=Phrase("not_absolute" if named else "no_home", variable=_VARIABLE))
    return path


def has_folder() -> bool:
    """Return whether there can be saved files: a user without a home has none."""
    return bool(os.environ.get(_VARIABLE, "").strip()) or platformdirs.user_config_path("x", appauthor=False).is_absolute()


@contextmanager
def locked() -> Iterator[Path]:
    """Yield the folder, created if needed, while no other kernel can write to it; raises SettingError.

    Files that a killed kernel was writing, perhaps with a key in them, are deleted.
    """
    import filelock  # noqa: PLC0415 - only a kernel that writes needs it

    place = folder()
    with file_errors(place):
        place.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
        make_private(place, PRIVATE_FOLDER)
        lock = filelock.FileLock(place / ".lock", timeout=_LOCK_TIMEOUT, mode=PRIVATE_FILE)
        try:
            lock.acquire(poll_interval=_LOCK_INTERVAL)
        except filelock.Timeout:
            raise SettingError("file-unusable", path=place, reason=Phrase("busy_folder")) from None
        except NotImplementedError as error:  # a file system without locks
            raise SettingError("file-unusable", path=place, reason=Phrase("system_said", said=error)) from None
        try:
            for left in place.glob(f"{_TEMPORARY}*"):
                left.unlink(missing_ok=True)
            yield place
        finally:
            lock.release()


def sweep() -> None:
    """Delete what a killed kernel was writing, if there is any and no other kernel is writing now."""
    with suppress(SettingError, OSError):
        if any(folder().glob(f"{_TEMPORARY}*")):
            with locked():
                pass


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn an OSError about a file into a SettingError."""
    try:
        yield
    except OSError as error:
        reason = Phrase("system_said", said=error.strerror or error)
        is_temporary = isinstance(error.filename, str) and Path(error.filename).name.startswith(_TEMPORARY)
        about = path if is_temporary else error.filename or path
        raise SettingError("file-unusable", path=about, reason=reason) from None


def read_text(path: Path) -> str:
    """Return the text of a regular file without its byte order mark; raises OSError, and ValueError with a phrase in it.

    A file in the folder of profiles, which decides where prompts go, must be of this user, and so must the folder.
    """
    try:
        if path.parent == folder() and path.exists():
            require_own(path.parent)
            require_own(path)
        content = read_regular(path, LARGEST)
    except UnusableFileError as error:
        raise ValueError(error.reason) from None
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise ValueError(Phrase("is_utf16"))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(Phrase("no_utf8")) from None


def write(path: Path, text: str) -> None:
    """Replace a file by one with this text and mode 0600, all at once; an interrupt leaves the old one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)  # with 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:  # a file with CRLF keeps it
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def set_aside(path: Path) -> Path:
    """Rename what cannot be read to a free name beside it, and return that."""
    number = 1
    while os.path.lexists(kept := path.with_name(f"{path.name}.unreadable-{number}")):
        number += 1
    return path.rename(kept)
