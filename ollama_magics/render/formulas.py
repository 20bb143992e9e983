"""Find formulas in Markdown, and make of each what MathJax can typeset without harm."""

from __future__ import annotations

import html
import re
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from ollama_magics.render.cleaning import escape

if TYPE_CHECKING:
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

# The rules of formulas are our own: those of mdit-py-plugins miss \[x\] inside of a line and $$ below a line of text, take
# "$20, she paid 30$" and all lines after an open $$ for formulas, and need 17 s for 6000 times \begin{align}.

_LONGEST, MOST_LINES = 4000, 80  # characters and lines of a formula: they bound the search for the end of one that has none
UNTYPESET = '<code class="mathjax_ignore" dir="ltr">'


class Formula(NamedTuple):
    """A formula: its TeX, its whole source, and whether it stands on lines of its own."""

    tex: str
    source: str
    display: bool


class _Form(NamedTuple):
    opener: str
    closer: str
    pattern: re.Pattern[str]
    display: bool


def _form(opener: str, closer: str, pattern: str, *, display: bool) -> _Form:
    return _Form(opener, closer, re.compile(pattern.replace("LONGEST", str(_LONGEST)), re.DOTALL), display)


_FORMS = (
    _form("$$", "$$", r"\$\$((?:\\.|\$(?!\$)|[^\\$]){1,LONGEST}?)\$\$", display=True),
    # What is shown as it is typed: "$ x $" too, where it is one letter or has a character that only formulas have.
    _form(
        "$ ",
        " $",
        r"(?<![A-Za-z0-9$])\$ +((?=[^$`]*[\\^_={}]|\w +\$)(?:\\.|[^\\$`]){1,LONGEST}?) +\$(?![A-Za-z0-9$])",
        display=False,
    ),
    # The rule of pandoc, and no letter or digit on the outer sides either: "$5 or $6", "US$5", "$HOME/$USER" are text.
    _form("$", "$", r"(?<![A-Za-z0-9$])\$(?![\s$])((?:\\.|[^\\$`]){1,LONGEST})(?<!\s)\$(?![A-Za-z0-9$])", display=False),
    _form("\\(", "\\)", r"\\\(((?:\\[^)]|[^\\]){1,LONGEST}?)\\\)", display=False),
    _form("\\[", "\\]", r"\\\[((?:\\[^\]]|[^\\]){1,LONGEST}?)\\\]", display=True),
    _form("\\begin{", "\\end{", r"(\\begin\{([A-Za-z]+\*?)\}.{0,LONGEST}?\\end\{\2\})", display=True),
)
# "$5 for them and 6$": a number and then words.
_MONEY = re.compile(r"\d[^\\=^_]*\s[A-Za-z]{3,}[^\\=^_]*")
_BORDER = re.compile(r"\\(begin|end)\{([A-Za-z]+\*?)\}")
# The environments that MathJax typesets; others, such as itemize, are text of LaTeX.
_ENVIRONMENTS = re.compile(
    r"(?:(?:x{0,2}align|alignat|eqnarray|equation|flalign|gather|multline)\*?|math|displaymath"
    r"|aligned|alignedat|array|d?cases|rcases|drcases|gathered|multlined|split|subarray|darray"
    r"|(?:small|[bBpvV]|[bBpvV]small)?matrix\*?)"
)
# MathJax can link, load pictures, load extensions, set styles and options, make parts that react to the pointer, and define
# commands, colours, labels and forms of numbers for every formula of the page.
_FORBIDDEN = re.compile(
    r"\\(?:bbox|class|colorlet|cs(?:sId|name)|data|define\w*|(?:[egx]|long\\)?def|href|html\w*|includegraphics|(?:future|global)?let"
    r"|(?:begin|end)group\w*|(?:end)?toggle|global|label|mathtoolsset|mmlToken|pagecolor|(?:eq|c|C|auto|page|name)?ref"
    r"|refeq|require|setOptions|setlength|setcounter|style|(?:math|text)tip|unicode|url|usetagform|(?:Declare|provide|renew)[a-zA-Z]+"
    r"|[nN]ew(?!line)[a-zA-Z]+)(?![a-zA-Z])"
)
_ENORMOUS = re.compile(
    r"\d{3,}(?:\.\d*)?\s*(?:em|ex|cm|in|pc)\b|\d{4,}(?:\.\d*)?\s*(?:pt|px|mm|mu|bp)\b"
)  # would leave the answer
# MathJax numbers labels for the whole page, where a formula that is typeset again while the answer grows has them twice.
_LABEL = re.compile(r"\\label\s*\{[^{}]*\}\s?")
_REFERENCE = re.compile(r"\\(eq|c|C|auto|page|name)?ref\s*\{([^{}\n$\\]{1,200})\}")
_PAIRED = re.compile(r"\\(?:left|right)(?![a-zA-Z])|\\.|[{}]", re.DOTALL)
_DELIMITER = re.compile(r"[$\\]")


