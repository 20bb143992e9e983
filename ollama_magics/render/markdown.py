"""Markdown of a model as HTML made of a short list of tags, also while it grows."""

from __future__ import annotations

import html
import re
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML

from ollama_magics import messages
from ollama_magics.render import block_rules, cleaning, formulas
from ollama_magics.render.cleaning import normalise
from ollama_magics.render.code import code_html
from ollama_magics.render.formulas import UNTYPESET, text_html
from ollama_magics.render.inline_rules import InlineParser, link_rule, pair_tags, tag_rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.ruler import RuleOptionsType
    from markdown_it.token import Token

_PLAIN = re.compile(r"(?:(?!www\.)[^\W_]|[ ,;%()/+.-])*", re.IGNORECASE)  # nothing in it has a meaning
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_LANGUAGE = re.compile(r"[\w+#.-]+")  # the first word after a fence: "python", "c++", "{r}", "python title=x.py"
_BLOCKS = frozenset({"paragraph_open", "heading_open", "blockquote_open", "bullet_list_open", "ordered_list_open"})
_REL = "noopener noreferrer nofollow"
_TABLE = "border-collapse:collapse;margin:0 0 1em"
_QUOTE = "margin:8px 0 1em;padding:0 12px;border:none;border-inline-start:3px solid var(--jp-border-color2,rgba(128,128,128,.4))"
_LINK = "color:var(--jp-content-link-color,#3f74d1)"
_CELL = "padding:3px 8px;text-align:"


def to_html(text: str, language: str = "en") -> str:
    """Return the Markdown as HTML that can neither run nor load anything; ``language`` is that of the phrases in it."""
    references: dict[str, Any] = {}
    return render(parse(normalise(text), references), _Context(language, references))


def parse(source: str, references: dict[str, Any]) -> list[Token]:
    """Return the tokens of the blocks of normalised Markdown; what is inside of lines is parsed when it is rendered.

    ``references`` are the known link targets, to which those found are added.
    """
    return _parser().parse(source, {"references": references})


class _Context(NamedTuple):
    language: str  # of the phrases
    references: dict[str, Any]  # the targets of links
    lines: dict[str, str] = {}  # noqa: RUF012 - read only: the HTML of paragraphs, items and cells that are rendered already
    rendered: dict[str, str] | None = None  # gets the HTML of those that are rendered now
    hasty: bool = False  # what is not rendered already is shown as its source


def render(tokens: Sequence[Token], context: _Context) -> str:
    """Return the HTML of top-level tokens."""
    parser = _parser()
    return cast("str", parser.renderer.render(tokens, parser.options, {"context": context}))


def first_code(text: str) -> str | None:
    """Return the first block of code in the Markdown, or None; control characters in it are made visible."""
    blocks = _parser().parse(normalise(text))
    return next((token.content for token in blocks if token.type in ("fence", "code_block")), None)


# the blocks that a line of a new kind ends
_INTERRUPTS: RuleOptionsType = {"alt": ["paragraph", "reference", "blockquote", "list"]}
_TABLE_INTERRUPTS: RuleOptionsType = {"alt": ["paragraph", "reference"]}


@cache
def _words_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False})
    parser.inline = InlineParser()
    parser.block.ruler.at("table", block_rules.table_rule, _TABLE_INTERRUPTS)
    parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline", "reference"])
    parser.core.ruler.before("inline", "tasks", block_rules.task_rule)
    return parser


def words_only(text: str) -> list[Token]:
    """Return tokens of plain Markdown for a terminal: formulas, HTML and definitions of links are text."""
    tokens = _words_parser().parse(text)
    for token in chain.from_iterable((one, *(one.children or ())) for one in tokens):
        token.content = normalise(token.content)  # entities may stand for what is cleaned
    return tokens


@cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "xhtmlOut": False}, renderer_cls=_Renderer)
    parser.inline = InlineParser()
    inline, block = parser.inline.ruler, parser.block.ruler
    block.at("table", block_rules.table_rule, _TABLE_INTERRUPTS)
    parser.enable(["table", "strikethrough"]).disable(["html_block", "html_inline"])
    # the tokens math_inline and math_block hold the TeX of a formula
    inline.before("escape", "math_inline", formulas.inline_rule)
    inline.before("escape", "math_reference", formulas.reference_rule)
    inline.before("autolink", "bare_link", link_rule)
    inline.before("autolink", "tag", tag_rule)
    parser.inline.ruler2.push("tag_pairs", pair_tags)
    block.before("fence", "math_block", formulas.block_rule, _INTERRUPTS)
    block.before("fence", "hidden", block_rules.hidden_rule, _INTERRUPTS)
    block.before("fence", "details", block_rules.details_rule, _INTERRUPTS)
    parser.core.ruler.before("inline", "tasks", block_rules.task_rule)
    parser.core.ruler.disable(["inline", "text_join"])
    # the renderer decides about links: one that is refused must show where it leads
    parser.validateLink = lambda _: True  # type: ignore[method-assign,assignment]
    return parser


