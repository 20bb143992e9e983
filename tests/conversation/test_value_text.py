"""What a value becomes in a prompt, and that everything that is left out is said to the model and to the user."""

from __future__ import annotations

import datetime as dt
import decimal
import functools
import re
from collections import Counter, deque, namedtuple
from dataclasses import dataclass
from typing import Any

import dask.dataframe
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from ollama_magics.conversation.value_text import ALL, ValueText
from ollama_magics.errors import PromptProblem

N = "\u202f"  # between groups of digits
Point = namedtuple("Point", "x y")  # noqa: PYI024 - as notebooks have them


@dataclass
class Person:
    """Somebody."""

    name: str

    def hello(self) -> str:
        """Greet."""
        return f"Hello {self.name}"


@functools.cache
def double(x: int) -> int:
    """Return it twice."""
    return 2 * x


def text_of(value: Any, rows: int | None = None) -> str:
    """Return the text of a value that leaves nothing out."""
    text, notes = ValueText(rows).of(value, "x")
    assert not [str(note.phrase) for note in notes]
    return text


def notes_of(value: Any, rows: int | None = None) -> list[str]:
    """Return what is noted about a value."""
    _, notes = ValueText(rows).of(value, "x")
    assert all(note.loses for note in notes)
    return [str(note.phrase) for note in notes]


WHOLE: list[tuple[Any, str]] = [
    ("{{a}}\n", "{{a}}\n"),
    ("x" * 100_000, "x" * 100_000),
    (None, "None"),
    (float("nan"), "nan"),
    (10**400, str(10**400)),
    (dt.datetime(2026, 1, 2, 3), "2026-01-02 03:00:00"),  # noqa: DTZ001 - as notebooks have them
    (decimal.Decimal("1.10"), "1.10"),
    (range(10**9), "range(0, 1000000000)"),
    (["a", 1], "['a', 1]"),
    (["x" * 10_000], f"['{'x' * 10_000}']"),
    ([[1] * 100, {"k": list(range(50))}], str([[1] * 100, {"k": list(range(50))}])),
    ({"a": {"b": 1}}, "{'a': {'b': 1}}"),
    (("数据", "🎈"), "('数据', '🎈')"),
    (Point(1, 2), "Point(x=1, y=2)"),
    (Counter("aab"), "Counter({'a': 2, 'b': 1})"),
    (deque([1]), "deque([1])"),
    ({"b", "a"}, "set of 2 items:\n['a', 'b']"),
    ({"a": 1}.values(), "dict_values([1])"),
    (np.float64(0.5), "0.5"),
    (np.array(7), "7"),
    (np.array([1, 2]), "array of 2 (int64):\n[1, 2]"),
    (np.array([1 / 3]), "array of 1 (float64):\n[0.3333333333333333]"),
    (np.array([0.1], dtype="f4"), "array of 1 (float32):\n[0.1]"),
    (np.array(["a", "b"]), "array of 2 (<U1):\n['a', 'b']"),
    (np.zeros((1, 1, 2)), "array of 1 × 1 × 2 (float64):\n[[[0.0, 0.0]]]"),
    (np.array([[1, 2], [3, 4]]), "array of 2 × 2 (int64)\nall 2 rows:\n| 0 | 1 |\n| --- | --- |\n| 1 | 2 |\n| 3 | 4 |"),
    (pd.Index([1, 2]), "array of 2 (int64):\n[1, 2]"),
    (pa.array([1, None]), "Int64Array of 2 values (int64):\n[1, None]"),
    (ValueError("wait ..."), "wait ..."),
    (Person("Ada"), "Person(name='Ada')"),
]


@pytest.mark.finding("A2")
@pytest.mark.parametrize(("value", "text"), WHOLE, ids=lambda value: value if isinstance(value, str) else type(value).__name__)
def test_what_is_short_goes_in_whole(value: Any, text: str) -> None:
    """Without a note; a text goes in whole however long, and items are never cut inside."""
    assert text_of(value) == text


def test_a_list_that_holds_itself_has_a_text() -> None:
    """As Python writes it."""
    value: list[Any] = [1]
    value.append(value)
    assert text_of(value) == "[1, [...]]"


