"""The download of a model by the server, which tells how far it is."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ollama_magics.errors import AnswerCut, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.server.client.server import Client
from ollama_magics.server.http_errors import quote


class Progress(msgspec.Struct, frozen=True):
    """One line of the answer; ``total`` and ``completed`` in bytes of the part that ``status`` names, 0 where it has none."""

    status: str = ""
    total: int = 0
    completed: int = 0
    error: str = ""


def pull(client: Client, model: str) -> Iterator[Progress]:
    """Yield how far the server is; to leave the iteration ends the download, and what has come stays there.

    Raises RequestRefused where the server or the registry refuses, or the answer ends early.
    """
    try:
        for line in client.lines("/api/pull", {"model": model}):
            step = _read(line)
            if step.error:
                raise _failed(model, Phrase("server_said", said=quote(step.error)))
            yield step
            if step.status == "success":
                return
    except AnswerCut as cut:
        raise _failed(model, Phrase("pull_ended")) from cut
    raise _failed(model, Phrase("pull_ended"))


def _read(line: bytes) -> Progress:
    try:
        return msgspec.json.decode(line, type=Progress)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Progress(error=line[:80].decode("utf-8", "replace"))


def _failed(model: str, reason: Phrase) -> RequestRefused:
    return RequestRefused("OM-R03", status=200, model=model, reason=reason)
