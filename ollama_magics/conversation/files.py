"""Read a file of the user with a limit, and say why one cannot be read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO

from ollama_magics import messages
from ollama_magics.messages import Phrase

_MOST_NAMES = 10_000  # of a folder that are compared with a name
_HEAD = 1024  # bytes at the beginning, which tell what a file is
_KINDS = ((stat.S_ISDIR, "a_folder"), (stat.S_ISFIFO, "a_pipe"), (stat.S_ISSOCK, "a_socket"))


class UnreadableFileError(Exception):
    """Why a file cannot be read: ``reason`` is a phrase; the file ``is_missing`` or ``is_large``, or something else is wrong."""

    def __init__(self, reason: Phrase, *, is_missing: bool = False, is_large: bool = False) -> None:
        super().__init__(str(reason))
        self.reason, self.is_missing, self.is_large = reason, is_missing, is_large


def expanded(typed: str) -> Path:
    """Return the path that was typed, with ``~`` replaced; raises UnreadableFileError for an empty one."""
    if not typed.strip():
        raise UnreadableFileError(Phrase("no_file_name"), is_missing=True)
    return Path(os.path.expanduser(typed))  # noqa: PTH111 - Path.expanduser raises for "~nobody"


def exists(path: Path) -> bool:
    """Return whether there is anything at a path; raises UnreadableFileError where that cannot be found out."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a NUL in the name
        return False
    except OSError as error:
        raise UnreadableFileError(_system_says(error), is_missing=True) from None
    return True


def read(path: Path, most: int | Callable[[bytes], int]) -> bytes:
    """Return the content of a regular file of at most so many bytes, which may depend on its beginning.

    A pipe is not waited for, and a file that is too large is not read. Raises UnreadableFileError.
    """
    with _opened(path) as (file, size):
        head = file.read(_HEAD)
        limit = most if isinstance(most, int) else most(head)
        data = head if size > limit else head + file.read(limit + 1)  # the files of /proc have no size
    if (size := max(size, len(data))) > limit:
        limits = {"size": messages.bytes_text(size), "most": messages.bytes_text(limit)}
        raise UnreadableFileError(Phrase("large_file", **limits), is_large=True)
    return data


def beginning(path: Path) -> bytes:
    """Return the first bytes of a regular file, which tell what it is; raises UnreadableFileError."""
    with _opened(path) as (file, _):
        return file.read(_HEAD)


def resolved(path: Path) -> Path:
    """Return the path at the end of all links; raises UnreadableFileError where there is none."""
    try:
        return path.resolve()
    except (ValueError, RuntimeError, OSError) as error:  # a NUL in the name; a link to itself, until Python 3.12
        raise UnreadableFileError(Phrase("system_says", said=getattr(error, "strerror", "") or error)) from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Yield a regular file and its size; raises UnreadableFileError, also for what goes wrong while it is read."""
    try:
        _require_regular(path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)  # another file may be at the path by now
            _require_regular(status.st_mode)
            yield file, status.st_size
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise UnreadableFileError(missing(path), is_missing=True) from None
    except OSError as error:
        raise UnreadableFileError(_system_says(error)) from None


def missing(path: Path) -> Phrase:
    """Return what is there instead of a missing file: one of a similar name, or that there is no such folder."""
    folder = str(path.parent.absolute())  # a relative path begins where the kernel runs, which the user may not know
    try:
        near = get_close_matches(path.name, os.listdir(path.parent)[:_MOST_NAMES], n=1)  # noqa: PTH208 - names, not paths
    except (OSError, ValueError):
        return Phrase("no_folder", folder=folder)
    return Phrase("folder_has", folder=folder, near=near[0]) if near else Phrase("folder_lacks", folder=folder)


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = next((key for test, key in _KINDS if test(mode)), "a_device")
        raise UnreadableFileError(Phrase("no_file", kind=Phrase(kind)))


def _system_says(error: OSError) -> Phrase:
    return Phrase("system_says", said=error.strerror or error)
