"""Embed texts in a scikit-learn pipeline."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from ollama_magics.embeddings.inputs import texts_of
from ollama_magics.errors import EmbeddingProblem
from ollama_magics.integrations.remote_session import describe_session, refuse_secrets
from ollama_magics.session.session import Session, current

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils.validation import check_is_fitted
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "sklearn":
        raise
    message = "OllamaEmbedder needs scikit-learn: pip install 'ollama-magics[sklearn]'"
    raise ImportError(message) from None

_SAMPLE = "How many numbers has a vector?"
_OPTIONS = ("dimensions", "batch", "query", "document", "truncate", "store")  # of om.embed


class OllamaEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
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

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name and return the estimator; raises SettingError (setting-invalid) where one holds a secret."""
        refuse_secrets(params.get("base_url"), params.get("api_key_env"))
        return super().set_params(**params)  # type: ignore[no-any-return]

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
        return self._session().embed(texts, self.model_, **options)

    def _session(self) -> Session:
        if self.base_url or self.api_key_env or self._carried_settings:
            return describe_session(self.base_url, self.api_key_env, self._carried_settings).open()
        return current()

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

    # The settings of the notebook are pickled with the estimator, and copied where such an estimator is cloned.

    _carried_settings: Mapping[str, Any] = MappingProxyType({})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_carried_settings": dict(describe_session(before=self._carried_settings).settings)}

    def __sklearn_clone__(self) -> Self:
        copy: Self = super().__sklearn_clone__()
        if self._carried_settings:
            copy._carried_settings = self._carried_settings
        return copy
