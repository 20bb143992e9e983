"""Pictures on the disk: one path or a pattern, opened only where it names ordinary files of a sensible size."""

from __future__ import annotations

import glob
import os
import stat
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from ollama_magics.conversation.images.checking import from_bytes, refuse
from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase

if TYPE_CHECKING:
    from ollama_magics.conversation.images.picture import Picture

# 64 MB on the disk: above every camera's JPEG, and it bounds what is read before anything is known.
MOST_BYTES = 64 * 1024 * 1024


def from_path(text: str) -> list[Picture]:
    """Return the pictures of a path or a pattern such as ``plots/*.png``, sorted by name; ``~`` is the home folder."""
    path = Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises for "~nobody"
    if _status(path) is None and glob.has_magic(text):
        return [from_file(match) for match in _matches(path, text)]
    return [from_file(path)]


def from_file(path: Path) -> Picture:
    """Return the picture of one file; what it is called says nothing about what it is."""
    status = _status(path)
    if status is None:
        _missing(str(path), _nearest(path))
    if not stat.S_ISREG(status.st_mode):
        refuse("OM-P02", str(path), Phrase("no_file", kind=_kind(status.st_mode)))
    if status.st_size > MOST_BYTES:
        refuse("OM-P03", str(path), Phrase("large_file", size=_size(status.st_size), most=_size(MOST_BYTES)))
    return from_bytes(_read(path), path.name)


def _matches(path: Path, text: str) -> list[Path]:
    names = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - knows "**" and absolute paths
    files = [name for name in names if not name.is_dir()]
    if not files:
        _missing(text, Phrase("no_match", folder=_folder(path)))
    return files


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError, ValueError):
        # ValueError: a NUL in the name.
        return None
    except OSError as error:
        _missing(str(path), Phrase("system_says", said=error.strerror))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # A file that grows, or one whose size is a lie, is cut here; no decoder takes it for whole.
            return file.read(MOST_BYTES)
    except OSError as error:
        refuse("OM-P02", str(path), Phrase("system_says", said=error.strerror))


def _missing(path: str, reason: Phrase) -> NoReturn:
    raise PictureProblem("OM-P01", path=path, reason=reason) from None


def _nearest(path: Path) -> Phrase:
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 - names are wanted, not paths
    except (OSError, ValueError):
        return Phrase("no_folder", folder=_folder(path))
    near = get_close_matches(path.name, names[:10_000], n=1)
    folder = _folder(path)
    return Phrase("folder_has", folder=folder, near=near[0]) if near else Phrase("folder_lacks", folder=folder)


def _folder(path: Path) -> str:
    # Without a folder it is the one in which the kernel runs, which a person may not know.
    return str(path.parent.absolute())


def _kind(mode: int) -> Phrase:
    kinds = ((stat.S_ISDIR, "a_folder"), (stat.S_ISFIFO, "a_pipe"), (stat.S_ISSOCK, "a_socket"))
    return Phrase(next((key for test, key in kinds if test(mode)), "a_device"))


def _size(size: int) -> str:
    return f"{size / 1024 / 1024:.0f} MB"
