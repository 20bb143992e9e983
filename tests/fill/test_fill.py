"""What stands between double braces, and that nothing of it is ever evaluated."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.errors import PromptProblem
from ollama_magics.fill import as_text, fill

SIGNS = st.text(alphabet="{}{}{}\\ xy.()[]!:'%$0\n数")
PLACE = re.compile(r"\{\{\s*[^\W\d]\w*\s*\}\}")
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


@given(SIGNS)
def test_whatever_the_prompt_nothing_is_evaluated(template: str) -> None:
    """A name is replaced by its text, or refused; anything else stays as it is."""
    values = {"x": Trap(), "y": "{{x}}"}
    try:
        filled = fill(template, values)
    except PromptProblem as problem:
        assert problem.code == "OM-T02"  # noqa: PT017 - most templates are no error
    else:
        assert PLACE.search(template) or filled == template


@given(st.lists(st.tuples(LITERALS, st.sampled_from(["a", "b"])), max_size=6), LITERALS, SIGNS, SIGNS)
def test_values_go_in_as_they_are_and_once(parts: list[tuple[str, str]], end: str, a: str, b: str) -> None:
    """A value that looks like a template is not filled again."""
    values = {"a": a, "b": b}
    template = "".join(f"{text}{{{{{name}}}}}" for text, name in parts) + end
    if PLACE.sub("", template) == "".join(text for text, _ in parts) + end:
        assert fill(template, values) == "".join(text + values[name] for text, name in parts) + end


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
    assert fill(text, {"x": Trap()}) == text


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
    assert fill(template, {"x": 1, "数据": "Δ", "_2": 2}) == filled


def test_an_unknown_name_is_an_error_with_the_nearest_one() -> None:
    """Sending the braces would ask the model something nobody meant."""
    with pytest.raises(PromptProblem) as caught:
        fill("{{pries}}", {"price": 1, "_private": 2})
    assert caught.value.code == "OM-T02"
    assert "{{pries}}" in caught.value.what
    assert caught.value.how_we_know == "The nearest name is price."
    with pytest.raises(PromptProblem) as caught:
        fill("{{x}}", {})
    assert caught.value.how_we_know == "No name is near."


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
        (np.array([1, 2]), "array of shape (2,), int64:\n[1 2]"),
    ],
)
def test_each_value_has_its_text(value: Any, text: str) -> None:
    """A text is itself, however long; a number is a number."""
    assert as_text(value) == text


def test_a_long_value_says_what_was_cut() -> None:
    """The model shall know that it does not see all."""
    text = as_text(list(range(10_000)))
    assert text.startswith("[0, 1, 2, ")
    assert text.endswith("\n(cut: 4000 of 58890 characters)")


def test_a_frame_goes_in_with_its_shape_and_its_first_rows() -> None:
    """Not with all of them."""
    text = as_text(pd.DataFrame({"a": range(30)}))
    assert text.startswith("DataFrame of 30 × 1, first 20 rows:\n")
    assert "19" in text
    assert "20" not in text.removeprefix("DataFrame of 30 × 1, first 20 rows:")
    assert as_text(pd.Series(["u", "v"], name="s")).startswith("Series of 2:\n")
