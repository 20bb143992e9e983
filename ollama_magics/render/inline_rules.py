"""Rules for what stands inside a line: emphasis beside Chinese, Japanese and Korean, harmless HTML, bare links."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

from markdown_it.common.utils import isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline.state_inline import Scanned, StateInline

from ollama_magics.render.cleaning import destination

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from markdown_it.utils import EnvType

# East Asian Width W, F or H, or the script Hangul; no emoji and no white space
_CJK = re.compile(
    "[\u1100-\u11ff\u20a9\u2329\u232a\u2e80-\u2fff\u3001-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\ufe10-\ufe19\ufe30-\ufe6f\uff01-\uffee\U00016fe0-\U00018dff\U0001aff0-\U0001b2ff\U00020000-\U0003fffd]"
)
_IDEOGRAPH_VARIANT = re.compile("[\U000e0100-\U000e01ef]")
_FORM = re.compile("[\ufe00-\ufe0e]")  # follows the character whose form it selects


class _State(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803, FBT001 - markdown-it's names
        """Let stars and tildes beside CJK characters open and close emphasis, as they do between letters.

        This is the CJK-friendly amendment to CommonMark, where stars between punctuation and a letter only open or only close.
        """
        scanned = super().scanDelims(start, canSplitWord)
        end = start + scanned.length
        if not canSplitWord or start == 0 or end >= self.posMax:
            return scanned
        before, after = self.src[start - 1], self.src[end]
        if _FORM.match(before) and start > 1 and not isWhiteSpace(ord(self.src[start - 2])):
            before = self.src[start - 2]
        if isWhiteSpace(ord(before)) or isWhiteSpace(ord(after)):
            return scanned
        if _CJK.match(before) or _CJK.match(after) or _IDEOGRAPH_VARIANT.match(before):
            return Scanned(can_open=True, can_close=True, length=scanned.length)
        return scanned


# A bare address ends before white space, quotes and full-width punctuation. Letters that are not ASCII belong to it where they
# begin a part of the path: https://zh.wikipedia.org/wiki/中国, but not https://a.example/x看.
_ADDRESS_START = (
    r"(?<![A-Za-z0-9])(?:[hH][tT]{2}[pP][sS]?://|[wW]{3}\.)|(?<![A-Za-z0-9._+-])(?=[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9])"
)
_ADDRESS = re.compile(
    r"(?<![A-Za-z0-9])(?:(?P<scheme>(?i:https?)://)|(?i:www)\.)(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253}+)(?::\d{1,5}+)?+(?![@\\]|:\S{0,200}@)"
    r"(?:[/?#](?:[^\s<>\"`|\\^{}\[\]\x00-\x1f\u0080-\U0010ffff]|(?<=[/=_?&#,.-])[^\W\x00-\x7f]{1,99}){0,2000})?"
    r"|(?<![A-Za-z0-9._+-])(?P<mail>[A-Za-z0-9._+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,9}[A-Za-z0-9-]{0,62}[A-Za-z0-9])(?![\w@-])"
)


class InlineParser(ParserInline):
    """The inline parser of markdown-it with emphasis beside CJK characters; a bare address ends a piece of plain text."""

    def __init__(self) -> None:
        super().__init__()
        self.terminator_re = re.compile(rf"{self.terminator_re.pattern}|{_ADDRESS_START}")

    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        """Append the tokens of a line or paragraph to ``tokens`` and return them."""
        state = _State(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


_TAG = re.compile(
    r"<(/?)(br|b|code|del|em|i|ins|kbd|mark|q|s|samp|small|strong|sub|sup|u|var)\s*/?>|<!--(?:>|->|.*?-->)",
    re.IGNORECASE | re.DOTALL,
)


def tag_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the signature of a markdown-it rule
    """Make a token of a harmless tag without attributes, a line break of ``<br>``, and nothing of a comment."""
    if state.src[state.pos] != "<":
        return False
    is_comment = state.src.startswith("<!--", state.pos)
    if is_comment and state.html_terminator_last("->") < state.pos + 3:
        return False
    found = _TAG.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    if not silent and found[2]:
        name = found[2].lower()
        if name == "br":
            state.push("hardbreak", "br", 0)
        else:
            token = state.push("html_inline", name, 0)
            token.content, token.info = found[0], "close" if found[1] else "open"
    state.pos = found.end()
    return True


def pair_tags(state: StateInline) -> None:
    """Make elements of the tags that have a partner; the others, and those that cross other markup, are text."""
    frames: list[tuple[list[Token], Counter[str]]] = [([], Counter())]
    for token in state.tokens:
        opened, names = frames[-1]
        if token.nesting == 1:
            frames.append(([], Counter()))
        elif token.nesting == -1 and len(frames) > 1:
            _make_text(frames.pop()[0])
        elif token.type == "html_inline" and token.info == "open":
            opened.append(token)
            names[token.tag] += 1
        elif token.type == "html_inline" and names[token.tag]:
            while (partner := opened.pop()).tag != token.tag:
                names[partner.tag] -= 1
                _make_text([partner])
            names[token.tag] -= 1
            partner.type, partner.nesting, token.type, token.nesting = "tag_open", 1, "tag_close", -1
        elif token.type == "html_inline":
            _make_text([token])
    for opened, _ in frames:
        _make_text(opened)


def _make_text(tags: list[Token]) -> None:
    for token in tags:
        token.type, token.tag = "text", ""


def link_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - as above
    """Make a link of a bare address: ``http://…``, ``https://…``, ``www.…`` or ``name@host``."""
    found = None if state.linkLevel else _ADDRESS.match(state.src, state.pos, state.posMax)
    if found is None:
        return False
    text = found["mail"] or _trimmed(found[0])
    prefix = "mailto:" if found["mail"] else "" if found["scheme"] else "http://"
    address = state.md.normalizeLink(prefix + text)
    if destination(address) is None:
        return False
    if not silent:
        opening = state.push("link_open", "a", 1)
        opening.attrs, opening.markup, opening.info = {"href": address}, "linkify", "auto"
        state.push("text", "", 0).content = text
        closing = state.push("link_close", "a", -1)
        closing.markup, closing.info = "linkify", "auto"
    state.pos += len(text)
    return True


def _trimmed(url: str) -> str:
    """Return the address without punctuation behind it, and without a closing bracket that it does not open."""
    depth, end = 0, len(url)
    for place, character in enumerate(url):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth < 0:
            end = place
            break
    return url[:end].rstrip("?!.,:;*_~'")
