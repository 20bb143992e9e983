"""The lines of one answer of chat or generate, from the first word to the counts."""

from __future__ import annotations

import time
from collections.abc import Callable

from ollama_magics.fake_server import answers, shapes, tokens
from ollama_magics.fake_server.generation import Generation, Piece
from ollama_magics.fake_server.models import Model
from ollama_magics.fake_server.options import Options
from ollama_magics.fake_server.questions import Question
from ollama_magics.fake_server.replies import Line, Lines
from ollama_magics.fake_server.shapes import Shape
from ollama_magics.fake_server.tokens import Message

_LOAD_TIME = 1_000_000  # nanoseconds; never zero on a real server either, since it includes the wait


def silence(question: Question, shape: Shape, reason: str) -> Line:
    """Return the answer to a request without messages; ``reason`` is "load" or "unload"."""
    return shapes.line(question.model, shape.said(Piece()), done=True, done_reason=reason)


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
            yield shapes.line(question.model, shape.said(piece), done=False)
    calls = tuple(call for piece in said for call in piece.calls)
    whole = Piece("".join(piece.content for piece in said), "".join(piece.thinking for piece in said), calls)
    text = shape.said(Piece() if question.stream else whole)
    if generation.done_reason:
        ends = {**shape.last(messages, whole.content), **_counts(generation, messages, started)}
        yield shapes.line(question.model, text, done=True, done_reason=generation.done_reason, **ends)
    elif not question.stream:
        yield shapes.line(question.model, text, done=False)


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
