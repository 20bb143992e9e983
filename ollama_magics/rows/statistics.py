"""How good labels are and how much they agree, with intervals and tests."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

_Label = Hashable


@dataclass(frozen=True)
class Interval:
    """A share, and the bounds between which the true one lies with the given confidence."""

    share: float
    low: float
    high: float


def wilson(right: float, count: int, confidence: float = 0.95) -> Interval:
    """Return the share ``right / count`` with its Wilson score interval; all are NaN where ``count`` is 0."""
    if not count:
        return Interval(math.nan, math.nan, math.nan)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    share = right / count
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # the bounds of a share of 0 or 1 are exact; rounding must not put them beside it
    return Interval(share, 0.0 if right == 0 else middle - half, 1.0 if right == count else middle + half)


def confusion(truth: Sequence[_Label], predicted: Sequence[_Label], labels: Sequence[_Label]) -> NDArray[np.int64]:
    """Return how often each label (row: the truth, column: the prediction) was given, int64 of shape ``(k, k)``."""
    counts = Counter(zip(truth, predicted, strict=True))
    return np.array([[counts[true, given] for given in labels] for true in labels], np.int64).reshape(len(labels), len(labels))


def macro_f1(truth: Sequence[_Label], predicted: Sequence[_Label]) -> float:
    """Return the mean over all labels of 2·tp / (2·tp + fp + fn); NaN without rows."""
    labels = list(dict.fromkeys([*truth, *predicted]))
    if not labels:
        return math.nan
    table = confusion(truth, predicted, labels)
    right = np.diag(table)
    return float(np.mean(2 * right / (table.sum(axis=0) + table.sum(axis=1))))


def cohen_kappa(first: Sequence[_Label], second: Sequence[_Label]) -> float:
    """Return the agreement of two raters beyond chance: 1 at the most, 0 for chance; NaN where chance alone explains all."""
    labels = list(dict.fromkeys([*first, *second]))
    table = confusion(first, second, labels).astype(float)
    if not (total := table.sum()):
        return math.nan
    seen = np.trace(table) / total
    by_chance = float(table.sum(axis=0) @ table.sum(axis=1)) / total**2
    return math.nan if by_chance == 1 else float((seen - by_chance) / (1 - by_chance))


def repeat_agreement(repeats: Sequence[Sequence[_Label]]) -> float:
    """Return the share of equal pairs among the answers to the same row, over all rows; NaN without a pair."""
    pairs = [first == second for answers in repeats for first, second in combinations(answers, 2)]
    return sum(pairs) / len(pairs) if pairs else math.nan


def brier(truth: Sequence[_Label], probabilities: NDArray[np.float64], labels: Sequence[_Label]) -> float:
    """Return the mean squared distance between probabilities of shape ``(n, k)`` and the truth: 0 is perfect, 2 the worst."""
    if not len(truth):
        return math.nan
    certain = np.array([[label == true for label in labels] for true in truth], float)
    return float(np.mean(np.sum((probabilities - certain) ** 2, axis=1)))


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of about the same confidence: how many, how confident on average, and how often right."""

    count: int
    confidence: float
    accuracy: Interval


def reliability(confidence: Sequence[float], right: Sequence[bool], bins: int = 10) -> list[ReliabilityBin]:
    """Return the bins of equal width between 0 and 1 that have rows, lowest first."""
    places: dict[int, list[int]] = {}
    for row, value in enumerate(confidence):
        places.setdefault(min(bins - 1, int(value * bins)), []).append(row)
    return [
        ReliabilityBin(
            len(rows),
            sum(confidence[row] for row in rows) / len(rows),
            wilson(sum(bool(right[row]) for row in rows), len(rows)),
        )
        for _, rows in sorted(places.items())
    ]


@dataclass(frozen=True)
class PairedComparison:
    """Two models on the same rows: the rows that only one got right, and the probability of such a difference by chance."""

    rows: int
    only_first: int
    only_second: int
    p_value: float


def mcnemar(first_right: Sequence[bool], second_right: Sequence[bool]) -> PairedComparison:
    """Return the exact two-sided McNemar test of two models that answered the same rows."""
    pairs = [(bool(one), bool(two)) for one, two in zip(first_right, second_right, strict=True)]
    only_first = sum(one and not two for one, two in pairs)
    only_second = sum(two and not one for one, two in pairs)
    differing = only_first + only_second
    tail = sum(math.comb(differing, k) for k in range(min(only_first, only_second) + 1))
    return PairedComparison(len(pairs), only_first, only_second, min(1.0, 2 * tail / 2**differing))
