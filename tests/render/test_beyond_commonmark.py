"""What models write and CommonMark does not know: bars in cells, LaTeX, emphasis in Asian scripts, HTML, tasks, bare links."""

from __future__ import annotations

import html
import re
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.render.markdown import Markup, to_html, words_only


def words(page: str) -> str:
    """Return the text of a page without its tags."""
    return html.unescape(re.sub(r"<[^>]*>", "", page))


def marked(page: str) -> str:
    """Return the inside of a paragraph without the attributes of its tags."""
    return re.sub(r"<(\w+) [^>]*>", r"<\1>", page).removeprefix("<p>").removesuffix("</p>\n")


ROWS = {
    "| $P(A|B)$ | b |": [r"\(P(A|B)\)", "b"],
    "| `a|b` | ``c`|`d`` |": ["a|b", "c`|`d"],
    r"| a \| b | c |": ["a | b", "c"],
    r"| $\|x\|$ | $\left|y\right|$ |": [r"\(\|x\|\)", r"\(\left|y\right|\)"],
    r"| \(P(A|B)\) | $$|x|$$ |": [r"\(P(A|B)\)", r"\[|x|\]"],
    r"| `a\|b` | \[x|y\] |": ["a|b", r"\[x|y\]"],
    "$|a|$ | $|b|$": [r"\(|a|\)", r"\(|b|\)"],
    "| **a** | |": ["a", ""],
    "| only |": ["only", ""],
    "| a | b | c |": ["a", "b"],
    # only the cut at every bar gives two cells
    "| ` | ` |": ["`", "`"],
    "|$x|y$|": ["$x", "y$"],
    "| $5 | $6 |": ["$5", "$6"],
    "| US$ | $ |": ["US$", "$"],
    r"| \` | b` |": ["`", "b`"],
    r"| C:\\| b |": ["C:\\", "b"],
}


