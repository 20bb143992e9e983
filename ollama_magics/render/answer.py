"""An answer as safe HTML, as plain text, and as the output of a notebook cell."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Protocol

from msgspec import Struct, field

from ollama_magics.render import markdown, tables
from ollama_magics.render.cleaning import escape, normalise, plain
from ollama_magics.render.code import code_html
from ollama_magics.render.tables import GREY, RULE

AMBER = "#9d6f1c"  # where the page has no theme; it can be read on white and on black
_GREY, _AMBER = f"color:var(--jp-content-font-color2,{GREY})", f"color:var(--jp-warn-color0,{AMBER})"
_SMALL = "font-size:11px;line-height:1.5;margin-top:6px"
_ANSWER = "font-family:var(--jp-content-font-family,inherit);line-height:1.5;overflow-wrap:break-word"
_THOUGHTS = f"margin:4px 0 8px;border-left:2px solid var(--jp-border-color2,{RULE});padding-left:10px;{_GREY}"
_COLUMNS, _COLUMN = "display:flex;flex-wrap:wrap;gap:8px 24px", "flex:1 1 280px;min-width:0"
_THUMBNAILS = "display:flex;flex-wrap:wrap;gap:4px;align-items:center;margin-top:6px"
_THUMBNAIL = f"max-width:64px;max-height:64px;margin:0;border:1px solid var(--jp-border-color2,{RULE})"
_CARD = f"margin:6px 0;border-left:2px solid var(--jp-border-color2,{RULE});padding-left:10px;font-size:12px"
_OUTCOME = "white-space:pre-wrap;overflow-wrap:anywhere;max-height:12em;overflow-y:auto"
_SEPARATOR = " · "
_MOST_FORMULAS = 12
_LONGEST_LINE = 300  # characters of a call, and of its outcome, where they stand in one line


class Thumbnail(Protocol):
    """A picture that has a small version of itself."""

    def thumbnail(self) -> bytes:
        """Return it as a PNG file."""


class CallView(Struct, frozen=True):
    """A call of a function, and its outcome: None while it runs or waits for permission."""

    text: str
    outcome: str | None
    failed: bool


class RoundView(Struct, frozen=True):
    """A text of the model and the calls in which it ended."""

    text: str
    calls: Sequence[CallView] = ()


class AnswerView(Struct, frozen=True):
    """What is shown of an answer."""

    model: str
    text: str = ""
    language: str = "en"
    thinking: str = ""  # shown under its title
    thinking_title: str = ""
    is_thinking: bool = False  # the thoughts are unfolded
    earlier: Sequence[RoundView] = ()  # the rounds before the text
    calls: Sequence[CallView] = ()  # in which the text ends
    is_data: bool = False  # the text is JSON
    rows: Sequence[Mapping[str, Any]] = ()  # the complete rows of data that is a list of them
    pictures: Sequence[Thumbnail] = ()  # sent with the prompt
    more_pictures: str = ""  # says how many are left out
    figures: Sequence[str] = ()
    warnings: Sequence[str] = ()
    error: Sequence[str] = ()  # its lines
    provenance: Mapping[str, Any] = field(default_factory=dict)  # for the metadata of the notebook


Output = tuple[dict[str, str], dict[str, Any]]  # data by MIME type, and metadata


def answer_output(view: AnswerView, text_html: str | None = None) -> Output:
    """Return what a notebook keeps of an answer; ``text_html`` is the HTML of its text where it is rendered already."""
    data = {"text/html": answer_html(whole_html(view, text_html)), "text/plain": plain_text(view)}
    return data, {"ollama_magics": view.provenance}


def columns_output(views: Sequence[AnswerView], texts_html: Sequence[str] = ()) -> Output:
    """Return what a notebook keeps of several answers: beside each other as HTML, one below the other as plain text.

    ``texts_html``: the HTML of their texts, as far as they are rendered already.
    """
    columns = columns_html((view.model, whole_html(view, page)) for view, page in zip_longest(views, texts_html[: len(views)]))
    texts = ("\n".join([plain_text(view), *view.error]).strip() for view in views)
    together = "\n\n".join(f"{view.model}\n{text}" for view, text in zip(views, texts, strict=True))
    data = {"text/html": answer_html(columns), "text/plain": plain(together)}
    return data, {"ollama_magics": [view.provenance for view in views]}


def whole_html(view: AnswerView, text_html: str | None = None) -> str:
    """Return the answer with its pictures, figures, warnings and error."""
    if text_html is None:
        text_html = "" if view.is_data else markdown.to_html(view.text, view.language)
    pictures = thumbnails_html((picture.thumbnail() for picture in view.pictures), view.more_pictures)
    return body_html(view, text_html) + pictures + footer_html(view.figures, (*view.warnings, *view.error))


def body_html(view: AnswerView, text_html: str) -> str:
    """Return the thoughts, the earlier rounds, the text and its calls; data is shown as a table or JSON, not as that HTML."""
    if view.is_data and view.rows:
        text_html = tables.table_html(view.rows, view.language)
    elif view.is_data:
        text_html = json_html(view.text, view.language) if view.text else ""
    rounds = "".join(markdown.to_html(one.text, view.language) + _cards_html(one.calls) for one in view.earlier)
    return thoughts_html(view.thinking, view.thinking_title, open=view.is_thinking) + rounds + text_html + _cards_html(view.calls)


def _cards_html(calls: Sequence[CallView]) -> str:
    return "".join(tool_card_html(call.text, call.outcome, failed=call.failed) for call in calls)


def plain_text(view: AnswerView) -> str:
    """Return the texts and the calls of functions, a line each, in their order, as what a terminal may print."""
    earlier = [line for one in view.earlier for line in (plain(one.text), *map(call_line, one.calls)) if line]
    return "\n".join([*earlier, plain(view.text), *map(call_line, view.calls)])


def call_line(call: CallView) -> str:
    """Return a call and its outcome in one line, as what a terminal may print."""
    outcome = "…" if call.outcome is None else " ".join(plain(call.outcome).split())
    return " → ".join(part if len(part) <= _LONGEST_LINE else f"{part[:_LONGEST_LINE]}…" for part in (call.text, outcome))


def answer_html(*pieces: str, growing: bool = False) -> str:
    """Return one answer from pieces of HTML; one that is ``growing`` shows many formulas as their source."""
    page = "".join(pieces)
    # a page typesets all formulas again at each paint: with many of them the browser would be behind by seconds
    untypeset = " mathjax_ignore" if growing and page.count("\\(") + page.count("\\[") > _MOST_FORMULAS else ""
    return f'<div class="ollama-magics{untypeset}" style="{_ANSWER}">{page}</div>'


def thoughts_html(text: str, title: str, *, open: bool) -> str:  # noqa: A002 - the name of the HTML attribute
    """Return the thoughts as plain text under a title, folded unless ``open``; nothing where there are none."""
    if not text:
        return ""
    inner = f'<div dir="auto" style="white-space:pre-wrap">{escape(text.strip())}</div>'
    unfolded = " open" if open else ""
    return f'<details class="mathjax_ignore" style="{_THOUGHTS}"{unfolded}><summary>{escape(title)}</summary>{inner}</details>'


def json_html(text: str, language: str = "en") -> str:
    """Return a JSON text, or the beginning of one, as coloured code."""
    return code_html(normalise(text), "json", language)


def tool_card_html(call: str, outcome: str | None, *, failed: bool) -> str:
    """Return a call of a function and its outcome: None while it runs or waits for permission."""
    colour, result = _AMBER if failed else _GREY, "…" if outcome is None else outcome
    return (
        f'<div class="mathjax_ignore" style="{_CARD}"><div style="{_OUTCOME}"><code>{escape(call)}</code></div>'
        f'<div dir="auto" style="{_OUTCOME};{colour}">{escape(result)}</div></div>'
    )


def footer_html(figures: Sequence[str], warnings: Iterable[str] = ()) -> str:
    """Return a small grey line of figures, or of what is waited for, and under it one line for each warning."""
    line = _line(figures, _GREY) if figures else ""
    return line + "".join(_line([warning], _AMBER) for warning in warnings)


def columns_html(columns: Iterable[tuple[str, str]]) -> str:
    """Return columns of a title, which is text, and a body, which is HTML; where the page is narrow they wrap."""
    shown = (
        f'<div style="{_COLUMN}"><div class="mathjax_ignore"><strong>{escape(title)}</strong></div>{body}</div>'
        for title, body in columns
    )
    return f'<div style="{_COLUMNS}">{"".join(shown)}</div>'


def thumbnails_html(pictures: Iterable[bytes], more: str = "") -> str:
    """Return small PNG files as pictures that stand in the page itself, and a word about those that are left out."""
    sources = (f"data:image/png;base64,{b64encode(data).decode()}" for data in pictures)
    shown = "".join(f'<img alt="" src="{source}" style="{_THUMBNAIL}">' for source in sources)
    if not shown:
        return ""
    rest = f'<span style="font-size:11px;{_GREY}">{escape(more)}</span>' if more else ""
    return f'<div style="{_THUMBNAILS}">{shown}{rest}</div>'


def _line(parts: Iterable[str], colour: str) -> str:
    return f'<div class="mathjax_ignore" style="{_SMALL};{colour}">{escape(_SEPARATOR.join(parts))}</div>'
