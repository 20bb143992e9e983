"""Where the vectors of a job go: the growing array, and the cache of the job."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ollama_magics.embeddings.decoding import Numbers, misfit
from ollama_magics.messages import Phrase

Array = np.ndarray[Any, np.dtype[np.float32]]
_FIRST = 64 * 1024 * 1024  # bytes, only touched as they are filled; too many for the C library to move when they grow
_STEP = 8 * 1024 * 1024  # bytes by which it grows at least
_SHARE = 256  # it grows by this part of itself at least: the time stays linear, the slack small
_COPIED = 4096  # rows that are copied at a time


class Matrix:
    """Rows of float32 under one lock; ``width`` is 0 before the first, and a wanted width is refused to be another."""

    def __init__(self, length: int | None) -> None:
        self._lock = threading.Lock()
        self._length = length
        self._rows: Array | None = None

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return 0 if self._rows is None else int(self._rows.shape[1])

    def put(self, places: Sequence[int], numbers: Numbers) -> None:
        """Write vectors into their rows, which ascend; raises EmbeddingProblem where their width is not that of the first."""
        with self._lock:
            rows = self._with_room(places[-1] + 1, numbers.shape[1])
            self.require_width(places[0], numbers.shape[1])
            rows[_where(places)] = numbers

    def require_width(self, row: int, width: int) -> None:
        """Raise EmbeddingProblem where the vector of a row is wider or narrower than those before."""
        if self.width and width != self.width:
            raise misfit(Phrase("width_changed", first=self.width, row=row, new=width))

    def taken(self, places: Sequence[int]) -> bytes:
        """Return a copy of some rows as the bytes of little-endian float32."""
        with self._lock:
            if self._rows is None:
                return b""
            return bytes(self._rows[_where(places)].astype("<f4", copy=False).tobytes())

    def repeat(self, copies: Sequence[int], originals: Sequence[int]) -> None:
        """Write the vectors of the originals into the rows of their copies."""
        for start in range(0, len(copies), _COPIED):
            places = np.asarray(copies[start : start + _COPIED], np.intp)
            sources = np.asarray(originals[start : start + _COPIED], np.intp)
            rows = self._with_room(int(places.max()) + 1, self.width)
            rows[places] = rows[sources]

    def blank(self, places: Sequence[int]) -> None:
        """Make rows NaN."""
        if places:
            self._with_room(max(places) + 1, self.width)[list(places)] = np.nan

    def drop(self, places: Sequence[int], length: int) -> np.ndarray[Any, Any]:
        """Take rows out of the first ``length``, in place, and return the positions of those that stay."""
        kept = np.setdiff1d(np.arange(length), np.asarray(places, np.intp), assume_unique=True)
        rows = self._with_room(length, self.width)
        for start in range(0, len(kept), _COPIED):  # a row only ever moves up, so nothing is overwritten that is still needed
            rows[start : start + _COPIED][: len(kept) - start] = rows[kept[start : start + _COPIED]]
        return kept

    def finished(self, length: int) -> Array:
        """Return the first ``length`` rows as the array, which is given away."""
        rows, self._rows = self._with_room(length, self.width), None
        if len(rows) != length:
            rows.resize((length, rows.shape[1]), refcheck=False)
        return rows

    def _with_room(self, length: int, width: int) -> Array:
        if self._rows is None:
            self._rows = np.empty((self._length or max(length, _FIRST // (4 * width or 1)), width), np.float32)
        if len(self._rows) < length:
            step = max(_STEP // (4 * max(1, self.width)), len(self._rows) // _SHARE)
            # refcheck counts references, and an interrupted frame may hold one; no view outlives the lock
            self._rows.resize((max(length, len(self._rows) + step), self.width), refcheck=False)
        return self._rows


def _where(places: Sequence[int]) -> Any:
    whole = places[-1] - places[0] + 1 == len(places)
    return slice(places[0], places[-1] + 1) if whole else list(places)


_KEY = 16  # bytes


class Store(Protocol):
    """Where vectors are kept from one job to the next; ``problem`` is one sentence about what is wrong with it, or empty."""

    problem: str

    def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Any]:
        """Return the stored rows of those keys that have one."""

    def put(self, keys: Sequence[bytes], rows: bytes, width: int) -> None:
        """Keep rows, in place of those that the keys had."""


@dataclass
class JobCache:
    """``key(text, truncated)`` names a row; the doubtful ones were kept since the model was last seen to be the same."""

    store: Store
    key: Callable[[str, bool], bytes]
    _doubtful: list[tuple[bytes, int]] = field(default_factory=list)

    def keep(self, keys: Sequence[bytes], rows: bytes, width: int) -> None:
        """Hand a batch to the store; waits while it has two of them to write."""
        self.store.put(keys, rows, width)
        self._doubtful.append((b"".join(keys), width))

    def doubtful(self) -> int:
        """Return the number of doubtful batches."""
        return len(self._doubtful)

    def trust(self, count: int) -> None:
        """Take the oldest doubtful batches for good."""
        del self._doubtful[:count]

    def take_back(self) -> None:
        """Overwrite the doubtful rows with zeros, which no job accepts as a vector."""
        for names, width in self._doubtful:
            keys = [names[start : start + _KEY] for start in range(0, len(names), _KEY)]
            self.store.put(keys, bytes(len(keys) * width * 4), width)
