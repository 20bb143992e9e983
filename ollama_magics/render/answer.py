"""The pieces around the body of an answer, each escaped and none with a colour that the theme does not know."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from ollama_magics.render.cleaning import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The grey and the amber can be read on white and on black where the theme's own are missing.
GREY, AMBER, RULE = "#767c83", "#9d6f1c", "rgba(128,128,128,.4)"
_GREY, _AMBER = f"color:var(--jp-content-font-color2,{GREY})", f"color:var(--jp-warn-color0,{AMBER})"
_SMALL = "font-size:11px;line-height:1.5;margin-top:6px"
_ANSWER = "font-family:var(--jp-content-font-family,inherit);line-height:1.5;overflow-wrap:break-word"
_THOUGHTS = f"margin:4px 0 8px;border-left:2px solid var(--jp-border-color2,{RULE});padding-left:10px;{_GREY}"
_COLUMNS, _COLUMN = "display:flex;flex-wrap:wrap;gap:8px 24px", "flex:1 1 280px;min-width:0"
_THUMBNAILS = "display:flex;flex-wrap:wrap;gap:4px;align-items:center;margin-top:6px"
_THUMBNAIL = f"max-width:64px;max-height:64px;margin:0;border:1px solid var(--jp-border-color2,{RULE})"
_SEPARATOR = " · "
_MOST_FORMULAS = 12


def answer_html(*pieces: str, growing: bool = False) -> str:
    """Return one answer from pieces that are HTML already: thoughts, body, footer.

    A page typesets all formulas again at each paint. So one that is ``growing`` shows the source of its formulas where there
    are many of them, or the browser would be behind by seconds.
    """
    page = "".join(pieces)
    untypeset = " mathjax_ignore" if growing and page.count("\\(") + page.count("\\[") > _MOST_FORMULAS else ""
    return f'<div class="ollama-magics{untypeset}" style="{_ANSWER}">{page}</div>'


def thoughts_html(text: str, title: str, *, open: bool) -> str:  # noqa: A002 - the name of the HTML attribute
    """Return the thoughts as plain text under a title, folded unless ``open``; nothing where there are none."""
    if not text:
        return ""
    inner = f'<div dir="auto" style="white-space:pre-wrap">{escape(text.strip())}</div>'
    unfolded = " open" if open else ""
    return f'<details class="mathjax_ignore" style="{_THOUGHTS}"{unfolded}><summary>{escape(title)}</summary>{inner}</details>'


def footer_html(parts: Sequence[str], warnings: Iterable[str] = ()) -> str:
    """Return the small grey line of figures, and under it one line for each warning."""
    figures = _line(parts, _GREY) if parts else ""
    return figures + "".join(_line([warning], _AMBER) for warning in warnings)


def columns_html(columns: Iterable[tuple[str, str]]) -> str:
    """Return columns of a title, which is text, and a body, which is HTML; where the page is narrow they wrap."""
    return f'<div style="{_COLUMNS}">{"".join(_column(title, body) for title, body in columns)}</div>'


def _column(title: str, body: str) -> str:
    return f'<div style="{_COLUMN}"><div class="mathjax_ignore"><strong>{escape(title)}</strong></div>{body}</div>'


def thumbnails_html(pictures: Iterable[bytes], more: str = "") -> str:
    """Return small PNG files as pictures that stand in the page itself, and a word about those that are left out."""
    sources = (f"data:image/png;base64,{b64encode(data).decode()}" for data in pictures)
    shown = "".join(f'<img alt="" src="{source}" style="{_THUMBNAIL}">' for source in sources)
    if not shown:
        return ""
    rest = f'<span style="font-size:11px;{_GREY}">{escape(more)}</span>' if more else ""
    return f'<div style="{_THUMBNAILS}">{shown}{rest}</div>'


def waiting_html(parts: Sequence[str]) -> str:
    """Return the line that stands in for an answer until its first words."""
    return _line(parts, _GREY)


def _line(parts: Iterable[str], colour: str) -> str:
    return f'<div class="mathjax_ignore" style="{_SMALL};{colour}">{escape(_SEPARATOR.join(parts))}</div>'
