"""The body of an answer -> a matrix of numbers, and what is wrong with its rows."""

from __future__ import annotations

import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ollama_magics import wire
from ollama_magics.embedding.scanning import Numbers, Scanner
from ollama_magics.errors import EmbeddingProblem

_USUAL = (1e-60, 1e60)  # squared lengths between these need no second look: the row is finite and not all zeros
_OPEN = ord("[")
_PIECE = 64 * 1024  # bytes that are looked at in one go, which the cache holds


@dataclass(frozen=True)
class Vectors:
    """A matrix of float32 with a row for each text, and the flaw of each row that must not be used."""

    numbers: Numbers
    flaws: dict[int, str] = field(default_factory=dict)


class Decoder:
    """Reads answers, one after another: a parser keeps its memory, and there is one for all threads of a job."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: _Simdjson | Scanner = _Simdjson() if _Simdjson.is_there() else Scanner()

    def read(self, body: memoryview, count: int, width: int = 0) -> Vectors:
        """Return ``count`` vectors; ``width`` is what those before had, or 0.

        Raises EmbeddingProblem for another count or for widths that differ, RequestRefused for what cannot be read.
        """
        with self._lock:  # so that no two threads hold what becomes the numbers
            numbers = self._reader.answer(body, count)
            if numbers is None:
                return _slowly(body, count, width)
        return Vectors(numbers, flaws_of(numbers))


class _Simdjson:
    """The parser of the extra "fast"."""

    def __init__(self) -> None:
        import simdjson  # noqa: PLC0415 - only there with the extra

        self._parser: Any = simdjson.Parser()
        self._room = 0

    @staticmethod
    def is_there() -> bool:
        try:
            import simdjson  # noqa: F401, PLC0415 - as above
        except ImportError:
            return False
        return True

    def answer(self, body: memoryview, count: int) -> Numbers | None:
        # as_buffer() flattens whatever is nested, so all shapes but (count, width) must be ruled out; None: look slowly
        if _brackets(body) != count + 1:
            return None
        self._make_room(len(body))
        try:
            rows = self._parser.parse(body)["embeddings"]
            widths = {len(row) for row in rows}
            numbers = np.frombuffer(rows.as_buffer(of_type="d"))
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
            return None
        return _narrow(numbers.reshape(count, -1)) if len(widths) == 1 and numbers.size == count * max(widths) > 0 else None

    def _make_room(self, size: int) -> None:
        # the parser takes new memory, ten times the size of a body, for each one that is longer than all before: once is enough
        if size > self._room:
            self._room = size * 5 // 4
            self._parser.parse(b"[" + b" " * self._room + b"]")


def _narrow(numbers: Numbers) -> Numbers:
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is a flaw
        return numbers.astype(np.float32)


def _brackets(body: memoryview) -> int:
    signs = np.frombuffer(body, np.uint8)
    return sum(int(np.count_nonzero(signs[start : start + _PIECE] == _OPEN)) for start in range(0, len(signs), _PIECE))


def flaws_of(numbers: Numbers) -> dict[int, str]:
    """Return what is wrong with which rows of float32: a number that is not finite, or nothing but zeros."""
    with np.errstate(all="ignore"):
        squares = np.einsum("ij,ij->i", numbers, numbers, dtype=np.float64)
    suspects = np.flatnonzero(~((squares > _USUAL[0]) & (squares < _USUAL[1])))
    return {int(row): found for row in suspects if (found := _flaw(numbers[row]))}


def _flaw(row: Numbers) -> str:
    if not np.isfinite(row).all():
        return "got a vector with a value that is no finite number"
    return "" if row.any() else "got a vector of zeros"


def _slowly(body: memoryview, count: int, width: int) -> Vectors:
    rows = wire.embeddings(body)
    if len(rows) != count:
        raise misfit(f"It holds {len(rows)} vectors for {count} texts.")
    widths = Counter(map(len, rows))
    usual = width if width and width in widths else max(widths, key=lambda each: widths[each])
    alone = len(widths) == 1 or usual == width or widths[usual] * 2 > count
    if usual == 0 or not alone:
        raise misfit(f"Its vectors have {' and '.join(map(str, sorted(widths)))} numbers.")
    numbers, odd = np.zeros((count, usual)), {}
    pack = struct.Struct(f"{usual}d").pack_into  # twice as fast as NumPy's own reading of lists
    for at, row in enumerate(rows):
        if len(row) == usual:
            pack(numbers.data, at * usual * numbers.itemsize, *row)
        else:
            odd[at] = f"got {len(row)} numbers, not {usual}"
    narrow = _narrow(numbers)
    return Vectors(narrow, flaws_of(narrow) | odd)


def misfit(reason: str, rows: tuple[int, ...] = ()) -> EmbeddingProblem:
    """Return the error for an answer that does not belong to the texts."""
    return EmbeddingProblem("OM-E04", rows=rows, reason=reason)
