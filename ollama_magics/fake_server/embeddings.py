"""Embed texts as unit vectors, in which similar texts lie near each other."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import lru_cache
from math import sqrt
from zlib import crc32

from ollama_magics.fake_server import go_json, responses
from ollama_magics.fake_server.models import EMBEDDING_LENGTH
from ollama_magics.fake_server.requests import EmbedQuestion
from ollama_magics.fake_server.responses import Whole
from ollama_magics.fake_server.tokens import tokenise

_WORD = re.compile(r"\w+")
_ZEROS = re.compile(r"\.?0+(?=,)")
_GRAMS = (3, 4, 5)
_WORD_WEIGHT = 2.0
_SHORT_WORD, _SHORT_WEIGHT = 3, 0.25  # "the", "is", "of" say little about a text
_GROUND = 0.5  # every text has it, so that an empty one has a direction too
# Six digits come back from a 32-bit float as they went in, so they are also its shortest text.
_DIGITS = "%.6f,"


def embed(text: str, length: int) -> list[float]:
    """Return the vector of a text: ``length`` floats of norm 1, the same in every process."""
    vector = [0.0] * length
    vector[0] = _GROUND
    for word in _WORD.findall(text.lower()):
        for place, weight in _features(word, length):
            vector[place] += weight
    return unit(vector)


def unit(vector: list[float]) -> list[float]:
    """Return the vector stretched to norm 1; a vector of zeros stays one."""
    norm = sqrt(sum(value * value for value in vector)) or 1.0
    return [value / norm for value in vector]


def cut(vector: list[float], dimensions: int) -> list[float]:
    """Return the first ``dimensions`` values, stretched to norm 1; the vector itself if it has not more than that."""
    return unit(vector[:dimensions]) if 0 < dimensions < len(vector) else vector


def as_json(vector: list[float]) -> str:
    """Return the vector as the text of a JSON array, each number in its shortest form."""
    return f"[{_ZEROS.sub('', _DIGITS * len(vector) % tuple(vector))[:-1]}]"


@lru_cache(maxsize=1 << 16)
def _features(word: str, length: int) -> tuple[tuple[int, float], ...]:
    """Return where a word and its character n-grams fall in the vector, each with its weight and sign."""
    marked = f"<{word}>"
    grams = [marked[start : start + size] for size in _GRAMS for start in range(len(marked) - size + 1)]
    scale = _SHORT_WEIGHT if len(word) <= _SHORT_WORD and word.isascii() else 1.0
    weighted = [(marked, scale * _WORD_WEIGHT), *((gram, scale / sqrt(len(grams))) for gram in grams)]
    return tuple(_placed(text, weight, length) for text, weight in weighted)


def _placed(text: str, weight: float, length: int) -> tuple[int, float]:
    number = crc32(text.encode(errors="replace"))
    return (number >> 1) % length, weight if number & 1 else -weight


_MARKS = 2  # tokens that an embedding model puts around a text
_LOAD_TIME = 1_000_000  # nanoseconds


def nothing(question: EmbedQuestion) -> Whole:
    """Return the answer to an empty batch, which only loads the model."""
    return responses.of({"model": question.model, "embeddings": []})


def embed_batch(question: EmbedQuestion, texts: list[str], context_length: int, pause: Callable[[], None]) -> Whole:
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
    rest = go_json.go_json(counts)[1:]
    return Whole(f'{{"model":{go_json.go_json(question.model)},"embeddings":[{rows}],{rest}'.encode())


def _fit(text: str, limit: int, *, truncate: bool) -> tuple[str, int]:
    """Return a text and its number of tokens, cut at the end if need be; space around it is none of it."""
    parts = tokenise(text.strip())
    if len(parts) + _MARKS <= limit:
        return text, len(parts) + _MARKS
    if not truncate:
        raise responses.too_long()
    return "".join(parts[: limit - _MARKS]), limit


def _row(text: str, dimensions: int) -> str:
    return as_json(cut(embed(text, EMBEDDING_LENGTH), dimensions))
