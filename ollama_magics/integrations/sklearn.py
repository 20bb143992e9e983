"""Embed and label texts in scikit-learn: a transformer and a classifier."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from enum import Enum
from itertools import zip_longest
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.template import fill_template
from ollama_magics.embeddings.inputs import texts_of
from ollama_magics.embeddings.output import EmbedReport
from ollama_magics.errors import EmbeddingProblem, PromptProblem, RowsProblem, in_language, suggest_names
from ollama_magics.integrations.remote_session import describe_session, refuse_secrets
from ollama_magics.messages import Phrase
from ollama_magics.rows.labels import label_set, text_of
from ollama_magics.rows.options import read_row_options, row_count
from ollama_magics.rows.prompts import is_missing
from ollama_magics.session.session import Session, current
from ollama_magics.settings.parameters import require_switch

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils import assert_all_finite
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    message = "OllamaEmbedder and OllamaClassifier need scikit-learn: pip install 'ollama-magics[sklearn]'"
    raise ImportError(message) from None

_SAMPLE = "How many numbers has a vector?"
# what to do about the errors whose usual advice is to leave some texts out, which an estimator cannot
_REMEDIES = {"rows-not-text": "fix_all", "rows-failed": "fix_all", "texts-too-long": "shorten_all"}
_SWITCHES = ("query", "document", "truncate", "store")  # of om.embed
_OPTIONS = ("dimensions", "batch", *_SWITCHES)


def _language() -> str:
    return current().language


class _UsesServer(BaseEstimator):
    """An estimator with ``base_url`` and ``api_key_env``; the settings of the notebook are pickled and cloned with it."""

    _carried_settings: Mapping[str, Any] = MappingProxyType({})

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name and return the estimator; raises SettingError (setting-invalid) where one holds a secret."""
        refuse_secrets(params.get("base_url"), params.get("api_key_env"))
        return super().set_params(**params)  # type: ignore[no-any-return]

    def _session(self) -> Session:
        for name in _SWITCHES:
            require_switch(name, getattr(self, name, None))
        if self.base_url or self.api_key_env or self._carried_settings:
            return describe_session(self.base_url, self.api_key_env, self._carried_settings).open()
        return current()

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_carried_settings": dict(describe_session(before=self._carried_settings).settings)}

    def __sklearn_clone__(self) -> Self:
        copy: Self = super().__sklearn_clone__()
        if self._carried_settings:
            copy._carried_settings = self._carried_settings
        return copy


class OllamaEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _UsesServer):
    """Turns texts into float32 vectors of shape ``(n, d)`` with a model that Ollama serves, as om.embed does.

    Parameters:
        model: name of the model; empty means the setting of the notebook.
        base_url: address of the server; empty means the setting of the notebook.
        api_key_env: name of the environment variable with the key, which every process reads for itself.
        dimensions, batch, query, document, truncate, store: those of om.embed. Vectors in the store are not requested again.

    Attributes:
        model_: the model that ``fit`` has fixed.
        n_features_out_: the number of components of its vectors.

    ``X`` is whatever om.embed takes: a list, Series, array or column of texts. Fitting learns no weights. The settings of the
    notebook go along when the estimator is pickled, for example to the processes of joblib; an address from the environment does
    not, since each machine has its own.

    Example: ``make_pipeline(om.OllamaEmbedder("all-minilm"), LogisticRegression()).fit(texts, labels)``

    The tags say that texts are taken, so scikit-learn's ``check_estimator``, whose data are numbers, leaves out nearly all of its
    checks. They run on an embedder that reads each row of numbers as a text. The checks of cloning, parameters, fitting,
    repeating, pickling and names of features hold; those of kinds of numbers, sparse tables and columns do not apply to texts.
    """

    @suggest_names
    def __init__(  # noqa: PLR0913 - scikit-learn wants every parameter by its name
        self,
        model: str = "",
        *,
        base_url: str = "",
        api_key_env: str = "",
        dimensions: int | None = None,
        batch: int | None = None,
        query: bool = False,
        document: bool = False,
        truncate: bool = False,
        store: bool = True,
    ) -> None:
        refuse_secrets(base_url, api_key_env)  # before anything can show them
        self.model = model
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.dimensions = dimensions
        self.batch = batch
        self.query = query
        self.document = document
        self.truncate = truncate
        self.store = store

    @in_language(_language)
    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002, N803 - scikit-learn's names
        """Fix the model and the number of features, for which one short text is embedded; nothing is learnt from ``X``.

        Raises EmbeddingProblem (input-not-texts, rows-not-text) where ``X`` holds no texts, SettingError (setting-invalid) for a
        bad parameter, and the errors of om.embed.
        """
        refuse_secrets(self.base_url, self.api_key_env)
        texts_of(X)
        session = self._session()
        self.model_ = self.model or session.embedding_model() or session.installed.choose("", "embedding")
        self.n_features_out_ = int(self._vectors([_SAMPLE]).shape[1])
        return self

    @in_language(_language)
    def transform(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803 - scikit-learn's name
        """Return the float32 array of shape ``(n, n_features_out_)``, one row for each text in order.

        Raises NotFittedError before fit, EmbeddingProblem whose ``rows`` name the texts that cannot be embedded.
        """
        check_is_fitted(self)
        vectors = self._vectors(X)
        if vectors.shape[1] != self.n_features_out_:
            reason = f"Its vectors have {vectors.shape[1]} numbers, those at the time of fit() had {self.n_features_out_}."
            raise EmbeddingProblem("vectors-mismatch", reason=reason)
        return vectors

    def _vectors(self, texts: Any) -> np.ndarray[Any, Any]:
        options = {name: value for name in _OPTIONS if (value := getattr(self, name)) is not None}
        session, reports = self._session(), list[EmbedReport]()
        try:
            vectors = session.embed(texts, self.model_, report=reports.append, **options)
        except EmbeddingProblem as error:
            if remedy := _REMEDIES.get(error.code):
                error.with_advice(remedy=Phrase(remedy))
            raise
        for key, facts in reports[0].notes:  # such as that the store cannot be used
            warnings.warn(Phrase(key, **facts).text(session.language), stacklevel=4)
        return vectors

    # For scikit-learn.

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags


class OllamaClassifier(ClassifierMixin, _UsesServer):
    """Gives each text one of some labels, and a probability to each of them, with a model that Ollama serves.

    Parameters:
        labels: the labels: a list, or a dict of label and description; None takes them from ``y``.
        model: name of the model; empty means the setting of the notebook.
        prompt: what is asked about a text, which stands in it as ``{{item}}``.
        system: a system prompt.
        examples: how many texts of ``X`` are shown to the model with their labels: about the same number for each label.
        seed: an int, by which the examples are drawn.
        parallel: requests in flight; None finds the number by measuring.
        base_url, api_key_env, store: as for OllamaEmbedder. Rows in the store are not requested again.

    Attributes:
        classes_: the labels, sorted; the columns of ``predict_proba``.
        model_: the model that ``fit`` has fixed.
        examples_: the texts that are shown, with their labels.

    No weights are learnt. One token is requested for each text; its probabilities are those of the labels. Where scikit-learn
    passes positions of classes instead of their names, as cross_val_predict does for probabilities, they are understood as
    positions among the sorted ``labels``.

    Example: ``om.OllamaClassifier(["praise", "complaint"], "llama3.2", examples=4).fit(texts, y).predict_proba(more)``
    """

    @suggest_names
    def __init__(  # noqa: PLR0913 - scikit-learn wants every parameter by its name
        self,
        labels: Any = None,
        model: str = "",
        *,
        prompt: str = "{{item}}",
        system: str = "",
        examples: int = 0,
        seed: int = 0,
        parallel: int | None = None,
        base_url: str = "",
        api_key_env: str = "",
        store: bool = True,
    ) -> None:
        refuse_secrets(base_url, api_key_env)
        self.labels = labels
        self.model = model
        self.prompt = prompt
        self.system = system
        self.examples = examples
        self.seed = seed
        self.parallel = parallel
        self.base_url = base_url
        self.api_key_env = api_key_env
        self.store = store

    @in_language(_language)
    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803 - scikit-learn's names
        """Fix the model and the classes, and draw the examples; no text is sent.

        Raises PromptProblem (labels-invalid) for labels that cannot be used or are not those of ``y``, SettingError
        (setting-invalid), EmbeddingProblem (input-not-texts, rows-not-text) where ``X`` holds no texts, and ValueError where
        ``y`` is none of classes or of another length, as every classifier does.
        """
        refuse_secrets(self.base_url, self.api_key_env)
        texts = texts_of(X)
        given = None if y is None else _plain_labels(y)
        if given is not None:
            check_consistent_length(texts, given)
            assert_all_finite(given, input_name="y")
            check_classification_targets(given)
        self._names = self._named_classes(given)
        self.classes_ = np.array(list(self._names))
        label_set(list(self._names.values()))
        session = self._session()
        self.model_ = self.model or session.settings.model or session.installed.choose("", "completion")
        self.examples_ = [] if given is None else self._drawn(texts, given.tolist())
        return self

    @in_language(_language)
    def predict_proba(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803 - scikit-learn's name
        """Return the float64 array of shape ``(n, k)`` with the probability of each class; each row sums to 1.

        Raises NotFittedError before fit, and RowsProblem (rows-without-label) where a text got no label.
        """
        check_is_fitted(self)
        asked = texts_of(X)
        given = self.labels if isinstance(self.labels, Mapping) else {}
        descriptions = {text_of(label): text for label, text in given.items()}
        labels = {name: descriptions.get(text_of(name), "") for name in self._names.values()}
        prompt = Prompt(self.prompt, model=self.model_, system=self.system or None, overrides={"think": "off"}, once=True)
        options = read_row_options(
            labels=labels,
            examples=[(fill_template(self.prompt, {"item": text}).text, self._names[label]) for text, label in self.examples_],
            parallel=self.parallel,
            store=self.store,
            reuse=True,
        )
        outcomes = self._session().map(asked, prompt, options=options).view.state.outcomes
        failed = [(row, one.error) for row, one in enumerate(outcomes) if one and one.error]
        if failed:
            row, error = failed[0]
            raise RowsProblem("rows-without-label", count=len(failed), total=len(asked), row=row, reason=error.phrase("what"))
        names = [f"p_{text_of(name)}" for name in labels]
        return np.array([[one.values[name] for name in names] for one in outcomes if one], float)

    def predict(self, X: Any) -> np.ndarray[Any, Any]:  # noqa: N803 - scikit-learn's name
        """Return the likeliest class of each text; raises what predict_proba raises."""
        shares = self.predict_proba(X)
        labels: np.ndarray[Any, Any] = self.classes_[np.argmax(shares, axis=1)]
        return labels

    def _named_classes(self, given: np.ndarray[Any, Any] | None) -> dict[Any, Any]:
        """Return the classes, sorted, each with the label that the model sees."""
        if self.labels is None and given is None:
            raise PromptProblem("labels-invalid", reason=Phrase("labels_few", count=0))
        found = [] if given is None else np.unique(given).tolist()
        labels = found if self.labels is None else np.unique(_plain_labels(label_set(self.labels).labels)).tolist()
        if set(found) <= set(labels):
            return {label: label for label in labels}
        if given is not None and given.dtype.kind in "iu" and set(found) <= set(range(len(labels))):
            return dict(enumerate(labels))
        raise PromptProblem(
            "labels-invalid", reason=Phrase("labels_differ", label=next(one for one in found if one not in labels))
        )

    def _drawn(self, texts: list[str], y: list[Any]) -> list[tuple[str, Any]]:
        """Return examples of all classes in turn, in an order that the seed decides."""
        random = np.random.default_rng(self.seed)
        rows = random.permutation(len(texts)).tolist()
        by_class = [[row for row in rows if y[row] == label] for label in self._names]
        turns = [row for turn in zip_longest(*by_class) for row in turn if row is not None]
        return [(texts[row], y[row]) for row in turns[: row_count(self.examples, "examples", 4, least=0)]]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags


def _plain_labels(given: Any) -> np.ndarray[Any, Any]:
    """Return labels as an array that can be sorted: the values of the members of an Enum, anything else as it is.

    Raises PromptProblem (labels-invalid) for a missing one.
    """
    array: np.ndarray[Any, Any] = column_or_1d(np.asarray(given), warn=True)
    if array.dtype != object:
        return array
    labels = [label.value if isinstance(label, Enum) else label for label in array]
    if missing := [label for label in labels if is_missing(label)]:
        raise PromptProblem("labels-invalid", reason=Phrase("labels_differ", label=missing[0]))
    return np.array(labels)
