"""Find the JSON document in an answer, also in a code block, between sentences, or behind thoughts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from msgspec import Struct

from ollama_magics.conversation.thoughts import ThoughtSplitter
from ollama_magics.messages import Phrase

_CODE = re.compile(r"```\w*[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_CODE_START, _LONGEST_START = re.compile(r"```\w*\s*\Z"), 100
_MOST_DOCUMENTS = 500  # in one answer; more are not looked for
_BRACKET = re.compile(r"[\[{]")
# What begins like this is meant as JSON: if it cannot be read, nothing behind it is taken for the answer.
_MEANT = re.compile(r"""\{\s*(["'}]|\w+\s*:)|\[\s*([\[{"'\]\d-]|true|false|null|NaN)""")
_HALF = re.compile("[\ud800-\udfff]")
_MAYBE_HALF = re.compile("[\ud800-\udfff]|\\\\u[dD]")
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
# What models write that is no JSON, the likeliest reason first; looked for outside of strings.
_MISTAKES = (
    (re.compile(r"(?:^|[\[{:,])\s*[-+]?(?:NaN|Infinity|nan|inf)\b"), "json_nan"),
    (re.compile(r",\s*[\]}]"), "json_comma"),
    (re.compile(r"[\[{:,]\s*'"), "json_quotes"),
    (re.compile(r"[\[{:,]\s*(?:True|False|None)\b"), "json_python"),
    (re.compile(r"[\[{,]\s*(?://|/\*|#)"), "json_comment"),
    (re.compile(r"[{,]\s*[A-Za-z_]\w*\s*:"), "json_keys"),
)


class SchemaMismatchError(ValueError):
    """A text that is not a value of the type; its only argument says where and why, as a text or a Phrase."""


class _Document(Struct, frozen=True):
    text: str
    content: Any
    place: str  # the phrase that says where it stands in the answer


def read_answer(text: str, decode: Callable[[str], Any], thinking: str = "") -> Any:
    """Return what ``decode`` makes of the one JSON document in an answer that it accepts; raises SchemaMismatchError.

    A text that is JSON as a whole is not searched. ``thinking`` is searched only to say that the document is there.
    """
    if _parse(text) is not None:
        return decode_json(text, decode)
    thoughts, answer = _split_thoughts(text)
    documents = _documents(answer)
    values, reasons = _try_each(documents, decode)
    if len(values) == 1:
        return values[0]
    if values:
        raise SchemaMismatchError(Phrase("json_several", count=len(values)))
    if _try_each(_documents(f"{thoughts}\n{thinking}"), decode)[0]:
        raise SchemaMismatchError(Phrase("json_in_thoughts"))
    if reasons:
        raise SchemaMismatchError(Phrase(documents[-1].place, said=reasons[-1]))
    raise SchemaMismatchError(_syntax_error(answer))


def decode_json(text: Any, decode: Callable[[Any], Any]) -> Any:
    """Return what ``decode`` makes of one JSON document; raises SchemaMismatchError for whatever it raises."""
    try:
        return decode(text)
    except Exception as error:  # noqa: BLE001 - a type of the notebook may raise anything as it is made
        said = " ".join(str(error).split())[:300] or type(error).__name__
        raise SchemaMismatchError(_half_character(text) or said) from None


def _half_character(text: Any) -> Phrase | None:
    """Return in words that a JSON text holds half of a surrogate pair, of which a decoder says other things; None for others."""
    parsed = _parse(text) if isinstance(text, str) and _MAYBE_HALF.search(text) else None
    half = None
    with suppress(RecursionError):
        half = _HALF.search(json.dumps(parsed[0], ensure_ascii=False)) if parsed else None
    return Phrase("json_half_character", written=f"\\u{ord(half[0]):04x}") if half else None


def _try_each(documents: list[_Document], decode: Callable[[str], Any]) -> tuple[list[Any], list[Any]]:
    """Return the values of the documents that are of the type, and why the others are not."""
    values, reasons = [], []
    for document in documents:
        try:
            values.append(decode_json(document.text, decode))
        except SchemaMismatchError as error:
            reasons.append(error.args[0])
    return values, reasons


def _split_thoughts(text: str) -> tuple[str, str]:
    """Return the thoughts that stand in an answer, and the rest."""
    splitter = ThoughtSplitter()
    first, last = splitter.feed(text), splitter.end()
    if last.is_late:
        return f"{first.thoughts}{first.text}{last.thoughts}", last.text
    return first.thoughts + last.thoughts, first.text + last.text


def _no_constant(name: str) -> None:
    raise ValueError(name)  # NaN and Infinity, which Python's own parser takes


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def _parse(text: str, start: int = 0) -> tuple[Any, int] | None:
    """Return what a JSON text holds and where it ends, or None; without ``start`` nothing may stand behind it."""
    try:
        if start:
            return _DECODER.raw_decode(text, start)
        return _DECODER.decode(text), len(text)
    except (ValueError, RecursionError):
        return None


def _documents(text: str) -> list[_Document]:
    """Return the objects and lists in a text, or else the other JSON values that fill a code block; none twice."""
    found: list[_Document] = []
    text, position = f" {text}", 0
    while len(found) < _MOST_DOCUMENTS and (bracket := _BRACKET.search(text, position)):
        start = bracket.start()
        position = start + 1
        if not _MEANT.match(text, start):  # to try them all would take the square of their number
            continue
        parsed = _parse(text, start)
        if parsed is None:
            break
        position = parsed[1]
        if all(parsed[0] != one.content for one in found):
            place = "json_in_code" if _CODE_START.search(text, max(0, start - _LONGEST_START), start) else "json_in_text"
            found.append(_Document(text[start:position], parsed[0], place))
    if found or _BRACKET.search(text):
        return found
    return [_Document(code, parsed[0], "json_in_code") for code in _CODE.findall(text) if (parsed := _parse(code))]


def _syntax_error(text: str) -> Phrase:
    """Return in words why there is no JSON document in a text."""
    if not text.strip():
        return Phrase("json_nothing")
    outside = _STRING.sub('""', text)
    if mistake := next((key for pattern, key in _MISTAKES if pattern.search(outside)), ""):
        return Phrase(mistake)
    start = _MEANT.search(text)
    if not start:
        return Phrase("json_none", start=" ".join(text.split())[:60])
    try:
        _DECODER.raw_decode(text, start.start())
    except json.JSONDecodeError as error:
        is_cut = error.pos >= len(text.rstrip()) or "Unterminated" in error.msg
        return Phrase("json_ends") if is_cut else Phrase("json_malformed", line=error.lineno, column=error.colno, said=error.msg)
    except (ValueError, RecursionError) as error:  # of int(), which reads no more digits than Python is set to
        return Phrase("json_deep" if isinstance(error, RecursionError) else "json_number")
    return Phrase("json_none", start=" ".join(text.split())[:60])
