"""The reply: a stream of chunks that remembers what it has received."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from ollama_magics.conversation import reply_view, schema
from ollama_magics.conversation.conversation import Turn, told
from ollama_magics.conversation.reply_context import ReplyContext, Stats, Value, stats_of
from ollama_magics.conversation.tool_loop import Sending, ToolLoop
from ollama_magics.conversation.tools import Call
from ollama_magics.errors import AnswerCut, Interrupted, ToolProblem
from ollama_magics.jobs.interrupt import defer_interrupt
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest, Message


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
        circumstances: ReplyContext | None = None,
    ) -> None:
        self.circumstances = here = circumstances or ReplyContext()
        self.painted = False  # set while the cell that painted it runs, so that it is not shown twice
        self.done_reason = ""
        self.stats = Stats()
        self._sending = Sending(request, send, here)
        self.rounds = ToolLoop(self._sending, here.toolbox)
        self._value = Value(here.schema)
        self._chunks: Iterator[Chunk] | None = None
        self.logprobs: list[dict[str, Any]] = []
        self._text: list[str] = [here.goes_on.answer.content] if here.goes_on else []
        self._thinking: list[str] = []
        self._came = self._finished = self.closed = False
        self.first_seconds = self.thought_seconds = self._started = self._thought_since = 0.0
        self.asked_at = 0.0  # in seconds since 1970
        self.dropped = self._round = 0

    # What was asked.

    @property
    def request(self) -> ChatRequest | GenerateRequest:
        """The request as it went out: with fewer of the oldest turns where the server refused it as too long."""
        return self._sending.request

    @property
    def left_out(self) -> int:
        """How many of the oldest turns did not go out because they did not fit."""
        return self._sending.left_out

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
        if sent[-1].role == "assistant":  # the beginning of this answer, with which it goes on
            sent = sent[:-1]
        return [told(message) for message in (*sent, *self.rounds.between, self._answer())]

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

    def new_text(self, known: int) -> tuple[str, int]:
        """Return what has come since so many pieces were known, and how many there are now, without joining the others."""
        return "".join(self._text[known:]), len(self._text)

    @property
    def value(self) -> Any:
        """The answer as an object of the type in ``format``; asks for it if nobody has yet.

        Raises FormatProblem where there is none, AnswerCut while asking where the answer is no such object.
        """
        _ = self.text
        return self._value.get()

    @property
    def frame(self) -> Any:
        """The value as a DataFrame: a row for each element of a list, or one for an object. Raises as ``value`` does."""
        return schema.frame(self.value)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows that are complete so far, of an answer that is a list of them; empty for any other."""
        return self._value.rows(self.so_far)

    @property
    def tool_calls(self) -> list[Call]:
        """The functions that the model called, with arguments and result or error, in order."""
        return self.rounds.calls

    @property
    def thinking(self) -> str:
        """The thoughts as far as they have come."""
        return "".join(self._thinking)

    @property
    def begun(self) -> bool:
        """Whether there is anything of an answer to show."""
        return bool(self._text or self._thinking or self.tool_calls)

    @property
    def complete(self) -> bool:
        """Whether the server said that this is the whole answer (which the max tokens may still have cut)."""
        return self._finished

    @property
    def stored(self) -> str:
        """The day on which the answer was given, such as ``2026-11-22``, where --reuse took it from the store; else empty."""
        return self.circumstances.stored()

    @property
    def shifted(self) -> bool:
        """Whether the answer ran past the context, so that the model forgot the beginning while it wrote."""
        # told not to forget, a server ends the answer at the last token of the context, or one later
        room = self.circumstances.context + (self.request.shift is False)
        return bool(self.circumstances.context) and self._used > room

    @property
    def _used(self) -> int:
        return self.stats.prompt_tokens + self.stats.tokens

    @property
    def _filled(self) -> bool:
        at_end = self._used + (self.done_reason == "length") > self.circumstances.context
        return self.circumstances.strict and bool(self.circumstances.context) and at_end

    # The stream.

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks that have not come yet."""
        if self._chunks is None:
            self._chunks, self._started, self.asked_at = self.rounds.stream(), time.monotonic(), time.time()
        try:
            for chunk in self._chunks:
                self._remember(chunk)
                yield chunk
            self._refuse_filled()
        except (AnswerCut, ToolProblem) as error:
            error.partial = self
            error.facts["characters"] = str(len(self.so_far))
            raise

    def _refuse_filled(self) -> None:
        if self._filled and not self._finished:
            raise AnswerCut("context-full", used=self._used, limit=self.circumstances.context)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        pressed = kind is not None and issubclass(kind, KeyboardInterrupt)
        try:
            self.close()
        except KeyboardInterrupt:
            pressed = True
        if pressed and not isinstance(error, Interrupted):
            raise Interrupted(self if self.begun else None) from None

    def close(self) -> None:
        """End the stream: the connection is closed, the server stops, and a partial turn is kept as cut."""
        if self._chunks is None or self.closed:
            return
        with defer_interrupt():
            self.closed = True
            close = getattr(self._chunks, "close", None)
            if close:
                close()
            if self._came and not self._finished:
                self._keep(complete=False)

    def _remember(self, chunk: Chunk) -> None:
        if self._round != len(self.rounds.ended):
            self._round = len(self.rounds.ended)
            self._text.clear()  # it stands in the round before
        if not self._came and (chunk.text or chunk.thinking or chunk.tool_calls or chunk.done):
            self.first_seconds = time.monotonic() - self._started
        self._came = self._came or bool(chunk.text or chunk.thinking or chunk.tool_calls)
        self._time_thoughts(chunk)
        if chunk.thinking:
            self._thinking.append(chunk.thinking)
        if chunk.text:
            self._text.append(chunk.text)
        self.logprobs += chunk.logprobs or ()
        if chunk.done:
            self._finish(chunk)

    def _time_thoughts(self, chunk: Chunk) -> None:
        if chunk.thinking and not self._thought_since:
            self._thought_since = time.monotonic()
        if self._thought_since and (chunk.text or chunk.tool_calls or chunk.done):
            self.thought_seconds += time.monotonic() - self._thought_since
            self._thought_since = 0.0

    def _finish(self, last: Chunk) -> None:
        self.done_reason = last.done_reason or ""
        self.stats = stats_of(last, time.monotonic() - self._started, self.first_seconds)
        if self._filled or self.rounds.goes_on:
            return
        self._value.decode(self.so_far, self.done_reason, self.stats)
        with defer_interrupt():
            self._finished = True
            # an answer that ended inside its thoughts has no text that could be sent again
            self._keep(complete=bool(self.so_far or self.rounds.now.calls) or self.done_reason != "length")

    def _keep(self, *, complete: bool) -> None:
        here = self.circumstances
        if here.conversation is None or not isinstance(self.request, ChatRequest):
            return
        if here.new:
            here.conversation.clear()
        if not here.goes_on:
            self.dropped = here.conversation.dropped_by(here.place)
        here.conversation.keep(self._turn(self.request, complete=complete), instead=here.goes_on)

    def _turn(self, request: ChatRequest, *, complete: bool) -> Turn:
        here = self.circumstances
        prompt = next(message for message in reversed(request.messages) if message.role == "user")
        at_limit, tokens = complete and self.done_reason == "length", self._own_tokens()
        between = (*(here.goes_on.between if here.goes_on else ()), *self.rounds.between)
        return Turn(prompt, self._answer(), here.place, complete, self.model, here.system, at_limit, tokens, between)

    def _own_tokens(self) -> int:
        # the server counts all that was said, calls of functions too; what went ahead was counted before, and thoughts are not
        # sent again
        if not self.stats.prompt_tokens:
            return 0
        said = len(self.so_far) / (len(self.so_far) + len(self.rounds.now.thinking) or 1)
        ahead = self.circumstances.before + sum(self._sending.ahead)
        return max(0, self.stats.prompt_tokens + round(self.stats.tokens * said) - ahead)

    def _answer(self) -> Message:
        return Message("assistant", self.so_far)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        state = "complete" if self._finished else "not complete" if self._chunks else "not asked yet"
        return f"<Reply of {self.model}, {len(self.so_far)} characters, {state}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str] | tuple[dict[str, str], dict[str, Any]]:
        return {"text/plain": repr(self)} if self._chunks is None else (reply_view.bundle(self), reply_view.metadata(self))

    def _ipython_display_(self) -> None:
        # IPython's protocol: NotImplementedError means "show me in the ordinary way"
        if not self.painted:
            raise NotImplementedError


def _prompt_of(request: GenerateRequest) -> Message:
    return Message("user", request.prompt)
