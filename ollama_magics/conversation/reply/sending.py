"""The requests of one turn: asked again with fewer of the oldest turns where the server refuses the prompt as too long."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ollama_magics.conversation import budget
from ollama_magics.conversation.reply.circumstances import Circumstances
from ollama_magics.errors import PromptTooLong
from ollama_magics.messages import Phrase
from ollama_magics.server.wire.answers import Chunk
from ollama_magics.server.wire.requests import ChatRequest, GenerateRequest, Message


class Sending:
    """Sends ``request``, which loses turns where it must; ``left_out`` counts all that did not go out."""

    def __init__(
        self, request: ChatRequest | GenerateRequest, send: Callable[[Any], Iterator[Chunk]], circumstances: Circumstances
    ) -> None:
        self.request, self._send, self._here = request, send, circumstances
        self.left_out = circumstances.left_out

    def __call__(self, between: tuple[Message, ...]) -> Iterator[Chunk]:
        """Yield the answer to the request and to what came of it since: calls of functions and their results."""
        for refusals in itertools.count(1):
            try:
                yield from self._send(_with(self.request, between))
            except PromptTooLong as error:
                self._shorten(error, refusals)
            else:
                return

    @property
    def ahead(self) -> tuple[int, ...]:
        """The tokens of each earlier turn that goes out, the oldest first."""
        return self._here.ahead[self.left_out - self._here.left_out :]

    def _shorten(self, error: PromptTooLong, refusals: int) -> None:
        sizes = self.ahead
        if self._here.strict or not sizes or not isinstance(self.request, ChatRequest):
            raise self._with_limit(error)
        count = min(len(sizes), budget.fewer(sizes, error, refusals))
        self.request = budget.without_oldest(self.request, count)
        self.left_out += count

    def _with_limit(self, error: PromptTooLong) -> PromptTooLong:
        # servers before 0.30 give no numbers; that of the context is known here
        if error.limit is None and self._here.context:
            error.limit = self._here.context
            error.facts["said"] = Phrase("too_long_said", said=error.facts["said"], limit=error.limit)
        return error


def _with(request: ChatRequest | GenerateRequest, between: tuple[Message, ...]) -> ChatRequest | GenerateRequest:
    if not (between and isinstance(request, ChatRequest)):
        return request
    return msgspec.structs.replace(request, messages=(*request.messages, *between))
