"""Markdown of a model as HTML made of a short list of tags, also while it grows."""

from __future__ import annotations

import html
import re
from functools import cache, lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML

from ollama_magics import messages
from ollama_magics.render import cleaning
from ollama_magics.render.cleaning import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from pygments.token import _TokenType

# The rules of formulas are our own: those of mdit-py-plugins miss \[x\] inside of a line and $$ below a line of text, take
# "$20, she paid 30$" and all lines after an open $$ for formulas, and need 17 s for 6000 times \begin{align}.

_LONGEST, _MOST_LINES = 4000, 80  # characters and lines of a formula: they bound the search for the end of one that has none


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

    # it fills its lines and ends before a blank one, so that a formula without an end does not take in the rest
    found, source = None, ""
    for line in range(start, min(end, start + _MOST_LINES)):
        if state.isEmpty(line) or (line > start and state.sCount[line] < state.blkIndent):
            break
        text = state.getLines(line, line + 1, state.blkIndent, keepLastLF=False).strip(" \t")
        source += f"\n{text}" if line > start else text
        if form.closer in text and (found := form.pattern.match(source)):
            break
    if found is None or found.end() != len(source):
        return False

    if not silent:
        token, state.line = state.push("math_block", "", 0), start + found[0].count("\n") + 1
        token.content, token.info, token.markup, token.map = found[1], "display", found[0], [start, state.line]
    return True


# MathJax sees no formula in a dollar or a backslash that stands in a span of its own.
_DELIMITER = re.compile(r"[$\\]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LANGUAGE = re.compile(r"[\w+#.-]+")  # the first word after a fence: "python", "c++", "{r}", "python title=x.py"
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


_WORDS = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
_WORDS.disable(["html_block", "html_inline", "reference"])


def words_only(text: str) -> list[Token]:
    """Return tokens of plain Markdown for a terminal: formulas, HTML and definitions of links are text."""
    return _WORDS.parse(text)


# Longer code stays uncoloured: spans would make the saved notebook several times as large.
_MOST_CHARACTERS = 50_000

# Token family: the variable of the theme, and the fallback, which can be read on white and on black too.
FAMILIES = {
    "Token.Comment": ("--jp-mirror-editor-comment-color", "#6f7a7a"),
    "Token.Generic.Deleted": ("--jp-error-color1", "#d1453b"),
    "Token.Generic.Inserted": ("--jp-success-color1", "#2a8537"),
    "Token.Keyword": ("--jp-mirror-editor-keyword-color", "#1b8a3a"),
    "Token.Keyword.Constant": ("--jp-mirror-editor-atom-color", "#3f74d1"),
    "Token.Literal.Number": ("--jp-mirror-editor-number-color", "#2a8537"),
    "Token.Literal.String": ("--jp-mirror-editor-string-color", "#cc4444"),
    "Token.Name.Attribute": ("--jp-mirror-editor-attribute-color", "#3f74d1"),
    "Token.Name.Builtin": ("--jp-mirror-editor-builtin-color", "#2a8537"),
    "Token.Name.Class": ("--jp-mirror-editor-def-color", "#3f74d1"),
    "Token.Name.Decorator": ("--jp-mirror-editor-meta-color", "#a05bd6"),
    "Token.Name.Function": ("--jp-mirror-editor-def-color", "#3f74d1"),
    "Token.Name.Tag": ("--jp-mirror-editor-tag-color", "#1b8a3a"),
    "Token.Operator": ("--jp-mirror-editor-operator-color", "#a05bd6"),
}


def code_html(code: str, language: str) -> str:
    """Return a block of code with the colours of a language."""
    inner = coloured(code, language)
    return f'<pre dir="ltr" style="{_PRE}"><code class="mathjax_ignore" style="{_CODE}">{inner}</code></pre>\n'


def coloured(code: str, language: str) -> str:
    """Return the code as HTML; a language that Pygments does not know is left without colours."""
    if not language or len(code) > _MOST_CHARACTERS:
        return html.escape(code)

    from pygments.lexers import get_lexer_by_name  # noqa: PLC0415 - only answers that hold code pay for Pygments
    from pygments.util import ClassNotFound  # noqa: PLC0415 - as above

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return html.escape(code)

    styled = ((_style(kind) if not text.isspace() else "", text) for kind, text in lexer.get_tokens(code))
    runs = [("".join(text for _, text in run), style) for style, run in groupby(styled, lambda piece: piece[0])]
    # A lexer may repair its input; what is shown must be what the model wrote.
    if "".join(text for text, _ in runs) != code:
        return html.escape(code)
    return "".join(f'<span style="{style}">{html.escape(text)}</span>' if style else html.escape(text) for text, style in runs)


def _style(kind: _TokenType | None) -> str:
    while kind is not None:
        if str(kind) in FAMILIES:
            variable, fallback = FAMILIES[str(kind)]
            return f"color:var({variable},{fallback})"
        kind = kind.parent
    return ""


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

    html_block = html_inline = text  # type: ignore[assignment] # markdown-it has other names of parameters

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

    code_block = fence  # type: ignore[assignment] # as above

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


class _Part(NamedTuple):
    source: str
    html: str


class Markup:
    """Renders a growing text as ``to_html`` does; finished blocks are rendered once, only the open end again.

    A block is finished when, after a blank line, a complete line begins another block at the top level. Only lists, fences and
    indented code go on over a blank line, and the next line alone decides whether they do. The target of ``[name]`` may be
    defined anywhere below: when the definitions change, finished parts that hold a bracket are rendered again.
    """

    _references: dict[str, Any]  # the targets of links in the finished parts
    _known: dict[str, str]  # the targets that the finished parts were rendered with: label and address

    def __init__(self, language: str = "en") -> None:
        self._language = language
        self._restart()

    def html(self, text: str) -> str:
        """Return the HTML of the whole text so far; if it is no continuation of the last, start over."""
        whole = normalise(text)
        if not whole.startswith(self._finished):
            self._restart()
        open_end = whole[len(self._finished) :]
        references = dict(self._references)
        tokens = parse(open_end, references)

        known = {label: target["href"] for label, target in references.items()}
        if known != self._known:
            self._known = known
            for place, part in enumerate(self._parts):
                if "[" in part.source:
                    again = render(parse(part.source, dict(references)), self._language)
                    self._parts[place] = part._replace(html=again)

        index, line, length = _last_boundary(tokens, open_end)
        if index:
            source = open_end[:length]
            self._finished += source
            self._parts.append(_Part(source, render(tokens[:index], self._language)))
            found = {label: target for label, target in references.items() if target["map"][0] < line}
            self._references = {**found, **self._references}
        return "".join((*(part.html for part in self._parts), render(tokens[index:], self._language)))

    def _restart(self) -> None:
        self._finished, self._parts = "", list[_Part]()
        self._references, self._known = {}, {}


def finished(text: str) -> int:
    """Return how many characters of a growing text, normalised, are blocks that later text cannot change."""
    return _last_boundary(parse(text, {}), text)[2]


def _last_boundary(tokens: list[Token], source: str) -> tuple[int, int, int]:
    """Return the positions of the last block before which all is finished, as token, line and character; else zeros."""
    lines = source.split("\n")  # the last of them has no line end yet
    for index in range(len(tokens) - 1, 0, -1):
        token = tokens[index]
        if token.level == 0 and token.nesting >= 0 and token.map:
            line = token.map[0]
            if 0 < line < len(lines) - 1 and not lines[line - 1].strip(" \t"):
                return index, line, sum(len(one) + 1 for one in lines[:line])
    return 0, 0, 0
