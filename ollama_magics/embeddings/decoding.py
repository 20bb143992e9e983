"""Decode the body of an answer into vectors of float32, and find the ones that cannot be used."""

from __future__ import annotations

import struct
import threading
from collections import Counter
from typing import Any

import numpy as np
from msgspec import Struct, field

from ollama_magics.errors import EmbeddingProblem, RequestRefused
from ollama_magics.messages import Joined, Phrase
from ollama_magics.server import wire

# Faster than a list of lists, since no number becomes a Python object. All numbers of a piece of text are read at once: the
# sixteen bytes before the end of each hold its decimals as two words, and three multiplications turn a word of eight digits into
# a number. The result is exact: integers below 10**15 and powers of ten up to 10**15 have no error as float64, and IEEE 754
# rounds their quotient once.


Numbers = np.ndarray[Any, np.dtype[Any]]
_PIECE = 256 * 1024  # bytes; with all that is made of them they fit the cache of a core
_MOST_NUMBERS = _PIECE // 8  # in a piece: those of real vectors take more than eight bytes
_MARGIN = 4096  # bytes that must hold all that comes before the vectors, and all that follows them
_LEAD = 16  # bytes before the first number, so that no window begins before the text
_MOST_DECIMALS = 15
_ODD_SHARE = 32  # one number of so many may be written in another way
_COMMA, _MINUS, _POINT, _OPEN, _CLOSE = ((ord(character) - ord("0")) % 256 for character in ",-.[]")
_WORD = np.dtype("<u8")
# Neighbouring digits, then pairs, then fours become one number: factor, bits to shift right, mask.
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
    """Reads one answer after another with the same memory; for one thread at a time."""

    def __init__(self) -> None:
        size = _LEAD + _PIECE + 8
        self._text = np.zeros(size, np.uint8)  # digits as 0 to 9
        self._words = self._text.view(_WORD)
        self._marks, self._flags = np.zeros(size, np.uint8), np.zeros(size, bool)
        self._starts, self._points, self._ends, self._decimals, self._positions = np.zeros((5, _MOST_NUMBERS), np.int64)
        self._low, self._middle, self._high, self._bits, self._spare = np.zeros((5, _MOST_NUMBERS), _WORD)
        self._values, self._powers = np.zeros((2, _MOST_NUMBERS))

    def answer(self, body: memoryview, count: int) -> Numbers | None:
        """Return the vectors of an answer to /api/embed, or None where anything in it is unusual."""
        text = vectors_in(body)
        if text is None:
            return None
        first = bytes(text[:_PIECE])
        width = first.count(b",", 0, first.find(b"]")) + 1
        found, done = np.empty(count * width, np.float32), 0
        characters = np.frombuffer(text, np.uint8)
        while done < len(found):
            # a piece: digits become 0 to 9, and the end of the text counts as a comma
            size = min(len(characters), _PIECE)
            np.subtract(characters[:size], ord("0"), out=self._text[_LEAD : _LEAD + size])
            if size == len(characters):
                self._text[_LEAD + size] = _COMMA
                size += 1

            # the positions of its points and commas: two for each number
            marks = np.bitwise_or(self._text[_LEAD : _LEAD + size], _COMMA ^ _POINT, out=self._marks[:size])
            positions = np.flatnonzero(np.equal(marks, _COMMA | _POINT, out=self._flags[:size]))
            many = len(positions) // 2
            if not 0 < many <= min(_MOST_NUMBERS, len(found) - done):
                return None

            values = self._parse_piece(positions[: 2 * many], -done % width, width)
            if values is None:
                return None
            with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is a flaw
                found[done : done + many] = values
            done, characters = done + many, characters[int(positions[2 * many - 1]) + 1 :]
        return None if len(characters) else found.reshape(count, width)

    def _parse_piece(self, marks: Numbers, opening: int, width: int) -> Numbers | None:
        """Return the numbers that the marks belong to; ``opening`` is the first of them that begins a vector."""
        many = len(marks) // 2
        starts, points, ends = self._starts[:many], self._points[:many], self._ends[:many]
        np.add(marks[::2], _LEAD, out=points)
        np.add(marks[1::2], _LEAD, out=ends)
        starts[0] = _LEAD
        np.add(ends[:-1], 1, out=starts[1:])

        # each number has a point and ends in a comma, each vector stands in brackets
        if (self._text.take(points) != _POINT).any() or (self._text.take(ends) != _COMMA).any():
            return None
        stop = int(ends[-1]) + 1
        opened, closed = starts[opening::width], ends[(opening - 1) % width :: width]
        closed -= 1
        if (self._text[opened] != _OPEN).any() or (self._text[closed] != _CLOSE).any():
            return None
        opened += 1

        minus = self._text.take(starts) == _MINUS

        # how many decimals each has, and which are not written as 0.… from their first digit on
        decimals = np.subtract(ends, points, out=self._decimals[:many])
        decimals -= 1
        digits = starts + minus
        usual = (decimals > 0) & (decimals <= _MOST_DECIMALS) & (self._text.take(digits) == 0)
        digits += 1
        odd = np.flatnonzero(~(usual & (digits == points)))
        decimals[odd] = 0
        if len(odd) * _ODD_SHARE > len(ends):
            return None
        values = self._compute_values(ends, decimals)
        values *= 1.0 - 2.0 * minus
        tokens = [self._text[starts[at] : ends[at]] + np.uint8(ord("0")) for at in odd.tolist()]
        minus[odd] = False

        # every character that is no digit must be one of those that were checked
        others = 2 * len(ends) - len(odd) + len(opened) + len(closed) + np.count_nonzero(minus) + sum(map(_count_others, tokens))
        if others != self._count_others(stop):
            return None
        if tokens:  # numbers that are written in another way, of which one may be none
            try:
                values[odd] = wire.embeddings(b'{"embeddings":[[%b]]}' % b",".join(map(bytes, tokens)))[0]
            except (RequestRefused, ValueError):
                return None
        return values

    def _compute_values(self, ends: Numbers, decimals: Numbers) -> Numbers:
        """Return the numbers whose decimals come before the ends."""
        # the sixteen bytes before each end as two words, put together from the three that hold them
        many = len(ends)
        positions = np.right_shift(ends, 3, out=self._positions[:many])
        positions -= 2
        buffers = (self._low[:many], self._middle[:many], self._high[:many])
        low, middle, high = (self._words[at:].take(positions, out=buffer, mode="clip") for at, buffer in enumerate(buffers))
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

        # each word becomes a number of eight digits, both together one of sixteen
        low &= _MASKS[0].take(decimals, out=spare, mode="clip")
        middle &= _MASKS[1].take(decimals, out=spare, mode="clip")
        _join_digits(low)
        _join_digits(middle)
        low *= _WORD.type(10**8)
        low += middle

        values = self._values[:many]
        values[:] = low.view(np.int64)
        values /= _POWERS.take(decimals, out=self._powers[:many], mode="clip")
        return values

    def _count_others(self, stop: int) -> int:
        """Return the number of characters up to a position that are no digits."""
        flags = np.greater(self._text[_LEAD:stop], 9, out=self._flags[: stop - _LEAD])
        return int(np.count_nonzero(flags))


