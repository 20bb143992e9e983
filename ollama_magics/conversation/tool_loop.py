"""The requests of one turn: sent again with fewer earlier turns, or with the results of called functions."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ollama_magics.conversation import history_window
from ollama_magics.conversation.tools import Call, Toolbox
from ollama_magics.errors import PromptTooLong, ToolProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest, Message


class Sender:
    """Sends one request, and leaves out its oldest turns where the server refuses it as too long.

    ``history`` are the tokens of the turns that go out, the oldest first, and ``left_out`` counts those that a refusal took
    out. ``context_length`` is the model's context in tokens; with ``strict`` no turn is left out.
    """

    def __init__(
        self,
        request: ChatRequest | GenerateRequest,
        send: Callable[[Any], Iterator[Chunk]],
        history: tuple[int, ...],
        context_length: int,
        *,
        strict: bool,
    ) -> None:
        self.request, self.history = request, history
        self._send, self._context_length, self._strict = send, context_length, strict
        self.left_out = 0

    def __call__(self, between: tuple[Message, ...]) -> Iterator[Chunk]:
        """Yield the answer to the request and to the messages since: calls of functions and their results."""
        for refusals in itertools.count(1):
            request = self.request
            if between and isinstance(request, ChatRequest):
                request = msgspec.structs.replace(request, messages=(*request.messages, *between))
            try:
                yield from self._send(request)
            except PromptTooLong as error:
                self._shorten(error, refusals)
            else:
                return

    def _shorten(self, error: PromptTooLong, refusals: int) -> None:
        if self._strict or not self.history or not isinstance(self.request, ChatRequest):
            if error.limit is None and self._context_length:  # servers before 0.30 give no numbers
                error.limit = self._context_length
                error.facts["said"] = Phrase("too_long_said", said=error.facts["said"], limit=error.limit)
            raise error
        count = min(len(self.history), history_window.fewer(self.history, error, refusals))
        self.request, self.history = history_window.without_oldest(self.request, count), self.history[count:]
        self.left_out += count


MOST_ROUNDS = 8


@dataclass
class Round:
    """One answer of the model: its text, its thoughts and the calls in which it ends."""

    calls: list[Call] = field(default_factory=list)
    _text: list[str] = field(default_factory=list)
    _thinking: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._text)

    @property
    def thinking(self) -> str:
        """The thoughts so far."""
        return "".join(self._thinking)

    def add(self, chunk: Chunk) -> None:
        """Add one piece of the answer."""
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
    """All answers of one turn as one stream: ``ended`` are the rounds before ``now``, which is the last.

    ``send`` gets the messages between the prompt and the answer, which are kept in ``between``. Without a toolbox there is one
    round, even if the server writes calls.
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
    def continues(self) -> bool:
        """Whether the last answer ends in calls, after which the model is asked again."""
        return self._toolbox is not None and bool(self.now.calls)

    def stream(self) -> Iterator[Chunk]:
        """Yield the chunks of every round, and an empty one whenever calls have been run, so that this can be shown.

        Raises ToolProblem where the calls may not be run, or do not end.
        """
        while True:
            chunks = self._send(self.between)
            try:
                for chunk in chunks:
                    self.now.add(chunk)
                    yield chunk
            finally:
                if close := getattr(chunks, "close", None):
                    close()
            if self._toolbox is None or not self.now.calls:
                return
            if len(self.ended) == MOST_ROUNDS:
                raise ToolProblem("tool-rounds-too-many", most=MOST_ROUNDS)
            self._toolbox.run(self.now.calls)
            self.between += tuple(self.now.messages())
            self.ended.append(self.now)
            self.now = Round()
            yield Chunk()
