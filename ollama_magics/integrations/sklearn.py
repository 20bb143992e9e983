"""A scikit-learn transformer from texts to vectors, which does nothing that om.embed does not do."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from ollama_magics.embeddings.inputs import texts_of
from ollama_magics.errors import EmbeddingProblem
from ollama_magics.integrations.remote_session import access, refuse_secrets
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
    """Turns texts into float32 vectors of shape ``(n, d)`` with a model that Ollama serves.

    ``X`` is whatever om.embed takes: a list, Series, array or column of texts. An empty ``model`` or ``base_url`` means the
    setting of the notebook, which goes along when the estimator is pickled, for example to the processes of joblib (there, an
    address that nobody typed is that machine's own). ``api_key_env`` is the name of the environment variable with the key,
    which every process reads for itself. ``dimensions``, ``batch``, ``query``, ``document``, ``truncate`` and ``store`` are
    those of om.embed: what was embedded before is not asked again.

    Fitting learns no weights: it fixes the model, ``model_``, and the number of features, ``n_features_out_``.

    Since the tags say that texts are taken, scikit-learn's ``check_estimator``, whose data are numbers, leaves nearly all of its
    checks out. On an embedder that reads each row of numbers as a text they run, and those on cloning, parameters, fitting,
    repeating, pickling and names of features hold; those on kinds of numbers, sparse tables and columns say nothing of texts.
    """

    def __init__(  # noqa: PLR0913 - scikit-learn wants every parameter by its name
        self,
        model: str = "",
        *,
        base_url: str = "",
        api_key_env: str = "",
        dimensions: int | None = None,
        batch: int = 256,
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
        """Set parameters by name and return the estimator; raises SettingError where one holds a secret."""
        refuse_secrets(params.get("base_url"), params.get("api_key_env"))
        return super().set_params(**params)  # type: ignore[no-any-return]

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: ARG002, N803 - scikit-learn's names
        """Fix the model and the number of features, for which one short text is embedded; nothing is learnt from ``X``.

        Raises EmbeddingProblem where ``X`` holds no texts, SettingError for a bad parameter, and the errors of om.embed.
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
        if self.base_url or self.api_key_env or self._travelled:
            return access(self.base_url, self.api_key_env, self._travelled).session()
        return current()

    # What scikit-learn asks.

    @property
    def _n_features_out(self) -> int:
        return self.n_features_out_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []
        return tags

    # The notebook's settings go along where the estimator is pickled, and from there on where it is cloned.

    _travelled: Mapping[str, Any] = MappingProxyType({})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_travelled": dict(access(before=self._travelled).settings)}

    def __sklearn_clone__(self) -> Self:
        copy: Self = super().__sklearn_clone__()
        if self._travelled:
            copy._travelled = self._travelled
        return copy
