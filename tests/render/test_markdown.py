"""Markdown is shown as a user expects it: links, code, formulas, tables, scripts from right to left."""

from __future__ import annotations

import html
import re

import pytest

from ollama_magics.render import cleaning, markdown
from ollama_magics.render.answer import AMBER
from ollama_magics.render.code import FAMILIES, coloured
from ollama_magics.render.tables import GREY

PEN = "\u202e"


def words(page: str) -> str:
    """Return the text of a page without its tags."""
    return html.unescape(re.sub(r"<[^>]*>", "", page))


def test_headings_lists_emphasis_and_quotes_become_their_tags() -> None:
    """The common ground of all Markdown."""
    page = markdown.to_html("# A\n\n- *b* ~~c~~\n\n> **d**\n\n3. e")
    for piece in ('<h1 dir="auto">A</h1>', "<li><em>b</em> <s>c</s></li>", "<strong>d</strong>", '<ol start="3" dir="auto">'):
        assert piece in page


def test_a_table_scrolls_and_keeps_its_alignment() -> None:
    """A wide table must not widen the notebook, and JupyterLab's own alignment is to the right."""
    page = markdown.to_html("| a | b |\n|---|--:|\n| 1 | 2 |")
    assert page.startswith('<div style="overflow-x:auto"><table')
    assert page.count("text-align:start") == page.count("text-align:right") == 2


@pytest.mark.parametrize(
    ("source", "note"),
    [
        ("[the docs](https://example.org/x)", "the docs (example.org)"),
        ("[example.org](https://example.org/x)", "example.org"),
        ("[https://example.org/](https://EXAMPLE.org/)", "https://example.org/"),
        ("[good.example](https://evil.example/)", "good.example (evil.example)"),
        ("[evil.example.good.example](https://evil.example/)", "evil.example.good.example (evil.example)"),
        ("[my-evil.example](https://evil.example/)", "my-evil.example (evil.example)"),
        ("[write](mailto:a@b.example?subject=x)", "write (a@b.example)"),
        ("[x](local/file.md)", "x (local/file.md)"),
        ("<https://example.org/x>", "https://example.org/x"),
        ("[pаypal](https://pаypal.example/)", "pаypal (xn--pypal-4ve.example)"),
        ("see [it][1]\n\n[1]: https://example.org", "see it (example.org)"),
    ],
)
def test_a_link_shows_where_it_leads(source: str, note: str) -> None:
    """The host stands beside the link unless its text is already honest about it."""
    assert words(markdown.to_html(source)).strip() == note


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("$a_1 * b_2$", r"\(a_1 * b_2\)"),
        (r"\(a_1 * b_2 * c\)", r"\(a_1 * b_2 * c\)"),
        ("$$a < b$$", r"\[a &lt; b\]"),
        (r"so \[x\] is", r"so \[x\] is"),
        ("\\[\na\n- b\n= c\n\\]", "\\[\na\n- b\n= c\n\\]"),
        ("text:\n$$\n# x\n$$\nmore", "\\[\n# x\n\\]"),
        (r"\[ a \\[2pt] b \]", r"\[ a \\[2pt] b \]"),
        ("\\begin{align}\na &= b \\\\\n- c\n\\end{align}", "\\[\\begin{align}\na &amp;= b \\\\\n- c\n\\end{align}\\]"),
        (r"$\$5$", r"\(\$5\)"),
        ("$ x $ and $ a_1 + b $", r"\(x\) and \(a_1 + b\)"),
        ("中文$x$中文", r"中文\(x\)中文"),
        ("$2 x + 3$", r"\(2 x + 3\)"),
        ("> $$\n> a\n> $$", "\\[\na\n\\]"),
        ("- $$\n  + a\n  $$", "\\[\n+ a\n\\]"),
        ("**$a*b$**", r"<strong>\(a*b\)</strong>"),
        ("| $a$ |\n|---|", r"\(a\)"),
    ],
)
def test_a_formula_reaches_the_page_unharmed(source: str, shown: str) -> None:
    """Emphasis, lists, headings and escapes do not reach into it, and the page sees one pair of delimiters."""
    page = markdown.to_html(source)
    assert shown in page
    assert "<span>" not in page


@pytest.mark.parametrize(
    "source",
    [
        "$5 or $6",
        "costs $5 and then $10.",
        "US$5 and A$6",
        "$HOME and $PATH, $HOME/$USER",
        "$20, she paid 30$",
        r"\$x\$",
        "$ 5 or $ 6",
        "$5 `a$`",
        "a $",
        r"\\(x\\)",
        r"C:\Users\(me)",
        "$$ is the pid",
        "$$\na\n\nb\n$$",
        "- $$\n# h\n$$",
        "`$x$`",
        "```\n$x$ \\(y\\)\n```",
    ],
)
def test_what_is_no_formula_can_never_become_one(source: str) -> None:
    """Outside code each dollar and backslash stands in an element of its own, which MathJax does not read across."""
    page = markdown.to_html(source)
    outside = re.sub(r"<code.*?</code>", "", page, flags=re.DOTALL)
    assert re.findall(r"[$\\]", outside) == re.findall(r"(?<=<span>)[$\\](?=</span>)", outside)


