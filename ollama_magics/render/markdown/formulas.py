"""Formulas taken out of Markdown before it can break them, and no typesetting itself."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline

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


def add_to(parser: MarkdownIt) -> None:
    """Teach the parser formulas: its tokens ``math_inline`` and ``math_block`` hold the TeX in ``content``."""
    parser.inline.ruler.before("escape", "math_inline", _inline)
    parser.block.ruler.before("fence", "math_block", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]})


def as_tex(tex: str, *, display: bool) -> str | None:
    """Return the formula between the delimiters that every MathJax page knows, None if it must not be typeset."""
    if _FORBIDDEN.search(tex):
        return None
    return f"\\[{tex}\\]" if display else f"\\({tex}\\)"


def _form_at(source: str, start: int) -> _Form | None:
    form = next((form for form in _FORMS if source.startswith(form.opener, start)), None)
    return form if form and _last(source, form.closer) >= start + len(form.opener) else None


@lru_cache(maxsize=8)
def _last(source: str, closer: str) -> int:
    # Thousands of openers without an end must not each search for one.
    return source.rfind(closer)


def _inline(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the signature of a markdown-it rule
    form = _form_at(state.src, state.pos) if state.src[state.pos] in "$\\" else None
    found = form.pattern.match(state.src, state.pos, state.posMax) if form else None
    if form is None or found is None or (form.opener == "$" and _MONEY.fullmatch(found[1])):
        return False
    if not silent:
        token = state.push("math_inline", "", 0)
        token.content, token.info, token.markup = found[1], "display" if form.display else "", found[0]
    state.pos = found.end()
    return True


def _block(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - as above
    form = _form_at(state.src, state.bMarks[start] + state.tShift[start])
    if form is None or not form.display or state.is_code_block(start):
        return False
    found = _whole_lines(state, form, start, end)
    if found and not silent:
        _push(state, start, start + found[0].count("\n") + 1, found)
    return found is not None


def _push(state: StateBlock, start: int, end: int, found: re.Match[str]) -> None:
    token = state.push("math_block", "", 0)
    token.content, token.info, token.markup, token.map = found[1], "display", found[0], [start, end]
    state.line = end


def _whole_lines(state: StateBlock, form: _Form, start: int, end: int) -> re.Match[str] | None:
    # A formula that fills its lines, and ends before a blank one: one without an end must not swallow the rest of the answer.
    source = ""
    for line in range(start, min(end, start + _MOST_LINES)):
        if state.isEmpty(line) or (line > start and state.sCount[line] < state.blkIndent):
            return None
        text = state.getLines(line, line + 1, state.blkIndent, keepLastLF=False).strip(" \t")
        source += f"\n{text}" if line > start else text
        if form.closer in text and (found := form.pattern.match(source)):
            return found if found.end() == len(source) else None
    return None
