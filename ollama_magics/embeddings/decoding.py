"""The body of an answer -> a matrix of numbers, and what is wrong with its rows."""

from __future__ import annotations

import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ollama_magics.embeddings.scanning import Numbers, Scanner, vectors_in
from ollama_magics.errors import EmbeddingProblem
from ollama_magics.messages import Joined, Phrase
from ollama_magics.server.wire import answers

NOT_FINITE, ZEROS = Phrase("row_not_finite"), Phrase("row_zeros")
_USUAL = (1e-60, 1e60)  # squared lengths between these need no second look: the row is finite and not all zeros


@dataclass(frozen=True)
class Vectors:
    """A matrix of float32 with a row for each text, and the flaw of each row that must not be used."""

    numbers: Numbers
    flaws: dict[int, Phrase] = field(default_factory=dict)


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
    """The parser of the extra "fast", which is given one vector after another: what it makes of one fits the cache."""

    def __init__(self) -> None:
        import simdjson  # noqa: PLC0415 - only there with the extra

        self._parser: Any = simdjson.Parser()

    @staticmethod
    def is_there() -> bool:
        try:
            import simdjson  # noqa: F401, PLC0415 - as above
        except ImportError:
            return False
        return True

    def answer(self, body: memoryview, count: int) -> Numbers | None:
        """Return the vectors of an answer to /api/embed, or None where anything in it is unusual."""
        text = vectors_in(body)
        if text is None:
            return None
        try:
            with np.errstate(over="ignore"):  # as in _narrow
                return self._numbers(text, count)
        except (ValueError, TypeError, AttributeError, RuntimeError):
            return None

    def _numbers(self, text: memoryview, count: int) -> Numbers | None:
        at, room = 0, 2 * len(text) // count  # in which a vector and its end are looked for
        found = np.empty((count, 0), np.float32)
        for row in range(count):
            piece = bytes(text[at : at + room])
            end = piece.find(b"]") + 1
            # as_buffer() flattens whatever is nested: there must be one bracket, at the start, and a comma between two vectors
            if piece.rfind(b"[", 0, end) or piece[end : end + 1] != (b"," if row + 1 < count else b""):
                return None
            vector = np.frombuffer(self._parser.parse(piece[:end]).as_buffer(of_type="d"))
            if not row:
                found = np.empty((count, len(vector)), np.float32)
            if len(vector) != found.shape[1]:
                return None
            found[row] = vector
            at += end + 1
        return found if found.size else None


def _narrow(numbers: Numbers) -> Numbers:
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is a flaw
        return numbers.astype(np.float32)


def flaws_of(numbers: Numbers) -> dict[int, Phrase]:
    """Return what is wrong with which rows of float32: a number that is not finite, or nothing but zeros."""
    with np.errstate(all="ignore"):
        squares = np.einsum("ij,ij->i", numbers, numbers, dtype=np.float64)
    suspects = np.flatnonzero(~((squares > _USUAL[0]) & (squares < _USUAL[1])))
    return {int(row): found for row in suspects if (found := _flaw(numbers[row]))}


def _flaw(row: Numbers) -> Phrase | None:
    if not np.isfinite(row).all():
        return NOT_FINITE
    return None if row.any() else ZEROS


def _slowly(body: memoryview, count: int, width: int) -> Vectors:
    rows = answers.embeddings(body)
    if len(rows) != count:
        raise misfit(Phrase("vector_count", found=len(rows), count=count))
    widths = Counter(map(len, rows))
    usual = width if width and width in widths else max(widths, key=lambda each: widths[each])
    alone = len(widths) == 1 or usual == width or widths[usual] * 2 > count
    if usual == 0 or not alone:
        raise misfit(Phrase("vector_widths", widths=Joined(sorted(widths), Phrase("and"))))
    numbers, odd = np.zeros((count, usual)), {}
    pack = struct.Struct(f"{usual}d").pack_into  # twice as fast as NumPy's own reading of lists
    for at, row in enumerate(rows):
        if len(row) == usual:
            pack(numbers.data, at * usual * numbers.itemsize, *row)
        else:
            odd[at] = Phrase("row_width", found=len(row), width=usual)
    narrow = _narrow(numbers)
    return Vectors(narrow, flaws_of(narrow) | odd)


def misfit(reason: Phrase, rows: tuple[int, ...] = ()) -> EmbeddingProblem:
    """Return the error for an answer that does not belong to the texts."""
    return EmbeddingProblem("OM-E04", rows=rows, reason=reason)
