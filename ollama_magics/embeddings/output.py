"""Hold what a job produces: the array, the report of its rows, and the rows that it has stored."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from msgspec import Struct, field

from ollama_magics.embeddings.decoding import Numbers, mismatch
from ollama_magics.messages import Phrase

Array = np.ndarray[Any, np.dtype[np.float32]]
_FIRST = 64 * 1024 * 1024  # bytes at first, which take memory only as they are filled; so many are not copied when they grow
_STEP = 8 * 1024 * 1024  # bytes by which it grows at least
_SHARE = 256  # it grows by this part of itself at least: the time stays linear, the slack small
_COPIED = 4096  # rows that are copied at a time
_MOST_SHOWN = 10  # rows
_KEY = 16  # bytes


class OutputArray:
    """Rows of float32 under one lock, ``length`` of them if known; ``width`` is 0 before the first, then never changes."""

    def __init__(self, length: int | None) -> None:
        self._lock = threading.Lock()
        self.length = length
        self._array: Array | None = None

    @property
    def width(self) -> int:
        """Components of a vector."""
        return 0 if self._array is None else int(self._array.shape[1])

    def put(self, rows: Sequence[int], numbers: Numbers) -> None:
        """Write vectors into their rows, which ascend; raises EmbeddingProblem where their width is not that of the first."""
        with self._lock:
            matrix = self._with_room(rows[-1] + 1, numbers.shape[1])
            self.require_width(rows[0], numbers.shape[1])
            matrix[_index(rows)] = numbers

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

    def begin(self, length: int, width: int) -> None:
        """Make room for rows of which none got a vector."""
        self._with_room(length, width)

    def repeat(self, copies: Sequence[int], originals: Sequence[int]) -> None:
        """Write the vectors of the originals into the rows of their copies."""
        for start in range(0, len(copies), _COPIED):
            targets = np.asarray(copies[start : start + _COPIED], np.intp)
            sources = np.asarray(originals[start : start + _COPIED], np.intp)
            matrix = self._with_room(int(targets.max()) + 1, self.width)
            matrix[targets] = matrix[sources]

    def blank(self, rows: Sequence[int]) -> None:
        """Make rows NaN."""
        if rows:
            self._with_room(max(rows) + 1, self.width)[list(rows)] = np.nan

    def drop(self, rows: Sequence[int], length: int) -> np.ndarray[Any, Any]:
        """Remove rows from the first ``length``, in place, and return the positions of those that stay."""
        kept = np.setdiff1d(np.arange(length), np.asarray(rows, np.intp), assume_unique=True)
        matrix = self._with_room(length, self.width)
        for start in range(0, len(kept), _COPIED):  # a row only ever moves up, so nothing is overwritten that is still needed
            matrix[start : start + _COPIED][: len(kept) - start] = matrix[kept[start : start + _COPIED]]
        return kept

    def finished(self, length: int) -> Array:
        """Return the first ``length`` rows as an array of their own; nothing may be written after this."""
        matrix, self._array = self._with_room(length, self.width), None
        if len(matrix) != length:
            matrix.resize((length, matrix.shape[1]), refcheck=False)
        return matrix

    def _with_room(self, length: int, width: int) -> Array:
        if self._array is None:
            self._array = np.empty((self.length or max(length, _FIRST // (4 * width or 1)), width), np.float32)
        if len(self._array) < length:
            step = max(_STEP // (4 * max(1, self.width)), len(self._array) // _SHARE)
            # refcheck counts references, and an interrupted frame may hold one; no view outlives the lock
            self._array.resize((max(length, len(self._array) + step), self.width), refcheck=False)
        return self._array


def _index(rows: Sequence[int]) -> Any:
    is_range = rows[-1] - rows[0] + 1 == len(rows)
    return slice(rows[0], rows[-1] + 1) if is_range else list(rows)


@dataclass(frozen=True)
class EmbedReport:
    """What happened to the rows of one call; rows are positions in the texts, counted from 0.

    Attributes:
        index: the index of the Series, or positions: one entry for each row of the array.
        kept: the position in the texts of each row of the array.
        failed: rows without a vector, which are NaN in the array or left out.
        truncated: rows whose vector stands for the beginning of the text only.
        reused: how many rows came from the store.
        retried: how many requests were sent again.
        seconds: the whole time.
        notes: what should be shown besides: the key of a phrase and its facts.

    Example: ``om.embed(texts, on_error="skip", report=lambda report: print(report.failed))``
    """

    index: Any
    kept: Sequence[int]
    failed: tuple[int, ...] = ()
    truncated: tuple[int, ...] = ()
    reused: int = 0
    retried: int = 0
    seconds: float = 0.0
    notes: tuple[tuple[str, Mapping[str, object]], ...] = ()

    def with_note(self, key: str, **facts: object) -> EmbedReport:
        """Return the report with one more note, unless all its facts are empty."""
        return replace(self, notes=(*self.notes, (key, facts))) if any(facts.values()) else self

    def __repr__(self) -> str:
        parts = [f"{len(self.kept)} rows, {self.reused} reused, {self.retried} retried, {self.seconds:.1f} s"]
        for name, rows in (("failed", self.failed), ("truncated", self.truncated)):
            if rows:
                more = f" and {len(rows) - _MOST_SHOWN} more" if len(rows) > _MOST_SHOWN else ""
                parts.append(f"{name} {', '.join(map(str, rows[:_MOST_SHOWN]))}{more}")
        return f"<EmbedReport: {', '.join(parts)}>"


class JobStats(Struct, eq=False):
    """The figures of a job while it runs; one thread writes each of them."""

    seen: int = 0  # rows that the source has given
    embedded: int = 0  # rows whose vector came from a server
    reused: int = 0
    retried: int = 0
    batches: int = 0
    flaws: dict[int, Phrase] = field(default_factory=dict)
    truncated: set[int] = field(default_factory=set)
    copies: array[int] = field(default_factory=lambda: array("q"))
    originals: array[int] = field(default_factory=lambda: array("q"))
    notes: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    last_error: BaseException | None = None  # of the last text that was given up

    @property
    def done(self) -> int:
        """Rows that are finished, with a vector or without."""
        return self.embedded + self.reused + len(self.flaws) + len(self.copies)

    def note(self, key: str, **facts: object) -> None:
        """Keep a note to be shown, once."""
        if (key, facts) not in self.notes:
            self.notes.append((key, facts))

    def settle_copies(self) -> None:
        """Give rows with the same text as an earlier one its flaw, and whether it was truncated."""
        copies, originals = array("q"), array("q")
        for copy, original in zip(self.copies, self.originals, strict=True):
            if original in self.flaws:
                self.flaws[copy] = self.flaws[original]
                continue
            copies.append(copy)
            originals.append(original)
            if original in self.truncated:
                self.truncated.add(copy)
        self.copies, self.originals = copies, originals


class Store(Protocol):
    """Where vectors are kept from one job to the next; ``problem`` says in one sentence what is wrong with it, or is empty."""

    problem: str

    def find(self, keys: Sequence[bytes], *, max_age: float = 0.0) -> Mapping[bytes, Any]:
        """Return the stored rows of those keys that have one, but perhaps not those stored in the last ``max_age`` seconds."""

    def put(self, keys: Sequence[bytes], rows: bytes | memoryview, width: int) -> None:
        """Keep rows, in place of those that the keys had."""

    def finish_writing(self) -> None:
        """Return when all that was put is kept, or ``problem`` says why not."""


class JobCache(Struct, eq=False):
    """The store as one job uses it; a row is unconfirmed until the model is seen unchanged after it was stored.

    ``key`` and ``truncated_key`` return the key of a text that is embedded whole, or only in part.
    """

    store: Store
    key: Callable[[str], bytes]
    truncated_key: Callable[[str], bytes]
    _unconfirmed: list[tuple[bytes, int]] = field(default_factory=list)

    def keep(self, keys: Sequence[bytes], rows: bytes | memoryview, width: int) -> None:
        """Hand a batch to the store; waits while it has another one to write."""
        self.store.put(keys, rows, width)
        self._unconfirmed.append((b"".join(keys), width))

    def count_unconfirmed(self) -> int:
        """Return the number of unconfirmed batches."""
        return len(self._unconfirmed)

    def confirm(self, count: int) -> None:
        """Confirm the oldest unconfirmed batches."""
        del self._unconfirmed[:count]

    def take_back(self) -> None:
        """Overwrite the unconfirmed rows with zeros, which no job accepts as a vector."""
        for names, width in self._unconfirmed:
            keys = [names[start : start + _KEY] for start in range(0, len(names), _KEY)]
            self.store.put(keys, bytes(len(keys) * width * 4), width)
