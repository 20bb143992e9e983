"""Write an answer token by token, as the lines of chat or of generate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from zlib import crc32

from ollama_magics.fake_server import answers, responses, tokens
from ollama_magics.fake_server.answers import Answer
from ollama_magics.fake_server.models import Model
from ollama_magics.fake_server.requests import Options, PromptRequest
from ollama_magics.fake_server.responses import Line, Lines
from ollama_magics.fake_server.tokens import Message, tokenise


@dataclass(frozen=True)
class Chunk:
    """What one line of a stream carries; a tag that opens or closes thoughts carries nothing."""

    content: str = ""
    thinking: str = ""
    calls: tuple[dict[str, Any], ...] = ()


class Generation:
    """The generation of an answer: iterate over its chunks, then read why it ended and how many tokens it has.

    ``longest`` is the number of tokens after which it is cut, ``stop`` are texts that end it, and ``pause`` is
    called before every token (it waits, and raises if the client has left).
    """

    def __init__(self, answer: Answer, longest: int, stop: tuple[str, ...], pause: Callable[[], None]) -> None:
        self._answer = answer
        self._longest = longest
        self._stop = stop
        self._pause = pause
        self._started = time.perf_counter_ns()
        self._first = 0
        self.tokens = 0
        self.done_reason: str | None = None

    def __iter__(self) -> Iterator[Chunk]:
        held = ""  # text that may be the beginning of a stop text
        for chunk in self._count_tokens():
            if not chunk.content:
                yield chunk
                continue
            held += chunk.content
            ends = [held.index(text) for text in self._stop if text in held]
            if ends:
                held = held[: min(ends)]
                self.done_reason = "stop"
                break
            if not any(held.endswith(text[:size]) for text in self._stop for size in range(1, len(text))):
                yield Chunk(held)
                held = ""
        if held:
            yield Chunk(held)

    def durations(self) -> tuple[int, int]:
        """Return nanoseconds until the first token, and from there to the last."""
        first = self._first or time.perf_counter_ns()
        return first - self._started, time.perf_counter_ns() - first if self.tokens > 1 else 0

    def _count_tokens(self) -> Iterator[Chunk]:
        """Yield one chunk for each token, after the pause, until the longest answer is reached."""
        for chunk in _chunks(self._answer):
            self._pause()
            self._first = self._first or time.perf_counter_ns()
            self.tokens += 1
            yield chunk
            if self.tokens >= self._longest:
                self.done_reason = "length"
                return
        self.tokens += 1  # Ollama counts the token that ends an answer too
        self.done_reason = "stop" if self._answer.done else None


def _chunks(answer: Answer) -> Iterator[Chunk]:
    if answer.thoughts:
        yield Chunk()
        yield from (Chunk(thinking=token) for token in tokenise(answer.thoughts))
        yield Chunk()
    yield from (Chunk(token) for token in answer.tokens)
    if answer.calls:
        yield Chunk(calls=answer.calls)


_VOCABULARY = 32_000


class Shape(Protocol):
    """The form of a line: that of chat or that of generate."""

    purpose: str  # in the error of a model that cannot do it
    shows_tags: bool  # whether a tag around thoughts has an (empty) line of its own

    def members(self, chunk: Chunk) -> dict[str, Any]:
        """Return the members that carry a chunk."""

    def last_members(self, messages: tuple[Message, ...], content: str) -> dict[str, Any]:
        """Return the members of the last line besides the counts."""


class ChatShape:
    """Lines with a ``message``."""

    purpose = "chat"
    shows_tags = False

    def members(self, chunk: Chunk) -> dict[str, Any]:
        """Return the chunk as a message of the assistant."""
        optional = {"thinking": chunk.thinking, "tool_calls": list(chunk.calls)}
        filled = {name: value for name, value in optional.items() if value}
        return {"message": {"role": "assistant", "content": chunk.content, **filled}}

    def last_members(self, messages: tuple[Message, ...], content: str) -> dict[str, Any]:  # noqa: ARG002 - a chat adds nothing
        """Return nothing."""
        return {}


class GenerateShape:
    """Lines with a ``response``, and token numbers at the end."""

    purpose = "generate"
    shows_tags = True

    def members(self, chunk: Chunk) -> dict[str, Any]:
        """Return the text as it is."""
        thinking = {"thinking": chunk.thinking} if chunk.thinking else {}
        return {"response": chunk.content, **thinking}

    def last_members(self, messages: tuple[Message, ...], content: str) -> dict[str, Any]:
        """Return the numbers of the tokens of prompt and answer."""
        found = [token for text in (*(m.content for m in messages), content) for token in tokenise(text)]
        return {"context": [crc32(token.encode(errors="replace")) % _VOCABULARY for token in found]}


_LOAD_TIME = 1_000_000  # nanoseconds; never zero on a real server either, since it includes the wait


def empty_line(request: PromptRequest, shape: Shape, reason: str) -> Line:
    """Return the answer to a request without messages; ``reason`` is "load" or "unload"."""
    return _line(request.model, shape.members(Chunk()), done=True, done_reason=reason)


def lines(request: PromptRequest, model: Model, options: Options, shape: Shape, pause: Callable[[], None]) -> Lines:
    """Yield every line of a stream, or the only one of an answer that is not streamed.

    Raises ApiError before the first one for a wrong format, length or picture.
    """
    started = time.perf_counter_ns()
    response_format = answers.check_format(request.format)
    messages = tokens.fit(request.messages, options.num_ctx, truncate=request.truncate)
    think = model.can("thinking") and request.think is not False
    conversation = answers.read_conversation(messages)
    answer = answers.answer(model, conversation, response_format, think=think, tools=request.tools)
    longest = options.num_predict
    if not request.shift:  # the context has to hold prompt and answer
        longest = min(longest, options.num_ctx - tokens.count(messages) + 1)
    generation = Generation(answer, longest, options.stop, pause)

    chunks = []
    for chunk in generation:
        chunks.append(chunk)
        if request.stream and (shape.shows_tags or chunk != Chunk()):
            yield _line(request.model, shape.members(chunk), done=False)

    calls = tuple(call for chunk in chunks for call in chunk.calls)
    whole = Chunk("".join(chunk.content for chunk in chunks), "".join(chunk.thinking for chunk in chunks), calls)
    members = shape.members(Chunk() if request.stream else whole)
    if generation.done_reason:
        rest = shape.last_members(messages, whole.content) | _counts(generation, messages, started)
        yield _line(request.model, members, done=True, done_reason=generation.done_reason, **rest)
    elif not request.stream:
        yield _line(request.model, members, done=False)


def _line(model: str, members: dict[str, Any], **rest: Any) -> Line:
    return {"model": model, "created_at": responses.created_at(), **members, **rest}


def _counts(generation: Generation, messages: tuple[Message, ...], started: int) -> dict[str, int]:
    """Return the metrics of the last line, in nanoseconds and tokens; zeros are left out, as Go does."""
    prompt_duration, eval_duration = generation.durations()
    counts = {
        "total_duration": time.perf_counter_ns() - started + _LOAD_TIME,
        "load_duration": _LOAD_TIME,
        "prompt_eval_count": tokens.count(messages),
        "prompt_eval_duration": prompt_duration,
        "eval_count": generation.tokens,
        "eval_duration": eval_duration,
    }
    return {name: value for name, value in counts.items() if value}
