"""A dask collection of texts becomes a lazy array: nothing is asked before it is computed, and nothing is mixed up."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

import ollama_magics as om
from ollama_magics.errors import EmbeddingProblem, OllamaMagicsError, SettingError
from ollama_magics.fake_server.server import FakeServer
from tests.faults import FaultServer, fine, whole
from tests.integrations.dask.turns import in_turn

MODEL = "sandbox-embed"
TEXTS = [f"text number {number}" for number in range(10)]


def series(texts: list[Any], parts: int = 3) -> Any:
    """Return a dask Series."""
    return dd.from_pandas(pd.DataFrame({"text": texts}), npartitions=parts)["text"]


def strings(texts: list[str]) -> Any:
    """Return a dask array of Python strings."""
    return da.from_array(np.array(texts, dtype=object), chunks=4)


KINDS: dict[str, Callable[[list[str]], Any]] = {
    "Series": series,
    "bag": lambda texts: db.from_sequence(texts, npartitions=3),
    "bag of iterators": lambda texts: db.from_sequence(texts, npartitions=3).map(str),
    "array": strings,
}


@pytest.fixture(autouse=True)
def configured(stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Let the shared settings name the stand-in, compute in this thread, and keep away from the user's store."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    om.configure(base_url=stand_in.url)
    with dask.config.set(scheduler="synchronous"):
        yield


def lazily(texts: Any, **options: Any) -> Any:
    """Return what om.embed makes of a collection."""
    return om.embed(texts, **options)


def asked(server: FakeServer) -> list[str]:
    """Return the texts that were sent to be embedded, sorted."""
    return sorted(text for _, path, body in server.requests if path == "/api/embed" and body for text in body["input"])


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    return caught.value


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_every_collection_of_texts_gives_what_a_list_of_them_gives(make: Callable[[list[str]], Any]) -> None:
    """The same rows in the same order, float32, of the width that was announced."""
    lazy = lazily(make(TEXTS), model=MODEL)
    assert isinstance(lazy, da.Array)
    assert (lazy.dtype, lazy.ndim, lazy.shape[1]) == (np.float32, 2, 256)
    found = lazy.compute()
    assert found.dtype == np.float32
    assert np.array_equal(found, om.embed(TEXTS, model=MODEL))


def test_only_the_width_is_requested_before_the_array_is_computed(stand_in: FakeServer) -> None:
    """The graph costs one short text, however many rows there are."""
    lazy = lazily(series(TEXTS), model=MODEL)
    assert len(asked(stand_in)) == 1
    stand_in.requests.clear()
    lazy.compute()
    assert asked(stand_in) == TEXTS


def test_a_width_that_is_given_costs_no_request(stand_in: FakeServer) -> None:
    """The machine that plans need not reach a server at all."""
    lazy = lazily(series(TEXTS), model=MODEL, dimensions=64)
    assert stand_in.requests == []
    assert lazy.shape[1] == 64
    assert lazy.compute().shape == (10, 64)


@pytest.mark.parametrize(("make", "known"), [(series, False), (KINDS["bag"], False), (strings, True)])
def test_the_number_of_rows_is_unknown_unless_the_collection_knows_it(make: Callable[[list[str]], Any], *, known: bool) -> None:
    """To count them would be to compute the texts."""
    rows = lazily(make(TEXTS), model=MODEL, dimensions=8).shape[0]
    assert rows == 10 if known else np.isnan(rows)


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_the_number_of_rows_can_be_counted(make: Callable[[list[str]], Any], stand_in: FakeServer) -> None:
    """With lengths=True, for which no text is sent anywhere."""
    lazy = lazily(make(TEXTS), model=MODEL, dimensions=8, lengths=True)
    assert stand_in.requests == []
    assert lazy.shape == (10, 8)
    assert lazy[7:].compute().shape == (3, 8)


def test_a_partition_of_missing_texts_becomes_nan() -> None:
    """As any other row without a vector does, with on_error="nan"."""
    texts = series([None, None, *TEXTS], 3)
    found = lazily(texts, model=MODEL, dimensions=8, on_error="nan").compute()
    assert np.isnan(found).all(axis=1).tolist() == [True, True, *[False] * len(TEXTS)]


def test_an_array_of_unknown_length_can_be_counted() -> None:
    """A filtered array does not know its own rows."""
    kept = strings(TEXTS)[strings(TEXTS) != TEXTS[0]]
    assert np.isnan(lazily(kept, model=MODEL, dimensions=8).shape[0])
    assert lazily(kept, model=MODEL, dimensions=8, lengths=True).shape == (9, 8)


def test_equal_inputs_have_equal_keys() -> None:
    """So that dask computes them once; another model, option or address is another array."""
    names = [
        lazily(series(TEXTS), model=MODEL, dimensions=8).name,
        lazily(series(TEXTS), model=MODEL, dimensions=9).name,
        lazily(series(TEXTS[::-1]), model=MODEL, dimensions=8).name,
        lazily(series(TEXTS), model="another", dimensions=8).name,
    ]
    assert lazily(series(TEXTS), model=MODEL, dimensions=8).name == names[0]
    om.configure(base_url="gpu-box")
    names.append(lazily(series(TEXTS), model=MODEL, dimensions=8).name)
    assert len(set(names)) == 5


def test_what_is_wrong_with_a_prompt_is_found_before_rows_are_computed() -> None:
    """A name that is no column, no column at all, and a sample, which each partition would draw."""
    rows = dd.from_pandas(pd.DataFrame({"text": ["a", "b"]}), npartitions=2)
    wrong: list[tuple[str, dict[str, Any], str]] = [
        ("{{txt}}", {}, "column-unknown"),
        ("Hello", {}, "rows-unused"),
        ("{{text}}", {"sample": 1}, "setting-invalid"),
    ]
    for prompt, options, code in wrong:
        with pytest.raises(OllamaMagicsError) as caught:
            om.map(rows, prompt, model="sandbox-chat", **options)
        assert caught.value.code == code
    assert len(om.map(rows, "{{text}} {{x}}", values={"x": 1}, model="sandbox-chat").compute()) == 2


def test_an_error_of_a_worker_says_what_to_type_in_python() -> None:
    """No magic computes a collection."""
    error = failure(lazily(series(["a", None]), model=MODEL).compute)
    assert 'on_error="nan"' in str(error)
    assert "%embed" not in str(error)


def test_an_empty_partition_has_no_rows_and_asks_nothing(stand_in: FakeServer) -> None:
    """A filter leaves some behind, and concatenating needs their width."""
    kept = series(TEXTS, parts=5)
    lazy = lazily(kept[kept.str.endswith("9")], model=MODEL, dimensions=8)
    assert lazy.blocks[0].compute().shape == (0, 8)
    assert stand_in.requests == []
    assert lazy.compute().shape == (1, 8)


def test_a_collection_without_any_text_is_an_array_without_rows() -> None:
    """Nobody can know before it is computed that there is nothing."""
    assert lazily(db.from_sequence([]).map(str), model=MODEL, dimensions=8).compute().shape == (0, 8)


def test_a_row_that_is_no_text_is_named_within_its_partition() -> None:
    """A worker sees its own partition only."""
    error = failure(lazily(db.from_sequence(["a", "b", "c", None], npartitions=2), model=MODEL).compute)
    assert isinstance(error, EmbeddingProblem)
    assert error.rows == (1,)
    assert error.__notes__ == ["Rows are counted from 0 within partition 1 of the dask collection."]
    assert error.__notes__[0] in error._render_traceback_()


def test_a_server_with_other_vectors_than_announced_is_an_error() -> None:
    """Dask itself would put the blocks together without a look."""
    three, two = ({"model": "m", "embeddings": [vector]} for vector in ([1.0, 2.0, 3.0], [1.0, 2.0]))
    with FaultServer(in_turn(whole(three), whole(two))) as server:
        om.configure(base_url=server.url)
        error = failure(lazily(db.from_sequence(["a"]), model="m", store=False).compute)
    assert error.code == "vectors-mismatch"
    assert "2 numbers, where the array was made for 3" in error.how_we_know


def test_a_worker_shows_the_key_of_its_own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name that travelled, and to the address that travelled with it."""
    with FaultServer(fine()) as server:
        om.configure(base_url=server.url)
        monkeypatch.setenv("BOX_KEY", "sesame-17")
        lazy = lazily(db.from_sequence(["a"]), model="m", dimensions=2, api_key_env="BOX_KEY", store=False)
        monkeypatch.setenv("BOX_KEY", "sesame-18")
        lazy.compute()
        assert {request.headers.get("authorization") for request in server.requests} == {"Bearer sesame-18"}


