"""Open and check files of this user: regular ones, bounded, and in folders to which nobody else writes."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from ollama_magics.messages import Phrase

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
_OTHERS_WRITE = 0o002


class UnusableFileError(OSError):
    """What lies at a path may not be used; ``reason`` is a phrase that says why."""

    def __init__(self, path: Path, reason: Phrase) -> None:
        self.reason = reason
        super().__init__(errno.EINVAL, str(reason), str(path))


def read_regular(path: Path, most: int) -> bytes:
    """Return the content of a regular file of at most so many bytes; raises OSError, UnusableFileError for anything else.

    A pipe would wait for a writer, and a device has no end.
    """
    with os.fdopen(_open_regular(path), "rb") as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise UnusableFileError(path, Phrase("too_large", most=f"{most:,}"))
    return content


def require_regular(path: Path) -> None:
    """Raise OSError where a path is no regular file that can be read, UnusableFileError where it is something else."""
    os.close(_open_regular(path))


def _open_regular(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise UnusableFileError(path, Phrase("not_regular"))
    return descriptor


def require_own(path: Path) -> None:
    """Raise UnusableFileError where others than this user own a file or folder, or may put files into the folder."""
    if os.name != "posix":  # elsewhere the profile of a user is private, and has no such modes
        return
    found = path.stat()
    if os.geteuid() not in (0, found.st_uid):  # root may work in the folder of somebody else, as containers do
        raise UnusableFileError(path, Phrase("others_own", path=path))
    if stat.S_ISDIR(found.st_mode) and found.st_mode & _OTHERS_WRITE:
        raise UnusableFileError(path, Phrase("others_write", path=path))


def make_private(path: Path, mode: int = PRIVATE_FILE) -> None:
    """Take the rights of other users away; a link is left alone, as its target may be anybody's."""
    if os.name == "posix" and not path.is_symlink() and path.exists() and path.stat().st_mode & 0o077:
        path.chmod(mode)
