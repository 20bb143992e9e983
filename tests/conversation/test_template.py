"""Names in double braces become texts, other expressions are refused, and nothing is called."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from ollama_magics.conversation.template import fill_template
from ollama_magics.errors import PromptProblem

CHARACTERS = st.text(alphabet="{}{}{}\\ xy.()[]!:'%$0\n数")
PLACEHOLDER = re.compile(r"\{\{.*?\}\}", re.DOTALL)
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
        filled = fill_template(template, values).text
    except PromptProblem as problem:
        refusals = ("name-unknown", "value-part-missing", "expression-in-braces")
        assert problem.code in refusals  # noqa: PT017 - most templates are no error
    else:
        assert PLACEHOLDER.search(template) or filled == template


@given(st.lists(st.tuples(LITERALS, st.sampled_from(["a", "b"])), max_size=6), LITERALS, CHARACTERS, CHARACTERS)
def test_values_go_in_unchanged_and_once(parts: list[tuple[str, str]], end: str, a: str, b: str) -> None:
    """A value that looks like a template is not filled again."""
    values = {"a": a, "b": b}
    template = "".join(f"{text}{{{{{name}}}}}" for text, name in parts) + end
    if PLACEHOLDER.sub("", template) == "".join(text for text, _ in parts) + end:
        assert fill_template(template, values).text == "".join(text + values[name] for text, name in parts) + end


UNTOUCHED = [
    "{x}",
    "{x.secret}",
    "{{x!r}}",
    "{{x:>10}}",
    "{{0}}",
    "{{1 + 2}}",
    "{{ }}",
    "{{}}",
    "{{x y}}",
    "{{#if x}}{{/if}}",
    "{{f()}}",
    "{{ user | upper }}",
    "{% if x %}",
    "$x ${x} %(x)s",
    '{"a": {"b": 1}}',
    '{{"a": 1}}',
    '{{"a": {"x": 1}}}',
    r"\frac{{1}}{{2}} \mathbb{{}}",
    "f'{x}'",
    "{{x",
    "x}}",
]


@pytest.mark.finding("A3")
@pytest.mark.parametrize("text", UNTOUCHED)
def test_other_braces_pass_unchanged(text: str) -> None:
    """JSON, code, LaTeX, other template languages, and expressions without a name of the notebook."""
    assert fill_template(text, {"x": Trap()}).text == text


def test_braces_that_begin_with_a_name_of_the_notebook_are_reported() -> None:
    """They may be a format that Python's f-strings know."""
    filled = fill_template("{{x:>10}} {{y:>10}}", {"x": 1})
    assert [(str(note.phrase), note.loses) for note in filled.notes] == [
        ("{{x:>10}} was sent as it stands: it is no Python expression", False)
    ]


CONFIG: dict[str, Any] = {
    "df": pd.DataFrame({"text": ["a", "b"]}),
    "rows": ["first", "last"],
    "cfg": {"a": {"b": "deep"}, -1: "minus", "two words": 2},
    "数据": {"键": "值"},
    "x": "{{rows}}",
    "point": complex(1, 2),
}
PATHS = [
    ("{{rows[0]}} {{rows[-1]}} {{ rows[ - 1 ] }}", "first last last"),
    ("{{rows[:1]}}", "['first']"),
    ('{{cfg["a"]["b"]}} {{cfg[-1]}} {{cfg["two words"]}}', "deep minus 2"),
    ("{{cfg['a'][\n'b']}}", "deep"),
    ('{{数据["键"]}} {{ 数据 [ "键" ] }}', "值 值"),
    ("{{point.real}} {{point.imag}}", "1.0 2.0"),
    ("{{df.text[1]}} {{df['text'][0]}} {{df.iloc[0, 0]}} {{df.shape[0]}}", "b a a 2"),
    ("{{x}} {{x[2:6]}}", "{{rows}} rows"),
    (r"\{{rows[0]}} \{{df.describe()}}", "{{rows[0]}} {{df.describe()}}"),
]


