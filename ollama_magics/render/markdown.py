"""Markdown of a model as HTML made of a short list of tags."""

from __future__ import annotations

import html
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML

from ollama_magics import messages
from ollama_magics.render import cleaning
from ollama_magics.render.cleaning import normalise
from ollama_magics.render.colours import coloured

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

# The rules of formulas are our own: those of mdit-py-plugins miss \[x\] inside of a line and $$ below a line of text, take
# "$20, she paid 30$" and all lines after an open $$ for formulas, and need 17 s for 6000 times \begin{align}.

# A formula is never longer than this: it bounds the search for the end of one that has none.
_LONGEST, _MOST_LINES = 4000, 80


class _Form(NamedTuple):
    opener: str
    closer: str
    pattern: re.Pattern[str]
    display: bool


def _form(opener: str, closer: str, pattern: str, *, display: bool) -> _Form:
    return _Form(opener, closer, re.compile(pattern.replace("LONGEST", str(_LONGEST)), re.DOTALL), display)


_FORMS = (
    _form("$$", "$$", r"\$\$((?:\\.|\$(?!\$)|[^\\$]){1,LONGEST}?)\$\$", display=True),
    # The rule of pandoc, and no letter or digit on the outer sides either: "$5 or $6", "US$5", "$HOME/$USER" are text.
    _form("$", "$", r"(?<![A-Za-z0-9$])\$(?![\s$])((?:\\.|[^\\$`]){1,LONGEST})(?<!\s)\$(?![A-Za-z0-9$])", display=False),
    _form("\\(", "\\)", r"\\\(((?:\\[^)]|[^\\]){1,LONGEST}?)\\\)", display=False),
    _form("\\[", "\\]", r"\\\[((?:\\[^\]]|[^\\]){1,LONGEST}?)\\\]", display=True),
    _form(
        "\\begin{",
        "\\end{",
        r"(\\begin\{((?:align|alignat|aligned|cases|equation|eqnarray|flalign|gather|gathered|multline|split)\*?)\}"
        r".{1,LONGEST}?\\end\{\2\})",
        display=True,
    ),
)
# "$5 for them and 6$": a number and then words.
_MONEY = re.compile(r"\d[^\\=^_]*\s[A-Za-z]{3,}[^\\=^_]*")
# MathJax can link, load pictures, load extensions, set styles, and redefine a command for every formula of the page.
_FORBIDDEN = re.compile(
    r"\\(?:bbox|class|cs(?:Id|name)|data|[egx]?def|href|html\w*|includegraphics|(?:future)?let|mmlToken|require|style|url"
    r"|(?:Declare|provide|renew)[a-zA-Z]+|new(?!line)[a-zA-Z]+)(?![a-zA-Z])"
)


def _form_opened_at(source: str, start: int) -> _Form | None:
    form = next((form for form in _FORMS if source.startswith(form.opener, start)), None)
    return form if form and _last_place(source, form.closer) >= start + len(form.opener) else None


@lru_cache(maxsize=8)
def _last_place(source: str, closer: str) -> int:
    # kept, because thousands of openers without an end must not each search for one
    return source.rfind(closer)


def _inline(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the signature of a markdown-it rule
    form = _form_opened_at(state.src, state.pos) if state.src[state.pos] in "$\\" else None
    found = form.pattern.match(state.src, state.pos, state.posMax) if form else None
    if form is None or found is None or (form.opener == "$" and _MONEY.fullmatch(found[1])):
        return False
    if not silent:
        token = state.push("math_inline", "", 0)
        token.content, token.info, token.markup = found[1], "display" if form.display else "", found[0]
    state.pos = found.end()
    return True


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - as above
    form = _form_opened_at(state.src, state.bMarks[start] + state.tShift[start])
    if form is None or not form.display or state.is_code_block(start):
        return False
    found = _whole_lines(state, form, start, end)
    if found and not silent:
        token, state.line = state.push("math_block", "", 0), start + found[0].count("\n") + 1
        token.content, token.info, token.markup, token.map = found[1], "display", found[0], [start, state.line]
    return found is not None


def _whole_lines(state: StateBlock, form: _Form, start: int, end: int) -> re.Match[str] | None:
    # a formula that fills its lines and ends before a blank one, so that one without an end does not take in the rest
    source = ""
    for line in range(start, min(end, start + _MOST_LINES)):
        if state.isEmpty(line) or (line > start and state.sCount[line] < state.blkIndent):
            return None
        text = state.getLines(line, line + 1, state.blkIndent, keepLastLF=False).strip(" \t")
        source += f"\n{text}" if line > start else text
        if form.closer in text and (found := form.pattern.match(source)):
            return found if found.end() == len(source) else None
    return None


# MathJax sees no formula in a dollar or a backslash that stands in a span of its own.
_DELIMITER = re.compile(r"[$\\]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
# The first word after a fence: "python", "c++", "{r}", "python title=x.py".
_LANGUAGE = re.compile(r"[\w+#.-]+")
_BLOCKS = frozenset({"paragraph_open", "heading_open", "blockquote_open", "bullet_list_open", "ordered_list_open"})
_REL = "noopener noreferrer nofollow"
# The background of JupyterLab's own editor: its token colours were chosen for it.
_PRE = (
    "background:var(--jp-cell-editor-background,rgba(128,128,128,.1));padding:8px 12px;margin:8px 0 1em;"
    "border-radius:4px;overflow-x:auto;white-space:pre"
)
_CODE = "background:none;padding:0;white-space:pre"
_TABLE = "border-collapse:collapse;margin:0 0 1em"
_QUOTE = "margin:8px 0 1em;padding:0 12px;border:none;border-inline-start:3px solid var(--jp-border-color2,rgba(128,128,128,.4))"
_LINK = "color:var(--jp-content-link-color,#3f74d1)"
_CELL = "padding:3px 8px;text-align:"
_UNTYPESET = '<code class="mathjax_ignore" dir="ltr">'


def to_html(text: str, language: str = "en") -> str:
    """Return the Markdown as HTML that can neither run nor load anything; ``language`` is that of the phrases in it."""
    return render(parse(normalise(text), {}), language)


def parse(source: str, references: dict[str, Any]) -> list[Token]:
    """Return the tokens of normalised Markdown; ``references`` are the known link targets, to which those found are added."""
    return _parser().parse(source, {"references": references})


def render(tokens: Sequence[Token], language: str) -> str:
    """Return the HTML of top-level tokens."""
    parser = _parser()
    return cast("str", parser.renderer.render(tokens, parser.options, {"language": language}))


def first_code(text: str) -> str | None:
    """Return the first block of code in the Markdown, or None; control characters in it are made visible."""
    blocks = _parser().parse(normalise(text))
    return next((token.content for token in blocks if token.type in ("fence", "code_block")), None)


def words_only(text: str) -> list[Token]:
    """Return tokens of plain Markdown for a terminal: formulas, HTML and definitions of links are text."""
    return _words_parser().parse(text)


@cache
def _words_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False})
    return parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline", "reference"])


