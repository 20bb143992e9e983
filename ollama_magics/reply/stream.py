"""The reply: a stream of chunks that remembers what it said."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from ollama_magics import budget
from ollama_magics.conversation import Turn
from ollama_magics.errors import AnswerCut, Interrupted, PromptTooLong
from ollama_magics.reply import looks
from ollama_magics.reply.circumstances import Circumstances, Stats, stats_of
from ollama_magics.reply.undisturbed import undisturbed
from ollama_magics.texts import Phrase
from ollama_magics.wire import ChatRequest, Chunk, GenerateRequest, Message


class Reply:
    """An answer that is asked for at the first iteration, or at ``.text``; a ``with`` closes it.

    Iterating yields chunks as they come. ``.text`` and ``.thinking`` hold what has come so far, ``.complete`` says whether
    that is all. Raises AnswerCut (with ``.partial``) where the answer ends early, Interrupted where the person stops it.
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
        self.tool_calls: list[dict[str, Any]] = []
        self.stats = Stats()
        self._send = send
        self._chunks: Iterator[Chunk] | None = None
        self.logprobs: list[dict[str, Any]] = []
        goes_on = self.circumstances.goes_on
        self._text: list[str] = [goes_on.answer.content] if goes_on else []
        self._thinking: list[str] = []
        self._came = self._finished = self.closed = False
        self.first_seconds = self.thought_seconds = self._started = self._thought_since = 0.0
        self.asked_at = 0.0  # in seconds since 1970
        self.dropped = 0
        self.left_out = self.circumstances.left_out

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
        """All messages of the request and the answer, as a list of dicts with role and content."""
        sent = self.request.messages if isinstance(self.request, ChatRequest) else (_prompt_of(self.request),)
        if sent[-1].role == "assistant":  # the beginning of this answer, with which it goes on
            sent = sent[:-1]
        return [{"role": message.role, "content": message.content} for message in (*sent, self._answer())]

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
        """The answer as far as it has come, without asking."""
        return "".join(self._text)

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
            self._chunks, self._started, self.asked_at = self._asked(), time.monotonic(), time.time()
        try:
            for chunk in self._chunks:
                self._remember(chunk)
                yield chunk
            self._refuse_filled()
        except AnswerCut as error:
            error.partial = self
            error.facts["characters"] = str(len(self.so_far))
            raise

    def _refuse_filled(self) -> None:
        if self._filled and not self._finished:
            raise AnswerCut("OM-C06", used=self._used, limit=self.circumstances.context)

    def _asked(self) -> Iterator[Chunk]:
        """Yield the answer; where the prompt is refused as too long, ask again with fewer of the oldest turns."""
        for refusals in itertools.count(1):
            try:
                yield from self._send(self.request)
            except PromptTooLong as error:
                self._shorten(error, refusals)
            else:
                return

    def _shorten(self, error: PromptTooLong, refusals: int) -> None:
        sizes = self._ahead()
        if self.circumstances.strict or not sizes or not isinstance(self.request, ChatRequest):
            raise self._with_limit(error)
        count = min(len(sizes), budget.fewer(sizes, error, refusals))
        self.request = budget.without_oldest(self.request, count)
        self.left_out += count

    def _with_limit(self, error: PromptTooLong) -> PromptTooLong:
        # servers before 0.30 give no numbers; that of the context is known here
        if error.limit is None and self.circumstances.context:
            error.limit = self.circumstances.context
            error.facts["said"] = Phrase("too_long_said", said=error.facts["said"], limit=error.limit)
        return error

    def _ahead(self) -> tuple[int, ...]:
        here = self.circumstances
        return here.ahead[self.left_out - here.left_out :]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        pressed = kind is not None and issubclass(kind, KeyboardInterrupt)
        try:
            self.close()
        except KeyboardInterrupt:
            pressed = True
        if pressed and not isinstance(error, Interrupted):
            raise Interrupted(self if self.so_far or self.thinking else None) from None

    def close(self) -> None:
        """End the stream: the connection is closed, the server stops, and a partial turn is kept as cut."""
        if self._chunks is None or self.closed:
            return
        with undisturbed():
            self.closed = True
            close = getattr(self._chunks, "close", None)
            if close:
                close()
            if self._came and not self._finished:
                self._keep(complete=False)

    def _remember(self, chunk: Chunk) -> None:
        if not self._came and (chunk.text or chunk.thinking or chunk.done):
            self.first_seconds = time.monotonic() - self._started
        self._came = self._came or bool(chunk.text or chunk.thinking)
        self._time_thoughts(chunk)
        if chunk.thinking:
            self._thinking.append(chunk.thinking)
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.message and chunk.message.tool_calls:
            self.tool_calls += chunk.message.tool_calls
        self.logprobs += chunk.logprobs or ()
        if chunk.done:
            self._finish(chunk)

    def _time_thoughts(self, chunk: Chunk) -> None:
        if chunk.thinking and not self._thinking:
            self._thought_since = time.monotonic()
        elif self._thinking and not self._text and (chunk.text or chunk.done):
            self.thought_seconds = time.monotonic() - self._thought_since

    def _finish(self, last: Chunk) -> None:
        self.done_reason = last.done_reason or ""
        self.stats = stats_of(last, time.monotonic() - self._started, self.first_seconds)
        if self._filled:
            return
        with undisturbed():
            self._finished = True
            # an answer that ended inside its thoughts has no text that could be sent again
            self._keep(complete=bool(self.so_far or self.tool_calls) or self.done_reason != "length")

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
        at_limit = complete and self.done_reason == "length"
        return Turn(prompt, self._answer(), here.place, complete, self.model, here.system, at_limit, self._own_tokens())

    def _own_tokens(self) -> int:
        # the server counts all that was said; what went ahead was counted before, and thoughts are not sent again
        if not self.stats.prompt_tokens:
            return 0
        said = len(self.so_far) / (len(self.so_far) + len(self.thinking) or 1)
        ahead = self.circumstances.before + sum(self._ahead())
        return max(0, self.stats.prompt_tokens + round(self.stats.tokens * said) - ahead)

    def _answer(self) -> Message:
        return Message("assistant", self.so_far)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        state = "complete" if self._finished else "not complete" if self._chunks else "not asked yet"
        return f"<Reply of {self.model}, {len(self.so_far)} characters, {state}>"

    def _repr_mimebundle_(self, **_: object) -> dict[str, str] | tuple[dict[str, str], dict[str, Any]]:
        return {"text/plain": repr(self)} if self._chunks is None else (looks.bundle(self), looks.metadata(self))

    def _ipython_display_(self) -> None:
        # IPython's protocol: NotImplementedError means "show me in the ordinary way"
        if not self.painted:
            raise NotImplementedError


def _prompt_of(request: GenerateRequest) -> Message:
    return Message("user", request.prompt)