@pytest.mark.parametrize(
    "tex",
    [
        r"\href{https://evil.example}{x}",
        r"\mmlToken{mglyph}[src='https://evil.example/x']{}",
        r"\bbox[background:url(https://evil.example)]{x}",
        r"\require{html}",
        r"\def\frac{x}",
        r"\newcommand{\sin}{x}",
        r"\renewcommand\sin{x}",
        r"\let\sin\cos",
        r"\style{background:red}{x}",
    ],
)
def test_a_formula_that_loads_links_or_redefines_is_shown_as_source(tex: str) -> None:
    """MathJax would follow it beyond the formula."""
    for source in (f"${tex}$", f"$$\n{tex}\n$$"):
        page = markdown.to_html(source)
        assert '<code class="mathjax_ignore" dir="ltr">$' in page
        assert tex in words(page)


def test_harmless_commands_that_look_like_forbidden_ones_are_typeset() -> None:
    """Only whole command names count."""
    assert markdown.to_html(r"$\left( \newline \text{url} \leftarrow \right)$").startswith(r'<p dir="auto">\(')


def test_code_keeps_every_character_and_takes_its_colours_from_the_theme() -> None:
    """With a fallback in each colour, and MathJax kept out."""
    code = 'def f(x: int) -> str:  # "$x$"\n\treturn None\n'
    page = markdown.to_html(f"```python\n{code}```")
    assert words(page) == code + "\n"
    assert 'class="mathjax_ignore"' in page
    assert "color:var(--jp-mirror-editor-keyword-color,#" in page


@pytest.mark.parametrize("info", ["", "nosuchlanguage", "{python}", "python title=x.py", "c++"])
def test_any_word_after_a_fence_is_accepted(info: str) -> None:
    """Known languages are coloured, all others shown plain; the text is the same."""
    assert words(markdown.to_html(f"```{info}\nx = 1\n```")) == "x = 1\n\n"


def test_code_that_a_lexer_would_change_is_shown_as_it_is() -> None:
    """A byte order mark is dropped by Pygments; what a user copies must have it."""
    assert coloured("\ufeffx = 1", "python") == "\ufeffx = 1"


def test_very_long_code_is_not_coloured() -> None:
    """The spans would multiply the size of the notebook."""
    assert "<span" not in coloured("x = 1\n" * 10_000, "python")


def _contrast(colour: str, background: str) -> float:
    def luminance(text: str) -> float:
        parts = [int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    lighter, darker = sorted((luminance(colour), luminance(background)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("colour", sorted({GREY, AMBER, *(fallback for _, fallback in FAMILIES.values())}))
def test_a_fallback_colour_can_be_read_on_light_and_dark(colour: str) -> None:
    """Where no theme is known the page may be white or nearly black; 3 is WCAG's floor for such text."""
    assert min(_contrast(colour, "#f5f5f5"), _contrast(colour, "#1e1e1e")) >= 3.4


def test_text_from_right_to_left_is_aligned_by_its_own_direction() -> None:
    """JupyterLab would align the paragraph to the left."""
    assert markdown.to_html("שלום").startswith('<p dir="auto" style="text-align:start">')
    assert "style" not in markdown.to_html("hello")


def test_line_ends_of_every_system_mean_the_same() -> None:
    r"""``\r\n`` and ``\r`` are ``\n``."""
    assert markdown.to_html("# a\r\n\r\nb\rc") == markdown.to_html("# a\n\nb\nc")


def test_control_characters_are_made_visible() -> None:
    """Control characters, overrides of the direction and halves of surrogates have a visible stand-in."""
    assert cleaning.escape(f"a\x00\x1b\x7f\x9b{PEN}\ud800<&\"'\t\n") == "a␀␛␡���&lt;&amp;&quot;&#x27;\t\n"
    assert words(markdown.to_html(f"x{PEN}y\x1b")) == "x�y␛\n"


def test_thousands_of_open_delimiters_take_little_time() -> None:
    """Every search for an end is bounded, so that hostile text cannot hold the kernel."""
    for opener in ("$", "$$", "\\(", "\\[", "\\[\n", "$$a\n", "\\begin{align}\n", "[", "![", "> ", "*a ", "`"):
        assert markdown.to_html(opener * 3000)


def test_phrases_follow_the_language() -> None:
    """The phrase for a picture comes from the messages."""
    assert "evil.example" in markdown.to_html("![](https://evil.example/x.png)", "zh")
