"""Write an answer token by token, as the lines of chat or of generate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from itertools import chain
from math import log
from typing import Any
from zlib import crc32

from ollama_magics.fake_server import answers, responses
from ollama_magics.fake_server.answers import Answer
from ollama_magics.fake_server.embeddings import tokenise
from ollama_magics.fake_server.models import Model
from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.requests import Message, Options, PromptRequest
from ollama_magics.fake_server.responses import ApiError, Line, Lines

_PICTURE_TOKENS = 16
_VOCABULARY = 32_000
_SHORTEST_EVALUATION = 1000  # nanoseconds; what 0.34 says of a single token
_LOAD_TIME = 1_000_000  # nanoseconds; never zero on a real server either, since it includes the wait


def count_tokens(messages: tuple[Message, ...]) -> int:
    """Return tokens of a prompt: its messages, and one that opens the answer."""
    return sum(map(_size, messages)) + 1


def _size(message: Message) -> int:
    """Return the tokens of a message: those of the text, one for the role, and a fixed number for each picture."""
    return len(tokenise(message.content)) + 1 + _PICTURE_TOKENS * len(message.pictures)


_KEPT = 5  # tokens at the beginning that llama-server keeps where it drops half of the rest


def fit(messages: tuple[Message, ...], options: Options, release: Release, *, truncate: bool) -> tuple[Message, ...]:
    """Return what fits: without the oldest messages, then without the beginning of the last; ApiError unless ``truncate``."""
    tokens, limit = count_tokens(messages), options.usable
    excess = tokens - limit
    if excess <= 0:
        return messages
    if not truncate:
        raise responses.prompt_too_long(tokens, limit)

    kept = []
    for message in messages[:-1]:
        if excess > 0 and message.role != "system":
            excess -= _size(message)
        else:
            kept.append(message)
    last = messages[-1]
    if excess > 0:
        excess += (limit - _KEPT) // 2 if release.runs_llama_server else 0
        last = replace(last, content="".join(tokenise(last.content)[excess:]))
    return (*kept, last)


@dataclass(frozen=True)
class Chunk:
    """What one line of a stream carries; a tag that opens or closes thoughts carries nothing."""

    content: str = ""
    thinking: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    logprobs: tuple[Line, ...] = ()


_LEAST_SURE, _SPREAD = 0.6, 0.39  # the probability of a token is between these, by what it is
_FORCED = 1e-9
_OTHERS = (
    " the",
    "",
    " a",
    ".",
    ",",
    " and",
    " of",
    " to",
    " in",
    " is",
    "\n",
    " it",
    " that",
    " I",
    " was",
    " for",
    " on",
    " with",
)


def token_logprobs(token: str, choices: dict[str, float], alternatives: int, *, forced: bool = False) -> Line:
    """Return the log probability of a token and of the likeliest ones in its place, as Ollama writes them.

    ``choices`` are the probabilities in its place; without them they follow from the token itself. A ``forced`` token was
    allowed by a format: the values are those of the model without it.
    """
    if not choices:
        share = _LEAST_SURE + _SPREAD * (crc32(token.encode(errors="replace")) % 1000) / 1000
        others = [other for other in _OTHERS if other != token]
        share = _FORCED if forced else share
        choices = {token: share} | {other: (1 - share) / 2 ** (place + 1) for place, other in enumerate(others)}
    likely = sorted(choices, key=lambda one: -choices[one])[:alternatives]
    top = {"top_logprobs": [_logprob(one, choices[one]) for one in likely]} if alternatives else {}
    return _logprob(token, choices[token]) | top


def _logprob(token: str, share: float) -> Line:
    # a token without a text has no bytes
    data = {"bytes": list(token.encode(errors="replace"))} if token else {}
    return {"token": token, "logprob": log(share), **data}


class Generation:
    """Yields at most ``longest`` tokens up to a ``stop`` text, with a ``pause`` before each; then says why it ended."""

    def __init__(
        self, answer: Answer, longest: int, stop: tuple[str, ...], pause: Callable[[], None], request: PromptRequest
    ) -> None:
        self._answer = answer
        self._alternatives, self._has_format = request.alternatives, request.format is not None
        self._release = request.release
        self._longest = longest
        self._stop = stop
        self._pause = pause
        self._started = time.perf_counter_ns()
        self._first = 0
        self.tokens = 0
        self.done_reason: str | None = None

    def __iter__(self) -> Iterator[Chunk]:
        held, logprobs = "", list[Line]()  # text that may be the beginning of a stop text
        for chunk in self._generate():
            if not chunk.content:
                yield chunk
                continue
            held += chunk.content
            logprobs += chunk.logprobs
            ends = [held.index(text) for text in self._stop if text in held]
            if ends:
                held = held[: min(ends)]
                self.done_reason = "stop"
                break
            if not any(held.endswith(text[:size]) for text in self._stop for size in range(1, len(text))):
                yield Chunk(held, logprobs=tuple(logprobs))
                held, logprobs = "", []
        if held:
            yield Chunk(held, logprobs=tuple(logprobs))

    def metrics(self, prompt_tokens: int, started: int) -> dict[str, int]:
        """Return the figures of a request that was ``started`` then, in nanoseconds and tokens, without zeros as in Go."""
        now = time.perf_counter_ns()
        first = self._first or now
        counts = {
            "total_duration": now - started + _LOAD_TIME,
            "load_duration": _LOAD_TIME,
            "prompt_eval_count": prompt_tokens,
            "prompt_eval_cached_count": 0,
            "prompt_eval_duration": first - self._started,
            "eval_count": self.tokens,
            "eval_duration": now - first if self.tokens > 1 else 0,
        }
        if self._release.runs_llama_server:
            return counts | {"eval_duration": max(counts["eval_duration"], _SHORTEST_EVALUATION)}
        return {name: value for name, value in counts.items() if value}

    def _generate(self) -> Iterator[Chunk]:
        """Yield one chunk for each token, after the pause, until the longest answer is reached."""
        thoughts = [Chunk(thinking=token, logprobs=self._logprobs(token)) for token in tokenise(self._answer.thoughts)]
        tagged = [Chunk(), *thoughts, Chunk()] if thoughts else []
        calls = [Chunk(calls=self._answer.calls)] if self._answer.calls else []
        content = (
            Chunk(token, logprobs=self._logprobs(token, {} if place else self._answer.choices))
            for place, token in enumerate(self._answer.tokens)
        )
        for chunk in chain(tagged, content, calls):
            self._pause()
            self._first = self._first or time.perf_counter_ns()
            self.tokens += 1
            yield chunk
            if self.tokens >= self._longest:
                self.done_reason = "length"
                return
        self.tokens += 1  # Ollama counts the token that ends an answer too
        self.done_reason = "stop" if self._answer.done else None

    def _logprobs(self, token: str, choices: dict[str, float] | None = None) -> tuple[Line, ...]:
        if self._alternatives is None:
            return ()
        return (token_logprobs(token, choices or {}, self._alternatives, forced=self._has_format),)


class Purpose(Enum):
    """What an answer is for: its lines are those of chat, or those of generate, which show more."""

    CHAT = "chat"
    GENERATE = "generate"

    def members(self, chunk: Chunk) -> dict[str, Any]:
        """Return the members of a line that carry a chunk."""
        thinking = {"thinking": chunk.thinking} if chunk.thinking else {}
        if self is Purpose.GENERATE:
            return {"response": chunk.content, **thinking}
        calls = {"tool_calls": list(chunk.calls)} if chunk.calls else {}
        return {"message": {"role": "assistant", "content": chunk.content, **thinking, **calls}}


def empty_line(request: PromptRequest, purpose: Purpose, reason: str) -> Line:
    """Return the answer to a request without messages; ``reason`` is "load" or "unload"."""
    return _line(request.model, purpose.members(Chunk()), done=True, done_reason=reason)


_LOOPED = "prediction aborted, token repeat limit reached"


def lines(  # noqa: PLR0913, PLR0917 - each its own matter
    request: PromptRequest,
    model: Model,
    options: Options,
    purpose: Purpose,
    pause: Callable[[], None],
    scripted: Callable[[PromptRequest], Answer | None],
) -> Lines:
    """Yield the lines of a stream, or the only one; ApiError before the first one for a wrong format, length or picture."""
    started = time.perf_counter_ns()
    response_format, release = answers.check_format(request.format), request.release
    is_blind = release.runs_llama_server and not {"vision", "audio"} & {*model.capabilities}
    if is_blind and any(message.pictures for message in request.messages):
        raise responses.relayed("Multimodal data provided, but model does not support multimodal requests.")
    messages = fit(request.messages, options, release, truncate=request.truncate)
    think = model.can("thinking") and request.think is not False
    conversation = answers.read_conversation(messages, release)
    answer = scripted(request) or answers.answer(model, conversation, response_format, think=think, tools=request.tools)
    longest = options.num_predict
    if not request.shift:  # the context has to hold prompt and answer
        longest = min(longest, options.usable - count_tokens(messages) + (not release.runs_llama_server))
    generation = Generation(answer, longest, options.stop, pause, request)

    chunks = []
    for chunk in generation:
        chunks.append(chunk)
        if request.stream and (chunk != Chunk() or purpose is Purpose.GENERATE):  # generate has a line for a tag too
            yield _line(request.model, purpose.members(chunk), done=False, **_logprobs(chunk))

    if not generation.done_reason and release.runs_llama_server:
        if not request.stream:
            raise ApiError(_LOOPED, 500)
        yield {"error": _LOOPED}
        return
    calls = tuple(call for chunk in chunks for call in chunk.calls)
    logprobs = tuple(one for chunk in chunks for one in chunk.logprobs)
    whole = Chunk("".join(chunk.content for chunk in chunks), "".join(chunk.thinking for chunk in chunks), calls, logprobs)
    members = purpose.members(Chunk() if request.stream else whole)
    known = {} if request.stream else _logprobs(whole)
    if generation.done_reason:
        rest: dict[str, Any] = {}
        if purpose is Purpose.GENERATE:  # which gives the numbers of the tokens of prompt and answer
            texts = [*(message.content for message in messages), whole.content]
            found = [token for text in texts for token in tokenise(text)]
            rest["context"] = [crc32(token.encode(errors="replace")) % _VOCABULARY for token in found]
        rest |= generation.metrics(count_tokens(messages), started)
        rest = known | rest if purpose is Purpose.CHAT else rest | known
        yield _line(request.model, members, done=True, done_reason=generation.done_reason, **rest)
    elif not request.stream:
        yield _line(request.model, members, done=False, **known)


def rendered(request: PromptRequest, purpose: Purpose) -> Line:
    """Return the answer that holds the prompt as the template of the models renders it."""
    text, count = "", 0
    for message in request.messages:
        places = "".join(f"[img-{count + number}]" for number in range(len(message.pictures)))
        text, count = f"{text}{message.role}: {places}{message.content}\n", count + len(message.pictures)
    info = {"rendered_template": text} | ({"image_count": count} if count else {})
    members = {"message": {"role": "", "content": ""}} if purpose is Purpose.CHAT else {"response": ""}
    return _line(request.model, members, done=False, _debug_info=info)


def _logprobs(chunk: Chunk) -> Line:
    return {"logprobs": list(chunk.logprobs)} if chunk.logprobs else {}


def _line(model: str, members: dict[str, Any], **rest: Any) -> Line:
    return {"model": model, "created_at": responses.created_at(), **members, **rest}
