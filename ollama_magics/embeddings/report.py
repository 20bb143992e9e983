"""What a job reports besides the array, and the figures it keeps while it runs."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ollama_magics.messages import Phrase

_MOST_SHOWN = 10  # rows


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


@dataclass
class JobStats:
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
