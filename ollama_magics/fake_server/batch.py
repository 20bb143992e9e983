"""The answer to a batch of texts: their vectors in order, and a count."""

from __future__ import annotations

import time
from collections.abc import Callable

from ollama_magics.fake_server import framing, refusals, replies, vectors
from ollama_magics.fake_server.models import EMBEDDING_LENGTH
from ollama_magics.fake_server.questions import EmbedQuestion
from ollama_magics.fake_server.replies import Whole
from ollama_magics.fake_server.tokens import tokenise

_MARKS = 2  # tokens that an embedding model puts around a text
_LOAD_TIME = 1_000_000  # nanoseconds


def nothing(question: EmbedQuestion) -> Whole:
    """Return the answer to an empty batch, which only loads the model."""
    return replies.of({"model": question.model, "embeddings": []})


def embed(question: EmbedQuestion, texts: list[str], context_length: int, pause: Callable[[], None]) -> Whole:
    """Return the vectors of the texts; ``pause`` is called once, since a batch is one piece of work.

    Raises RefusalError if a text is too long and must not be cut.
    """
    started = time.perf_counter_ns()
    pause()
    fitting = [_fit(text, context_length, truncate=question.truncate) for text in texts]
    rows = ",".join(_row(text, question.dimensions) for text, _ in fitting)
    counts = {
        "total_duration": time.perf_counter_ns() - started + _LOAD_TIME,
        "load_duration": _LOAD_TIME,
        "prompt_eval_count": sum(count for _, count in fitting),
    }
    rest = framing.go_json(counts)[1:]
    return Whole(f'{{"model":{framing.go_json(question.model)},"embeddings":[{rows}],{rest}'.encode())


def _fit(text: str, limit: int, *, truncate: bool) -> tuple[str, int]:
    """Return a text and its number of tokens, cut at the end if need be; space around it is none of it."""
    parts = tokenise(text.strip())
    if len(parts) + _MARKS <= limit:
        return text, len(parts) + _MARKS
    if not truncate:
        raise refusals.too_long()
    return "".join(parts[: limit - _MARKS]), limit


def _row(text: str, dimensions: int) -> str:
    return vectors.as_json(vectors.cut(vectors.embed(text, EMBEDDING_LENGTH), dimensions))
