"""The scikit-learn transformer: om.embed with fit and transform, alone, in pipelines and in other processes."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

import ollama_magics as om
from ollama_magics.errors import EmbeddingProblem, ModelProblem, OllamaMagicsError, SettingError
from ollama_magics.fake_server.server import FakeServer
from tests.faults import FaultServer, fine

MODEL = "sandbox-embed"
CATS = [f"the black cat number {number} purrs" for number in range(8)]
SHARES = [f"share prices fell by {number} percent" for number in range(8)]
TEXTS, ABOUT = CATS + SHARES, [0] * 8 + [1] * 8


@pytest.fixture(autouse=True)
def configured(stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let the shared settings name the stand-in, and keep away from the user's store."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    om.configure(base_url=stand_in.url)


def failure(act: Any, *arguments: Any) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act(*arguments)
    return caught.value


def embedded(server: FakeServer) -> list[str]:
    """Return the texts that a server was asked for."""
    return [text for _, path, body in server.requests if path == "/api/embed" and body for text in body["input"]]


@pytest.mark.parametrize(
    "make",
    [list, tuple, np.array, pd.Series, lambda texts: np.array(texts, dtype=object), lambda texts: pd.DataFrame({"t": texts})],
)
def test_the_features_are_what_embed_gives(make: Any) -> None:
    """In each form that a pipeline hands on."""
    embedder = om.OllamaEmbedder(MODEL)
    vectors = embedder.fit_transform(make(TEXTS))
    assert (vectors.dtype, vectors.shape) == (np.float32, (16, 256))
    assert np.array_equal(vectors, om.embed(TEXTS, model=MODEL))
    assert np.array_equal(vectors, embedder.transform(make(TEXTS)))


def test_fitting_fixes_the_model_and_the_number_of_features(stand_in: FakeServer) -> None:
    """Without embedding what it is fitted on, and whatever model the settings name later."""
    embedder = om.OllamaEmbedder(dimensions=32, store=False).fit(TEXTS)
    assert (embedder.model_, embedder.n_features_out_) == (MODEL, 32)
    assert len(embedded(stand_in)) == 1
    om.configure(embedding_model="sandbox-chat")
    assert embedder.transform(TEXTS[:2]).shape == (2, 32)


def test_stored_vectors_are_not_requested_again(stand_in: FakeServer) -> None:
    """The folds of a cross-validation embed each text many times."""
    make_pipeline(om.OllamaEmbedder(MODEL), LogisticRegression()).fit(TEXTS, ABOUT).predict(TEXTS)
    assert sorted(embedded(stand_in))[:1] == ["How many numbers has a vector?"]
    assert sorted(embedded(stand_in))[1:] == sorted(TEXTS)


def test_the_parameters_reach_the_server(stand_in: FakeServer) -> None:
    """They are options of om.embed."""
    om.OllamaEmbedder(MODEL, dimensions=16, batch=4, truncate=False, store=False).fit(TEXTS).transform(TEXTS)
    bodies = [body for _, path, body in stand_in.requests if path == "/api/embed" and body][1:]
    assert [len(body["input"]) for body in bodies] == [4] * 4
    assert {body["dimensions"] for body in bodies} == {16}


def test_the_features_have_names_and_can_be_a_frame() -> None:
    """As those of each transformer of scikit-learn."""
    embedder = om.OllamaEmbedder(MODEL, dimensions=3).set_output(transform="pandas")
    frame = embedder.fit_transform(TEXTS[:2])
    assert (
        list(frame.columns) == list(embedder.get_feature_names_out()) == ["ollamaembedder0", "ollamaembedder1", "ollamaembedder2"]
    )
    assert set(frame.dtypes) == {np.dtype("float32")}


def test_a_column_of_a_frame_is_embedded_beside_others() -> None:
    """A column transformer hands it over as a Series."""
    frame = pd.DataFrame({"text": TEXTS, "length": range(16)})
    both = make_column_transformer((om.OllamaEmbedder(MODEL, dimensions=8), "text"), ("passthrough", ["length"]))
    assert both.fit_transform(frame).shape == (16, 9)


def test_a_pipeline_is_validated_in_processes(stand_in: FakeServer) -> None:
    """Each process gets the address of the notebook, and reads the store of the user."""
    pipeline = make_pipeline(om.OllamaEmbedder(MODEL), LogisticRegression())
    assert cross_val_score(pipeline, TEXTS, ABOUT, cv=2, n_jobs=2).tolist() == [1.0, 1.0]
    assert set(embedded(stand_in)) > set(TEXTS)


_IN_PROCESSES = """
import sys, ollama_magics as om
from joblib import Parallel, delayed
om.configure(base_url=sys.argv[1])
embedder = om.OllamaEmbedder("sandbox-embed", batch=1, store=False).fit(["a"])
texts = [f"text {number}" for number in range(30)]
Parallel(n_jobs=int(sys.argv[2]))(delayed(embedder.transform)(texts) for _ in range(2))
"""


@pytest.mark.parametrize(("processes", "seen"), [(1, True), (2, False)])
def test_worker_processes_show_no_bars(stand_in: FakeServer, processes: int, *, seen: bool) -> None:
    """The process of the user does."""
    command = [sys.executable, "-c", _IN_PROCESSES, stand_in.url, str(processes)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert ("texts/s" in output) is seen


def test_the_settings_of_the_notebook_travel_with_a_pickle_and_its_clones(stand_in: FakeServer) -> None:
    """A process without settings asks where the notebook would; one with its own asks there."""
    packed = pickle.dumps(om.OllamaEmbedder(MODEL, store=False))
    with FakeServer(delay=0) as elsewhere:
        om.configure(base_url="")
        clone(clone(pickle.loads(packed))).fit_transform(TEXTS)  # noqa: S301 - our own
        assert set(embedded(stand_in)) > set(TEXTS)
        om.configure(base_url=elsewhere.url)
        pickle.loads(packed).fit_transform(CATS)  # noqa: S301 - as above
        assert set(embedded(elsewhere)) > set(CATS)


def test_an_address_of_its_own_wins(stand_in: FakeServer) -> None:
    """And leaves the notebook's settings alone."""
    with FakeServer(delay=0) as other:
        om.OllamaEmbedder(MODEL, base_url=other.url).fit_transform(TEXTS)
        assert set(embedded(other)) > set(TEXTS)
    assert stand_in.requests == []


