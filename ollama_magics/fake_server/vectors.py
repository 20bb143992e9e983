"""Texts as unit vectors, in which texts of like words and like spelling lie near each other."""

from __future__ import annotations

import re
from functools import lru_cache
from math import sqrt
from zlib import crc32

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
