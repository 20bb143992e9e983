"""Split texts into tokens, and embed texts as unit vectors, in which similar texts lie near each other."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from functools import lru_cache
from math import sqrt
from zlib import crc32

from ollama_magics.fake_server import responses
from ollama_magics.fake_server.models import EMBEDDING_LENGTH
from ollama_magics.fake_server.requests import EmbedRequest
from ollama_magics.fake_server.responses import Response

# A word with the space before it; a long word is several tokens, so that any text streams in pieces.
_TOKEN = re.compile(r"\s*\S{1,12}|\s+")
_WORD = re.compile(r"\w+")
_ZEROS = re.compile(r"\.?0+(?=,)")
_GRAMS = (3, 4, 5)
_WORD_WEIGHT = 2.0
_SHORT_WORD, _SHORT_WEIGHT = 3, 0.25  # "the", "is", "of" say little about a text
_COMMON_WEIGHT = 0.5  # every text has it, so that an empty one has a direction too
# Six digits come back from a 32-bit float as they went in, so they are also its shortest text.
_DIGITS = "%.6f,"
_FRAME = 2  # tokens that an embedding model puts around a text
_LOAD_TIME = 1_000_000  # nanoseconds


def tokenise(text: str) -> list[str]:
    """Return the tokens of a text; joined they are the text again, byte for byte."""
    return _TOKEN.findall(text)


def embed(text: str, length: int) -> list[float]:
    """Return the vector of a text: ``length`` floats of norm 1, the same in every process."""
    vector = [0.0] * length
    vector[0] = _COMMON_WEIGHT
    for word in _WORD.findall(text.lower()):
        for index, weight in _features(word, length):
            vector[index] += weight
    return unit(vector)


def unit(vector: list[float]) -> list[float]:
    """Return the vector scaled to norm 1; a vector of zeros stays one."""
    norm = sqrt(sum(value * value for value in vector)) or 1.0
    return [value / norm for value in vector]


def cut(vector: list[float], dimensions: int) -> list[float]:
    """Return the first ``dimensions`` values, scaled to norm 1; the vector itself if it has no more."""
    return unit(vector[:dimensions]) if 0 < dimensions < len(vector) else vector


def as_json(vector: list[float]) -> str:
    """Return the vector as the text of a JSON array, each number in its shortest form."""
    return f"[{_ZEROS.sub('', _DIGITS * len(vector) % tuple(vector))[:-1]}]"


@lru_cache(maxsize=1 << 16)
def _features(word: str, length: int) -> tuple[tuple[int, float], ...]:
    """Return the indices of a word and its character n-grams in the vector, each with a signed weight."""
    marked = f"<{word}>"
    grams = [marked[start : start + size] for size in _GRAMS for start in range(len(marked) - size + 1)]
    scale = _SHORT_WEIGHT if len(word) <= _SHORT_WORD and word.isascii() else 1.0
    found = []
    for text, weight in [(marked, scale * _WORD_WEIGHT), *((gram, scale / sqrt(len(grams))) for gram in grams)]:
        number = crc32(text.encode(errors="replace"))
        found.append(((number >> 1) % length, weight if number & 1 else -weight))
    return tuple(found)


def single(answer: Response) -> Response:
    """Return the answer of /api/embed to one text as /api/embeddings has it."""
    [vector] = json.loads(answer.body)["embeddings"]
    return responses.json_response({"embedding": vector})


def embed_batch(request: EmbedRequest, texts: list[str], context_length: int, pause: Callable[[], None]) -> Response:
    """Return the vectors of the texts after one ``pause``; raises ApiError if a text is too long and must not be cut."""
    if not texts:
        return responses.json_response({"model": request.model, "embeddings": []})
    started = time.perf_counter_ns()
    pause()
    rows, tokens = [], 0
    for text in texts:
        parts, fitting = tokenise(text.strip()), text
        if len(parts) + _FRAME > context_length:
            if not request.truncate:
                raise responses.text_too_long()
            parts = parts[: context_length - _FRAME]
            fitting = "".join(parts)
        tokens += len(parts) + _FRAME
        rows.append(as_json(cut(embed(fitting, EMBEDDING_LENGTH), request.dimensions)))

    counts = {
        "total_duration": time.perf_counter_ns() - started + _LOAD_TIME,
        "load_duration": _LOAD_TIME,
        "prompt_eval_count": tokens,
    }
    model, rest = responses.json_text(request.model), responses.json_text(counts)[1:]
    return Response(f'{{"model":{model},"embeddings":[{",".join(rows)}],{rest}'.encode())