class _Renderer(RendererHTML):
    # markdown-it calls the method of a token's name; all other tokens are tags without attributes from the text

    def render(self, tokens: Sequence[Token], options: Any, env: Any) -> str:
        pieces = list[str]()
        for place, token in enumerate(tokens):
            if token.type == "inline":
                pieces.append(self._lines(token.content, options, env["context"]))
            else:
                pieces.append(self.rules.get(token.type, self.renderToken)(tokens, place, options, env))
        return "".join(pieces)

    def _lines(self, source: str, options: Any, context: _Context) -> str:
        """Return the HTML of a paragraph, an item or a cell."""
        if _PLAIN.fullmatch(source):
            return source
        page = context.lines.get(source)
        if page is None and context.hasty:
            return text_html(source)
        if page is None:
            parser, tokens = _parser(), cast("list[Token]", [])
            parser.inline.parse(source, parser, {"references": context.references}, tokens)
            page = self.renderInline(tokens, options, {"context": context})
        if context.rendered is not None:
            context.rendered[source] = page
        return page

    def renderToken(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:  # noqa: N802 - markdown-it's name
        token = tokens[idx]
        if token.type in _BLOCKS and token.level == 0:
            token.attrSet("dir", "auto")
        if token.type == "blockquote_open":
            token.attrSet("style", _QUOTE)
        if token.type == "paragraph_open" and _RIGHT_TO_LEFT.search(tokens[idx + 1].content):
            # JupyterLab aligns every paragraph to the left.
            token.attrSet("style", "text-align:start")
        if token.info == "task":
            token.attrSet("style", "list-style:none")
        if token.type == "tag_open" and token.tag == "code":
            token.attrSet("class", "mathjax_ignore")
        return super().renderToken(tokens, idx, options, env)

    def text(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return text_html(tokens[idx].content)

    html_block = html_inline = text_special = text  # type: ignore[assignment] # markdown-it has other names of parameters

    def math_inline(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return formulas.formula_html(tokens[idx])

    def math_block(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return f'<div style="overflow-x:auto">{formulas.formula_html(tokens[idx])}</div>\n'

    def comment(self, _tokens: Sequence[Token], _idx: int, _options: Any, _env: Any) -> str:
        return ""

    def code_inline(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        return f"{UNTYPESET}{html.escape(tokens[idx].content)}</code>"

    def fence(self, tokens: Sequence[Token], idx: int, _options: Any, env: Any) -> str:
        name = _LANGUAGE.search(tokens[idx].info)
        return code_html(tokens[idx].content, name[0] if name else "", env["context"].language)

    code_block = fence  # type: ignore[assignment] # as above

    def link_open(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        address = str(tokens[idx].attrs.get("href", ""))
        if cleaning.destination(address) is None:
            return ""
        return f'<a href="{html.escape(address)}" target="_blank" rel="{_REL}" style="{_LINK}">'

    def link_close(self, tokens: Sequence[Token], idx: int, _options: Any, _env: Any) -> str:
        opening = next(place for place in range(idx, -1, -1) if tokens[place].type == "link_open")  # links do not nest
        address, words = str(tokens[opening].attrs.get("href", "")), "".join(token.content for token in tokens[opening:idx])
        unseen = cleaning.unseen(address, words)
        note = f" <small>({text_html(unseen)})</small>" if unseen else ""
        return f"{'' if cleaning.destination(address) is None else '</a>'}{note}"

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        source = cleaning.origin(str(tokens[idx].attrs.get("src", "")))
        words = self.renderInlineAsText(tokens[idx].children, options, env).strip()
        phrase = messages.phrase("remote_picture", env["context"].language, host=source)
        return text_html(f"{words} {phrase}" if words else phrase)

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
    _lines: dict[str, str]  # the HTML of paragraphs, items and cells of the open end at the last time
    _rendered: dict[str, str]  # and of those of this time

    def __init__(self, language: str = "en") -> None:
        self._language = language
        self._restart()

    def html(self, text: str, *, hasty: bool = False) -> str:
        """Return the HTML of the whole text so far; if it is no continuation of the last, start over.

        ``hasty``: what is not rendered yet is shown as its source. What an interrupt left rendered is not rendered again.
        """
        whole = normalise(text)
        if not whole.startswith(self._finished):
            self._restart()
        open_end = whole[len(self._finished) :]
        references = dict(self._references)
        tokens = parse(open_end, references)

        known = {label: target["href"] for label, target in references.items()}
        if known != self._known:
            self._known, self._lines, self._rendered = known, {}, {}
            for place, part in enumerate(self._parts):
                if "[" in part.source:
                    again = render(parse(part.source, dict(references)), _Context(self._language, references))
                    self._parts[place] = part._replace(html=again)

        self._lines = {**self._lines, **self._rendered}
        self._rendered = {}
        context = _Context(self._language, references, self._lines, self._rendered, hasty)

        index, line, length = _last_boundary(tokens, open_end)
        if index:
            source = open_end[:length]
            part = _Part(source, render(tokens[:index], context))
            self._finished += source
            self._parts.append(part)
            found = {label: target for label, target in references.items() if target["map"][0] < line}
            self._references = {**found, **self._references}
        page = "".join((*(part.html for part in self._parts), render(tokens[index:], context)))
        self._lines = {}
        return page

    def _restart(self) -> None:
        self._finished, self._parts = "", list[_Part]()
        self._references, self._known, self._lines, self._rendered = {}, {}, {}, {}


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
