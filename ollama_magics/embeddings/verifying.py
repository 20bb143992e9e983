"""A few texts of a job that are embedded again, each alone, to see whether a batch gives what a text gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from ollama_magics.embeddings.matrix import Matrix
from ollama_magics.embeddings.report import Ledger
from ollama_magics.errors import EmbeddingProblem
from ollama_magics.messages import Joined, Phrase

_LEAST = 0.999  # cosine of two vectors that are the same but for rounding
_RANDOM = 3  # texts besides the first and the last


class Sample:
    """The first text, the last, and some in between that each text had the same chance to be."""

    def __init__(self) -> None:
        self._seen = 0
        self._first: tuple[int, str] | None = None
        self._last: tuple[int, str] | None = None
        self._others: list[tuple[int, str]] = []

    def look_at(self, row: int, text: str) -> None:
        """Take a text into account."""
        self._last = (row, text)
        self._first = self._first or self._last
        self._seen += 1
        place = random.randrange(self._seen)  # noqa: S311 - a spot check, no secret
        if len(self._others) < _RANDOM:
            self._others.append(self._last)
        elif place < _RANDOM:
            self._others[place] = self._last

    def compare(self, matrix: Matrix, ledger: Ledger, ask: Callable[[int, str], Any]) -> None:
        """Raise EmbeddingProblem with the rows whose vectors differ from those that the texts have alone."""
        chosen = {found for found in (self._first, self._last, *self._others) if found and found[0] not in ledger.flaws}
        different = {}
        for row, text in sorted(chosen):
            cosine = _cosine(np.frombuffer(matrix.taken([row]), "<f4").astype(np.float64), ask(row, text))
            if not cosine >= _LEAST:
                different[row] = cosine
        if different:
            shown = Joined((Phrase("row_cosine", row=row, cosine=f"{cosine:.3f}") for row, cosine in different.items()), ", ")
            raise EmbeddingProblem("OM-E09", rows=tuple(different), shown=shown)


def _cosine(one: Any, other: Any) -> float:
    return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
