"""The store of vectors as one job sees it, and what the job takes back if the model turns out to be another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

_KEY = 16  # bytes


class Store(Protocol):
    """Where vectors are kept from one job to the next; ``problem`` is one sentence about what is wrong with it, or empty."""

    problem: str

    def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Any]:
        """Return the stored rows of those keys that have one."""

    def put(self, keys: Sequence[bytes], rows: bytes, width: int) -> None:
        """Keep rows, in place of those that the keys had."""


@dataclass
class Shelf:
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