def code_html(code: str, language: str) -> str:
    """Return a block of code with the colours of a language."""
    inner = coloured(code, language)
    return f'<pre dir="ltr" style="{_PRE}"><code class="mathjax_ignore" style="{_CODE}">{inner}</code></pre>\n'


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}, renderer_cls=_Renderer)
    parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline"])
    # the tokens math_inline and math_block hold the TeX of a formula
    parser.inline.ruler.before("escape", "math_inline", _inline)
    parser.block.ruler.before("fence", "math_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    # the renderer decides about links: one that is refused must show where it leads
    parser.validateLink = lambda _: True  # type: ignore[method-assign,assignment]
    return parser


def _text(content: str) -> str:
    return _DELIMITER.sub(r"<span>\g<0></span>", html.escape(content))


class _Renderer(RendererHTML):
    # markdown-it calls the method of a token's name; all other tokens are tags without attributes from the text

    def renderToken(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:  # noqa: N802 - markdown-it's name
        token = tokens[idx]
        if token.type in _BLOCKS and token.level == 0:
            token.attrSet("dir", "auto")
        if token.type == "blockquote_open":
            token.attrSet("style", _QUOTE)
        if token.type == "paragraph_open" and _RIGHT_TO_LEFT.search(tokens[idx + 1].content):
            # JupyterLab aligns every paragraph to the left.
            token.attrSet("style", "text-align:start")
        return super().renderToken(tokens, idx, options, env)

    def text(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return _text(tokens[idx].content)

    def html_block(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return _text(tokens[idx].content)

    def html_inline(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return _text(tokens[idx].content)

    def math_inline(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        tex = html.escape(tokens[idx].content)
        if _FORBIDDEN.search(tokens[idx].content):
            return f"{_UNTYPESET}{html.escape(tokens[idx].markup)}</code>"
        return f"\\[{tex}\\]" if tokens[idx].info == "display" else f"\\({tex}\\)"  # the delimiters that every page knows

    def math_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f'<div style="overflow-x:auto">{self.math_inline(tokens, idx, options, env)}</div>\n'

    def code_inline(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return f"{_UNTYPESET}{html.escape(tokens[idx].content)}</code>"

    def fence(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        language = _LANGUAGE.search(tokens[idx].info)
        return code_html(tokens[idx].content, language[0] if language else "")

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self.fence(tokens, idx, options, env)

    def link_open(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        address = str(tokens[idx].attrs.get("href", ""))
        if cleaning.destination(address) is None:
            return ""
        return f'<a href="{html.escape(address)}" target="_blank" rel="{_REL}" style="{_LINK}">'

    def link_close(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        opening = max(place for place in range(idx) if tokens[place].type == "link_open")  # links do not nest
        address, words = str(tokens[opening].attrs.get("href", "")), "".join(token.content for token in tokens[opening:idx])
        unseen = cleaning.unseen(address, words)
        note = f" <small>({_text(unseen)})</small>" if unseen else ""
        return f"{'' if cleaning.destination(address) is None else '</a>'}{note}"

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        source = cleaning.origin(str(tokens[idx].attrs.get("src", "")))
        words = self.renderInlineAsText(tokens[idx].children, options, env).strip()
        phrase = messages.phrase("remote_picture", env["language"], host=source)
        return _text(f"{words} {phrase}" if words else phrase)

    def table_open(self, _tokens: Sequence[Token], _idx: int, _options: Any, _env: Any) -> str:
        return f'<div style="overflow-x:auto"><table dir="auto" style="{_TABLE}">\n'

    def table_close(self, _tokens: Sequence[Token], _idx: int, _options: Any, _env: Any) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        # markdown-it writes one of three alignments, or nothing; the page's own would be to the right.
        align = str(tokens[idx].attrs.get("style", "")).rpartition(":")[2] or "start"
        return f'<{tokens[idx].tag} style="{_CELL}{align}">'

    td_open = th_open
