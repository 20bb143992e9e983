"""The pieces around an answer, and what a terminal may print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.render import answer, cleaning, markdown

PEN = "\u202e"


def test_the_footer_joins_figures_and_gives_each_warning_its_line() -> None:
    """Small and grey, the warnings in the theme's amber."""
    page = answer.footer_html(["llama3.2", "214 tokens"], ["cut", "dropped"])
    assert page.count("<div") == 3
    assert ">llama3.2 · 214 tokens</div>" in page
    assert page.count("--jp-warn-color0") == 2
    assert page.count("font-size:11px") == 3


def test_an_empty_footer_is_nothing() -> None:
    """No figures and no warnings leave no gap."""
    assert answer.footer_html([]) == ""


def test_thoughts_are_folded_unless_open_and_absent_without_text() -> None:
    """They are plain text: neither Markdown nor formulas."""
    folded = answer.thoughts_html("*a* $x$", "thoughts", open=False)
    assert folded.startswith('<details class="mathjax_ignore"')
    assert " open><summary>thoughts</summary>" not in folded
    assert "*a* $x$" in folded
    assert " open><summary>thoughts</summary>" in answer.thoughts_html("a", "thoughts", open=True)
    assert answer.thoughts_html("", "thoughts", open=True) == ""


def test_an_answer_is_one_element_of_its_pieces_in_order() -> None:
    """One output in the saved notebook."""
    page = answer.answer_html("<p>a</p>", answer.footer_html(["llama3.2", "3 s"]))
    assert page.startswith('<div class="ollama-magics"')
    assert page.index("<p>a</p>") < page.index("llama3.2 · 3 s")


def test_an_answer_that_grows_shows_the_source_of_many_formulas() -> None:
    """A page typesets all of them again at each paint; the whole answer has them typeset."""
    few, many = "<p>\\(x\\)</p>", "<p>\\(x\\) \\[y\\]</p>" * 20
    assert "mathjax_ignore" not in answer.answer_html(few, growing=True)
    assert "mathjax_ignore" in answer.answer_html(many, growing=True)
    assert "mathjax_ignore" not in answer.answer_html(many)


def test_columns_and_thumbnails_are_of_the_size_they_need() -> None:
    """Columns wrap; pictures are in the page itself, and nothing is there where there are none."""
    page = answer.columns_html([("a", "<p>1</p>"), ("b", "<p>2</p>")])
    assert page.count("flex:1 1 280px") == 2
    assert "flex-wrap:wrap" in page
    assert answer.thumbnails_html([]) == ""
    assert "max-width:64px" in answer.thumbnails_html([b"png"], "and 2 more")


def test_a_growing_text_is_cleaned_like_a_whole_one() -> None:
    """Wherever it is cut, also within an escape sequence or a line end."""
    text = "a\x1b[31mred\x1b[0m \x1b]0;title\x07b\r\nc\x1b(Bd \x9b1me"
    for cut in range(len(text) + 1):
        cleaned = cleaning.Cleaned()
        assert cleaned.feed(text[:cut]) + cleaned.feed(text[cut:]) + cleaned.rest() == cleaning.plain(text)
    endless = cleaning.Cleaned()
    assert "0;never" in endless.feed("\x1b]0;never" + "x" * 300)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a\n\n```python\nx = 1\n```\n\n```\ny\n```", "x = 1\n"),
        ("a\n\n    indented\n", "indented\n"),
        ("> ~~~\n> quoted\n> ~~~", "quoted\n"),
        ("```\nunfinished", "unfinished"),
        ("```\na\u202eb\x1b\n```", "a\ufffdb\u241b\n"),
        ("`no` block", None),
    ],
)
def test_the_first_block_of_code_is_found(text: str, code: str | None) -> None:
    """With what acts unseen made visible."""
    assert markdown.first_code(text) == code


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07a", "a"),
        ("\x1b]8;;https://evil.example\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;aGk=\x07a", "a"),
        ("\x9d0;title\x9ca", "a"),
        ("\x1bPq#0\x1b\\a", "a"),
        ("\x1bcreset\x1b(B", "reset"),
        ("a\x07\x08\x00\x7f\x85b", "ab"),
        ("\x1b\x1b[31m[31m", "[31m"),
        ("\x1b]0;never ends", "0;never ends"),
        ("a\r\nb\rc\td\n", "a\nb\nc\td\n"),
        (f"a{PEN}b\u2066", "a�b�"),
        ("שלום 中文 🙂", "שלום 中文 🙂"),
    ],
)
def test_a_terminal_gets_text_only(text: str, printed: str) -> None:
    """No colour, title, link, clipboard or cursor of the model's choosing."""
    assert cleaning.plain(text) == printed


@given(st.text(alphabet=st.sampled_from("\x1b[]0;m\x07\\\x9b\x9d\x9c\r\n\tab\u202e\x00P")))
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    """However sequences are cut and nested; and a second time changes nothing."""
    printed = cleaning.plain(text)
    assert all(one in "\n\t" or (one >= " " and not "\x7f" <= one <= "\x9f") for one in printed)
    assert PEN not in printed
    assert cleaning.plain(printed) == printed
