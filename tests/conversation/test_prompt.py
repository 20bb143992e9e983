"""Names in double braces become texts, and nothing in braces is evaluated."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from ollama_magics.conversation.prompt import as_text, fill_template
from ollama_magics.errors import PromptProblem

CHARACTERS = st.text(alphabet="{}{}{}\\ xy.()[]!:'%$0\n数")
PLACEHOLDER = re.compile(r"\{\{\s*[^\W\d]\w*\s*\}\}")
LITERALS = st.text(alphabet="ab {}.\n").filter(lambda text: "{{" not in text and not text.endswith("{"))


class Trap:
    """Fails when it is formatted, called, indexed or asked for an attribute that a template could name."""

    def __format__(self, _: str) -> str:
        raise AssertionError

    def __call__(self) -> str:
        """Fail."""
        raise AssertionError

    def __getitem__(self, _: object) -> str:
        raise AssertionError

    @property
    def secret(self) -> str:
        """Fail."""
        raise AssertionError

    def __str__(self) -> str:
        return "{{x}} {x.secret}"


@given(CHARACTERS)
def test_nothing_in_a_prompt_is_evaluated(template: str) -> None:
    """A name is replaced by its text, or refused; anything else stays as it is."""
    values = {"x": Trap(), "y": "{{x}}"}
    try:
        filled = fill_template(template, values)
    except PromptProblem as problem:
        assert problem.code == "name-unknown"  # noqa: PT017 - most templates are no error
    else:
        assert PLACEHOLDER.search(template) or filled == template


@given(st.lists(st.tuples(LITERALS, st.sampled_from(["a", "b"])), max_size=6), LITERALS, CHARACTERS, CHARACTERS)
def test_values_go_in_unchanged_and_once(parts: list[tuple[str, str]], end: str, a: str, b: str) -> None:
    """A value that looks like a template is not filled again."""
    values = {"a": a, "b": b}
    template = "".join(f"{text}{{{{{name}}}}}" for text, name in parts) + end
    if PLACEHOLDER.sub("", template) == "".join(text for text, _ in parts) + end:
        assert fill_template(template, values) == "".join(text + values[name] for text, name in parts) + end


@pytest.mark.parametrize(
    "text",
    [
        "{x}",
        "{x.secret}",
        "{{x.secret}}",
        "{{x()}}",
        "{{x[0]}}",
        "{{x!r}}",
        "{{x:>10}}",
        "{{0}}",
        "{{ }}",
        "{{x y}}",
        "{% if x %}",
        "$x ${x} %(x)s",
        '{"a": {"b": 1}}',
        r"\frac{{1}}{{2}} \mathbb{{}}",
        "f'{x}'",
    ],
)
def test_other_braces_pass_unchanged(text: str) -> None:
    """JSON, code, LaTeX and other template languages."""
    assert fill_template(text, {"x": Trap()}) == text


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("{{x}}", "1"),
        ("{{ x }}{{x}}", "11"),
        ("{{\nx\t}}", "1"),
        ("{{{x}}}", "{1}"),
        (r"\{{x}}", "{{x}}"),
        (r"\\{{x}}", r"\{{x}}"),
        ("{{数据}} {{_2}}", "Δ 2"),
    ],
)
def test_names_are_replaced(template: str, filled: str) -> None:
    """Any Python identifier is a name; a backslash keeps the braces."""
    assert fill_template(template, {"x": 1, "数据": "Δ", "_2": 2}) == filled


def test_an_unknown_name_is_an_error_with_the_nearest_name() -> None:
    """With the braces in it, the model would get another prompt than was meant."""
    with pytest.raises(PromptProblem) as caught:
        fill_template("{{pries}}", {"price": 1, "_private": 2})
    assert caught.value.code == "name-unknown"
    assert "{{pries}}" in caught.value.what
    assert caught.value.how_we_know == "The nearest name is price."
    with pytest.raises(PromptProblem) as caught:
        fill_template("{{x}}", {})
    assert caught.value.how_we_know == "No name is similar."


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("{{a}}\n", "{{a}}\n"),
        ("x" * 9000, "x" * 9000),
        (None, "None"),
        (["a", 1], "['a', 1]"),
        ({"a": 1}, "{'a': 1}"),
        (np.float64(0.5), "0.5"),
        (np.int64(7), "7"),
        (np.array(7), "7"),
        (np.array([1, 2]), "array of 2 (int64):\n[1 2]"),
        (np.array([[1, 2.5], [3, 4]]), "array of 2 × 2 (float64):\n| 0 | 1 |\n| --- | --- |\n| 1 | 2.5 |\n| 3 | 4 |"),
        (np.zeros((1, 1, 2)), "array of 1 × 1 × 2 (float64):\n[[[0. 0.]]]"),
        (pd.Series([0.5], index=["a"], name="s"), "Series of 1 values (float64):\n|  | s |\n| --- | --- |\n| a | 0.5 |"),
    ],
)
def test_each_value_has_its_text(value: Any, text: str) -> None:
    """A text stays as it is, however long."""
    assert as_text(value) == text


def test_a_long_value_says_what_was_cut() -> None:
    """The model must know that a part is missing."""
    text = as_text(list(range(10_000)))
    assert text.startswith("[0, 1, 2, ")
    assert text.endswith("\n(cut: 4000 of 58890 characters)")


def test_a_frame_goes_in_as_a_table_with_its_shape_its_types_and_its_first_rows() -> None:
    """It says that these are not all rows."""
    frame = pd.DataFrame({"n": range(30), "text": ["a|b\nc"] * 30, "x": [1 / 3] * 30})
    lines = as_text(frame).split("\n")
    assert lines[0] == f"DataFrame of 30 rows × 3 columns (n int64, text {frame['text'].dtype}, x float64, first 20 rows):"
    assert lines[1:4] == ["|  | n | text | x |", "| --- | --- | --- | --- |", "| 0 | 0 | a\\|b c | 0.333333333333333 |"]
    assert lines[-1] == "| 19 | 19 | a\\|b c | 0.333333333333333 |"
    assert as_text(frame.head(2)).count("\n") == 4
    assert "first" not in as_text(frame.head(20))


def test_wide_and_long_values_say_what_was_left_out() -> None:
    """Columns, rows, numbers, long cells, and the text as a whole."""
    wide = pd.DataFrame(np.zeros((2, 50)))
    assert "first 30 columns" in as_text(wide)
    assert as_text(wide).split("\n")[-1].count("|") == 32
    assert "(float64, first 20 rows, first 30 columns)" in as_text(np.zeros((99, 99)))
    assert "(float64, first 1000 values)" in as_text(np.zeros(5000))
    assert "the middle left out" in as_text(np.zeros((20, 20, 20)))
    assert "(int64, first 20 values)" in as_text(pd.Series(range(21)))
    long = as_text(pd.Series(["x" * 5000] * 30))
    assert "…" in long
    assert len(long) < 4200
    assert long.endswith(" characters)")


def test_a_frame_of_another_library_is_read_by_its_methods() -> None:
    """Polars has rows and no index; a lazy frame may not know its length."""

    class Rows:
        columns, dtypes, shape = ("a", "b"), ("Int64", "String"), (2, 2)

        def head(self, _: int) -> Rows:
            return self

        def rows(self) -> list[tuple[Any, ...]]:
            return [(1, "x"), (2, "y")]

    table = "| a | b |\n| --- | --- |\n| 1 | x |\n| 2 | y |"
    assert as_text(Rows()) == f"Rows of 2 rows × 2 columns (a Int64, b String):\n{table}"
    lazy = Rows()
    lazy.shape = ("?", 2)  # type: ignore[assignment]
    assert "first 20 rows" in as_text(lazy)


@given(st.lists(st.lists(CHARACTERS, min_size=2, max_size=2), max_size=5))
def test_no_cell_breaks_a_table(cells: list[list[str]]) -> None:
    """Every line has as many cells as the first one, whatever is in them."""
    lines = as_text(pd.DataFrame(cells, columns=["a", "b"], dtype=object)).split("\n")[1:]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} <= {4} or any("\\" in "".join(row) for row in cells)


@pytest.mark.parametrize("picture", [Figure(), Image.new("L", (2, 2))])
def test_a_picture_in_braces_is_an_error_that_says_how(picture: Any) -> None:
    """Its text would be the name of a class."""
    with pytest.raises(PromptProblem) as caught:
        fill_template("See {{x}}", {"x": picture})
    assert (caught.value.code, caught.value.remedy) == ("value-is-picture", "send it as a picture: -i x")
    assert fill_template("See {{x}}", {"x": type(picture)})


class Broken:
    """A value that cannot write itself."""

    def __str__(self) -> str:
        raise RuntimeError("no connection")


def test_a_value_that_cannot_be_written_is_an_error_of_the_prompt() -> None:
    """With the message of its own error."""
    with pytest.raises(PromptProblem, match="RuntimeError: no connection") as caught:
        fill_template("See {{x}}", {"x": Broken()})
    assert caught.value.code == "value-unprintable"