def vectors_in(body: memoryview) -> memoryview | None:
    """Return ``[0.1,-0.2],[0.3,0.4]`` out of an answer to /api/embed, or None where anything around the vectors is unusual."""
    head, tail = bytes(body[:_MARGIN]), bytes(body[-_MARGIN:])
    start, end = head.find(b"[[") + 1, tail.rfind(b"]]") + 1
    # without the vectors it must be an answer with one that holds a 0, and no other list in it
    before, after = head[:start], tail[end:]
    if not (start and end) or before.count(b"[") > 1 or b"[" in after:
        return None
    try:
        rest = wire.embeddings(b"[0]".join((before, after)))
    except RequestRefused:
        return None
    return body[start : len(body) - len(after)] if rest == [[0]] else None


def _join_digits(words: Numbers) -> None:
    """Turn the eight digits of each word into a number."""
    for factor, shift, mask in _STEPS:
        words *= _WORD.type(factor)
        words >>= _WORD.type(shift)
        words &= _WORD.type(mask)


def _count_others(token: Numbers) -> int:
    return sum(not ord("0") <= character <= ord("9") for character in token.tolist())


NOT_FINITE, ZEROS = Phrase("row_not_finite"), Phrase("row_zeros")
_USUAL = (1e-30, 1e30)  # squared lengths between these need no further check: the row is finite and not all zeros


