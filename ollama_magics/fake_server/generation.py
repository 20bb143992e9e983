"""Write an answer token by token, in the form of chat or of generate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol
from zlib import crc32

from ollama_magics.fake_server import answers, go_json, tokens
from ollama_magics.fake_server.answers import Spoken
from ollama_magics.fake_server.models import Model
from ollama_magics.fake_server.requests import Options, Question
from ollama_magics.fake_server.responses import Line, Lines
from ollama_magics.fake_server.tokens import Message, tokenise


@dataclass(frozen=True)
class Piece:
    """What one line of a stream carries; a tag that opens or closes thoughts carries nothing."""

    content: str = ""
    thinking: str = ""
    calls: tuple[dict[str, Any], ...] = ()


class Generation:
    """An answer being said: iterate over its pieces, then ask why it ended and how much it was.

    ``longest`` is the number of tokens after which it is cut, ``stop`` are texts that end it, and ``pause`` is
    called before every token (it waits, and raises if nobody listens any more).
    """

    def __init__(self, spoken: Spoken, longest: int, stop: tuple[str, ...], pause: Callable[[], None]) -> None:
        self._spoken = spoken
        self._longest = longest
        self._stop = stop
        self._pause = pause
        self._started = time.perf_counter_ns()
        self._first = 0
        self.tokens = 0
        self.done_reason: str | None = None

    def __iter__(self) -> Iterator[Piece]:
        held = ""
        for piece in self._counted():
            if not piece.content:
                yield piece
                continue
            held += piece.content
            ends = [held.index(text) for text in self._stop if text in held]
            if ends:
                self.done_reason = "stop"
                yield from _said(held[: min(ends)])
                return
            if not _may_be_cut(held, self._stop):
                yield Piece(held)
                held = ""
        yield from _said(held)

    def durations(self) -> tuple[int, int]:
        """Return nanoseconds until the first token, and from there to the last."""
        first = self._first or time.perf_counter_ns()
        return first - self._started, time.perf_counter_ns() - first if self.tokens > 1 else 0

    def _counted(self) -> Iterator[Piece]:
        for piece in _pieces(self._spoken):
            self._pause()
            self._first = self._first or time.perf_counter_ns()
            self.tokens += 1
            yield piece
            if self.tokens >= self._longest:
                self.done_reason = "length"
                return
        self.tokens += 1  # the token that ends an answer counts, as Ollama counts it
        self.done_reason = "stop" if self._spoken.done else None


def _pieces(spoken: Spoken) -> Iterable[Piece]:
    if spoken.thoughts:
        yield Piece()
        yield from (Piece(thinking=token) for token in tokenise(spoken.thoughts))
        yield Piece()
    yield from (Piece(token) for token in spoken.tokens)
    if spoken.calls:
        yield Piece(calls=spoken.calls)


def _said(text: str) -> Iterator[Piece]:
    if text:
        yield Piece(text)


def _may_be_cut(text: str, stop: tuple[str, ...]) -> bool:
    """Return whether the text ends with the beginning of a stop text, so that it must wait for the next token."""
    return any(text.endswith(end[:size]) for end in stop for size in range(1, len(end)))


_VOCABULARY = 32_000


class Shape(Protocol):
    """One of the two shapes."""

    purpose: str  # in the refusal of a model that cannot do it
    shows_tags: bool  # whether a tag around thoughts has an (empty) line of its own

    def said(self, piece: Piece) -> dict[str, Any]:
        """Return the members that carry a text."""

    def last(self, messages: tuple[Message, ...], content: str) -> dict[str, Any]:
        """Return what the last line says besides the counts."""


class ChatShape:
    """Lines with a ``message``."""

    purpose = "chat"
    shows_tags = False

    def said(self, piece: Piece) -> dict[str, Any]:
        """Return the text as a message of the assistant."""
        more = {"thinking": piece.thinking, "tool_calls": list(piece.calls)}
        said = {name: value for name, value in more.items() if value}
        return {"message": {"role": "assistant", "content": piece.content, **said}}

    def last(self, messages: tuple[Message, ...], content: str) -> dict[str, Any]:  # noqa: ARG002 - a chat adds nothing
        """Return nothing."""
        return {}


class GenerateShape:
    """Lines with a ``response``, and token numbers at the end."""

    purpose = "generate"
    shows_tags = True

    def said(self, piece: Piece) -> dict[str, Any]:
        """Return the text as it is."""
        thinking = {"thinking": piece.thinking} if piece.thinking else {}
        return {"response": piece.content, **thinking}

    def last(self, messages: tuple[Message, ...], content: str) -> dict[str, Any]:
        """Return the numbers of the tokens of prompt and answer."""
        tokens = [token for text in (*(m.content for m in messages), content) for token in tokenise(text)]
        return {"context": [crc32(token.encode(errors="replace")) % _VOCABULARY for token in tokens]}


def line(model: str, members: dict[str, Any], **rest: Any) -> Line:
    """Return one line: ``rest`` follows the text, ``done`` included."""
    return {"model": model, "created_at": go_json.now(), **members, **rest}


_LOAD_TIME = 1_000_000  # nanoseconds; never zero on a real server either, since it includes the wait


def silence(question: Question, shape: Shape, reason: str) -> Line:
    """Return the answer to a request without messages; ``reason`` is "load" or "unload"."""
    return line(question.model, shape.said(Piece()), done=True, done_reason=reason)


def lines(question: Question, model: Model, chosen: Options, shape: Shape, pause: Callable[[], None]) -> Lines:
    """Return every line of a stream, or the only one of an answer that is not streamed.

    Raises RefusalError before the first one if format, length or pictures do not do.
    """
    started = time.perf_counter_ns()
    messages, generation = _begin(question, model, chosen, pause)
    said = []
    for piece in generation:
        said.append(piece)
        if question.stream and (shape.shows_tags or piece != Piece()):
            yield line(question.model, shape.said(piece), done=False)
    calls = tuple(call for piece in said for call in piece.calls)
    whole = Piece("".join(piece.content for piece in said), "".join(piece.thinking for piece in said), calls)
    text = shape.said(Piece() if question.stream else whole)
    if generation.done_reason:
        ends = {**shape.last(messages, whole.content), **_counts(generation, messages, started)}
        yield line(question.model, text, done=True, done_reason=generation.done_reason, **ends)
    elif not question.stream:
        yield line(question.model, text, done=False)


def _begin(
    question: Question, model: Model, chosen: Options, pause: Callable[[], None]
) -> tuple[tuple[Message, ...], Generation]:
    """Return the messages that fit the context, and the answer to them, of which nothing is said yet."""
    form = answers.check_format(question.form)
    messages = tokens.fit(question.messages, chosen.num_ctx, truncate=question.truncate)
    think = model.can("thinking") and question.think is not False
    spoken = answers.answer(model, answers.hear(messages), form, think=think, tools=question.tools)
    return messages, Generation(spoken, _longest(question, chosen, messages), chosen.stop, pause)


def _longest(question: Question, chosen: Options, messages: tuple[Message, ...]) -> int:
    """Return tokens after which the answer is cut; without shifting, the context has to hold the prompt as well."""
    room = chosen.num_ctx - tokens.count(messages) + 1
    return chosen.num_predict if question.shift else min(chosen.num_predict, room)


def _counts(generation: Generation, messages: tuple[Message, ...], started: int) -> dict[str, int]:
    """Return the metrics of the last line, in nanoseconds and tokens; what is zero is left out, as Go does it."""
    reading, saying = generation.durations()
    counts = {
        "total_duration": time.perf_counter_ns() - started + _LOAD_TIME,
        "load_duration": _LOAD_TIME,
        "prompt_eval_count": tokens.count(messages),
        "prompt_eval_duration": reading,
        "eval_count": generation.tokens,
        "eval_duration": saying,
    }
    return {name: value for name, value in counts.items() if value}
