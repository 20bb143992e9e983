"""Decode the body of an answer into a matrix of float32, and find what is wrong with its rows."""

from __future__ import annotations

import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ollama_magics.errors import EmbeddingProblem, RequestRefused
from ollama_magics.messages import Joined, Phrase
from ollama_magics.server import wire

# Faster than a list of lists, for no number becomes a Python object. All numbers of a piece of text are read at once: the sixteen
# bytes before the end of each hold its decimals as two words, in which three multiplications make one number of eight digits. It
# is exact: less than 10**15 and a power of ten up to 10**15 have no error as float64, and IEEE 754 rounds their quotient once.


Numbers = np.ndarray[Any, np.dtype[Any]]
_PIECE = 256 * 1024  # bytes; with all that is made of them they fit the cache of a core
_ROOM = _PIECE // 8  # numbers in a piece: those of real vectors take more than eight bytes
_AROUND = 4096  # bytes in which what comes before the vectors must fit, and what follows them
_LEAD = 16  # bytes before the first number, so that no window begins before the text
_MOST_DECIMALS = 15
_FEW = 32  # one number of so many may be written in another way
_COMMA, _MINUS, _POINT, _OPEN, _SHUT = ((ord(sign) - ord("0")) % 256 for sign in ",-.[]")
_WORD = np.dtype("<u8")
# Neighbouring digits, then pairs, then fours become one number: factor, bits to the right, what is kept of them.
_STEPS = (
    (10 << 8 | 1, 8, 0x00FF_00FF_00FF_00FF),
    (100 << 16 | 1, 16, 0x0000_FFFF_0000_FFFF),
    (10_000 << 32 | 1, 32, 0x0000_0000_FFFF_FFFF),
)


def _masks(window: range) -> Numbers:
    """Return, for each count of decimals, the bits of those among some bytes of the window."""
    kept = [[byte >= _LEAD - count for byte in window] for count in range(_MOST_DECIMALS + 1)]
    return np.array([sum(0xFF << 8 * at for at, keep in enumerate(each) if keep) for each in kept], _WORD)


_MASKS = _masks(range(8)), _masks(range(8, 16))
_POWERS = np.array([10.0**count for count in range(_MOST_DECIMALS + 1)])