COLUMNS = {"n": [3, 1, None], "t": ["a|b", "two\nlines", "a|b"], "l": [[1], [2], [3]]}
BY_NAME = ["| n | t | l |", "| 3 | a\\|b | [1] |", "| 1 | two<br>lines | [2] |", "| None | a\\|b | [3] |"]
TABLES: list[tuple[Any, str, list[str], list[str]]] = [
    (
        pd.DataFrame(COLUMNS, index=["p", "q", "r"], dtype=object),
        "DataFrame of 3 rows × 3 columns",
        ["- n: object, 1 missing, 2 distinct, 1 to 3", "- t: object, 0 missing, 2 distinct, 'a|b' to 'two\\nlines'"],
        ["|  | n | t | l |", "| p | 3 | a\\|b | [1] |", "| q | 1 | two<br>lines | [2] |", "| r | None | a\\|b | [3] |"],
    ),
    (
        pl.DataFrame(COLUMNS),
        "DataFrame of 3 rows × 3 columns",
        ["- n: Int64, 1 missing, 2 distinct, 1 to 3", "- t: String, 0 missing, 2 distinct, 'a|b' to 'two\\nlines'"],
        BY_NAME,
    ),
    (
        pa.table(COLUMNS),
        "Table of 3 rows × 3 columns",
        ["- n: int64, 1 missing, 2 distinct, 1 to 3", "- t: string, 0 missing, 2 distinct, 'a|b' to 'two\\nlines'"],
        BY_NAME,
    ),
    (
        pd.Series([0.5, None], index=["a", "b"], name="s"),
        "Series of 2 values",
        ["- s: float64, 1 missing, 1 distinct, 0.5 to 0.5"],
        ["|  | s |", "| a | 0.5 |", "| b | nan |"],
    ),
    (
        pl.Series("s", [2, 1]),
        "Series of 2 values",
        ["- s: Int64, 0 missing, 2 distinct, 1 to 2"],
        ["| s |", "| 2 |", "| 1 |"],
    ),
    (
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        "DataFrame of 1 rows × 2 columns",
        ["- a: int64, 0 missing, 1 distinct, 1 to 1", "- a: int64, 0 missing, 1 distinct, 2 to 2"],
        ["|  | a | a |", "| 0 | 1 | 2 |"],
    ),
    (
        scipy.sparse.coo_array(np.diag([1.5, 0, 2])),
        "sparse array of 3 × 3 (float64), 2 stored values, all others 0",
        [],
        ["| axis 0 | axis 1 | value |", "| 0 | 0 | 1.5 |", "| 2 | 2 | 2.0 |"],
    ),
]


@pytest.mark.finding("A2")
@pytest.mark.parametrize(("table", "heading", "columns", "rows"), TABLES, ids=[type(table[0]).__module__ for table in TABLES])
def test_a_table_goes_in_with_its_shape_a_line_for_each_column_and_its_rows(
    table: Any, heading: str, columns: list[str], rows: list[str]
) -> None:
    """Of every library; missing values do not count as distinct."""
    lines = text_of(table).split("\n")
    assert (lines[0], lines[1 : len(columns) + 1]) == (heading, columns)
    assert [lines[-len(rows) - 1], *lines[-len(rows) + 1 :]] == rows
    assert re.fullmatch(r"all \d+ (rows|values):", lines[-len(rows) - 2])


SIZES = ["small", "medium", "large"]
PICKED = ["large", None, "small", "large"]
ORDERED: dict[str, Any] = {
    "pandas": pd.DataFrame({"s": pd.Categorical(PICKED, SIZES, ordered=True)}),
    "polars": pl.DataFrame({"s": pl.Series(PICKED, dtype=pl.Enum(SIZES))}),
    "arrow": pa.table({"s": pa.DictionaryArray.from_arrays([2, None, 0, 2], SIZES, ordered=True)}),
}


@pytest.mark.parametrize("library", ORDERED)
def test_ordered_categories_go_from_the_smallest_to_the_largest(library: str) -> None:
    """Not by the alphabet, as others do."""
    assert "1 missing, 2 distinct, 'small' to 'large'" in text_of(ORDERED[library])
    assert "'large' to 'small'" in text_of(pd.DataFrame({"s": pd.Categorical(PICKED, SIZES)}))


