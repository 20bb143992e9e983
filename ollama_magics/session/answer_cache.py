"""Answer a request from the store of answers, or ask the server and store its answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from ollama_magics.server import wire
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest
from ollama_magics.store import vectors
from ollama_magics.store.answers import AnswerStore

_Request = ChatRequest | GenerateRequest
# None of these changes an answer; the model is in the key by its digest.
_NOT_IN_KEY = {"model", "keep_alive", "stream"}


class CachedAnswer:
    """Asks like the client does, unless the answer of an equal request is stored; ``stored`` is the day of one that was.

    Only whole answers that ``fits`` accepts are stored, and none if ``digest`` returns an empty text for the model.
    """

    def __init__(
        self,
        answers: AnswerStore,
        digest: Callable[[str], str],
        send: Callable[[Any], Iterator[Chunk]],
        fits: Callable[[str, str], bool],
    ) -> None:
        self._answers, self._digest, self._send, self._fits = answers, digest, send, fits
        self.stored = ""

    def __call__(self, request: _Request) -> Iterator[Chunk]:
        """Yield the stored answer, or the server's as it comes."""
        digest = self._digest(request.model)
        if not digest:
            yield from self._send(request)
            return

        fields = {name: value for name, value in json.loads(wire.encode(request)).items() if name not in _NOT_IN_KEY}
        key = vectors.key(digest, fields)(type(request).__name__)
        if found := self._answers.find(key):
            lines, self.stored = found[0].split(b"\n"), found[1]
            yield from map(wire.chunk, lines)
            return

        chunks: list[Chunk] = []
        for chunk in self._send(request):
            chunks.append(chunk)
            if chunk.done and self._fits("".join(one.text for one in chunks), chunk.done_reason or ""):
                self._answers.put(key, b"\n".join(map(wire.encode, chunks)))
            yield chunk
