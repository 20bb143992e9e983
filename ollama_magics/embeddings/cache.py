"""Which vectors a job has stored, and how they are taken back when the model was replaced meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

_KEY = 16  # bytes


class Store(Protocol):
    """Where vectors are kept from one job to the next; ``problem`` says in one sentence what is wrong with it, or is empty."""

    problem: str

    def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Any]:
        """Return the stored rows of those keys that have one."""

    def put(self, keys: Sequence[bytes], rows: bytes, width: int) -> None:
        """Keep rows, in place of those that the keys had."""


@dataclass
class JobCache:
    """The store as one job uses it; ``key(text, truncated)`` names a row.

    Rows that were stored since the model was last seen unchanged are unconfirmed.
    """

    store: Store
    key: Callable[[str, bool], bytes]
    _unconfirmed: list[tuple[bytes, int]] = field(default_factory=list)

    def keep(self, keys: Sequence[bytes], rows: bytes, width: int) -> None:
        """Hand a batch to the store; waits while it has two of them to write."""
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