class Vectors(Struct, eq=False):
    """An array of float32 with a row for each text, and the flaw of each row that cannot be used."""

    numbers: Numbers
    flaws: dict[int, Phrase] = field(default_factory=dict)


class FlawedVectors(Exception):
    """Some vectors of an answer cannot be used; ``flaws`` names them by row."""

    def __init__(self, flaws: dict[int, Phrase]) -> None:
        super().__init__(flaws)
        self.flaws = flaws


class Decoder:
    """Reads one answer after another with the same memory; all threads of a job share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reader: _Simdjson | Scanner
        try:
            self._reader = _Simdjson()
        except ImportError:
            self._reader = Scanner()

    def read(self, body: memoryview, count: int, width: int = 0) -> Vectors:
        """Return ``count`` vectors of a ``width``, or any (0); raises EmbeddingProblem for other shapes, RequestRefused."""
        with self._lock:  # so that only one thread at a time holds the memory of an answer being read
            numbers = self._reader.answer(body, count)
            if numbers is None:
                return _decode_slowly(body, count, width)
        return Vectors(numbers, flaws_of(numbers))


class _Simdjson:
    """The parser that is installed where it has wheels; it gets one vector at a time, since its result for one fits the cache."""

    def __init__(self) -> None:
        import simdjson  # noqa: PLC0415 - not there on every system

        self._parser: Any = simdjson.Parser()

    def answer(self, body: memoryview, count: int) -> Numbers | None:
        """Return the vectors of an answer to /api/embed, or None where anything in it is unusual."""
        text = vectors_in(body)
        if text is None:
            return None
        try:
            with np.errstate(over="ignore"):  # as in Scanner
                return self._scan(text, count)
        except (ValueError, TypeError, AttributeError, RuntimeError):
            return None

    def _scan(self, text: memoryview, count: int) -> Numbers | None:
        at, most = 0, 2 * len(text) // count  # bytes in which the end of a vector is looked for
        found = np.empty((count, 0), np.float32)
        for row in range(count):
            piece = bytes(text[at : at + most])
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


def flaws_of(numbers: Numbers) -> dict[int, Phrase]:
    """Return why which rows of float32 cannot be used: a number that is not finite, or nothing but zeros."""
    with np.errstate(all="ignore"):
        squares = np.einsum("ij,ij->i", numbers, numbers)
    flaws: dict[int, Phrase] = {}
    for row in np.flatnonzero(~((squares > _USUAL[0]) & (squares < _USUAL[1]))):
        if not np.isfinite(numbers[row]).all():
            flaws[int(row)] = NOT_FINITE
        elif not numbers[row].any():
            flaws[int(row)] = ZEROS
    return flaws


def _decode_slowly(body: memoryview, count: int, width: int) -> Vectors:
    rows = wire.embeddings(body)
    if len(rows) != count:
        raise mismatch(Phrase("vector_count", found=len(rows), count=count))
    widths = Counter(map(len, rows))
    usual = width if width and width in widths else max(widths, key=lambda each: widths[each])
    is_clear = len(widths) == 1 or usual == width or widths[usual] * 2 > count
    if usual == 0 or not is_clear:
        raise mismatch(Phrase("vector_widths", widths=Joined(sorted(widths), Phrase("and"))))

    numbers, flaws = np.zeros((count, usual)), {}
    pack = struct.Struct(f"{usual}d").pack_into  # twice as fast as NumPy's own reading of lists
    for position, row in enumerate(rows):
        if len(row) == usual:
            pack(numbers.data, position * usual * numbers.itemsize, *row)
        else:
            flaws[position] = Phrase("row_width", found=len(row), width=usual)
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is a flaw
        narrow = numbers.astype(np.float32)
    return Vectors(narrow, flaws_of(narrow) | flaws)


def mismatch(reason: Phrase) -> EmbeddingProblem:
    """Return the error for an answer that does not belong to the texts."""
    return EmbeddingProblem("vectors-mismatch", rows=(), reason=reason)