REFUSED: dict[str, Callable[[], Any]] = {
    "DataFrame": lambda: series(TEXTS).to_frame(),
    "delayed": lambda: dask.delayed(list)(TEXTS),
    "array of two dimensions": lambda: da.from_array(np.array([TEXTS], dtype=object), chunks=4),
    "sum of a bag": lambda: db.from_sequence(TEXTS).max(),
    "value of a Series": lambda: series(TEXTS).max(),
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_other_collections_are_refused_with_what_to_type(make: Callable[[], Any]) -> None:
    """At once, and not on a worker."""
    error = failure(lambda: lazily(make(), model=MODEL))
    assert error.code == "input-not-texts"
    assert 'om.embed(ddf["text"])' in error.remedy


def test_rows_cannot_be_skipped() -> None:
    """A lazy array has no place for the positions that are left."""
    assert isinstance(failure(lambda: lazily(series(TEXTS), model=MODEL, on_error="skip")), SettingError)


def test_no_key_travels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The graph holds the name of its variable, and the worker reads it."""
    monkeypatch.setenv("BOX_KEY", "sesame-17")
    lazy = lazily(series(TEXTS), model=MODEL, dimensions=8, api_key_env="BOX_KEY")
    packed = cloudpickle.dumps(lazy)
    assert b"BOX_KEY" in packed
    assert b"sesame-17" not in packed
    monkeypatch.delenv("BOX_KEY")
    error = failure(pickle.loads(packed).compute)  # noqa: S301 - our own
    assert "BOX_KEY is not set" in error.how_we_know


def test_an_address_with_a_password_does_not_travel() -> None:
    """It would stand in clear in the graph, on the scheduler and in its dashboard."""
    om.configure(base_url="http://ann:sesame-17@gpu-box")
    error = failure(lambda: lazily(series(TEXTS), model=MODEL, dimensions=8))
    assert isinstance(error, SettingError)
    assert "sesame-17" not in str(error)


def test_who_has_no_dask_does_not_get_it() -> None:
    """Embedding a list imports none of it."""
    code = (
        "import sys, ollama_magics as om\n"
        "with om.sandbox(delay=0): om.embed(['a'])\n"
        "print(*{'dask', 'distributed', 'pandas', 'sklearn'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"
