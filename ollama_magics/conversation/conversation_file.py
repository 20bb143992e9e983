"""Save the turns of a conversation to a JSON file, and load them again."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec

from ollama_magics.conversation import files, images, sounds
from ollama_magics.conversation.files import UnreadableFileError
from ollama_magics.conversation.turns import Place, Turn
from ollama_magics.errors import PictureProblem, PromptProblem
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret
from ollama_magics.server import wire
from ollama_magics.server.failures import quote
from ollama_magics.server.redaction import LONG_SECRET, Redaction
from ollama_magics.settings import config_folder

_VERSION = 1
_ABOUT = "A conversation, saved by ollama_magics. It holds prompts, answers and pictures, and no key or address."
_MOST_BYTES = 256_000_000


class _FileContent(msgspec.Struct):
    version: int
    turns: list[Turn]
    about: str = _ABOUT


class _FileVersion(msgspec.Struct):
    version: int
    turns: msgspec.Raw


def save(path: str | PathLike[str], turns: Sequence[Turn], secrets: Iterable[Secret] = ()) -> Path:
    """Write turns without these secrets to a file of mode 0600, all at once; return its whole path.

    Raises PromptProblem (conversation-unwritable), also where the file exists and is no conversation: it stays.
    """
    path = _expanded(path, "conversation-unwritable").absolute()
    try:
        # what is at the end of a link is replaced, not the link
        target = files.resolved(path)
        if files.exists(target) and (former := files.read(target, _MOST_BYTES)):
            _turns_in(former)
        config_folder.write(target, _encoded(turns, Redaction(secrets, LONG_SECRET)))
    except UnreadableFileError as error:
        raise PromptProblem("conversation-unwritable", path=path, reason=error.reason) from None
    except OSError as error:
        reason = Phrase("system_says", said=error.strerror or error)
        raise PromptProblem("conversation-unwritable", path=path, reason=reason) from None
    return path


def _encoded(turns: Sequence[Turn], redaction: Redaction) -> str:
    # in another run the cells are the same, and replace their turns
    kept = [replace(turn, place=Place(turn.place.cell)) for turn in turns]
    content = wire.encode(_FileContent(_VERSION, kept))
    if redaction:
        content = _redacted(content, redaction)
    data = msgspec.json.format(content, indent=1)
    if len(data) > _MOST_BYTES:
        raise UnreadableFileError(Phrase("too_large", most=f"{_MOST_BYTES:,}"), is_large=True)
    return data.decode() + "\n"


def _redacted(content: bytes, redaction: Redaction) -> bytes:
    """Return the content of a file with bullets instead of secrets; its pictures stay as they are."""
    decoded = msgspec.json.decode(content)
    pictures = [message.pop("images", ()) for message in _messages(decoded["turns"])]
    decoded["turns"] = redaction.lines(decoded["turns"])
    for message, sent in zip(_messages(decoded["turns"]), pictures, strict=True):
        message["images"] = sent
    return wire.encode(decoded)


def _messages(turns: list[Any]) -> list[dict[str, Any]]:
    return [message for turn in turns for message in (turn["prompt"], turn["answer"], *turn.get("between", ()))]


def _expanded(path: object, code: str) -> Path:
    """Return the path that was given; raises PromptProblem with the code where it is none."""
    if not isinstance(path, (str, PathLike)):
        reason = Phrase("need_type", wanted="str, Path", kind=type(path).__name__)
        raise PromptProblem(code, path=quote(str(path)), reason=reason)
    try:
        return files.expanded(os.fsdecode(path))
    except UnreadableFileError as error:
        raise PromptProblem(code, path=os.fsdecode(path) or '""', reason=error.reason) from None


def load(path: str | PathLike[str]) -> list[Turn]:
    """Return the turns of a file; raises PromptProblem (conversation-unreadable) where it is none that save() writes."""
    path = _expanded(path, "conversation-unreadable")
    try:
        turns = msgspec.json.decode(_turns_in(files.read(path, _MOST_BYTES)), type=list[Turn])
        for number, turn in enumerate(turns, 1):
            _check(turn, number)
    except UnreadableFileError as error:
        raise PromptProblem("conversation-unreadable", path=path, reason=error.reason) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PromptProblem("conversation-unreadable", path=path, reason=Phrase("no_conversation", said=error)) from None
    return turns


def _turns_in(content: bytes) -> msgspec.Raw:
    """Return the turns in a file, which are not decoded yet; raises UnreadableFileError where it is no conversation."""
    try:
        found = msgspec.json.decode(content, type=_FileVersion)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = Phrase("only_messages") if _is_message_list(content) else Phrase("no_conversation", said=error)
        raise UnreadableFileError(reason) from None
    if found.version > _VERSION:
        raise UnreadableFileError(Phrase("newer_conversation", version=found.version))
    if found.version < 1:
        raise UnreadableFileError(Phrase("no_conversation", said=f"version {found.version}"))
    return found.turns


def _is_message_list(content: bytes) -> bool:
    """Return whether a file holds messages with roles, by themselves or under ``messages``, as other programs write them."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        found = msgspec.json.decode(content)
        messages = found.get("messages") if isinstance(found, dict) else found
        return isinstance(messages, list) and bool(messages) and all(isinstance(one, dict) and "role" in one for one in messages)
    return False


def _check(turn: Turn, number: int) -> None:
    """Raise UnreadableFileError where a turn of a file cannot be sent to a model."""
    roles = (turn.prompt.role, turn.answer.role, *(message.role for message in turn.between))
    if roles[:2] != ("user", "assistant") or not {*roles[2:]} <= {"assistant", "tool"} or turn.tokens < 0:
        raise UnreadableFileError(Phrase("turn_broken", number=number, said=Phrase("turn_roles")))
    try:
        for message in turn.messages:
            for text in message.images:
                data = base64.b64decode(text, validate=True)
                if sounds.kind_of(data):
                    sounds.from_bytes(data, str(number))
                else:
                    images.require_sendable(data, str(number))
    except (binascii.Error, ValueError):
        raise UnreadableFileError(Phrase("turn_broken", number=number, said=Phrase("no_base64"))) from None
    except PictureProblem as error:
        raise UnreadableFileError(Phrase("turn_broken", number=number, said=error.phrase("how_we_know"))) from None