def find(source: str, start: int, end: int | None = None) -> Formula | None:
    """Return the formula that begins at a place in the source, if there is one."""
    end = len(source) if end is None else end
    for form in _FORMS:
        if source.startswith(form.opener, start) and last_place(source, form.closer) > start + len(form.opener) - 1:
            found = form.pattern.match(source, start, end)
            if found and form.opener == "\\begin{":
                stop = _environment_end(source, start, end)
                return Formula(source[start:stop], source[start:stop], display=True) if stop else None
            if found and not (form.opener == "$" and _MONEY.fullmatch(found[1])):
                return Formula(found[1], found[0], form.display)
            if form.opener != "$ ":
                return None
    return None


@lru_cache(maxsize=8)
def last_place(source: str, closer: str) -> int:
    """Return the last place of a closer; kept, because thousands of openers without an end must not each search for one."""
    return source.rfind(closer)


def _environment_end(source: str, start: int, end: int) -> int:
    """Return where the environment ends that begins at a place, with those in it; 0 where it does not."""
    name, depth = "", 0
    for border in _BORDER.finditer(source, start, min(end, start + _LONGEST)):
        name = name or border[2]
        if border[2] == name:
            depth += 1 if border[1] == "begin" else -1
        if not depth:
            return border.end()
    return 0


def inline_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the signature of a markdown-it rule
    """Make a token ``math_inline`` of a formula inside of a line."""
    formula = find(state.src, state.pos, state.posMax) if state.src[state.pos] in "$\\" else None
    if formula is None:
        return False
    if not silent:
        _fill(state.push("math_inline", "", 0), formula)
    state.pos += len(formula.source)
    return True


def reference_rule(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - as above
    r"""Make text of a reference outside of formulas: of ``\eqref{eq:1}`` it is ``(eq:1)``."""
    found = _REFERENCE.match(state.src, state.pos, state.posMax) if state.src[state.pos] == "\\" else None
    if found is None:
        return False
    if not silent:
        state.append_pending(_referred(found))
    state.pos = found.end()
    return True


def block_rule(state: StateBlock, start: int, end: int, silent: bool) -> bool:  # noqa: FBT001 - as above
    """Make a token ``math_block`` of a formula that fills its lines.

    It ends before a blank line, so that a formula without an end does not take in the rest.
    """
    place = state.bMarks[start] + state.tShift[start]
    form = next((form for form in _FORMS if form.display and state.src.startswith(form.opener, place)), None)
    if form is None or state.is_code_block(start) or last_place(state.src, form.closer) < place + len(form.opener):
        return False

    formula, source = None, ""
    for line in range(start, min(end, start + MOST_LINES)):
        if state.isEmpty(line) or (line > start and state.sCount[line] < state.blkIndent):
            break
        text = state.getLines(line, line + 1, state.blkIndent, keepLastLF=False).strip(" \t")
        source += f"\n{text}" if line > start else text
        if form.closer in text and (formula := find(source, 0)):
            break
    if formula is None or formula.source != source:
        return False

    if not silent:
        token, state.line = state.push("math_block", "", 0), start + source.count("\n") + 1
        token.map = [start, state.line]
        _fill(token, formula)
    return True


def _fill(token: Token, formula: Formula) -> None:
    token.content, token.info, token.markup = formula.tex, "display" if formula.display else "", formula.source


def formula_html(token: Token) -> str:
    """Return a formula between the delimiters that every page knows; one that would do harm is shown as its source."""
    # what is left of it is judged: to remove a label may make one command of two halves
    tex = _REFERENCE.sub(lambda found: rf"\text{{{_referred(found)}}}", _LABEL.sub("", token.content))
    is_known = all(_ENVIRONMENTS.fullmatch(border[2]) for border in _BORDER.finditer(tex)) and _is_balanced(tex)
    if not is_known or _FORBIDDEN.search(tex) or _ENORMOUS.search(tex):
        return f"{UNTYPESET}{html.escape(token.markup)}</code>"
    return f"\\[{html.escape(tex)}\\]" if token.info == "display" else f"\\({html.escape(tex)}\\)"


def _is_balanced(tex: str) -> bool:
    """Return whether what is opened is closed; of a formula that is not so, MathJax shows an error."""
    names = Counter(_PAIRED.findall(tex))
    return names["{"] == names["}"] and names[r"\left"] == names[r"\right"]


def _referred(reference: re.Match[str]) -> str:
    return f"({reference[2]})" if reference[1] == "eq" else reference[2]


def text_html(content: str) -> str:
    """Return text as HTML in which MathJax sees no formula: each dollar and backslash stands in a span of its own.

    What entities stood for is cleaned here.
    """
    return _DELIMITER.sub(r"<span>\g<0></span>", escape(content))
