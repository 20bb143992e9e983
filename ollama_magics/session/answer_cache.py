"""The stored answer of the same request to the same model, or the server's, which is stored then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from ollama_magics.server import wire
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest
from ollama_magics.store import vectors

if TYPE_CHECKING:
    from ollama_magics.session.session import Session

_Request = ChatRequest | GenerateRequest
# Neither changes an answer; the model stands in the key by its digest.
_BESIDE = {"model", "keep_alive", "stream"}


class CachedAnswer:
    """Asks like the client does, unless the answer of an equal request is stored; ``stored`` is the day of one that was.

    Only whole answers are stored, where their text ``fits`` what was asked for, and none while exchanges are recorded or
    replayed, or where the server names no digest.
    """

    def __init__(self, session: Session, send: Callable[[Any], Iterator[Chunk]], fits: Callable[[str, str], bool]) -> None:
        self._session, self._send, self._fits = session, send, fits
        self.stored = ""

    def __call__(self, request: _Request) -> Iterator[Chunk]:
        """Yield the stored answer, or the server's as it comes."""
        digest = "" if self._session.tape else self._session.client.digest(request.model)
        if not digest:
            yield from self._send(request)
            return
        key = _key(digest, request)
        if found := self._session.answers.find(key):
            lines, self.stored = found[0].split(b"\n"), found[1]
            yield from map(wire.chunk, lines)
            return
        yield from self._kept(key, request)

    def _kept(self, key: bytes, request: _Request) -> Iterator[Chunk]:
        heard: list[Chunk] = []
        for chunk in self._send(request):
            heard.append(chunk)
            if chunk.done and self._fits("".join(one.text for one in heard), chunk.done_reason or ""):
                self._session.answers.put(key, b"\n".join(map(wire.encode, heard)))
            yield chunk


def _key(digest: str, request: _Request) -> bytes:
    asked = {name: value for name, value in json.loads(wire.encode(request)).items() if name not in _BESIDE}
    return vectors.key(digest, asked)(type(request).__name__)
