"""What may be embedded: every notebook form of a list of texts, and nothing that only looks like one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ollama_magics as om
from ollama_magics.embeddings.inputs import source_of, texts_of
from ollama_magics.errors import EmbeddingProblem

KINDS: dict[str, Callable[[], Any]] = {
    "list": lambda: ["b", "a", "c"],
    "tuple": lambda: ("b", "a", "c"),
    "generator": lambda: (text for text in "bac"),
    "map": lambda: map(str, "bac"),
    "keys of a dict": {"b": 1, "a": 2, "c": 3}.keys,
    "Series": lambda: pd.Series(["b", "a", "c"], index=[7, 7, 1]),
    "Series of strings": lambda: pd.Series(["b", "a", "c"], dtype="string"),
    "Series of categories": lambda: pd.Series(["b", "a", "c"], dtype="category"),
    "column": lambda: pd.DataFrame({"n": [1, 2, 3], "t": ["b", "a", "c"]})["t"],
    "index": lambda: pd.Index(["b", "a", "c"]),
    "frame of one column": lambda: pd.DataFrame({"t": ["b", "a", "c"]}),
    "array of one column": lambda: np.array([["b"], ["a"], ["c"]]),
    "array of objects": lambda: np.array(["b", "a", "c"], dtype=object),
    "array of text": lambda: np.array(["b", "a", "c"]),
    "list of NumPy texts": lambda: list(np.array(["b", "a", "c"])),
}


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_every_kind_of_list_gives_its_texts_in_order(make: Callable[[], Any]) -> None:
    """Whatever its index says."""
    assert texts_of(make()) == ["b", "a", "c"]


def test_one_text_is_a_list_of_one() -> None:
    """And not a list of its letters."""
    assert texts_of("abc") == ["abc"]


@given(st.lists(st.text().filter(lambda text: any(map(str.isprintable, text.strip()))), min_size=1))
def test_texts_are_not_changed(texts: list[str]) -> None:
    """Not even the spaces around them."""
    assert texts_of(texts) == texts == texts_of(np.array(texts, dtype=object)) == texts_of(iter(texts))


EMPTY: list[Any] = [[], (), iter([]), pd.Series([], dtype=object), np.array([], dtype=object)]


@pytest.mark.parametrize("rows", EMPTY, ids=lambda rows: type(rows).__name__)
def test_no_rows_are_an_error(rows: Any) -> None:
    """An empty array would be passed on as if something had been asked."""
    with pytest.raises(EmbeddingProblem) as caught:
        texts_of(rows)
    assert caught.value.code == "texts-empty"


WRONG_ROWS: list[tuple[Any, tuple[int, ...], str]] = [
    (["a", None, "b"], (1,), "Row 1 is None."),
    (["a", float("nan")], (1,), "Row 1 is nan."),
    (["", "a", "  \n"], (0, 2), "Row 0 is empty, row 2 is empty."),
    ([1, 2], (0, 1), "Row 0 is 1, row 1 is 2."),
    (["a", b"b", ["c"]], (1, 2), "Row 1 is a bytes, row 2 is a list."),
    (["a", "b\ud800"], (1,), "Row 1 is not valid Unicode (a lone surrogate)."),
    (pd.Series(["a", None]), (1,), "Row 1 is"),
    (pd.Series(["a", pd.NA], dtype="string", index=["x", "y"]), (1,), "Row 1 is"),
    (pd.Series([1.5, 2.5]), (0, 1), "Row 0 is 1.5"),
    (np.array(["a", None], dtype=object), (1,), "Row 1 is None."),
    (np.array([1, 2]), (0, 1), "Row 0 is 1"),
    ("", (0,), "Row 0 is empty."),
    ([None] * 12, tuple(range(12)), "row 9 is None and 2 more."),
]


@pytest.mark.parametrize(("rows", "wrong", "words"), WRONG_ROWS, ids=[words for _, _, words in WRONG_ROWS])
def test_rows_that_are_no_text_are_named_by_position(rows: Any, wrong: tuple[int, ...], words: str) -> None:
    """All of them in ``rows``, the first ten in words."""
    with pytest.raises(EmbeddingProblem) as caught:
        texts_of(rows)
    assert (caught.value.code, caught.value.rows) == ("rows-not-text", wrong)
    assert words in caught.value.how_we_know


REFUSED: list[tuple[Any, str]] = [
    (None, "It is not a list of texts."),
    (7, "It is not a list of texts."),
    (1.5, "It is not a list of texts."),
    (b"abc", "It is not a list of texts."),
    ({"a": "b"}, "It is not a list of texts."),
    (MappingProxyType({"a": "b"}), "It is not a list of texts."),
    (Path("a"), "It is not a list of texts."),
    (np.int64(7), "It is not a list of texts."),
    ({"a", "b"}, "A set has no order"),
    (frozenset("ab"), "A set has no order"),
    (pd.DataFrame({"t": ["a"], "u": ["b"]}), "It is a table, not a column."),
    (np.array([["a", "b"]]), "It has 2 dimensions."),
    (np.array("a"), "It has 0 dimensions."),
]


@pytest.mark.parametrize(("rows", "reason"), REFUSED, ids=[type(rows).__name__ for rows, _ in REFUSED])
def test_what_is_no_list_of_texts_is_refused_with_what_to_type(rows: Any, reason: str) -> None:
    """A set has no order, a frame no single column."""
    with pytest.raises(EmbeddingProblem) as caught:
        texts_of(rows)
    assert caught.value.code == "input-not-texts"
    assert reason in caught.value.how_we_know
    assert "%embed" in caught.value.remedy


def test_a_frame_is_refused_with_the_name_of_a_column() -> None:
    """Ready to be typed."""
    with pytest.raises(EmbeddingProblem) as caught:
        texts_of(pd.DataFrame({"it's": ["a"], "b": [1]}))
    assert 'df["it\'s"]' in caught.value.remedy


IDS, WORDS, PROSE = [1, 2, 3], ["u-1", "u-2", "u-3"], ["the first text", None, "another one"]
TABLES: dict[str, tuple[Callable[[], Any], str]] = {
    "pandas": (lambda: pd.DataFrame({"id": IDS, "user": WORDS, "body": PROSE, "note": PROSE}), "'body'"),
    "pandas, no prose": (lambda: pd.DataFrame({"id": IDS, "user": WORDS}), "'user'"),
    "pandas, no text": (lambda: pd.DataFrame({"id": IDS, "x": IDS}), "'id'"),
    "pandas, categories": (lambda: pd.DataFrame({"id": IDS, "t": pd.Categorical(["a b", "a b", "c"])}), "'t'"),
    "pandas, mixed": (lambda: pd.DataFrame({"m": [1, "a text here", 2], "t": PROSE}), "'t'"),
    "pandas, Chinese": (lambda: pd.DataFrame({"id": WORDS, "文本": ["第一段", "第二段", "第三段"]}), "'文本'"),
    "pandas, numbered columns": (lambda: pd.DataFrame([[1, "a b"], [2, "c d"]]), "1"),
    "pandas, another index": (lambda: pd.DataFrame({"id": IDS, "t": PROSE}, index=[7.5, 8.5, 9.5]), "'t'"),
    "pandas, twice the same name": (lambda: pd.DataFrame([["a b", "c d", "e f"]], columns=["x", "x", "t"]), "'t'"),
    "pandas, empty": (lambda: pd.DataFrame({"id": [], "t": []}), "'id'"),
    "polars": (lambda: pytest.importorskip("polars").DataFrame({"id": IDS, "user": WORDS, "body": PROSE}), "'body'"),
    "Arrow": (lambda: pytest.importorskip("pyarrow").table({"id": IDS, "user": WORDS, "body": PROSE}), "'body'"),
}


def test_a_reply_is_refused_since_it_comes_in_pieces() -> None:
    """A reply gives its text piece by piece; each would get a vector."""
    with om.sandbox():
        reply = om.chat("one two three", model="sandbox-chat")
        with pytest.raises(EmbeddingProblem, match="Reply cannot be embedded") as caught:
            om.embed(reply, model="sandbox-embed")
        reply.close()  # it was not used, which would be a warning
    assert "[reply.text]" in str(caught.value)


@pytest.mark.finding("C27")
@pytest.mark.parametrize(("table", "column"), TABLES.values(), ids=TABLES)
def test_a_table_is_answered_with_its_text_column(table: Callable[[], Any], column: str) -> None:
    """Not with an id, which is the first one of most tables."""
    with pytest.raises(EmbeddingProblem) as caught:
        source_of(table())
    assert caught.value.remedy.endswith(f"x = %embed df[{column}]")