def test_a_clone_and_a_copy_are_as_good(stand_in: FakeServer) -> None:
    """A clone has to be fitted again, a copy has not."""
    embedder = om.OllamaEmbedder(MODEL, dimensions=8).fit(TEXTS)
    assert clone(embedder).get_params() == embedder.get_params()
    with pytest.raises(NotFittedError):
        clone(embedder).transform(TEXTS)
    with pytest.raises(NotFittedError):
        clone(embedder).get_feature_names_out()
    assert np.array_equal(copy.deepcopy(embedder).transform(TEXTS), embedder.transform(TEXTS))
    assert stand_in.requests


def test_a_server_that_sends_other_vectors_than_when_fitted_is_an_error() -> None:
    """The columns of a classifier would mean something else."""
    embedder = om.OllamaEmbedder(MODEL, store=False).fit(TEXTS)
    embedder.n_features_out_ = 128
    assert "256 numbers, those at the time of fit() had 128" in failure(embedder.transform, TEXTS).how_we_know


@pytest.mark.parametrize("rows", [[1, 2], ["a", None], ["a", " "], pd.DataFrame({"a": ["b"], "c": ["d"]}), {"a", "b"}, [], 5])
def test_what_is_no_list_of_texts_is_refused_at_once(rows: Any, stand_in: FakeServer) -> None:
    """By fit, before anything is asked."""
    assert isinstance(failure(om.OllamaEmbedder(MODEL).fit, rows), EmbeddingProblem)
    assert stand_in.requests == []


def test_a_model_that_does_not_embed_is_refused_by_fit() -> None:
    """Not in the middle of a search over parameters."""
    assert isinstance(failure(om.OllamaEmbedder("sandbox-chat").fit, TEXTS), ModelProblem)


