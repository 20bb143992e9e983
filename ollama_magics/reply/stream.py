"""The reply: a stream of chunks that remembers what it said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from ollama_magics.conversation import Turn
from ollama_magics.errors import AnswerCut, Interrupted
from ollama_magics.reply import looks
from ollama_magics.reply.circumstances import Circumstances, Stats, stats_of
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
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._finished = self.closed = False
        self.first_seconds = self._started = 0.0
        self.dropped = 0

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
        used = self.stats.prompt_tokens + self.stats.tokens
        return bool(self.circumstances.context) and used > self.circumstances.context

    # The stream.

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the chunks that have not come yet."""
        if self._chunks is None:
            self._chunks, self._started = self._send(self.request), time.monotonic()
        try:
            for chunk in self._chunks:
                self._remember(chunk)
                yield chunk
        except AnswerCut as error:
            error.partial = self
            error.facts["characters"] = str(len(self.so_far))
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.close()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and not isinstance(error, Interrupted):
            raise Interrupted(self if self.so_far or self.thinking else None) from None

    def close(self) -> None:
        """End the stream: the connection is closed, the server stops, and a partial turn is kept as cut."""
        if self._chunks is None or self.closed:
            return
        self.closed = True
        close = getattr(self._chunks, "close", None)
        if close:
            close()
        if self.so_far and not self._finished:
            self._keep(complete=False)

    def _remember(self, chunk: Chunk) -> None:
        if not (self._text or self._thinking) and (chunk.text or chunk.thinking or chunk.done):
            self.first_seconds = time.monotonic() - self._started
        if chunk.thinking:
            self._thinking.append(chunk.thinking)
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.message and chunk.message.tool_calls:
            self.tool_calls += chunk.message.tool_calls
        if chunk.done:
            self._finish(chunk)

    def _finish(self, last: Chunk) -> None:
        self.done_reason = last.done_reason or ""
        self.stats = stats_of(last, time.monotonic() - self._started, self.first_seconds)
        self._finished = True
        self._keep(complete=True)

    def _keep(self, *, complete: bool) -> None:
        here = self.circumstances
        if here.conversation is not None and isinstance(self.request, ChatRequest):
            if here.new:
                here.conversation.clear()
            self.dropped = here.conversation.dropped_by(here.place)
            here.conversation.keep(Turn(self.request.messages[-1], self._answer(), here.place, complete))

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


def _prompt_of(request: GenerateRequest) -> Message:
    return Message("user", request.prompt)
