"""What a job did besides the array."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ollama_magics.messages import Phrase


@dataclass(frozen=True)
class EmbedReport:
    """What happened to the rows; rows are positions in the texts, counted from 0.

    ``index`` is the index of the Series, or positions: one entry for each row of the array. ``kept`` are the positions in the
    texts of the rows of the array. ``failed`` rows have no vector (NaN or left out), ``truncated`` ones one of their
    beginning only. ``reused`` rows came from the store, ``retried`` requests were asked again; ``seconds`` is the whole time.
    ``notes`` are what should be said besides: the key of a phrase and its facts.
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
        """Return the report with something more to say, unless all of it is empty."""
        return replace(self, notes=(*self.notes, (key, facts))) if any(facts.values()) else self

    def __repr__(self) -> str:
        figures = f"{len(self.kept)} rows, {self.reused} reused, {self.retried} retried, {self.seconds:.1f} s"
        named = [f"{name} {_few(rows)}" for name in ("failed", "truncated") if (rows := getattr(self, name))]
        return f"<EmbedReport: {', '.join([figures, *named])}>"


@dataclass
class JobStats:
    """The account that a job keeps while it runs; one thread writes each part."""

    seen: int = 0  # rows that came out of the source
    embedded: int = 0  # rows that have their vector from a server
    reused: int = 0
    retried: int = 0
    batches: int = 0
    flaws: dict[int, Phrase] = field(default_factory=dict)
    truncated: set[int] = field(default_factory=set)
    copies: array[int] = field(default_factory=lambda: array("q"))
    originals: array[int] = field(default_factory=lambda: array("q"))
    notes: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)
    last: BaseException | None = None  # what the last text that was given up failed with

    @property
    def done(self) -> int:
        """Rows of which nothing more is to come."""
        return self.embedded + self.reused + len(self.flaws) + len(self.copies)

    def note(self, key: str, **facts: object) -> None:
        """Keep something to be said, once."""
        if (key, facts) not in self.notes:
            self.notes.append((key, facts))

    def settle_copies(self) -> None:
        """Let rows with the same text share their fate."""
        sound = array("q"), array("q")
        for copy, original in zip(self.copies, self.originals, strict=True):
            if original in self.flaws:
                self.flaws[copy] = self.flaws[original]
                continue
            sound[0].append(copy)
            sound[1].append(original)
            if original in self.truncated:
                self.truncated.add(copy)
        self.copies, self.originals = sound


def _few(rows: Sequence[int], most: int = 10) -> str:
    rest = f" and {len(rows) - most} more" if len(rows) > most else ""
    return ", ".join(map(str, rows[:most])) + rest