@pytest.mark.finding("A3")
@pytest.mark.parametrize(("template", "filled"), PATHS)
def test_attributes_and_constant_subscripts_are_looked_up(template: str, filled: str) -> None:
    """Also of other subscripts; a text from a value is not filled again."""
    assert fill_template(template, CONFIG).text == filled


EXPRESSIONS = [
    *("df.describe()", "len(df)", "rows + rows", "rows[len(rows) - 1]", "rows[i]", "df.text.str.upper()", "[r for r in rows]"),
    *("rows if rows else 1", "lambda: rows", "not rows", "df._data", "df.__class__", "rows.__len__", "f'{rows}'", "rows | upper"),
    *("print(df)", "{**cfg}", "rows, cfg", "rows == 1", "cfg[rows[0]]", "cfg[f'a']", "rows[0:len(rows)]", "await rows"),
]


@pytest.mark.finding("A3")
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_other_expressions_are_refused_with_the_lines_to_type(expression: str, record_property: Any) -> None:
    """They would be sent as they stand, and the model would guess."""
    with pytest.raises(PromptProblem) as caught:
        fill_template("Look: {{ " + expression + " }}", {**CONFIG, "summary": 1})
    record_property("figure", expression)
    assert caught.value.code == "expression-in-braces"
    assert caught.value.remedy.splitlines()[:2] == [f"result = {expression}", "then in the prompt: {{result}}"]
    assert "--no-fill" in caught.value.remedy


MISSING = [
    ("{{df.txet}}", "text"),
    ('{{df["txet"]}}', "text"),
    ('{{cfg["a"]["c"]}}', "No name is similar"),
    ('{{cfg["two word"]}}', "two words"),
    ("{{rows[2]}}", "IndexError"),
    ("{{rows.text}}", "AttributeError"),
    ("{{trap.secret}}", "AssertionError"),
    ("{{trap[0]}}", "AssertionError"),
]


@pytest.mark.finding("A3")
@pytest.mark.parametrize(("template", "said"), MISSING)
def test_a_part_that_is_not_there_is_an_error_with_the_nearest(template: str, said: str) -> None:
    """Whatever the value raises when it is asked."""
    with pytest.raises(PromptProblem) as caught:
        fill_template(template, {**CONFIG, "trap": Trap()})
    assert caught.value.code == "value-part-missing"
    assert said in caught.value.how_we_know


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
    assert fill_template(template, {"x": 1, "数据": "Δ", "_2": 2}).text == filled


def test_an_unknown_name_is_an_error_with_the_nearest_name() -> None:
    """With the braces in it, the model would get another prompt than was meant."""
    with pytest.raises(PromptProblem) as caught:
        fill_template("{{pries}}", {"price": 1, "_private": 2})
    assert caught.value.code == "name-unknown"
    assert "{{pries}}" in caught.value.what
    assert caught.value.how_we_know == "The nearest name is price."
    with pytest.raises(PromptProblem) as caught:
        fill_template("{{x.y}}", {})
    assert caught.value.how_we_know == "No name is similar."


@pytest.mark.parametrize("picture", [Figure(), Image.new("L", (2, 2))])
def test_a_picture_in_braces_is_an_error_that_says_how(picture: Any) -> None:
    """Its text would be the name of a class."""
    with pytest.raises(PromptProblem) as caught:
        fill_template("See {{x}}", {"x": picture})
    assert (caught.value.code, caught.value.remedy) == ("value-is-picture", "send it as a picture: -i x")


class Broken:
    """A value that cannot write itself."""

    def __str__(self) -> str:
        raise RuntimeError("no connection")


def test_a_value_that_cannot_be_written_is_an_error_of_the_prompt() -> None:
    """With the message of its own error."""
    with pytest.raises(PromptProblem, match="RuntimeError: no connection") as caught:
        fill_template("See {{x}}", {"x": Broken()})
    assert caught.value.code == "value-unprintable"
