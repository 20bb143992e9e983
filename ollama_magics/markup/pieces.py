"""The pieces around the body of an answer, each escaped and none with a colour that the theme does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ollama_magics import texts
from ollama_magics.markup.cleaning import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# The grey and the amber can be read on white and on black where the theme's own are missing.
GREY, AMBER, RULE = "#767c83", "#9d6f1c", "rgba(128,128,128,.4)"
_GREY, _AMBER = f"color:var(--jp-content-font-color2,{GREY})", f"color:var(--jp-warn-color0,{AMBER})"
_SMALL = "font-size:11px;line-height:1.5;margin-top:6px"
_ANSWER = "font-family:var(--jp-content-font-family,inherit);line-height:1.5;overflow-wrap:break-word"
_THOUGHTS = f"margin:4px 0 8px;border-left:2px solid var(--jp-border-color2,{RULE});padding-left:10px;{_GREY}"
_SEPARATOR = " · "


def answer_html(*pieces: str) -> str:
    """Return one answer from pieces that are HTML already: thoughts, body, footer."""
    return f'<div class="ollama-magics" style="{_ANSWER}">{"".join(pieces)}</div>'


def thoughts_html(text: str, *, open: bool, language: str = "en") -> str:  # noqa: A002 - the name of the HTML attribute
    """Return the thoughts as plain text, folded unless ``open``; nothing where there are none."""
    if not text:
        return ""
    title = escape(texts.phrase("thoughts", language))
    inner = f'<div dir="auto" style="white-space:pre-wrap">{escape(text.strip())}</div>'
    unfolded = " open" if open else ""
    return f'<details class="mathjax_ignore" style="{_THOUGHTS}"{unfolded}><summary>{title}</summary>{inner}</details>'


def footer_html(parts: Sequence[str], warnings: Iterable[str] = ()) -> str:
    """Return the small grey line of figures, and under it one line for each warning."""
    figures = _line(parts, _GREY) if parts else ""
    return figures + "".join(_line([warning], _AMBER) for warning in warnings)


def waiting_html(parts: Sequence[str]) -> str:
    """Return the line that stands in for an answer until its first words."""
    return _line(parts, _GREY)


def _line(parts: Iterable[str], colour: str) -> str:
    return f'<div class="mathjax_ignore" style="{_SMALL};{colour}">{escape(_SEPARATOR.join(parts))}</div>'
