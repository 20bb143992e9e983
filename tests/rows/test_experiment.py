"""An experiment: its figures from known columns, its errors, its file, and what it shows."""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import metrics

from ollama_magics.errors import OllamaMagicsError
from ollama_magics.rows.experiment import Experiment

LABELS = ("praise", "complaint", "question")


def columns_of(models: dict[str, float], rows: int = 80, repeats: int = 1, seed: int = 0) -> dict[str, list[Any]]:
    """Return the columns of models with these shares of right answers; the fifth row of each fails and the seventh abstains."""
    random = np.random.default_rng(seed)
    truth = random.choice(LABELS, rows)
    lines = []
    for model, share in models.items():
        for repeat in range(repeats):
            for row in range(rows):
                label = truth[row] if random.random() < share else random.choice(LABELS)
                shares = random.dirichlet([1, 1, 1])
                best = shares.max()
                others = sorted(shares)[:2]
                probability = {name: best if name == label else others.pop() for name in LABELS}
                line = {"row": row, "model": model, "prompt": "{{text}}", "repeat": repeat, "truth": str(truth[row])}
                line |= {"label": str(label), **{f"p_{name}": float(value) for name, value in probability.items()}, "p_none": 0.0}
                line |= {"error": "", "seconds": 0.5, "tokens": 2}
                if row == 4:
                    line |= {"label": None, "error": "label-unknown: none", **{f"p_{name}": None for name in LABELS}}
                if row == 6:
                    line |= {"label": None}
                lines.append(line)
    return {name: [line[name] for line in lines] for name in lines[0]}


@pytest.fixture
def experiment() -> Experiment:
    """Two models, one better than the other, each asked once."""
    return Experiment(columns_of({"small": 0.4, "large": 0.8}), answer="label", labels=LABELS, facts={"seed": 7})


def test_summary_as_scikit_learn(experiment: Experiment) -> None:
    """Accuracy, macro F1 and Brier of the answered rows, beside the counts of those without an answer."""
    summary, frame = experiment.summary.set_index("model"), experiment.frame
    for model, line in summary.iterrows():
        answered = frame[(frame.model == model) & frame.label.notna()]
        truth, given = answered.truth, answered.label
        assert line.accuracy == pytest.approx(metrics.accuracy_score(truth, given))
        assert line.macro_f1 == pytest.approx(metrics.f1_score(truth, given, average="macro"))
        known = frame[(frame.model == model) & frame.p_praise.notna()]
        certain = np.array([[label == one for label in LABELS] for one in known.truth], float)
        shares = known[[f"p_{label}" for label in LABELS]].to_numpy(float)
        assert line.brier == pytest.approx(np.mean(np.sum((shares - certain) ** 2, axis=1)))
        assert (line.answered, line.failed, line.abstained, line.seconds_per_row, line.tokens_per_second) == (78, 1, 1, 0.5, 4)
        assert line.low < line.accuracy < line.high


def test_comparison_of_two_models(experiment: Experiment) -> None:
    """Confusion, kappa, disagreements and McNemar's test speak of the same rows."""
    frame = experiment.frame
    one, two = (frame[(frame.model == model) & frame.label.notna()].label.tolist() for model in ("small", "large"))
    assert experiment.agreement.loc["small", "large"] == pytest.approx(metrics.cohen_kappa_score(one, two))
    assert len(experiment.disagreements) == sum(a != b for a, b in zip(one, two, strict=True))
    truth = frame[(frame.model == "large") & frame.label.notna()].truth.tolist()
    expected = metrics.confusion_matrix(truth, two, labels=LABELS)
    assert np.array_equal(experiment.confusion("large").to_numpy(), expected)
    found = experiment.compare("small", "large")
    right = [[a == true for a, true in zip(given, truth, strict=True)] for given in (one, two)]
    assert found.only_second == sum(b and not a for a, b in zip(*right, strict=True))
    assert found.rows == 78
    assert found.p_value < 0.001


def test_repeats_do_not_narrow_the_interval() -> None:
    """Five answers to a row are one observation; their agreement is a figure of its own."""
    once = Experiment(columns_of({"m": 0.7}), answer="label", labels=LABELS).summary.iloc[0]
    five = Experiment(columns_of({"m": 0.7}, repeats=5), answer="label", labels=LABELS).summary.iloc[0]
    assert five.high - five.low == pytest.approx(once.high - once.low, rel=0.2)
    assert 0 < five.agreement < 1
    assert "agreement" not in once


def test_the_file_gives_the_same_back(experiment: Experiment, tmp_path: Path) -> None:
    """Saved and loaded, figures, labels and facts are the same."""
    experiment.save(tmp_path / "experiment.json")
    again = Experiment.load(tmp_path / "experiment.json")
    assert again.frame.equals(experiment.frame)
    assert again.summary.equals(experiment.summary)
    assert (again.labels, again.facts, repr(again)) == (LABELS, {"seed": 7}, repr(experiment))


