"""The reply: a stream of chunks that remembers what it said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from ollama_magics import schema
from ollama_magics.conversation import Turn
from ollama_magics.errors import AnswerCut, FormatProblem, Interrupted, ToolProblem
from ollama_magics.reply import looks
from ollama_magics.reply.circumstances import Circumstances, Stats, stats_of
from ollama_magics.reply.rounds import Rounds
from ollama_magics.tools import Call
from ollama_magics.wire import ChatRequest, Chunk, GenerateRequest, Message


class Reply:
    """An answer that is asked for at the first iteration, or at ``.text``; a ``with`` closes it.

    Iterating yields chunks as they come. ``.text`` and ``.thinking`` hold what has come so far, ``.complete`` says whether
    that is all. Raises AnswerCut (with ``.partial``) where the answer ends early or is not of the type that was asked for,
    Interrupted where the person stops it, ToolProblem where the functions that the model calls may not be run.
    """

    def __init__(
        self,
        request: ChatRequest | GenerateRequest,
        send: Callable[[Any], Iterator[Chunk]],
        circumstances: Circumstances | None = None,
    ) -> None:
        self.request = request
        self.circumstances = circumstances or Circumstances()
        self.painted = False  # set while the cell that painted it runs, so that it is not shown twice
        self.done_reason = ""
        self.stats = Stats()
        self.rounds = Rounds(send, self.circumstances.toolbox)
        self._rows, self._value = schema.Rows(), list[Any]()
        self._chunks: Iterator[Chunk] | None = None
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._finished = self.closed = False
        self.first_seconds = self._started = 0.0
        self.dropped = self._round = 0

    # What was asked.

    @property
    def model(self) -> str:
        """The model as it was asked for."""
        return self.request.model

    @property
    def images(self) -> tuple[Any, ...]:
        """The pictures that went out with the prompt."""
        return self.circumstances.images

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All messages of the request and the answer, as dicts with role and content, those of calls between them."""
        sent = self.request.messages if isinstance(self.request, ChatRequest) else (_prompt_of(self.request),)
        return [_shown(message) for message in (*sent, *self.rounds.between, self._answer())]

    # What was answered.

    @property
    def text(self) -> str:
        """The answer; asks for it if nobody has yet."""
        if self._chunks is None:
            with self:
                for _ in self:
                    pass
        return self.so_far

    @property
    def so_far(self) -> str:
        """The answer as far as it has come, without asking; after calls of functions, what the model said since."""
        return "".join(self._text)

    @property
    def value(self) -> Any:
        """The answer as an object of the type in ``format``; asks for it if nobody has yet.

        Raises FormatProblem where there is none, AnswerCut while asking where the answer is no such object.
        """
        if not (self.text and self._value):
            raise FormatProblem("OM-F09")
        return self._value[0]

    @property
    def frame(self) -> Any:
        """The value as a DataFrame: a row for each element of a list, or one for an object. Raises as ``value`` does."""
        return schema.frame(self.value)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows that are complete so far, of an answer that is a list of them; empty for any other."""
        wanted = self.circumstances.schema
        if wanted is None or not wanted.listed:
            return []
        return schema.records(self._value[0]) if self._value else self._rows.read(self.so_far)

    @property
    def tool_calls(self) -> list[Call]:
        """The functions that the model called, with arguments and result or error, in order."""
        return self.rounds.calls

    @property
    def begun(self) -> bool:
        """Whether there is something to show."""
        return bool(self.so_far or self.thinking or self.tool_calls)

    @property
    def thinking(self) -> str:
        """The thoughts as far as they have come."""
        return "".join(self._thinking)

    @property
    def complete(self) -> bool:
        """Whether the server said that this is the whole answer (which the max tokens may still have cut)."""
        return self._finished

    @property
    def shifted(self) -> bool:
        """Whether the answer ran past the context, so that the model forgot the beginning while it wrote."""
        used = self.stats.prompt_tokens + self.stats.tokens
        return bool(self.circumstances.context) and used > self.circumstances.context

    # The stream.

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks that have not come yet."""
        if self._chunks is None:
            self._chunks, self._started = self.rounds(self.request), time.monotonic()
        try:
            for chunk in self._chunks:
                self._remember(chunk)
                yield chunk
        except (AnswerCut, ToolProblem) as error:
            error.partial = self
            error.facts["characters"] = str(len(self.so_far))
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.close()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and not isinstance(error, Interrupted):
            raise Interrupted(self if self.begun else None) from None

    def close(self) -> None:
        """End the stream: the connection is closed, the server stops, and a partial turn is kept as cut."""
        if self._chunks is None or self.closed:
            return
        self.closed = True
        close = getattr(self._chunks, "close", None)
        if close:
            close()
        if (self.so_far or self.tool_calls) and not self._finished:
            self._keep(complete=False)

    def _remember(self, chunk: Chunk) -> None:
        if self._round != len(self.rounds.ended):
            self._round = len(self.rounds.ended)
            self._text.clear()  # it stands in the round before
        if not self.first_seconds and (chunk.text or chunk.thinking or chunk.done):
            self.first_seconds = time.monotonic() - self._started
        if chunk.thinking:
            self._thinking.append(chunk.thinking)
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.done:
            self._finish(chunk)

    def _finish(self, last: Chunk) -> None:
        self.done_reason = last.done_reason or ""
        self.stats = stats_of(last, time.monotonic() - self._started, self.first_seconds)
        if self.rounds.goes_on:
            return
        self._decode()
        self._finished = True
        self._keep(complete=True)

    def _decode(self) -> None:
        if (wanted := self.circumstances.schema) is None:
            return
        if self.done_reason == "length":
            raise AnswerCut("OM-F06", most=self.stats.tokens, characters=len(self.so_far))
        try:
            self._value.append(wanted.value(self.so_far))
        except schema.UnfitError as error:
            raise AnswerCut("OM-F07", reason=error) from None

    def _keep(self, *, complete: bool) -> None:
        here = self.circumstances
        if here.conversation is not None and isinstance(self.request, ChatRequest):
            if here.new:
                here.conversation.clear()
            self.dropped = here.conversation.dropped_by(here.place)
            here.conversation.keep(Turn(self.request.messages[-1], self._answer(), here.place, complete, self.rounds.between))

    def _answer(self) -> Message:
        return Message("assistant", self.so_far)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        state = "complete" if self._finished else "not complete" if self._chunks else "not asked yet"
        return f"<Reply of {self.model}, {len(self.so_far)} characters, {state}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return looks.bundle(self) if self._chunks is not None else {"text/plain": repr(self)}

    def _ipython_display_(self) -> None:
        # IPython's protocol: NotImplementedError means "show me in the ordinary way"
        if not self.painted:
            raise NotImplementedError


def _shown(message: Message) -> dict[str, Any]:
    shown: dict[str, Any] = {"role": message.role, "content": message.content}
    more = {"thinking": message.thinking, "tool_calls": list(message.tool_calls), "tool_name": message.tool_name}
    return shown | {name: value for name, value in more.items() if value}


def _prompt_of(request: GenerateRequest) -> Message:
    return Message("user", request.prompt)
