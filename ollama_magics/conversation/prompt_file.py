"""Read a prompt or a system prompt from a file, and refuse a path where a text is wanted."""

from __future__ import annotations

import codecs
import hashlib

from msgspec import Struct

from ollama_magics.conversation import files
from ollama_magics.conversation.files import UnreadableFileError
from ollama_magics.errors import PromptProblem
from ollama_magics.messages import Phrase

_MOST_BYTES = 4_000_000  # more than the longest context of any model
_HASH_LENGTH = 12  # hexadecimal digits, which tell the versions of a file apart
# The longer ones first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    *((mark, "utf-32") for mark in (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)),
    *((mark, "utf-16") for mark in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),  # what PowerShell's > writes
)
_FOR_IMAGES = {b"%PDF-": "PDF", b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG", b"GIF8": "GIF", b"RIFF": "WAV / WEBP", b"ID3": "MP3"}
_LONGEST_PATH = 4096  # characters


class PromptFile(Struct, frozen=True):
    """The text of a file, and what the provenance says about it: its name and the beginning of its SHA-256."""

    name: str
    sha256: str
    text: str

    @classmethod
    def read(cls, typed: str) -> PromptFile:
        """Return the text of a file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark.

        Raises PromptProblem (prompt-file-unreadable), also for a file without any text.
        """
        try:
            path = files.expanded(typed.strip())
            data = files.read(path, _MOST_BYTES)
        except UnreadableFileError as error:
            raise _unreadable(typed, error.reason) from None
        encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8-sig")
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            reason = Phrase("byte_no_utf8", place=error.start) if encoding == "utf-8-sig" else Phrase("no_utf16")
            raise _unreadable(typed, _for_images(data, typed) or reason) from None
        if not text.strip() or "\0" in text:
            raise _unreadable(typed, _for_images(data, typed) or Phrase("has_nul" if "\0" in text else "is_empty_file"))
        return cls(path.name, hashlib.sha256(data).hexdigest()[:_HASH_LENGTH], text.replace("\r\n", "\n"))


def refuse_path(text: str) -> None:
    """Raise PromptProblem (text-is-path) where a text, with or without an ``@`` before it, is the path of a file."""
    path = text.strip().removeprefix("@")
    if not path or "\n" in path or len(path) > _LONGEST_PATH:
        return
    try:
        is_file = files.expanded(path).is_file()
    except (OSError, ValueError):
        return
    if is_file:
        raise PromptProblem("text-is-path", path=path)


def _for_images(data: bytes, typed: str) -> Phrase | None:
    """Return what to do with a document, picture or sound, or None for other data."""
    kind = next((kind for mark, kind in _FOR_IMAGES.items() if data.startswith(mark)), "")
    return Phrase("is_for_images", kind=kind, path=typed.strip()) if kind else None


def _unreadable(path: str, reason: Phrase) -> PromptProblem:
    return PromptProblem("prompt-file-unreadable", path=path or '""', reason=reason)
