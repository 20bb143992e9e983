"""Blocks of code as HTML in the colours of the page's theme."""

from __future__ import annotations

import html
from itertools import groupby
from typing import TYPE_CHECKING

from ollama_magics import messages
from ollama_magics.render.tables import GREY

if TYPE_CHECKING:
    from pygments.token import _TokenType

# The background of JupyterLab's own editor: its token colours were chosen for it.
_PRE = (
    "background:var(--jp-cell-editor-background,rgba(128,128,128,.1));padding:8px 12px;margin:8px 0 1em;"
    "border-radius:4px;overflow-x:auto;white-space:pre"
)
# A click on the small picture of two sheets selects all of the code, and nothing else of the block does. Where a page takes
# user-select away (a notebook that is not trusted), it takes inline-size away too, so that no picture without use is left.
_BLOCK, _TEXT = "position:relative;-webkit-user-select:all;user-select:all", "-webkit-user-select:text;user-select:text"
_SHEETS = (
    "position:absolute;top:10px;right:12px;inline-size:9px;block-size:11px;border-radius:2px;cursor:pointer;opacity:.6;"
    f"color:var(--jp-content-font-color2,{GREY});box-shadow:inset 0 0 0 1.5px currentcolor,3px -3px 0 -.5px currentcolor"
)
_CODE = "background:none;padding:0;white-space:pre"
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


def code_html(code: str, name: str, language: str = "en") -> str:
    """Return a block of code with the colours of the programming language of this name; one click on its corner selects it."""
    inner, title = coloured(code, name), html.escape(messages.phrase("select_code", language))
    block = f'<pre dir="ltr" style="{_PRE};{_TEXT}"><code class="mathjax_ignore" style="{_CODE}">{inner}</code></pre>'
    return f'<div style="{_BLOCK}">{block}<span title="{title}" style="{_SHEETS}"></span></div>\n'


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
