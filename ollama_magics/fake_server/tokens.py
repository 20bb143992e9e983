"""Split texts into tokens, and fit a conversation into a context."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ollama_magics.fake_server import responses

PICTURE_TOKENS = 16

# A word with the space before it; a long word is several tokens, so that any text streams in pieces.
_TOKEN = re.compile(r"\s*\S{1,12}|\s+")


@dataclass(frozen=True)
class Message:
    """One message of a conversation; ``pictures`` are the bytes of image files."""

    role: str
    content: str
    pictures: tuple[bytes, ...] = ()

    def size(self) -> int:
        """Return tokens: those of the text, one for the role, and a fixed number for each picture."""
        return len(tokenise(self.content)) + 1 + PICTURE_TOKENS * len(self.pictures)


def tokenise(text: str) -> list[str]:
    """Return the tokens of a text; joined they are the text again, byte for byte."""
    return _TOKEN.findall(text)


def count(messages: tuple[Message, ...]) -> int:
    """Return tokens of a prompt: its messages, and one that opens the answer."""
    return sum(message.size() for message in messages) + 1


def fit(messages: tuple[Message, ...], limit: int, *, truncate: bool) -> tuple[Message, ...]:
    """Return the messages of at most ``limit`` tokens.

    If they do not fit, the oldest messages are left out silently, and then the beginning of the last text;
    ApiError is raised instead if ``truncate`` is false.
    """
    excess = count(messages) - limit
    if excess <= 0:
        return messages
    if not truncate:
        raise responses.too_long()

    kept = []
    for message in messages[:-1]:
        if excess > 0 and message.role != "system":
            excess -= message.size()
        else:
            kept.append(message)
    last = messages[-1]
    if excess > 0:
        last = replace(last, content="".join(tokenise(last.content)[excess:]))
    return (*kept, last)
