"""Find in memory where the vector of a key was put last."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np

KEY_SIZE = 16  # bytes
_FEWEST_SLOTS = 1 << 12
_INSERTED = 1 << 16  # rows at a time, so that what is made on the way stays small
_Numbers = np.ndarray[Any, np.dtype[Any]]


class VectorIndex:
    """A hash table of all keys, in arrays: 16 to 24 bytes for each, and as quick with a million as with a thousand.

    Rows are numbered from 1 in the order of their batches. Each slot of the table holds the number of a row, or 0; a row lies in
    the first free slot from the one that the first half of its key names. Keys are hashes themselves, and whoever reads the row
    compares the whole key.
    """

    def __init__(self) -> None:
        self._slots = np.zeros(_FEWEST_SLOTS, np.uint32)
        self._halves = np.zeros(_FEWEST_SLOTS // 2, np.uint64)  # the first half of the key of each row
        self._count = 1  # rows, and one that is none
        self._batches, self._firsts = array("q"), array("q")  # each batch, and its first row

    @property
    def newest(self) -> int:
        """The batch that was added last, or 0."""
        return self._batches[-1] if self._batches else 0

    def add(self, batches: Iterable[tuple[int, bytes]]) -> None:
        """Add batches, given by their ascending numbers and the keys of their rows, one after another."""
        parts, first = [], self._count
        for batch, keys in batches:
            self._batches.append(batch)
            self._firsts.append(self._count)
            self._count += len(keys) // KEY_SIZE
            parts.append(keys)
        if self._count > len(self._halves):
            self._grow(first)
        self._halves[first : self._count] = _first_halves(b"".join(parts))
        self._insert(first)

    def find(self, keys: bytes) -> tuple[_Numbers, _Numbers, _Numbers]:
        """Return which of the keys were put, by their positions, and for each of these the batch and the position in it."""
        halves = _first_halves(keys)
        rows, pending = np.zeros(len(halves), np.uint32), np.arange(len(halves))
        slots = self._slots_of(halves)
        while len(pending):
            there = self._slots.take(slots)
            taken = np.flatnonzero(there)  # few of the keys that were never put
            there, pending, slots = there[taken], pending[taken], slots[taken]
            is_same = self._halves.take(there) == halves.take(pending)
            rows[pending[is_same]] = there[is_same]
            is_other = ~is_same
            pending, slots = pending[is_other], self._next(slots[is_other])

        queries = np.flatnonzero(rows)
        found = rows[queries].astype(np.int64)
        firsts = np.frombuffer(self._firsts, np.int64)
        at = np.searchsorted(firsts, found, side="right") - 1
        return queries, np.frombuffer(self._batches, np.int64)[at], found - firsts[at]

    def is_mostly_before(self, batch: int) -> bool:
        """Whether more than half of the rows belong to older batches than that."""
        return 2 * self._rows_before(batch) > self._count

    def count_from(self, batch: int) -> int:
        """Return the number of keys that were put last in that batch or a newer one."""
        return int(np.count_nonzero(self._slots > self._rows_before(batch)))

    def _rows_before(self, batch: int) -> int:
        at = int(np.searchsorted(np.frombuffer(self._batches, np.int64), batch))
        return (self._firsts[at] if at < len(self._firsts) else self._count) - 1

    def _grow(self, filled: int) -> None:
        size = len(self._slots)
        while size // 2 < self._count:
            size *= 2
        halves = np.zeros(size // 2, np.uint64)
        halves[:filled] = self._halves[:filled]
        self._slots, self._halves = np.zeros(size, np.uint32), halves
        count, self._count = self._count, filled
        self._insert(1)
        self._count = count

    def _insert(self, first: int) -> None:
        """Put the rows from that one on into their slots, in place of older ones with the same keys."""
        for start in range(first, self._count, _INSERTED):
            pending = np.arange(start, min(start + _INSERTED, self._count))
            slots = self._slots_of(self._halves[pending[0] : pending[-1] + 1])
            while len(pending):
                there = self._slots.take(slots)
                taken = np.flatnonzero(there)
                is_other = self._halves.take(there[taken]) != self._halves.take(pending[taken])
                rows = pending.copy()
                rows[taken[is_other]] = there[taken[is_other]]
                self._slots[slots] = rows  # of several rows for one slot the last one is there now
                lost = np.flatnonzero(self._slots.take(slots) != pending)
                pending, slots = pending[lost], slots[lost]
                is_other = self._halves.take(self._slots.take(slots)) != self._halves.take(pending)
                pending, slots = pending[is_other], self._next(slots[is_other])

    def _slots_of(self, halves: _Numbers) -> _Numbers:
        return (halves & np.uint64(len(self._slots) - 1)).astype(np.intp)

    def _next(self, slots: _Numbers) -> _Numbers:
        return (slots + 1) & (len(self._slots) - 1)


def _first_halves(keys: bytes) -> _Numbers:
    return np.frombuffer(keys, "<u8")[::2]
