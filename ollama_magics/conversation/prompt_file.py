"""Read a prompt or a system prompt from a file, and refuse a path where a text is wanted."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ollama_magics.errors import PromptProblem
from ollama_magics.messages import Phrase

_MOST_BYTES = 4 * 1024 * 1024  # more than the longest context of any model
_HASH_LENGTH = 12  # hexadecimal digits, which tell the versions of a file apart
_LONGEST_PATH = 4096  # characters


@dataclass(frozen=True)
class PromptFile:
    """The text of a file, and what the provenance says about it: its name and the beginning of its SHA-256."""

    name: str
    sha256: str
    text: str

    @classmethod
    def read(cls, typed: str) -> PromptFile:
        """Return the UTF-8 file of a path, without a byte order mark; raises PromptProblem (prompt-file-unreadable)."""
        path = Path(os.path.expanduser(typed.strip()))  # noqa: PTH111 - Path.expanduser raises for "~nobody"
        try:
            data = _bytes(path)
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise _unreadable(typed, Phrase("byte_no_utf8", place=error.start)) from None
        except FileNotFoundError:
            raise _unreadable(typed, _missing(path)) from None
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise _unreadable(typed, Phrase("system_says", said=getattr(error, "strerror", None) or error)) from None
        return cls(path.name, hashlib.sha256(data).hexdigest()[:_HASH_LENGTH], text.replace("\r\n", "\n"))


def refuse_path(text: str) -> None:
    """Raise PromptProblem (text-is-path) where a text, with or without an ``@`` before it, is the path of a file."""
    path = text.strip().removeprefix("@")
    if not path or "\n" in path or len(path) > _LONGEST_PATH:
        return
    try:
        is_file = Path(os.path.expanduser(path)).is_file()  # noqa: PTH111 - as above
    except (OSError, ValueError):
        return
    if is_file:
        raise PromptProblem("text-is-path", path=path)


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():  # a pipe would wait, a device has no end
        raise _unreadable(str(path), Phrase("is_no_file"))
    with path.open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        raise _unreadable(str(path), Phrase("prompt_file_large", most=f"{_MOST_BYTES // 1024 // 1024} MB"))
    return data


def _missing(path: Path) -> Phrase:
    folder = str(path.parent.absolute())  # a relative path begins where the kernel runs, which the user may not know
    try:
        near = get_close_matches(path.name, os.listdir(path.parent)[:10_000], n=1)  # noqa: PTH208 - names, not paths
    except OSError:
        return Phrase("no_folder", folder=folder)
    return Phrase("folder_has", folder=folder, near=near[0]) if near else Phrase("folder_lacks", folder=folder)


def _unreadable(path: str, reason: Phrase) -> PromptProblem:
    return PromptProblem("prompt-file-unreadable", path=path, reason=reason)
