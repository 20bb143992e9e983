"""The array that the vectors of a job are written to, which grows with them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from ollama_magics.embeddings.decoding import Numbers, mismatch
from ollama_magics.messages import Phrase

Array = np.ndarray[Any, np.dtype[np.float32]]
_FIRST = 64 * 1024 * 1024  # bytes at first, which take memory only as they are filled; so many are not copied when they grow
_STEP = 8 * 1024 * 1024  # bytes by which it grows at least
_SHARE = 256  # it grows by this part of itself at least: the time stays linear, the slack small
_COPIED = 4096  # rows that are copied at a time


class OutputArray:
    """Rows of float32 under one lock; ``width`` is 0 before the first vector and never changes after it.

    ``length`` is the number of rows, or None where it is not known yet.
    """

    def __init__(self, length: int | None) -> None:
        self._lock = threading.Lock()
        self._length = length
        self._array: Array | None = None

    @property
    def width(self) -> int:
        """Components of a vector."""
        return 0 if self._array is None else int(self._array.shape[1])

    def put(self, rows: Sequence[int], numbers: Numbers) -> None:
        """Write vectors into their rows, which ascend; raises EmbeddingProblem where their width is not that of the first."""
        with self._lock:
            array = self._with_room(rows[-1] + 1, numbers.shape[1])
            self.require_width(rows[0], numbers.shape[1])
            array[_index(rows)] = numbers

    def require_width(self, row: int, width: int) -> None:
        """Raise EmbeddingProblem where the vector of a row is wider or narrower than those before."""
        if self.width and width != self.width:
            raise mismatch(Phrase("width_changed", first=self.width, row=row, new=width))

    def bytes_of(self, rows: Sequence[int]) -> bytes:
        """Return a copy of some rows as the bytes of little-endian float32."""
        with self._lock:
            if self._array is None:
                return b""
            return bytes(self._array[_index(rows)].astype("<f4", copy=False).tobytes())

    # For the main thread, once the workers have stopped.

    def repeat(self, copies: Sequence[int], originals: Sequence[int]) -> None:
        """Write the vectors of the originals into the rows of their copies."""
        for start in range(0, len(copies), _COPIED):
            targets = np.asarray(copies[start : start + _COPIED], np.intp)
            sources = np.asarray(originals[start : start + _COPIED], np.intp)
            array = self._with_room(int(targets.max()) + 1, self.width)
            array[targets] = array[sources]

    def blank(self, rows: Sequence[int]) -> None:
        """Make rows NaN."""
        if rows:
            self._with_room(max(rows) + 1, self.width)[list(rows)] = np.nan

    def drop(self, rows: Sequence[int], length: int) -> np.ndarray[Any, Any]:
        """Remove rows from the first ``length``, in place, and return the positions of those that stay."""
        kept = np.setdiff1d(np.arange(length), np.asarray(rows, np.intp), assume_unique=True)
        array = self._with_room(length, self.width)
        for start in range(0, len(kept), _COPIED):  # a row only ever moves up, so nothing is overwritten that is still needed
            array[start : start + _COPIED][: len(kept) - start] = array[kept[start : start + _COPIED]]
        return kept

    def finished(self, length: int) -> Array:
        """Return the first ``length`` rows as an array of their own; nothing may be written after this."""
        array, self._array = self._with_room(length, self.width), None
        if len(array) != length:
            array.resize((length, array.shape[1]), refcheck=False)
        return array

    def _with_room(self, length: int, width: int) -> Array:
        if self._array is None:
            self._array = np.empty((self._length or max(length, _FIRST // (4 * width or 1)), width), np.float32)
        if len(self._array) < length:
            step = max(_STEP // (4 * max(1, self.width)), len(self._array) // _SHARE)
            # refcheck counts references, and an interrupted frame may hold one; no view outlives the lock
            self._array.resize((max(length, len(self._array) + step), self.width), refcheck=False)
        return self._array


def _index(rows: Sequence[int]) -> Any:
    is_range = rows[-1] - rows[0] + 1 == len(rows)
    return slice(rows[0], rows[-1] + 1) if is_range else list(rows)