def test_the_key_is_named_and_never_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process reads its own environment."""
    monkeypatch.setenv("BOX_KEY", "sesame-17")
    with FaultServer(fine()) as server:
        embedder = om.OllamaEmbedder("m", base_url=server.url, api_key_env="BOX_KEY", store=False).fit(["a"])
        assert {request.headers.get("authorization") for request in server.requests} == {"Bearer sesame-17"}
    assert "BOX_KEY" in repr(embedder)
    for shown in (repr(embedder), repr(embedder.get_params()), embedder._repr_html_(), repr(pickle.dumps(embedder))):
        assert "sesame" not in shown
    monkeypatch.delenv("BOX_KEY")
    assert "BOX_KEY is not set" in failure(embedder.transform, ["a"]).how_we_know


@pytest.mark.parametrize("secret", [{"api_key_env": "sk-sesame-17"}, {"base_url": "http://ann:sesame-17@gpu-box"}])
def test_a_secret_is_no_parameter(secret: dict[str, str]) -> None:
    """Not even for the time that the estimator would be shown under its cell."""
    for act in (om.OllamaEmbedder, om.OllamaEmbedder().set_params):
        error = failure(lambda act=act: act(**secret))
        assert isinstance(error, SettingError)
        assert "sesame" not in str(error)


def test_a_password_of_the_notebook_does_not_travel(stand_in: FakeServer) -> None:
    """Within the process it may be used."""
    om.configure(base_url=stand_in.url.replace("//", "//ann:sesame-17@"))
    embedder = om.OllamaEmbedder(MODEL).fit(TEXTS)
    assert embedder.transform(TEXTS).shape == (16, 256)
    assert isinstance(failure(pickle.dumps, embedder), SettingError)


def test_the_tags_say_that_it_takes_texts() -> None:
    """One text a row, in one dimension."""
    tags = get_tags(om.OllamaEmbedder())
    assert (tags.input_tags.string, tags.input_tags.one_d_array, tags.input_tags.two_d_array) == (True, True, False)
    assert (tags.requires_fit, tags.target_tags.required, tags.transformer_tags.preserves_dtype) == (True, False, [])


def test_it_is_listed_and_brings_scikit_learn_only_when_it_is_looked_up() -> None:
    """The package itself stays light."""
    code = (
        "import sys, ollama_magics as om\n"
        "assert 'OllamaEmbedder' in dir(om) and 'sklearn' not in sys.modules\n"
        "from ollama_magics import *\n"
        "assert 'sklearn' not in sys.modules\n"
        "assert om.OllamaEmbedder and 'sklearn' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_scikit_learn_it_says_what_to_install() -> None:
    """And the rest of the package works."""
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "import ollama_magics as om\n"
        "try: om.OllamaEmbedder\n"
        "except ImportError as error: print(error)"
    )
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert output == "OllamaEmbedder and OllamaClassifier need scikit-learn: pip install 'ollama-magics[sklearn]'\n"


def test_advice_names_what_an_estimator_can_do() -> None:
    """It cannot leave texts out, and nobody has typed a magic."""
    embedder = om.OllamaEmbedder(MODEL).fit(["a"])
    classifier = om.OllamaClassifier(["x", "y"], "sandbox-chat").fit(["a"])
    for act in (embedder.fit, embedder.transform, classifier.fit, classifier.predict, classifier.predict_proba):
        error = failure(act, ["a", None])
        assert (error.code, error.remedy) == ("rows-not-text", "remove these rows, or convert them to text")
    assert "om.embed(df[" in failure(embedder.transform, pd.DataFrame({"t": ["a b"], "n": [1]})).remedy


def test_a_store_that_cannot_be_used_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in om.embed."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OLLAMA_MAGICS_CACHE", str(tmp_path / "file" / "folder"))
    with pytest.warns(UserWarning, match="Vectors are not kept"):
        om.OllamaEmbedder(MODEL).fit(["a"])


@pytest.mark.parametrize("name", ["query", "document", "truncate", "store"])
def test_a_word_is_no_switch(name: str) -> None:
    """It would count as yes; fit says so, as scikit-learn wants it, and nothing is sent."""
    error = failure(om.OllamaEmbedder(MODEL).set_params(**{name: "no"}).fit, TEXTS)
    assert error.code == "setting-invalid"
    assert f"{name}=True" in str(error)
