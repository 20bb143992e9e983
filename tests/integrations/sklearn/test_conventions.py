"""The checks that scikit-learn has for all estimators, each of which holds here or speaks of numbers."""

# The estimators say that they take texts, and then check_estimator runs next to nothing, since its data are numbers. So all
# checks run on ones that read each row of numbers as a text: everything but that reading is their own.

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from sklearn.utils.validation import check_is_fitted, validate_data

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.integrations.sklearn import OllamaClassifier, OllamaEmbedder

# What these say about numbers is kept by that reading, and has no meaning for texts.
ABOUT_NUMBERS = {
    "check_array_api_input": "vectors come from a server: there is no computing that another array library could do",
    "check_complex_data": "complex numbers",
    "check_dtype_object": "objects that can be turned into numbers",
    "check_estimator_sparse_array": "sparse matrices",
    "check_estimator_sparse_matrix": "sparse matrices",
    "check_estimator_sparse_tag": "sparse matrices",
    "check_estimators_dtypes": "kinds of numbers",
    "check_estimators_empty_data_messages": "tables without rows or columns: an empty list of texts is an EmbeddingProblem",
    "check_estimators_nan_inf": "NaN and infinity: None and NaN among texts are an EmbeddingProblem that names the row",
    "check_f_contiguous_array_estimator": "the order of numbers in memory",
    "check_fit1d": "one dimension: texts have just one",
    "check_n_features_in": "the number of columns: texts have none",
    "check_n_features_in_after_fitting": "the number of columns",
    "check_positive_only_tag_during_fit": "negative numbers",
}


# What the classifier does otherwise, and why.
ABOUT_ONE_CLASS = {
    "check_classifiers_one_label": "one class: there is nothing to choose, which is a PromptProblem (labels-invalid)",
    "check_fit2d_1sample": "one row has one class",
}


def texts_of_numbers(estimator: Any, rows: Any, *, reset: bool) -> list[str]:
    """Return each row of numbers as a text."""
    return [" ".join(f"{value:.6g}" for value in row) for row in validate_data(estimator, rows, reset=reset)]


class EmbedderOfNumbers(OllamaEmbedder):
    """Reads each row of numbers as a text, and is otherwise the embedder."""

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803 - scikit-learn's names
        """Fit on the rows as texts."""
        return super().fit(texts_of_numbers(self, X, reset=True), y)

    def transform(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803 - scikit-learn's names
        """Embed the rows as texts."""
        check_is_fitted(self)
        return super().transform(texts_of_numbers(self, X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags


class ClassifierOfNumbers(OllamaClassifier):
    """Reads each row of numbers as a text, and is otherwise the classifier; the stand-in cannot tell such texts apart."""

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803 - scikit-learn's names
        """Fit on the rows as texts; without labels, y is what names the classes."""
        if y is None:
            raise ValueError("It requires y to be passed, but the target y is None.")
        return super().fit(texts_of_numbers(self, X, reset=True), y)

    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803 - scikit-learn's names
        """Choose the class of each row as a text."""
        check_is_fitted(self)
        return super().predict_proba(texts_of_numbers(self, X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        tags.classifier_tags.poor_score = True
        return tags


@pytest.fixture(scope="module", autouse=True)
def server() -> Iterator[FakeServer]:
    """Run one stand-in for all of the checks."""
    with FakeServer(delay=0) as server:
        yield server


@pytest.fixture(autouse=True)
def configured(server: FakeServer) -> None:
    """Let the shared settings name the stand-in."""
    om.configure(base_url=server.url, model="sandbox-chat")


@parametrize_with_checks([EmbedderOfNumbers("sandbox-embed", dimensions=8, store=False)])
def test_it_keeps_the_conventions_of_scikit_learn(estimator: Any, check: Callable[[Any], None]) -> None:
    """Each check holds."""
    check(estimator)


def test_of_the_checks_that_speak_of_texts_as_well_none_is_left_out() -> None:
    """Those about numbers are known by name, so that a new one is looked at."""
    results = check_estimator(EmbedderOfNumbers("sandbox-embed", dimensions=8, store=False), on_skip=None)
    names = {found["check_name"]: found["status"] for found in results}
    assert len(set(names) - set(ABOUT_NUMBERS)) >= 25  # their number differs between versions of scikit-learn
    assert {name for name, status in names.items() if status != "passed"} <= {"check_array_api_input"}


def test_the_classifier_keeps_the_conventions_of_scikit_learn() -> None:
    """Every check holds but those of one class, which fails with an error of its own."""
    results = check_estimator(ClassifierOfNumbers(), on_skip=None, on_fail=None)
    failed = {found["check_name"]: found["exception"] for found in results if found["status"] == "failed"}
    assert set(failed) == set(ABOUT_ONE_CLASS), failed
    assert len(results) >= 40
