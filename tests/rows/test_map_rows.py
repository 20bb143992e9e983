"""A prompt for each row: the result is the data with the answers beside it, whatever kind of data it is."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import dask.dataframe as dd
import msgspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import ollama_magics as om
from tests.rows.row_server import RowServer
from tests.shells import loaded_shell


@dataclass
class Ticket:
    """What is read from a message."""

    kind: Literal["praise", "complaint"]
    stars: int
    tags: list[str]


@pytest.fixture(autouse=True)
def sandbox() -> Iterator[None]:
    """Answer from the stand-in, which repeats the prompt."""
    with om.sandbox(delay=0):
        yield


TEXTS = ["first", "second"]
KINDS: dict[str, Any] = {
    "pandas": pd.DataFrame({"text": TEXTS}, index=[7, 7]),
    "series": pd.Series(TEXTS, name="text", index=["a", "b"]),
    "polars": pl.DataFrame({"text": TEXTS}),
    "polars series": pl.Series("text", TEXTS),
    "arrow": pa.table({"text": TEXTS}),
    "dict": {"text": TEXTS},
    "records": [{"text": text} for text in TEXTS],
}


def listed(frame: Any, name: str) -> list[Any]:
    """Return a column of a result as a list."""
    if isinstance(frame, list):
        return [row[name] for row in frame]
    column = frame[name]
    reads = (getattr(column, name) for name in ("to_pylist", "to_list") if hasattr(column, name))
    return list(column) if isinstance(column, list) else list(next(reads)())


@pytest.mark.parametrize("kind", KINDS)
def test_the_answers_stand_beside_the_rows(kind: str) -> None:
    """Each kind of data gives its own kind back, with the reply, error, seconds and tokens of each row."""
    out = om.map(KINDS[kind], "Say {{text}}")
    assert [text in reply for text, reply in zip(TEXTS, listed(out, "reply"), strict=True)] == [True, True]
    assert listed(out, "error") == ["", ""]
    assert all(seconds > 0 for seconds in listed(out, "seconds"))
    assert all(tokens > 0 for tokens in listed(out, "tokens"))


def test_fields_become_typed_columns() -> None:
    """Of the types of the fields, and objects for nested ones; the index stays as it is."""
    out = om.map(KINDS["pandas"], "Read {{text}}", format=Ticket)
    assert list(out.index) == [7, 7]
    assert {name: str(kind) for name, kind in out.dtypes.items()}.items() >= {"stars": "Int64", "tags": "object"}.items()
    assert list(out.columns) == ["text", "kind", "stars", "tags", "error", "seconds", "tokens"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_give_the_columns_without_a_request(kind: str) -> None:
    """As a filter may leave none: the same columns and types as with rows, of which the server hears nothing."""
    data = {"text": []} if kind == "dict" else KINDS[kind][:0]
    full = om.map(KINDS[kind], "Read {{text}}", format=Ticket)
    om.configure(base_url="http://127.0.0.1:9")  # where nothing listens
    out = om.map(data, "Read {{text}}", format=Ticket)
    assert type(out) is type(full)
    if not isinstance(full, list):
        names = [list(getattr(one, "column_names", getattr(one, "columns", one))) for one in (out, full)]
        assert names[0] == names[1]
    assert len(out["stars"] if isinstance(out, dict) else out) == 0
    if isinstance(full, (pd.DataFrame, pl.DataFrame)):
        assert list(out.dtypes) == list(full.dtypes)
    if isinstance(full, pa.Table):
        assert out.schema == full.schema


def test_no_rows_are_said_in_the_cell(capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: Any) -> None:
    """In one line; in Python an empty result says enough."""
    with loaded_shell(monkeypatch, tmp_path) as shell, warnings.catch_warnings():
        shell.user_ns["rows"] = []
        shell.run_cell("%%ollama --each rows -o out\nRead {{item}}").raise_error()
        assert capsys.readouterr().out == "The data has no rows, so nothing was asked.\n"
        assert shell.user_ns["out"] == []
        warnings.simplefilter("error")
        labelled = om.map({"text": []}, "Read {{text}}", labels="none,some")
    assert list(labelled) == ["text", "label", "p_none", "p_some", "p_none_reply", "error", "seconds", "tokens"]


@dataclass
class Payment:
    """Fields whose values are strings in JSON."""

    amount: Decimal
    key: bytes
    number: UUID
    at: dt.time
    took: dt.timedelta


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "dict", "dask"])
def test_fields_that_are_strings_in_json_keep_their_type(kind: str) -> None:
    """Bytes that are no text used to end the job with an error of pandas, and a Decimal was turned into text."""
    paid = Payment(Decimal("1.10"), b"\xff", UUID(int=1), dt.time(10), dt.timedelta(hours=1))
    with RowServer(str) as server:
        om.configure(base_url=server.url, model="m")
        make: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}
        data = make.get(kind, dict)({"text": [msgspec.json.encode(paid).decode(), "no JSON"]})
        data = dd.from_pandas(pd.DataFrame(data), npartitions=1) if kind == "dask" else data
        out = om.map(data, "{{text}}", format=Payment)
        out = out.compute(scheduler="synchronous") if kind == "dask" else out
    assert {name: listed(out, name)[0] for name in asdict(paid)} == asdict(paid)


@dataclass
class Part:
    """A part of an order."""

    id: int
    size: float | None = None
    note: str = "-"


@dataclass
class Order:
    """What holds other types, with defaults at both levels."""

    parts: list[Part]
    first: Part | None = None
    count: int = 7


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "dict"])
def test_what_the_answer_leaves_out_has_its_default_at_any_level(kind: str) -> None:
    """So that columns depend on the type alone, and nested ones can be exploded."""
    answers = ['{"parts": [{"id": 1}, {"id": 2, "size": 3}]}', '{"parts": []}', '{"parts": [{"id": 3}], "first": {"id": 4}}']
    rows = [*answers, "no JSON"]
    with RowServer(str) as server:
        om.configure(base_url=server.url, model="m")
        make: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}
        out = om.map(make.get(kind, dict)({"text": rows}), "{{text}}", format=Order)
    one, two, three = ({"id": n, "size": size, "note": "-"} for n, size in ((1, None), (2, 3.0), (3, None)))
    assert listed(out, "parts") == [[one, two], [], [three], None]
    assert listed(out, "first") == [None, None, {"id": 4, "size": None, "note": "-"}, None]
    assert [None if pd.isna(count) else count for count in listed(out, "count")] == [7, 7, 7, None]
    if isinstance(out, pl.DataFrame):
        assert out.explode("parts")["parts"].struct.field("id").drop_nulls().to_list() == [1, 2, 3]


@dataclass
class Log:
    """What has the names of the columns that each job adds."""

    error: str
    seconds: float
    error_reply: int
    tokens: int = 9


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "dict"])
@pytest.mark.parametrize("taken", ["", "error"])
def test_no_field_of_an_answer_is_overwritten(kind: str, taken: str) -> None:
    """By a column of the job or of the data: it gets ``_reply`` behind its name."""
    columns = {"text": TEXTS} | ({taken: [1, 2]} if taken else {})
    make: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "arrow": pa.table}
    out = om.map(make.get(kind, dict)(columns), "Read {{text}}", format=Log)
    assert listed(out, f"{taken}_reply" if taken else "error") == ["", ""]
    assert all(isinstance(value, str) and value for value in listed(out, "error_reply_reply"))
    assert listed(out, "seconds_reply") == [1.0, 1.0] != listed(out, "seconds")
    assert listed(out, "tokens_reply") != listed(out, "tokens")


def test_what_is_left_out_of_a_row_is_reported_or_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Any, monkeypatch: Any
) -> None:
    """A list of 30 items in a row is cut like any value: said at the end, and with --strict an error in its row."""
    rows = [{"notes": ["a"]}, {"notes": list(range(30))}]
    with loaded_shell(monkeypatch, tmp_path) as shell:
        shell.user_ns["rows"] = rows
        shell.run_cell("%%ollama --each rows -o out\nRead {{notes}}").raise_error()
        assert "20 of 30 items (rows: 1)" in capsys.readouterr().out
        shell.run_cell("%%ollama --each rows --strict -o out\nRead {{notes}}").raise_error()
        assert [row["error"].partition(":")[0] for row in shell.user_ns["out"]] == ["", "left-out"]


@pytest.mark.parametrize(
    "name", ["review text", "a-b", "2020", "class", "数据", "x.y", "What?", 'say "hi"', "[0]", "a\\b", "tab\tname"]
)
def test_a_column_may_have_any_name(name: str) -> None:
    """Spaces, signs and words of Python; the braces hold the name as it is."""
    out = om.map(pd.DataFrame({name: TEXTS, "other": [1, 2]}), "Say {{" + name + "}} {{other}}")
    assert [f"Say {text} {number}" in reply for text, number, reply in zip(TEXTS, [1, 2], out["reply"], strict=True)] == [
        True,
        True,
    ]


def test_columns_may_be_numbers() -> None:
    """As those of a frame that was made of a list, and the keys of a dict."""
    out = om.map(pd.DataFrame(TEXTS), "Say {{0}}")
    assert list(out.columns) == [0, "reply", "error", "seconds", "tokens"]
    assert all(text in reply for text, reply in zip(TEXTS, out["reply"], strict=True))
    assert "b" in om.map({1: ["a"], 2: ["b"]}, "Say {{2}}")["reply"][0]


def test_parts_of_a_value_can_be_named() -> None:
    """Attributes and constant subscripts, looked up in each row."""
    rows = [{"meta": {"kind": "praise"}, "pair": ["a", "b"]}, {"meta": {"kind": "complaint"}, "pair": ["c", "d"]}]
    out = om.map(rows, 'Say {{meta["kind"]}} {{pair[1]}}')
    assert ["praise b" in out[0]["reply"], "complaint d" in out[1]["reply"]] == [True, True]
    assert om.map([*rows, {"meta": {}, "pair": []}], 'Say {{meta["kind"]}}')[2]["error"].startswith("value-part-missing")
