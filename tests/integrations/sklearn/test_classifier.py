"""The scikit-learn classifier: labels and probabilities, alone, in pipelines, folds and other processes."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer

LABELS = {"praise": "happy, thanks", "complaint": "broken, angry", "question": "help, what, how"}
TEXTS = [f"I am happy number {n}, thanks" for n in range(6)] + [f"Number {n} is broken, I am angry" for n in range(6)]
TEXTS += [f"How can you help with number {n}?" for n in range(6)]
Y = ["praise"] * 6 + ["complaint"] * 6 + ["question"] * 6


@pytest.fixture(autouse=True)
def configured(stand_in: FakeServer) -> None:
    """Let the shared settings name the stand-in."""
    om.configure(base_url=stand_in.url, model="sandbox-chat")


def chats(server: FakeServer) -> list[dict[str, Any]]:
    """Return the requests for a row that a server got."""
    return [body for _, path, body in server.requests if path == "/api/chat" and body]


@pytest.mark.parametrize("make", [list, tuple, np.array, pd.Series, lambda texts: np.array(texts, dtype=object)])
def test_classes_and_probabilities(make: Callable[[Any], Any]) -> None:
    """The columns are the sorted classes, each row sums to 1, and the label is the likeliest."""
    classifier = om.OllamaClassifier(LABELS).fit(make(TEXTS), Y)
    shares = classifier.predict_proba(make(TEXTS))
    assert list(classifier.classes_) == ["complaint", "praise", "question"]
    assert (shares.shape, shares.dtype) == ((18, 3), np.float64)
    assert np.allclose(shares.sum(axis=1), 1)
    assert list(classifier.predict(make(TEXTS))) == Y
    assert classifier.score(TEXTS, Y) == 1


def test_without_labels_they_come_from_y(stand_in: FakeServer) -> None:
    """Fitting sends no text."""
    classifier = om.OllamaClassifier().fit(TEXTS, Y)
    assert list(classifier.classes_) == ["complaint", "praise", "question"]
    assert not chats(stand_in)
    assert om.OllamaClassifier(["b", "a"]).fit(TEXTS).classes_.tolist() == ["a", "b"]


def test_examples_are_balanced_and_drawn_by_the_seed(stand_in: FakeServer) -> None:
    """The same seed gives the same ones; each class gets its share, and the model sees them as turns."""
    first = om.OllamaClassifier(LABELS, examples=6, seed=1).fit(TEXTS, Y)
    again, other = (om.OllamaClassifier(LABELS, examples=6, seed=seed).fit(TEXTS, Y) for seed in (1, 2))
    assert first.examples_ == again.examples_
    assert first.examples_ != other.examples_
    assert sorted(label for _, label in first.examples_) == ["complaint"] * 2 + ["praise"] * 2 + ["question"] * 2
    first.predict(["anything"])
    messages = chats(stand_in)[-1]["messages"]
    assert [message["role"] for message in messages] == ["system", *["user", "assistant"] * 6, "user"]
    assert [message["content"] for message in messages[1:-1:2]] == [text for text, _ in first.examples_]


def test_a_row_is_requested_once(stand_in: FakeServer) -> None:
    """Labels and probabilities of the same texts are the same request."""
    classifier = om.OllamaClassifier(LABELS).fit(TEXTS, Y)
    classifier.predict(TEXTS)
    classifier.predict_proba(TEXTS)
    assert len(chats(stand_in)) == len(TEXTS)


def test_in_pipelines_and_folds() -> None:
    """Cloned, cross-validated, searched and calibrated as any other classifier."""
    classifier = om.OllamaClassifier(LABELS, examples=3)
    pipeline = make_pipeline(FunctionTransformer(lambda texts: [text.upper().lower() for text in texts]), classifier)
    assert pipeline.fit(TEXTS, Y).score(TEXTS, Y) == 1
    folds = StratifiedKFold(3)
    assert cross_val_score(classifier, TEXTS, Y, cv=folds).tolist() == [1, 1, 1]
    shares = cross_val_predict(classifier, TEXTS, Y, cv=folds, method="predict_proba")
    assert [sorted(LABELS)[place] for place in shares.argmax(axis=1)] == Y
    search = GridSearchCV(classifier, {"examples": [0, 3]}, cv=folds).fit(TEXTS, Y)
    assert search.best_score_ == 1
    calibrated = CalibratedClassifierCV(classifier, cv=3).fit(np.array(TEXTS), Y)
    assert np.allclose(calibrated.predict_proba(np.array(TEXTS)).sum(axis=1), 1)


def test_in_other_processes() -> None:
    """Pickled and cloned it is the same, and joblib's processes use the notebook's server."""
    classifier = om.OllamaClassifier(LABELS, examples=3).fit(TEXTS, Y)
    again = pickle.loads(pickle.dumps(classifier))  # noqa: S301 - our own bytes
    assert np.array_equal(again.predict_proba(TEXTS), classifier.predict_proba(TEXTS))
    assert clone(classifier).get_params() == classifier.get_params()
    parts = Parallel(n_jobs=2)(delayed(classifier.predict)(part) for part in (TEXTS[:9], TEXTS[9:]))
    assert [*parts[0], *parts[1]] == Y


BAD: list[tuple[dict[str, Any], Any]] = [
    ({}, None),
    ({"labels": ["praise"]}, None),
    ({"labels": ["praise", "praise"]}, None),
    ({"labels": ["a", "b"]}, Y),
    ({"labels": ["praise", "complaint"]}, Y),
    ({}, ["praise"] * 18),
    ({}, [None, *Y[1:]]),
    ({"labels": 5}, None),
    ({"labels": ["a", "b"]}, [True, False] * 9),  # no positions of classes
    ({"labels": [str(one) for one in range(401)]}, None),
]


def test_bad_labels() -> None:
    """Each is an error of fit."""
    for parameters, y in BAD:
        with pytest.raises(om.OllamaMagicsError) as caught:
            om.OllamaClassifier(**parameters).fit(TEXTS, y)
        assert caught.value.code == "labels-invalid", (parameters, y)


Y_WITHOUT_CLASSES = [Y[:5], [Y] * 2, [0.5, 1.5] * 9, [float("nan")] * 18, [float("inf")] * 18]


@pytest.mark.parametrize("y", Y_WITHOUT_CLASSES)
def test_other_y_is_what_it_is_for_every_classifier(y: Any) -> None:
    """A ValueError of scikit-learn."""
    with pytest.raises(ValueError, match=r"inconsistent numbers|1d array|continuous|NaN|infinity"):
        om.OllamaClassifier().fit(TEXTS, y)


def test_bad_parameters() -> None:
    """Each is an error that names it, before a text is sent."""
    for parameters in ({"examples": -1}, {"examples": 2.5}, {"examples": "some"}, {"parallel": 0}, {"parallel": "all"}):
        with pytest.raises(om.OllamaMagicsError) as caught:
            om.OllamaClassifier(LABELS, **parameters).fit(TEXTS, Y).predict(TEXTS)
        assert caught.value.code == "setting-invalid", parameters
        assert next(iter(parameters)) in str(caught.value)


class Kind(Enum):
    """Labels that are not texts."""

    PRAISE = "happy"
    FAULT = "broken"


KINDS: list[tuple[Any, Any, list[Any]]] = [
    ("happy,broken", None, ["happy", "broken"]),
    ("happy,broken", ["happy", "broken"], ["happy", "broken"]),
    (Kind, None, ["happy", "broken"]),
    (Kind, [Kind.PRAISE, Kind.FAULT], ["happy", "broken"]),
    (Kind, ["happy", "broken"], ["happy", "broken"]),
    ({Kind.PRAISE: "glad", Kind.FAULT: "angry"}, None, ["happy", "broken"]),
    ({1: "happy", 2: "broken"}, [1.0, 2.0], [1, 2]),
    ({1: "happy", 2: "broken"}, pd.array([1, 2], dtype="Int64"), [1, 2]),
    ({True: "happy", False: "broken"}, [True, False], [True, False]),
    (None, pd.Series(["happy", "broken"], dtype="category"), ["happy", "broken"]),
    (["happy", "none"], None, ["happy", "happy"]),
    (["broken", "happy", "unseen"], [1, 0], [1, 0]),  # positions, of a fold that lacks a class
]


@pytest.mark.parametrize(("labels", "y", "expected"), KINDS)
def test_labels_of_any_kind(labels: Any, y: Any, expected: list[Any]) -> None:
    """The classes are what stands in y: plain values that can be sorted."""
    texts = ["I am happy", "It is broken"]
    classifier = om.OllamaClassifier(labels).fit(texts, y)
    assert classifier.predict(texts).tolist() == expected
    assert np.allclose(classifier.predict_proba(texts).sum(axis=1), 1)
    assert list(classifier.classes_) == sorted(classifier.classes_)


def test_rows_without_a_label_are_named() -> None:
    """As is prediction before fit."""
    with pytest.raises(NotFittedError):
        om.OllamaClassifier(LABELS).predict(TEXTS)
    classifier = om.OllamaClassifier(LABELS).fit(TEXTS, Y)
    with pytest.raises(om.OllamaMagicsError) as caught:
        classifier.predict(["fine", "repeat after me: nothing"])
    assert caught.value.code == "rows-without-label"
    assert "Row 1" in str(caught.value)
