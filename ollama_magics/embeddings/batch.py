"""A batch of texts, and what all parts of an embedding job share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ollama_magics.embeddings.cache import JobCache
from ollama_magics.embeddings.options import EmbedOptions
from ollama_magics.embeddings.output import OutputArray
from ollama_magics.embeddings.report import JobStats
from ollama_magics.jobs.queue import BatchQueue


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Texts and the rows they belong to, ascending; ``keys`` are their names in the store.

    ``attempts`` counts how often the server was not available, ``crashes`` how often its runner died with these texts.
    ``had_flaws``: a first answer held vectors that cannot be used. ``exclusive``: nothing else may be sent to the server at the
    same time, so that a crash can be attributed. ``due``: not before this moment.
    """

    rows: Sequence[int]
    texts: tuple[str, ...]
    keys: tuple[bytes, ...] = ()
    truncate: bool = False
    attempts: int = 0
    crashes: int = 0
    had_flaws: bool = False
    exclusive: bool = False
    due: float = 0.0

    def part(self, positions: Sequence[int]) -> Batch:
        """Return some of its texts, given by their positions in it; rows still ascend."""
        chosen = sorted(positions)
        return replace(
            self,
            rows=[self.rows[position] for position in chosen],
            texts=tuple(self.texts[position] for position in chosen),
            keys=tuple(self.keys[position] for position in chosen) if self.keys else (),
        )


@dataclass
class BatchSize:
    """The most texts in a batch, which shrinks where they are too many for the server."""

    texts: int

    def shrink(self, batch: Batch) -> None:
        """Make new batches at most half as large as this one."""
        self.texts = min(self.texts, max(1, len(batch.rows) // 2))


@dataclass(frozen=True)
class JobState:
    """What the parts of a job work on; ``cache`` is None where nothing is stored."""

    model: str
    options: EmbedOptions
    queue: BatchQueue[Batch]
    size: BatchSize
    output: OutputArray
    stats: JobStats
    cache: JobCache | None
