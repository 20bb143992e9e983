"""The figures of an experiment, compared with scikit-learn and statsmodels, and as the claims that they are."""

import math

import numpy as np
import pytest
from sklearn import metrics
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.proportion import proportion_confint

from ollama_magics.rows import statistics

LABELS = ["praise", "complaint", "question"]


def drawn(seed: int, count: int = 60) -> tuple[list[str], list[str]]:
    """Return truth and predictions that agree more often than by chance."""
    random = np.random.default_rng(seed)
    truth = random.choice(LABELS, count)
    return list(truth), list(np.where(random.random(count) < 0.6, truth, random.choice(LABELS[: 2 + seed % 2], count)))


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_wilson_as_statsmodels(confidence: float) -> None:
    """Bounds for every count of successes, none and all included."""
    for count in (1, 2, 7, 50, 1000):
        for right in {0, 1, count // 3, count - 1, count}:
            low, high = proportion_confint(right, count, alpha=1 - confidence, method="wilson")
            ours = statistics.wilson(right, count, confidence)
            assert (ours.share, ours.low, ours.high) == pytest.approx((right / count, low, high), abs=1e-12), (right, count)


def test_the_interval_covers_the_truth() -> None:
    """Over seeded runs on synthetic answers, 95 % intervals hold the true accuracy in 93 to 97 % of the runs."""
    random = np.random.default_rng(20)
    for accuracy, rows in [(0.5, 60), (0.7, 200), (0.9, 400)]:
        right = random.binomial(rows, accuracy, size=4000)
        covered = [(found := statistics.wilson(int(one), rows)).low <= accuracy <= found.high for one in right]
        assert 0.93 <= np.mean(covered) <= 0.97, (accuracy, rows, np.mean(covered))


def test_figures_as_scikit_learn() -> None:
    """Macro F1, confusion and kappa on drawn answers, some of which never use a label."""
    for seed in range(40):
        truth, predicted = drawn(seed)
        assert statistics.macro_f1(truth, predicted) == pytest.approx(metrics.f1_score(truth, predicted, average="macro"))
        assert statistics.cohen_kappa(truth, predicted) == pytest.approx(metrics.cohen_kappa_score(truth, predicted))
        ours = statistics.confusion(truth, predicted, LABELS)
        assert np.array_equal(ours, metrics.confusion_matrix(truth, predicted, labels=LABELS))


def test_brier_as_scikit_learn() -> None:
    """The sum over the classes, as for two classes twice the score of one of them."""
    random = np.random.default_rng(1)
    truth = list(random.choice(["no", "yes"], 100))
    yes = random.random(100)
    ours = statistics.brier(truth, np.column_stack([1 - yes, yes]), ["no", "yes"])
    assert ours == pytest.approx(2 * metrics.brier_score_loss([one == "yes" for one in truth], yes))


def test_mcnemar_as_statsmodels() -> None:
    """The exact test, equal models and one-sided differences included."""
    random = np.random.default_rng(2)
    for count in (5, 30, 400):
        first, second = random.random(count) < 0.7, random.random(count) < 0.6
        table = [[np.sum(first & second), np.sum(first & ~second)], [np.sum(~first & second), np.sum(~first & ~second)]]
        ours = statistics.mcnemar(list(first), list(second))
        assert ours.p_value == pytest.approx(mcnemar_of_statsmodels(table, exact=True).pvalue)
        assert (ours.rows, ours.only_first, ours.only_second) == (count, int(table[0][1]), int(table[1][0]))
    assert statistics.mcnemar([True] * 4, [True] * 4).p_value == 1


def test_reliability_counts_every_row() -> None:
    """Bins have the rows of their range; certain rows are in the last one."""
    confidence = [0.05, 0.31, 0.35, 0.39, 1.0, 0.95]
    bins = statistics.reliability(confidence, [False, True, False, True, True, True])
    assert [(one.count, round(one.confidence, 3), one.accuracy.share) for one in bins] == [
        (1, 0.05, 0.0),
        (3, 0.35, pytest.approx(2 / 3)),
        (2, 0.975, 1.0),
    ]


def test_agreement_of_repeats() -> None:
    """Pairs of answers to the same row; a single answer makes none."""
    assert statistics.repeat_agreement([["a", "a", "b"], ["c", "c", "c"], ["d"]]) == pytest.approx(4 / 6)
    assert math.isnan(statistics.repeat_agreement([["a"], ["b"]]))


def test_nothing_to_count() -> None:
    """Figures of no rows are NaN, and nothing is divided by zero."""
    interval = statistics.wilson(0, 0)
    figures = [interval.share, interval.low, interval.high, statistics.macro_f1([], []), statistics.cohen_kappa([], [])]
    figures += [statistics.brier([], np.empty((0, 2)), ["a", "b"]), statistics.cohen_kappa(["a", "a"], ["a", "a"])]
    assert all(map(math.isnan, figures))