DF = pd.DataFrame({"n": range(1000), "t": ["x" * 300] * 3 + ["y"] * 997})
CUT: list[tuple[Any, int | None, list[str], str]] = [
    (DF[["n"]], None, [f"x: 20 of 1{N}000 rows"], "first 20 of 1000 rows:"),
    (DF[["n"]], 5, [f"x: 5 of 1{N}000 rows"], "first 5 of 1000 rows:"),
    (DF, None, [f"x: 20 of 1{N}000 rows", "x: 3 cells cut at 200 characters"], "3 cells cut at 200 characters"),
    (DF.n, None, [f"x: 20 of 1{N}000 rows"], "first 20 of 1000 rows:"),
    (pl.DataFrame({"n": range(21)}), None, ["x: 20 of 21 rows"], "first 20 of 21 rows:"),
    (pl.Series("n", range(21)), None, ["x: 20 of 21 rows"], "first 20 of 21 rows:"),
    (pa.table({"n": range(21)}), None, ["x: 20 of 21 rows"], "first 20 of 21 rows:"),
    (pa.chunked_array([range(21)]), None, ["x: 20 of 21 items"], "first 20 of 21 items:"),
    (pd.DataFrame(np.zeros((2, 50))), None, ["x: 30 of 50 columns"], "first 30 of 50 columns"),
    (["text"] * 500, None, ["x: 20 of 500 items"], "first 20 of 500 items:\n['text', "),
    (["text"] * 500, 2, ["x: 2 of 500 items"], "first 2 of 500 items:\n['text', 'text']"),
    (dict.fromkeys(range(30), "v"), 2, ["x: 2 of 30 items"], "first 2 of 30 items:\n{0: 'v', 1: 'v'}"),
    (set(range(30)), 2, ["x: 2 of 30 items"], "first 2 of 30 items:\n[0, 1]"),
    (np.arange(5000), None, [f"x: 1{N}000 of 5{N}000 values"], "first 1000 of 5000 values:\n[0, 1, "),
    (np.arange(5000), 3, [f"x: 3 of 5{N}000 values"], "first 3 of 5000 values:\n[0, 1, 2]"),
    (np.zeros((20, 20, 20)), None, [f"x: 1{N}000 of 8{N}000 values"], "first 1000 of 8000 values:"),
    (np.zeros((99, 2)), None, ["x: 20 of 99 rows"], "first 20 of 99 rows:"),
    (scipy.sparse.eye(100), None, ["x: 20 of 100 values"], "first 20 of 100 values:"),
    (
        [np.arange(2000), DF[["n"]]],
        None,
        [f"x[0]: 1{N}000 of 2{N}000 values", f"x[1]: 20 of 1{N}000 rows"],
        "x[1]:\nDataFrame of",
    ),
    ({"w": [np.arange(2000)]}, None, [f"x['w'][0]: 1{N}000 of 2{N}000 values"], "x['w'][0]:\narray of 2000"),
    (pd.DataFrame({"v": [np.zeros(2000)]}), None, ["x: 1 cells cut at 200 characters"], "1 cells cut"),
    (
        type("Long", (), {"__str__": lambda _: "z" * 22890})(),
        None,
        [f"x: cut at 4{N}000 of 22{N}890 characters"],
        "(cut: 4000 of 22890",
    ),
    (type("Short", (), {"__str__": lambda _: "[1, ..., 9]"})(), None, ["x: its own text leaves out a part, as ..."], "..."),
]


@pytest.mark.finding("A2")
@pytest.mark.parametrize(("value", "rows", "noted", "told"), CUT)
def test_what_is_left_out_is_noted_and_said_to_the_model(
    value: Any, rows: int | None, noted: list[str], told: str, record_property: Any
) -> None:
    """In the same numbers."""
    assert notes_of(value, rows) == noted
    record_property("figure", f"{type(value).__name__} {rows or ''}".strip())
    assert told in ValueText(rows).of(value, "x")[0]


@pytest.mark.finding("A2")
@pytest.mark.parametrize("value", [value for value, *_ in CUT[:-1]])
def test_all_rows_leave_nothing_out(value: Any) -> None:
    """Long cells and all columns go in, too; the check of the context judges the length."""
    assert text_of(value, ALL)


@pytest.mark.finding("A2")
@given(st.lists(st.floats(width=64), min_size=1, max_size=30), st.integers(1, 40))
def test_no_number_is_cut_or_rounded(numbers: list[float], rows: int) -> None:
    """What Python reads back is what was there."""
    text, _ = ValueText(rows).of(np.array(numbers), "x")
    found = [float(number) for number in text.split("\n", 1)[1].strip("[]").split(", ")]
    np.testing.assert_array_equal(found, numbers[:rows])
    table, _ = ValueText(rows).of(pd.DataFrame({"n": numbers}), "x")
    cells = [float(line.split(" | ")[1].strip("| ")) for line in table.split("\n| --- | --- |\n")[1].split("\n")]
    np.testing.assert_array_equal(cells, numbers[:rows])


