"""A growing text is shown at every moment as the whole text would be, and finished blocks are not rendered again."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ollama_magics.render import markdown
from ollama_magics.render.markdown import parse

if TYPE_CHECKING:
    from markdown_it.token import Token

LINES = [
    "a word", "a", "---", "===", "-", "- item", "  more", "    far", "\tx", "* other", "1. one", "2. two", "2", "10) ten",
    "# head", "#", "> quote", ">", "```", "```python", "~~~", "````", "x = '$1'", "| a | b |", "|---|---|", "a | b", "--|--",
    "[x]", "[x]: https://a.example", "[x]: https://b.example", "[y]: <", "[y]:", "https://c.example", "'title", "title'",
    "![x][y]", "[x][y] and [y]", "$$", "\\[", "\\]", "$a$ and \\(b\\)", "\\begin{align}", "\\end{align}", "`code", "code`",
    "**bold", "bold**", "<b>", "***", "+", "שלום",
    "<details>", "</details>", "<summary>s</summary>", "<!-- a", "b -->", "<!-- c -->", "<hr>", "a<br>b", "<sub>1", "2</sub>",
    "- [ ] task", "- [x] done", "https://a.example/x", "www.a.example", "\\begin{pmatrix}", "\\end{pmatrix}", "\\eqref{a}",
    "**注意：**请", "| `a|b` | $c|d$ |", "|$a|b$|", "", "", "", "", " ", "\t", "    ",
]  # fmt: skip
TEXTS = st.lists(
    st.tuples(st.sampled_from(LINES), st.sampled_from(["\n", "\n", "\n", "\n\n", "\r\n", "\r", " ", ""])), max_size=25
)


def shown(pieces: list[str]) -> None:
    """Check that each step of a growing text is what the whole text of the step would be."""
    growing_text = markdown.Markup()
    for text in accumulate(pieces):
        assert growing_text.html(text) == markdown.to_html(text), text


@pytest.mark.slow
@settings(max_examples=500, deadline=None)
@given(TEXTS.map(lambda lines: [piece for line in lines for piece in line]))
@example(["1. a\n\n", "2", ". b\n", "\nc\n\n", "d"])
@example(["[x]\n\n", "b\n\nc\n\n", "[x]: https://a", ".example\n", "\nd"])
@example(["[y]: <\n", "'title", "\n\nx\n\n", "title'\n[y]"])
@example(["$$\na\n", "- b\n", "$$\n", "\nc\n\nd"])
@example(["a\n\n", "b | c\n", "--|--\n", "d | e"])
@example(["a\n\n# b\n[x]: https://a", ".example\n\n[x]\n\n", "c\n"])
@example(["- a\n\n", "-", " b\n", "\n---\n", "\nc"])
@example(["```\na\n\nb\n", "\n```", "\n\nc\n\n"])
def test_lines_of_every_kind_grow_into_the_same_page(pieces: list[str]) -> None:
    """Lists that go on, headings that come late, open fences and formulas, definitions at the end."""
    shown(pieces)


@settings(max_examples=150, deadline=None)
@given(TEXTS.map(lambda lines: "".join(piece for line in lines[:8] for piece in line)))
def test_characters_grow_into_the_same_page(text: str) -> None:
    """One at a time, as slow models send them."""
    shown(list(text))


def test_a_text_that_is_no_continuation_starts_over() -> None:
    """An answer that is asked for again may differ from its first word on."""
    growing_text = markdown.Markup()
    growing_text.html("a\n\nb\n\nc\n")
    assert growing_text.html("x\n\ny") == markdown.to_html("x\n\ny")


def test_finished_blocks_are_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is parsed in all is a small multiple of the text, however often it is shown."""
    parsed: list[int] = []

    def counted(source: str, references: dict[str, Any]) -> list[Token]:
        parsed.append(len(source))
        return parse(source, references)

    monkeypatch.setattr("ollama_magics.render.markdown.parse", counted)
    growing_text, block = markdown.Markup(), "Some words of an answer, and [a] bracket.\n\n"
    for text in accumulate([block] * 200):
        growing_text.html(text)
    assert sum(parsed) < 4 * len(block) * 200


def test_the_language_is_kept() -> None:
    """A picture in a finished block and one in the open end speak alike."""
    text = "![](https://a.example)\n\n![](https://b.example)\n\nx\n"
    assert markdown.Markup("zh").html(text) == markdown.to_html(text, "zh")


def steps(work: Callable[[], object], stop_after: int = 0) -> int:
    """Return how many lines of code the work runs; it is interrupted after some of them."""
    seen = 0

    def count(*_: object) -> Any:
        nonlocal seen
        seen += 1
        if seen == stop_after:
            raise KeyboardInterrupt
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return seen


HEAD = "| a | b | c | d |\n|---|---|---|---|\n"
LONG = {
    "table": HEAD + "".join(f"| **{n}** | `c{n}` and *e* | $a_{n}$ | x<br>{n} |\n" for n in range(300)),
    "list": "".join(f"- **{n}** `c{n}` and *e*, $a_{n}$ <sub>x</sub> https://a.example\n" for n in range(300)),
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_a_block_in_one_piece_is_rendered_by_parts(text: str) -> None:
    """What an interrupt left is not rendered again, and a last paint after it shows the rest as its source, at once."""
    whole = steps(lambda: markdown.to_html(text))
    growing_text = markdown.Markup()
    with pytest.raises(KeyboardInterrupt):
        steps(lambda: growing_text.html(text), stop_after=whole // 2)
    assert steps(lambda: growing_text.html(text, hasty=True)) < whole / 3
    page = growing_text.html(text, hasty=True)
    assert "<strong>1</strong>" in page
    assert "**299**" in page
    assert growing_text.html(text) == markdown.to_html(text)
    assert steps(lambda: growing_text.html(text + text.splitlines()[-1])) < whole / 3
