"""Markdown that grows while it is shown: finished blocks are rendered once, only the open end again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ollama_magics.render.cleaning import normalise
from ollama_magics.render.markdown import parse, render

if TYPE_CHECKING:
    from markdown_it.token import Token


class _Part(NamedTuple):
    source: str
    html: str


class Markup:
    """Render a growing text: after every call the result is that of ``to_html`` for the text given.

    A block is finished when, after a blank line, a line that is itself complete begins another block at the top level.
    Every block of Markdown is closed for good by then: only lists, fences and indented code go on over a blank line,
    and they decide by the next line alone whether they do. What stays open is the target of ``[name]``, which may be
    defined anywhere below; when the definitions change, finished parts that hold a bracket are rendered again.
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
        self._refresh(references)
        index, line = _last_boundary(tokens, open_end)
        if index:
            source = open_end[: _length(open_end, line)]
            self._finished += source
            self._parts.append(_Part(source, render(tokens[:index], self._language)))
            found = {label: target for label, target in references.items() if target["map"][0] < line}
            self._references = {**found, **self._references}
        return "".join((*(part.html for part in self._parts), render(tokens[index:], self._language)))

    def _restart(self) -> None:
        self._finished, self._parts = "", list[_Part]()
        self._references, self._known = {}, {}

    def _refresh(self, references: dict[str, Any]) -> None:
        known = {label: target["href"] for label, target in references.items()}
        if known == self._known:
            return
        self._known = known
        for place, part in enumerate(self._parts):
            if "[" in part.source:
                again = render(parse(part.source, dict(references)), self._language)
                self._parts[place] = part._replace(html=again)


def finished(text: str) -> int:
    """Return how many characters of a growing text, normalised, are blocks that later text cannot change."""
    return _length(text, _last_boundary(parse(text, {}), text)[1])


def _length(text: str, lines: int) -> int:
    return sum(len(line) + 1 for line in text.split("\n")[:lines])


def _last_boundary(tokens: list[Token], source: str) -> tuple[int, int]:
    """Return the place among the tokens, and the line, of the last block before which all is finished; else (0, 0)."""
    lines = source.split("\n")  # the last of them has no line end yet
    for index in range(len(tokens) - 1, 0, -1):
        token = tokens[index]
        if token.level == 0 and token.nesting >= 0 and token.map:
            line = token.map[0]
            if 0 < line < len(lines) - 1 and not lines[line - 1].strip(" \t"):
                return index, line
    return 0, 0