class Scanner:
    """Reads one text after another with the same memory; it is to be used by one thread at a time."""

    def __init__(self) -> None:
        size = _LEAD + _PIECE + 8
        self._text = np.zeros(size, np.uint8)  # digits as 0 to 9
        self._words = self._text.view(_WORD)
        self._marks, self._flags = np.zeros(size, np.uint8), np.zeros(size, bool)
        self._starts, self._points, self._ends, self._decimals, self._places = np.zeros((5, _ROOM), np.int64)
        self._low, self._middle, self._high, self._bits, self._spare = np.zeros((5, _ROOM), _WORD)
        self._values, self._powers = np.zeros((2, _ROOM))

    def answer(self, body: memoryview, count: int) -> Numbers | None:
        """Return the vectors of an answer to /api/embed, or None where anything in it is unusual."""
        text = vectors_in(body)
        if text is None:
            return None
        first = bytes(text[:_PIECE])
        return self._numbers(text, count, first.count(b",", 0, first.find(b"]")) + 1)

    def _numbers(self, text: memoryview, count: int, width: int) -> Numbers | None:
        """Return the ``(count, width)`` numbers of ``[0.1,-0.2],[0.3,0.4]``, or None where anything in it is unusual."""
        found, done = np.empty(count * width, np.float32), 0
        signs = np.frombuffer(text, np.uint8)
        while done < len(found):
            marks = self._take(signs)
            many = len(marks) // 2
            if not 0 < many <= min(_ROOM, len(found) - done):
                return None
            values = self._piece(marks[: 2 * many], -done % width, width)
            if values is None:
                return None
            with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is a flaw
                found[done : done + many] = values
            done, signs = done + many, signs[int(marks[2 * many - 1]) + 1 :]
        return None if len(signs) else found.reshape(count, width)

    def _take(self, signs: Numbers) -> Numbers:
        """Take a piece in and return the places of its points and commas; the end of the text counts as a comma."""
        size = min(len(signs), _PIECE)
        np.subtract(signs[:size], ord("0"), out=self._text[_LEAD : _LEAD + size])
        if size == len(signs):
            self._text[_LEAD + size] = _COMMA
            size += 1
        marks = np.bitwise_or(self._text[_LEAD : _LEAD + size], _COMMA ^ _POINT, out=self._marks[:size])
        return np.flatnonzero(np.equal(marks, _COMMA | _POINT, out=self._flags[:size]))

    def _piece(self, marks: Numbers, opening: int, width: int) -> Numbers | None:
        """Return the numbers that the marks belong to; ``opening`` is the first of them that begins a vector."""
        starts, points, ends = self._borders(marks)
        if (self._text.take(points) != _POINT).any() or (self._text.take(ends) != _COMMA).any():
            return None
        stop = int(ends[-1]) + 1
        opened, closed = starts[opening::width], ends[(opening - 1) % width :: width]
        closed -= 1
        if (self._text[opened] != _OPEN).any() or (self._text[closed] != _SHUT).any():
            return None
        opened += 1
        minus = self._text.take(starts) == _MINUS
        decimals, odd = self._decimals_of(starts + minus, points, ends)
        if len(odd) * _FEW > len(ends):
            return None
        values = self._values_of(ends, decimals)
        values *= 1.0 - 2.0 * minus
        tokens = [self._text[starts[at] : ends[at]] + np.uint8(ord("0")) for at in odd.tolist()]
        minus[odd] = False
        # every sign that is no digit must be one of those that were looked at
        others = 2 * len(ends) - len(odd) + len(opened) + len(closed) + np.count_nonzero(minus) + sum(map(_others, tokens))
        sound = others == self._others(stop) and (not tokens or _put_in(values, odd, tokens))
        return values if sound else None

    def _borders(self, marks: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """Return where the numbers start, have their point and end."""
        many = len(marks) // 2
        starts, points, ends = self._starts[:many], self._points[:many], self._ends[:many]
        np.add(marks[::2], _LEAD, out=points)
        np.add(marks[1::2], _LEAD, out=ends)
        starts[0] = _LEAD
        np.add(ends[:-1], 1, out=starts[1:])
        return starts, points, ends

    def _decimals_of(self, digits: Numbers, points: Numbers, ends: Numbers) -> tuple[Numbers, Numbers]:
        """Return the counts of decimals, and which numbers are not written as ``0.…`` from their first digit on."""
        decimals = np.subtract(ends, points, out=self._decimals[: len(ends)])
        decimals -= 1
        usual = (decimals > 0) & (decimals <= _MOST_DECIMALS)
        usual &= self._text.take(digits) == 0
        digits += 1
        usual &= digits == points
        odd = np.flatnonzero(~usual)
        decimals[odd] = 0
        return decimals, odd

    def _values_of(self, ends: Numbers, decimals: Numbers) -> Numbers:
        """Return the numbers whose decimals come before the ends."""
        low, high = self._windows(ends)
        spare = self._spare[: len(ends)]
        low &= _MASKS[0].take(decimals, out=spare, mode="clip")
        high &= _MASKS[1].take(decimals, out=spare, mode="clip")
        _join(low)
        _join(high)
        low *= _WORD.type(10**8)
        low += high
        values = self._values[: len(ends)]
        values[:] = low.view(np.int64)
        values /= _POWERS.take(decimals, out=self._powers[: len(ends)], mode="clip")
        return values

    def _windows(self, ends: Numbers) -> tuple[Numbers, Numbers]:
        """Return the sixteen bytes before each end as two words, put together from the three that hold them."""
        many = len(ends)
        places = np.right_shift(ends, 3, out=self._places[:many])
        places -= 2
        rooms = (self._low, self._middle, self._high)
        low, middle, high = (self._words[at:].take(places, out=room[:many], mode="clip") for at, room in enumerate(rooms))
        bits, spare = self._bits[:many], self._spare[:many]
        np.bitwise_and(ends, 7, out=bits.view(np.int64))
        bits <<= _WORD.type(3)
        low >>= bits
        np.subtract(_WORD.type(64), bits, out=spare)
        high <<= spare  # by 64, which NumPy makes 0, where the end lies between two words
        np.left_shift(middle, spare, out=spare)
        low |= spare
        middle >>= bits
        middle |= high
        return low, middle

    def _others(self, stop: int) -> int:
        """Return the number of signs up to a place that are no digits."""
        flags = np.greater(self._text[_LEAD:stop], 9, out=self._flags[: stop - _LEAD])
        return int(np.count_nonzero(flags))


def vectors_in(body: memoryview) -> memoryview | None:
    """Return ``[0.1,-0.2],[0.3,0.4]`` out of an answer to /api/embed, or None where anything around the vectors is unusual."""
    head, tail = bytes(body[:_AROUND]), bytes(body[-_AROUND:])
    start, end = head.find(b"[[") + 1, tail.rfind(b"]]") + 1
    # without the vectors it must be an answer with one that holds a 0, and no other list in it
    before, after = head[:start], tail[end:]
    if not (start and end) or before.count(b"[") > 1 or b"[" in after or not _frames(b"[0]".join((before, after))):
        return None
    return body[start : len(body) - len(after)]


def _join(words: Numbers) -> None:
    """Make eight digits one number, in each word."""
    for factor, shift, mask in _STEPS:
        words *= _WORD.type(factor)
        words >>= _WORD.type(shift)
        words &= _WORD.type(mask)


def _others(token: Numbers) -> int:
    return sum(not ord("0") <= sign <= ord("9") for sign in token.tolist())


def _frames(rest: bytes) -> bool:
    try:
        return wire.embeddings(rest) == [[0]]
    except RequestRefused:
        return False


def _put_in(values: Numbers, odd: Numbers, tokens: list[Numbers]) -> bool:
    """Put in the numbers that are written in another way; return False where one is no number."""
    try:
        values[odd] = wire.embeddings(b'{"embeddings":[[%b]]}' % b",".join(map(bytes, tokens)))[0]
    except (RequestRefused, ValueError):
        return False
    return True


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
    rows = wire.embeddings(body)
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
    return EmbeddingProblem("vectors-mismatch", rows=rows, reason=reason)
