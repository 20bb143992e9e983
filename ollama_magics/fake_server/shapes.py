"""How chat and generate write the lines of an answer: the same facts in two shapes."""

from __future__ import annotations

from typing import Any, Protocol
from zlib import crc32

from ollama_magics.fake_server import framing
from ollama_magics.fake_server.generation import Piece
from ollama_magics.fake_server.replies import Line
from ollama_magics.fake_server.tokens import Message, tokenise

_VOCABULARY = 32_000


class Shape(Protocol):
    """One of the two shapes."""

    purpose: str  # in the refusal of a model that cannot do it
    shows_tags: bool  # whether a tag around thoughts has an (empty) line of its own

    def said(self, piece: Piece) -> dict[str, Any]:
        """Return the members that carry a text."""

    def last(self, messages: tuple[Message, ...], content: str) -> dict[str, Any]:
        """Return what the last line says besides the counts."""


class ChatShape:
    """Lines with a ``message``."""

    purpose = "chat"
    shows_tags = False

    def said(self, piece: Piece) -> dict[str, Any]:
        """Return the text as a message of the assistant."""
        more = {"thinking": piece.thinking, "tool_calls": list(piece.calls)}
        said = {name: value for name, value in more.items() if value}
        return {"message": {"role": "assistant", "content": piece.content, **said}}

    def last(self, messages: tuple[Message, ...], content: str) -> dict[str, Any]:  # noqa: ARG002 - a chat adds nothing
        """Return nothing."""
        return {}


class GenerateShape:
    """Lines with a ``response``, and token numbers at the end."""

    purpose = "generate"
    shows_tags = True

    def said(self, piece: Piece) -> dict[str, Any]:
        """Return the text as it is."""
        thinking = {"thinking": piece.thinking} if piece.thinking else {}
        return {"response": piece.content, **thinking}

    def last(self, messages: tuple[Message, ...], content: str) -> dict[str, Any]:
        """Return the numbers of the tokens of prompt and answer."""
        tokens = [token for text in (*(m.content for m in messages), content) for token in tokenise(text)]
        return {"context": [crc32(token.encode(errors="replace")) % _VOCABULARY for token in tokens]}


def line(model: str, members: dict[str, Any], **rest: Any) -> Line:
    """Return one line: ``rest`` follows the text, ``done`` included."""
    return {"model": model, "created_at": framing.now(), **members, **rest}