FOREIGN = [
    "",
    "[]",
    "{}",
    '{"experiment": 1}',
    '{"experiment": 2, "columns": {}}',
    '{"experiment": 1, "columns": {"row": [1]}}',
    "\0",
    "[" * 100_000,
]


@pytest.mark.parametrize("text", FOREIGN)
def test_foreign_files(text: str, tmp_path: Path) -> None:
    """Whatever else a file holds is an error that names it."""
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(OllamaMagicsError, match=r"other.json holds no experiment") as caught:
        Experiment.load(path)
    assert caught.value.code == "experiment-unreadable"


@pytest.mark.finding("E17")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and devices")
def test_what_is_no_file_is_neither_written_nor_read(experiment: Experiment, tmp_path: Path) -> None:
    """A pipe would wait for ever; a link is followed, and the file at its end replaced as a whole."""
    os.mkfifo(pipe := tmp_path / "pipe")
    for call, code in ((experiment.save, "unwritable"), (Experiment.load, "unreadable")):
        for path in (pipe, tmp_path, Path("/dev/null"), tmp_path / "none" / "x"):
            with pytest.raises(OllamaMagicsError) as caught:
                call(path)
            assert caught.value.code == f"experiment-{code}", path
    (link := tmp_path / "link").symlink_to(target := tmp_path / "target")
    experiment.save(link)
    assert (link.is_symlink(), target.stat().st_mode & 0o777) == (True, 0o600)
    assert Experiment.load(link).labels == LABELS


def test_columns_of_different_lengths(experiment: Experiment, tmp_path: Path) -> None:
    """A file that lost a value is refused."""
    experiment.save(path := tmp_path / "experiment.json")
    content = json.loads(path.read_text())
    content["columns"]["label"].pop()
    path.write_text(json.dumps(content))
    with pytest.raises(OllamaMagicsError) as caught:
        Experiment.load(path)
    assert caught.value.code == "experiment-unreadable"


REFUSED: list[tuple[str, Callable[[Experiment], object]]] = [
    ("experiment-unknown-run", lambda one: one.confusion()),
    ("experiment-unknown-run", lambda one: one.confusion("none")),
    ("experiment-unknown-run", lambda one: one.compare("small", "medium")),
    ("experiment-unknown-run", lambda one: one.reliability("large", "another prompt")),
]


def test_refusals(experiment: Experiment) -> None:
    """A model or prompt that is not in the experiment is an error that lists those that are."""
    for code, call in REFUSED:
        with pytest.raises(OllamaMagicsError, match="small, large") as caught:
            call(experiment)
        assert caught.value.code == code


def test_without_truth() -> None:
    """Answers without a truth have no accuracy, and the methods that need one say so."""
    columns = columns_of({"small": 0.5, "large": 0.5})
    del columns["truth"]
    experiment = Experiment(columns, answer="label", labels=LABELS)
    assert "accuracy" not in experiment.summary
    with pytest.raises(OllamaMagicsError) as caught:
        experiment.compare("small", "large")
    assert caught.value.code == "experiment-no-truth"


def test_what_it_shows(experiment: Experiment) -> None:
    """A table with a line for each model, drawings in it, names escaped; in Chinese, too."""
    columns = columns_of({"<b>small</b>": 0.5})
    html = Experiment(columns, answer="label", labels=LABELS)._repr_html_()
    assert "&lt;b&gt;small" in html
    assert "<b>" not in html
    assert html.count("<svg") == 2
    assert "准确率" in Experiment(columns, answer="label", labels=LABELS, language="zh")._repr_html_()
    lines = repr(experiment).splitlines()
    assert lines[0].split()[:2] == ["accuracy", "macro"]
    assert [line.split()[0] for line in lines[1:]] == ["small", "large"]


def test_no_answer_at_all() -> None:
    """A run in which every row failed has figures, and they are NaN or 0."""
    columns = columns_of({"m": 0.5}, rows=5)
    columns = {
        name: [value for value, row in zip(values, columns["row"], strict=True) if row == 4] for name, values in columns.items()
    }
    experiment = Experiment(columns, answer="label", labels=LABELS)
    summary = experiment.summary.iloc[0]
    assert math.isnan(summary.accuracy)
    assert (summary.answered, summary.failed) == (0, 1)
    assert "–" in experiment._repr_html_()
    assert "[" not in repr(experiment)  # no interval


def test_the_plot_has_every_run(experiment: Experiment) -> None:
    """Accuracies with bars, and a reliability line for each model."""
    figure = experiment.plot()
    accuracy, reliability = figure.axes
    assert [label.get_text() for label in accuracy.get_yticklabels()] == ["small", "large"]
    assert len(reliability.lines) == 3