@given(st.lists(st.lists(st.text(alphabet="{}|ab \n数"), min_size=2, max_size=2), max_size=5))
def test_no_cell_breaks_a_table(cells: list[list[str]]) -> None:
    """Every line has as many cells as the first one, whatever is in them."""
    text = text_of(pd.DataFrame(cells, columns=["a", "b"], dtype=object))
    lines = text[text.index("\n|  | a") + 1 :].split("\n")
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert len(lines) == len(cells) + 2


REFUSED: list[tuple[Any, str]] = [
    (b"abc", 'x_text = x.decode("utf-8")'),
    (bytearray(b"abc"), 'x_text = x.decode("utf-8")'),
    ((one for one in "ab"), "x_text = list(x)"),
    (iter([1]), "x_text = list(x)"),
    (zip("a", "b", strict=True), "x_text = list(x)"),
    (pl.LazyFrame({"a": [1]}), "x_text = x.collect()"),
    (dask.dataframe.from_dict({"a": [1]}, npartitions=1), "x_text = x.compute()"),
    (np, "x_text = dir(x)"),
    (DF.describe, "x_text = x()"),
    ("".upper, "x_text = x()"),
    (len, "x_text = x()"),
    (int, 'x_text = "…"'),
    (object(), "x_text = vars(x)"),
    (DF.groupby(DF.columns[0]), "x_text = list(x)"),  # whose own text is its address
]


@pytest.mark.finding("A2")
@pytest.mark.parametrize(("value", "line"), REFUSED, ids=lambda value: value if isinstance(value, str) else type(value).__name__)
def test_what_has_no_text_is_refused_with_the_line_to_type(value: Any, line: str) -> None:
    """Its own text would tell the model nothing, and an iterator would be used up."""
    with pytest.raises(PromptProblem) as caught:
        ValueText().of(value, "x")
    assert caught.value.code == "value-not-text"
    assert caught.value.remedy.splitlines() == [line, "then in the prompt: {{x_text}}"]


@pytest.mark.finding("A2")
@pytest.mark.parametrize("item", [b"png", iter([1]), object(), Image.new("L", (2, 2)), Figure(), Figure().add_subplot()])
def test_what_is_refused_is_refused_in_a_list_too(item: Any) -> None:
    """By its place; a list would print its address or its bytes."""
    with pytest.raises(PromptProblem, match=r"x\['a'\]\[0\]"):
        ValueText().of({"a": [item]}, "x")


@pytest.mark.finding("C22")
def test_the_advice_for_a_part_of_a_value_first_gives_it_a_name() -> None:
    """-i takes a variable, and no part of one."""
    image = Image.new("L", (2, 2))
    for value, lines in (
        (image, ["send it as a picture: -i x"]),
        ([image], ["x_0_picture = x[0]", "then send it as a picture: -i x_0_picture"]),
    ):
        with pytest.raises(PromptProblem) as caught:
            ValueText().of(value, "x")
        assert caught.value.remedy.splitlines() == lines


YEARS = pd.DataFrame({"city": ["Bonn", "Ulm"], "kind": ["a", "b"], "year": [1, 2], "v": [3, 4]})
NAMED: list[tuple[Any, str]] = [
    (YEARS.groupby("city")["v"].sum(), "| city | v |"),
    (YEARS.groupby("city")[["v"]].sum(), "| city | v |"),
    (YEARS.groupby(["city", "kind"])[["v"]].sum(), "| ('city', 'kind') | v |"),
    (YEARS.pivot_table(index="city", columns="year", values="v"), "DataFrame of 2 rows × 2 columns (year)"),
    (YEARS[["v"]], "|  | v |"),
    (np.matrix([[1, 2]]), "| 1 | 2 |"),
]


@pytest.mark.finding("A2")
@pytest.mark.parametrize(("table", "line"), NAMED)
def test_names_of_an_index_stay(table: Any, line: str) -> None:
    """What was a column before it was grouped by keeps its name."""
    assert line in text_of(table).splitlines()


def test_a_function_or_class_goes_in_as_its_source() -> None:
    """With its decorators."""
    assert text_of(text_of).startswith("def text_of(value: Any, rows: int | None = None) -> str:\n")
    assert text_of(Person).startswith('@dataclass\nclass Person:\n    """Somebody."""\n')
    assert text_of(double.__wrapped__).startswith("@functools.cache\ndef double(")