@pytest.mark.finding("B1")
@pytest.mark.parametrize(("row", "expected"), ROWS.items())
def test_a_bar_in_code_or_a_formula_cuts_no_cell(row: str, expected: list[str]) -> None:
    """In rows, in the head, and in a terminal."""
    page = to_html(f"| h | i |\n|---|---|\n{row}")
    assert [words(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", page)] == expected
    if row not in ("| only |", "| a | b | c |"):
        page = to_html(f"{row}\n|---|---|\n| 1 | 2 |")
        assert [words(cell) for cell in re.findall(r"<th[^>]*>(.*?)</th>", page)] == expected
    shown = [token.content for token in words_only(f"| h | i |\n|---|---|\n{row}") if token.type == "inline"]
    assert len(shown) == 4


FORMULAS = {
    r"\begin{equation}\label{eq:1} x = 1 \end{equation}": r"\[\begin{equation}x = 1 \end{equation}\]",
    r"$$x \label{a} \tag{1}$$": r"\[x \tag{1}\]",
    r"$\eqref{eq:1}$ and $\ref{eq:2}$": r"\(\text{(eq:1)}\) and \(\text{eq:2}\)",
    r"see \eqref{eq:1}, \ref{tab:2}, \autoref{x}": "see (eq:1), tab:2, x",
    r"\begin{pmatrix}1 & 2 \\ 3 & 4\end{pmatrix}": r"\[\begin{pmatrix}1 &amp; 2 \\ 3 &amp; 4\end{pmatrix}\]",
    "\\begin{align*}\na &= b \\\\\n c &= d\n\\end{align*}": "\\[\\begin{align*}\na &amp;= b \\\\\nc &amp;= d\n\\end{align*}\\]",
    r"The matrix \begin{bmatrix}1\\2\end{bmatrix} is": r"The matrix \[\begin{bmatrix}1\\2\end{bmatrix}\] is",
    r"\begin{cases}1 \begin{cases}2\end{cases}\end{cases} a": r"\[\begin{cases}1 \begin{cases}2\end{cases}\end{cases}\] a",
    **{
        f"\\begin{{{name}}}x\\\\y\\end{{{name}}}": f"\\[\\begin{{{name}}}x\\\\y\\end{{{name}}}\\]"
        for name in ("aligned", "gather*", "gathered", "split", "multline", "Vmatrix", "smallmatrix", "equation*", "eqnarray")
    },
}  # fmt: skip


@pytest.mark.finding("B2", "B3")
@pytest.mark.parametrize(("source", "shown"), FORMULAS.items())
def test_latex_is_typeset_without_numbers_that_meet_twice(source: str, shown: str) -> None:
    """Labels are dropped, references are text, and environments need no dollars."""
    assert shown in to_html(source)


SOURCES = [
    r"\newcommand{\R}{\mathbb{R}}", r"\def\x{y}", r"\gdef\x{y}", r"\long\def\x{y}", r"\let\x=y", r"\newenvironment{a}{}{}",
    r"\DeclareMathOperator{\Var}{Var}", r"\require{html}", r"\href{javascript:alert(1)}{x}", r"\class{jp-Cell}{x}",
    r"\style{position:fixed}{x}", r"\unicode[Arial]{x61}", r"\cssId{MathJax}{x}", r"\definecolor{a}{rgb}{1,0,0}",
    r"\Newextarrow\a{}{}", r"\begin{itemize}\item a\end{itemize}", r"\begin{nonsense}x\end{nonsense}",
    r"\mathtoolsset{showonlyrefs}", r"\usetagform{x}", r"\setOptions{x}", r"\toggle{a}{b}\endtoggle", r"\mathtip{a}{b}",
    r"\texttip{a}{b}", r"\newtagform{x}{}{}", r"\DeclarePairedDelimiter{\a}{x}{y}", r"\colorlet{a}{red}",
    r"\req\label{a}uire{html}",
    r"\begingroup x", r"\text{\label\relax}", r"\begin\label{a}{itemize}x\end{itemize}",
    r"\raise 500em {x}", r"\hspace{-9999px} x",
]  # fmt: skip


@pytest.mark.finding("B2")
@pytest.mark.parametrize("tex", SOURCES)
def test_what_would_outlive_the_answer_or_leave_it_is_shown_as_its_source(tex: str) -> None:
    """MathJax keeps definitions for the page, and can link, style and draw anywhere."""
    for source in (f"$$\n{tex}\n$$", f"\\({tex}\\)", f"a ${tex}$ b"):
        page = to_html(source)
        assert '<code class="mathjax_ignore" dir="ltr">' in page
        assert tex in words(page)


STRONG = {
    # Chinese
    "**注意：**请": "<strong>注意：</strong>请",
    "请看**“说明”**一节": "请看<strong>“说明”</strong>一节",
    "**重要！**这是": "<strong>重要！</strong>这是",
    "其中**（可选）**部分": "其中<strong>（可选）</strong>部分",
    "*斜体。*后面": "<em>斜体。</em>后面",
    "***全部。***后面": "<em><strong>全部。</strong></em>后面",
    "使用**`code`**函数": "使用<strong><code>code</code></strong>函数",
    "~~删除。~~保留": "<s>删除。</s>保留",
    "价格**（¥5）**和**10%**的": "价格<strong>（¥5）</strong>和<strong>10%</strong>的",
    "共**3.5%**增长": "共<strong>3.5%</strong>增长",
    "**AI（人工智能）**is": "<strong>AI（人工智能）</strong>is",
    "葛**\u845b\U000e0100（か）**城": "葛<strong>\u845b\U000e0100（か）</strong>城",
    # Japanese
    "**「A」**なので": "<strong>「A」</strong>なので",
    "これは**「重要」**です": "これは<strong>「重要」</strong>です",
    "**終わり。**次に": "<strong>終わり。</strong>次に",
    "**カタカナ・ー**と": "<strong>カタカナ・ー</strong>と",
    "**ｶﾅ｡**と": "<strong>ｶﾅ｡</strong>と",
    "**Python(3.12)**を使う": "<strong>Python(3.12)</strong>を使う",
    "[**リンク。**](https://a.example)次": "<a><strong>リンク。</strong></a> <small>(a.example)</small>次",
    # Korean
    "**한국어(Korean)**은": "<strong>한국어(Korean)</strong>은",
    '**"인용"**입니다': "<strong>&quot;인용&quot;</strong>입니다",
    "이것은**(중요)**합니다": "이것은<strong>(중요)</strong>합니다",
    "**50%**를": "<strong>50%</strong>를",
    "*강조!*라고": "<em>강조!</em>라고",
}  # fmt: skip
NOT_STRONG = {
    "** 注意 **请": "** 注意 **请",
    "2 * 3 * 4": "2 * 3 * 4",
    "snake_case_名前_です": "snake_case_名前_です",
    "`**注意：**`请": "<code>**注意：**</code>请",
    "$a**b**c$中": r"\(a**b**c\)中",
    "f(**kwargs) 和 g(**opts)": "f(**kwargs) 和 g(**opts)",
    "a**「b": "a**「b",
    r"\*\*注意：\*\*请": "**注意：**请",
    "5*6、7": "5*6、7",
    'a**"b"**c': "a**&quot;b&quot;**c",
    "用 1~3 天，约 4~5 次": "用 1~3 天，约 4~5 次",
}  # fmt: skip


@pytest.mark.finding("B4")
@pytest.mark.parametrize(("source", "shown"), [*STRONG.items(), *NOT_STRONG.items()])
def test_emphasis_beside_cjk_punctuation(source: str, shown: str) -> None:
    """Chinese, Japanese and Korean, mixed with ASCII; other texts as CommonMark has them."""
    assert marked(to_html(source)) == shown


TAGS = {
    "a<br>b<br/>c<BR />d": "a<br>\nb<br>\nc<br>\nd",
    "H<sub>2</sub>O x<sup>2</sup>": "H<sub>2</sub>O x<sup>2</sup>",
    "<kbd>Ctrl</kbd>+<kbd>C</kbd>": "<kbd>Ctrl</kbd>+<kbd>C</kbd>",
    "<b>a *b*</b> <U>c</U> <mark>d</mark> <del>e</del>": "<b>a <em>b</em></b> <u>c</u> <mark>d</mark> <del>e</del>",
    "<code>a*b</code>": "<code>a*b</code>",
    "**<sub>a</sub>**": "<strong><sub>a</sub></strong>",
    "<b><i>a</b></i>": "<b>&lt;i&gt;a</b>&lt;/i&gt;",
    "*<b>a*</b>": "<em>&lt;b&gt;a</em>&lt;/b&gt;",
    "<b>a\n\nb</b>": "&lt;b&gt;a</p>\n<p>b&lt;/b&gt;",
    "</div></b><span>a</span>": "&lt;/div&gt;&lt;/b&gt;&lt;span&gt;a&lt;/span&gt;",
    "<b class=x>a</b>": "&lt;b class=x&gt;a&lt;/b&gt;",
    "`<b>a</b>`": "<code>&lt;b&gt;a&lt;/b&gt;</code>",
    "a <!-- b --> c": "a  c",
    "a\n<!-- b\nc -->\nd": "a</p>\n<p>d",
    "a <!-- b": "a &lt;!-- b",
    "a\n<hr>\nb": "a</p>\n<hr>\n<p>b",
    "a https://a.example/__init__.py, b": "a <a>https://a.example/__init__.py</a>, b",
    "(see https://a.example/x_(y)).": "(see <a>https://a.example/x_(y)</a>).",
    "见https://a.example/docs。谢谢": "见<a>https://a.example/docs</a>。谢谢",
    "请看https://a.example/docs查看": "请看<a>https://a.example/docs</a>查看",
    "https://zh.wikipedia.org/wiki/中国（国家）": "<a>https://zh.wikipedia.org/wiki/中国</a>（国家）",
    "**https://a.example**": "<strong><a>https://a.example</a></strong>",
    "www.a.example/b?c=d&e=f!": "<a>www.a.example/b?c=d&amp;e=f</a>!",
    "me_too+x@a.example.": "<a>me_too+x@a.example</a>.",
    "`https://a.example` https://": "<code>https://a.example</code> https://",
    "https://user@a.example xhttps://a.example": "https://<a>user@a.example</a> xhttps://a.example",
    "[https://a.example](https://a.example)": "<a>https://a.example</a>",
    "javascript://a.example file:///etc/passwd": "javascript://a.example file:///etc/passwd",
}  # fmt: skip


@pytest.mark.finding("B5")
@pytest.mark.parametrize(("source", "shown"), TAGS.items())
def test_harmless_html_and_bare_links(source: str, shown: str) -> None:
    """Tags without attributes that have a partner in the same place; addresses end where a sentence goes on."""
    assert marked(to_html(source)) == shown


@pytest.mark.finding("B5")
def test_tasks_and_folded_parts() -> None:
    """Boxes are characters; a part that is not closed yet is open."""
    page = to_html("- [ ] **a**\n- [x] b\n- [link]\n  - [X] c")
    assert [words(item).split("\n")[0] for item in re.findall(r"<li[^>]*>(.*)", page)] == ["☐ a", "☑ b", "[link]", "☑ c"]
    folded = "<details>\n<summary>More *x*</summary>\n\n- a\n\n```\nb\n```\n\n</details>\n\nafter"
    page = re.sub(r" (?:dir|style|class)=\"[^\"]*\"", "", to_html(folded))
    assert page.startswith("<details>\n<summary>More <em>x</em></summary>\n<ul>\n<li>a</li>\n</ul>\n<div><pre>")
    assert page.endswith("</details>\n<p>after</p>\n")
    assert to_html(folded[:40]).startswith('<details open="">')


PIECES = [
    *("<b>", "</b>", "<i>", "</i>", "<sub>", "</sub>", "<br>", "<hr>", "<details>\n", "</details>\n", "<summary>", "</summary>"),
    *("<!--", "-->", "*", "**", "[", "](x)", "`", "|", "\n", "\n\n", "- ", "> ", "|-|-|\n", "a", "$", "www.a.b", "~~", "中"),
]
VOID = {"br", "hr", "img"}


@pytest.mark.finding("B5")
@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_every_beginning_of_every_mixture_is_well_formed(text: str) -> None:
    """Nothing opens that does not close in its place, so that nothing leaks out of its block."""
    growing = Markup()
    for end in range(len(text) + 1):
        page, opened = growing.html(text[:end]), list[str]()
        for closing, name in re.findall(r"<(/?)(\w+)", page):
            if closing:
                assert opened.pop() == name, page
            elif name not in VOID:
                opened.append(name)
        assert not opened, page


HOSTILE = [
    "<b>", "</b>", "<b><i>", "<b>a</i>", "<!--", "<!-- a\n", "<!-->", "<sub>*a ", "https://", "www.", "a@", "a@b.c ", "https://a.b/(",
    "| `", "`|``|", "$a|", "\\(|", "\\begin{align}\n", "\\begin{a}\\end{b}", "<details>\n", "> <details>\n", "\\eqref{a}", "**中",
    "「**", "- [ ] a\n", "<hr>\n", "~~中", "|a|\n|-|\n# x\n", "$ a", "<!-- x -->\n",
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_hostile_texts_take_linear_steps(piece: str) -> None:
    """Twice the text takes about twice the lines of code."""

    def steps(text: str) -> int:
        seen = 0

        def count(*_: object) -> Any:
            nonlocal seen
            seen += 1
            return count

        sys.settrace(count)
        try:
            to_html(text)
        finally:
            sys.settrace(None)
        return seen

    end = "</b></i> --> </details> \\end{align}$`|"
    to_html(end)  # what is made once
    for before in ("", "|a|b|\n|-|-|\n|"):
        assert steps(before + piece * 400 + end) < 3 * steps(before + piece * 200 + end) + 2000
