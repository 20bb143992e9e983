"""Rows of any kind: which are sent, which are copies, which are bad, and where each vector ends up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from ollama_magics.embeddings.collect import embed
from ollama_magics.embeddings.inputs import lines_of, source_of
from ollama_magics.embeddings.options import read_options
from ollama_magics.embeddings.output import OutputArray
from ollama_magics.embeddings.servers import Endpoint
from ollama_magics.errors import EmbeddingProblem, SettingError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server.models import InstalledModels
from tests.embeddings.batch_server import Call, Connect, healthy, sent_texts, serving, vectors

TEXTS = ["one", "two", "three", "two", "one", "four"]
FORMS: dict[str, Any] = {
    "list": lambda texts: texts,
    "tuple": tuple,
    "generator": lambda texts: (text for text in texts),
    "values of a dict": lambda texts: dict(enumerate(texts)).values(),
    "pandas": lambda texts: pd.Series(texts, index=range(100, 100 + len(texts))),
    "pandas, strings": lambda texts: pd.Series(texts, dtype="string"),
    "pandas, categories": lambda texts: pd.Series(texts, dtype="category"),
    "pandas column": lambda texts: pd.DataFrame({"text": texts})["text"],
    "polars": pl.Series,
    "polars column": lambda texts: pl.DataFrame({"text": texts})["text"],
    "pyarrow": pa.array,
    "pyarrow in chunks": lambda texts: pa.chunked_array([texts[:2], texts[2:]]),
    "pyarrow column": lambda texts: pa.table({"text": texts})["text"],
    "NumPy": np.array,
    "NumPy objects": lambda texts: np.array(texts, object),
    "polars frame of one column": lambda texts: pl.DataFrame({"t": texts}),
    "Arrow table of one column": lambda texts: pa.table({"t": texts}),
    "list of NumPy's texts": lambda texts: list(np.array(texts)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_gives_the_same_array_and_asks_duplicates_once(connect: Connect, form: Any) -> None:
    """In order of their first row."""
    with serving(healthy) as server:
        assert np.array_equal(Call(connect, [server])(form(TEXTS)), vectors(TEXTS))
        assert sent_texts(server) == [["one", "two", "three", "four"]]


REFUSED: list[tuple[Any, str]] = [
    (pl.DataFrame({"it": ["a"], "b": [1]}), "df['it']"),
    (pa.table({"it": ["a"], "b": [1]}), "df['it']"),
    (pl.LazyFrame({"it": ["a"]}), "collect()"),
    ({"a": "b"}, "list(texts.values())"),
    ({"a", "b"}, "sorted(texts)"),
    (pd.Series(["a"]).str, '["a text", "another"]'),  # which has __iter__, and raises a TypeError of its own there
]


@pytest.mark.parametrize(("rows", "instead"), REFUSED, ids=[type(rows).__name__ for rows, _ in REFUSED])
def test_what_is_no_column_is_refused_with_what_to_type(rows: Any, instead: str) -> None:
    """And without a warning of the library."""
    with pytest.raises(EmbeddingProblem) as caught:
        source_of(rows)
    assert caught.value.code == "input-not-texts"
    assert instead in caught.value.remedy


BAD: list[Any] = ["a", None, "b", float("nan"), "", " \n", 7, b"bytes", "half \ud83d", "c"]
WRONG = (1, 3, 4, 5, 6, 7, 8)


def test_bad_rows_of_a_list_are_named_before_anything_is_sent(connect: Connect) -> None:
    """Nobody waits for an hour to hear of an empty text."""
    with serving(healthy) as server:
        problem = Call(connect, [server]).problem(BAD)
        assert server.requests == []
    assert (problem.code, problem.rows) == ("rows-not-text", WRONG)


def test_bad_rows_of_a_generator_are_named_after_all_others_were_sent(connect: Connect) -> None:
    """It cannot be looked through before."""
    with serving(healthy) as server:
        problem = Call(connect, [server]).problem(value for value in BAD)
        assert sent_texts(server) == [["a", "b", "c"]]
    assert (problem.code, problem.rows) == ("rows-failed", WRONG)
    assert "Row 1 is None, row 3 is nan, row 4 is empty" in problem.how_we_know


@pytest.mark.parametrize("kind", [list, iter])
def test_bad_rows_become_nan(connect: Connect, kind: Any) -> None:
    """Where they stand."""
    with serving(healthy) as server:
        call = Call(connect, [server])
        found = call(kind(BAD), on_error="nan")
    assert call.last_report().failed == WRONG
    assert np.isnan(found[list(WRONG)]).all()
    assert np.array_equal(found[[0, 2, 9]], vectors(["a", "b", "c"]))


@pytest.mark.parametrize("kind", [list, iter, pd.Series])
def test_bad_rows_are_skipped_and_the_positions_of_the_others_reported(connect: Connect, kind: Any) -> None:
    """With the index of a Series."""
    with serving(healthy) as server:
        call = Call(connect, [server])
        found = call(kind(BAD), on_error="skip")
    assert np.array_equal(found, vectors(["a", "b", "c"]))
    assert list(call.last_report().kept) == list(call.last_report().index) == [0, 2, 9]


def test_the_index_of_a_series_is_in_the_report(connect: Connect) -> None:
    """Whole, or that of the kept rows."""
    series = pd.Series(["a", None, "c"], index=["x", "y", "z"])
    with serving(healthy) as server:
        call = Call(connect, [server])
        call(series, on_error="nan")
        assert list(call.last_report().index) == ["x", "y", "z"]
        call(series, on_error="skip")
        assert list(call.last_report().index) == ["x", "z"]


def test_duplicates_of_a_bad_text_are_bad(connect: Connect) -> None:
    """And named, each by its row."""
    from tests.embeddings.batch_server import NAN, refused  # noqa: PLC0415 - only here

    with serving(lambda request: refused(NAN) if "bad" in request.texts else None) as server:
        problem = Call(connect, [server]).problem(["a", "bad", "b", "bad"])
    assert problem.rows == (1, 3)


def test_a_text_of_ten_megabytes_goes_alone(connect: Connect) -> None:
    """A batch is bounded by its characters, too."""
    long = "x" * 10_000_000
    with serving(healthy) as server:
        found = Call(connect, [server])(["a", "b", long, "c"])
        assert [len(texts) for texts in sent_texts(server)] == [2, 1, 1]
    assert np.array_equal(found, vectors(["a", "b", long, "c"]))


def test_a_generator_is_read_as_batches_are_sent(connect: Connect) -> None:
    """Never listed: when the first batch is answered, only a few batches have been read."""
    read_so_far: list[int] = []
    at_first: list[int] = []

    def texts() -> Iterator[str]:
        for number in range(20_000):
            read_so_far.append(number)
            yield f"text {number}"

    with serving(lambda request: at_first.append(len(read_so_far)) if request.number == 0 else None) as server:
        found = Call(connect, [server])(texts(), batch=100)
    assert at_first[0] <= 2000
    assert found.shape == (20_000, 4)
    assert np.array_equal(found[::999], vectors([f"text {number}" for number in range(0, 20_000, 999)]))


def test_what_a_generator_raises_comes_through(connect: Connect) -> None:
    """After the threads have ended."""

    def texts() -> Iterator[str]:
        yield "a"
        raise KeyError("b")

    with serving(healthy) as server, pytest.raises(KeyError):
        Call(connect, [server])(texts())


@pytest.mark.parametrize("on_error", ["raise", "nan", "skip"])
@pytest.mark.parametrize("rows", [list, tuple, iter, lambda texts: pd.Series(texts, dtype=object)])
def test_no_texts_give_an_array_of_no_rows(connect: Connect, rows: Any, on_error: str) -> None:
    """As a filter may leave none: of the width that the model has, so that it can be joined to others; nothing is embedded."""
    with serving(healthy, width=4) as server:
        call = Call(connect, [server])
        found = call(rows([]), on_error=on_error)
        assert sent_texts(server) == []
    assert (found.shape, found.dtype, found.flags.c_contiguous) == ((0, 4), np.float32, True)
    assert (list(call.last_report().index), list(call.last_report().kept), call.last_report().failed) == ([], [], ())


def test_no_texts_are_an_error_where_nobody_knows_the_width(connect: Connect) -> None:
    """A wrong width would be found much later; the error says how to give it."""
    with serving(healthy) as server:
        problem = Call(connect, [server]).problem([])
        assert problem.code == "texts-empty"
        assert "--dimensions" in str(problem)
        assert Call(connect, [server])([], dimensions=3).shape == (0, 3)


def test_what_is_no_file_of_lines_is_said(tmp_path: Path) -> None:
    """A folder and a device are there, so that "not found" would be wrong."""
    for path, reason in ((tmp_path / "none", "not found"), (tmp_path, "not a regular file"), (os.devnull, "not a regular file")):
        with pytest.raises(EmbeddingProblem, match=reason) as caught:
            lines_of(path)
        assert caught.value.code == "input-not-texts"


def test_the_lines_of_a_file_are_texts(connect: Connect, tmp_path: Path) -> None:
    """With any line end, without a mark at the beginning; an empty line and a wrong byte are named."""
    file = tmp_path / "texts.txt"
    file.write_bytes(b"\xef\xbb\xbfone\r\ntwo\nthr\xe2\x80\xa8e\re\n\nb\xffd\nlast")
    with serving(healthy) as server:
        client = connect(server.url)
        place = [Endpoint(client, InstalledModels(client))]
        found, report = embed(lines_of(file), read_options("m", on_error="nan"), place)
    assert report.failed == (3, 4)
    assert np.array_equal(found[[0, 1, 2, 5]], vectors(["one", "two", "thr\u2028e\re", "last"]))
    with pytest.raises(EmbeddingProblem):
        lines_of(tmp_path / "none.txt")


def test_given_options_are_sent_and_no_others(connect: Connect) -> None:
    """Context only when it was typed; no cutting."""
    with serving(healthy) as server:
        call = Call(connect, [server])
        call(["a"])
        call(["a"], dimensions=4, context="8k", keep_alive="5m", options={"num_thread": 2})
        bodies = [request.body for request in server.requests if request.path == "/api/embed"]
    assert bodies[0] == b'{"model":"m:latest","input":["a"],"truncate":false}'
    assert bodies[1].endswith(b'"truncate":false,"dimensions":4,"keep_alive":"5m","options":{"num_thread":2,"num_ctx":8192}}')


def test_the_prefix_of_a_task_is_added_only_on_request(connect: Connect) -> None:
    """And an unknown family is an error."""
    with serving(healthy) as server:
        call = Call(connect, [server])
        call(["a"], "nomic-embed-text", query=True)
        call(["a"], "nomic-embed-text", document=True)
        call(["a"], "nomic-embed-text")
        assert sent_texts(server) == [["search_query: a"], ["search_document: a"], ["a"]]
        with pytest.raises(SettingError):
            call(["a"], "m", query=True)


def test_an_array_grows_in_its_place() -> None:
    """Room for more is a small part of what is there, and none is left in the end."""
    output = OutputArray(None)
    for start in range(0, 600_000, 256):
        rows = range(start, start + 256)
        output.put(rows, np.repeat(np.arange(start, start + 256, dtype=np.float64)[:, None], 64, axis=1))
        assert output._array is not None
        room = max(rows.stop * 256 // 256, 8 * 1024 * 1024)
        assert output._array.nbytes <= max(rows.stop * 256 + room, 64 * 1024 * 1024) + 256 * 256
    found = output.finished(600_000)
    assert found.shape == (600_000, 64)
    assert np.array_equal(found[:, 63], np.arange(600_000, dtype=np.float32))


def test_what_pandas_calls_missing_is_named_so(connect: Connect) -> None:
    """Its own kinds of nothing, which are no text."""
    with serving(healthy) as server:
        problem = Call(connect, [server]).problem(pd.Series(["a", None, "c"], dtype="string").astype(object).fillna(pd.NA))
    assert "Row 1 is missing (NA)." in problem.how_we_know


def test_nothing_is_imported_for_a_list_that_only_others_need(stand_in: FakeServer) -> None:
    """Libraries of tables would cost a second of everyone who has no table, the others some milliseconds of a first job."""
    code = (
        "import sys, ollama_magics as om\n"
        "om.configure(base_url=sys.argv[1])\n"
        "om.embed(['a', 'b'], model='sandbox-embed', store=False)\n"
        "others = {'ollama_magics.integrations.dask', 'multiprocessing', 'encodings.idna'}\n"
        "print(sorted(({'pandas', 'polars', 'pyarrow', 'dask', 'sklearn', 'tqdm'} | others) & set(sys.modules)))"
    )
    output = subprocess.run([sys.executable, "-c", code, stand_in.url], check=True, capture_output=True, text=True).stdout
    assert output == "[]\n"


def test_a_first_job_brings_in_few_modules_and_one_dataclass(stand_in: FakeServer) -> None:
    """That of the report: Python writes and compiles the methods of each, half a millisecond, and not those of a Struct."""
    code = (
        "import dataclasses, sys, numpy, ollama_magics as om\n"
        "om.configure(base_url=sys.argv[1])\n"
        "before = set(sys.modules)\n"
        "om.embed(['a', 'b'], model='sandbox-embed')\n"
        "new = [module for name, module in sys.modules.items() if name not in before]\n"
        "kinds = {kind for module in new for kind in vars(module).values() if isinstance(kind, type)}\n"
        "made = [kind.__name__ for kind in kinds if dataclasses.is_dataclass(kind) and kind.__module__ not in before]\n"
        "print(len([module for module in new if module.__name__.startswith('ollama_magics')]), made)"
    )
    output = subprocess.run([sys.executable, "-c", code, stand_in.url], check=True, capture_output=True, text=True).stdout
    count, _, made = output.strip().partition(" ")
    assert int(count) <= 18
    assert made == "['EmbedReport']"
