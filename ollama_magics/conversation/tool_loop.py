"""The requests of one turn: asked again with fewer turns, or with the results of called functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ollama_magics.conversation import history_window
from ollama_magics.conversation.reply_context import ReplyContext
from ollama_magics.conversation.tools import Call, Toolbox
from ollama_magics.errors import PromptTooLong, ToolProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest, Message


class Sending:
    """Sends ``request``, which loses turns where it must; ``left_out`` counts all that did not go out."""

    def __init__(
        self, request: ChatRequest | GenerateRequest, send: Callable[[Any], Iterator[Chunk]], circumstances: ReplyContext
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
        count = min(len(sizes), history_window.fewer(sizes, error, refusals))
        self.request = history_window.without_oldest(self.request, count)
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


MOST_ROUNDS = 8


@dataclass
class Round:
    """One answer of the model: its text, its thoughts and the calls it ends in."""

    calls: list[Call] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _thinking: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer as far as it has come."""
        return "".join(self._text)

    @property
    def thinking(self) -> str:
        """The thoughts before it as far as they have come."""
        return "".join(self._thinking)

    def take(self, chunk: Chunk) -> None:
        """Remember one piece of the answer."""
        self._text.append(chunk.text)
        self._thinking.append(chunk.thinking)
        self.calls += [Call.from_wire(written) for written in chunk.tool_calls]

    def messages(self) -> Iterator[Message]:
        """Yield the answer and the results as the next request repeats them."""
        calls = tuple(call.to_wire() for call in self.calls)
        yield Message("assistant", self.text, thinking=self.thinking, tool_calls=calls)
        for call in self.calls:
            yield Message("tool", call.outcome, tool_name=call.name, tool_call_id=call.id)


class ToolLoop:
    """All answers of one turn as one stream; ``ended`` are those that a later one followed, ``now`` is the last.

    ``send`` gets the messages between the prompt and the answer, which are kept in ``between``. Without a toolbox there is one
    round, whatever the server writes.
    """

    def __init__(self, send: Callable[[tuple[Message, ...]], Iterator[Chunk]], toolbox: Toolbox | None) -> None:
        self._send, self._toolbox = send, toolbox
        self.ended: list[Round] = []
        self.now = Round()
        self.between: tuple[Message, ...] = ()

    @property
    def calls(self) -> list[Call]:
        """Every call so far, in order."""
        return [call for one in (*self.ended, self.now) for call in one.calls]

    @property
    def goes_on(self) -> bool:
        """Whether the last answer ends in calls, after which the model is asked again."""
        return self._toolbox is not None and bool(self.now.calls)

    def stream(self) -> Iterator[Chunk]:
        """Yield the chunks of every round, and an empty one whenever calls have been run, so that this can be shown.

        Raises ToolProblem where the calls may not be run, or do not end.
        """
        while True:
            yield from self._one()
            if self._toolbox is None or not self.now.calls:
                return
            if len(self.ended) == MOST_ROUNDS:
                raise ToolProblem("tool-rounds-too-many", most=MOST_ROUNDS)
            self._toolbox.run(self.now.calls)
            self.between += tuple(self.now.messages())
            self.ended.append(self.now)
            self.now = Round()
            yield Chunk()

    def _one(self) -> Iterator[Chunk]:
        chunks = self._send(self.between)
        try:
            for chunk in chunks:
                self.now.take(chunk)
                yield chunk
        finally:
            if close := getattr(chunks, "close", None):
                close()
