"""Remove secrets from the texts of a server, in every spelling in which a server may repeat them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from html.entities import html5
from typing import Any

from ollama_magics.secret import BULLETS, Secret
from ollama_magics.server.secret_pieces import LEAST, Pieces, encodings

LONG_SECRET = 12  # characters; a password "model" must not be removed from every answer
_HEAD = 64  # characters of a secret that are compared; the rest of a longer one goes up to the next space or quote
_REST, _CUT = r"[^\s\"'<>]*", r"[^\s\"']{0,6}[\s\"'…]*\Z"  # after a long secret, and after the cut
_ENTITIES: dict[str, list[str]] = {}
for _name, _text in html5.items():
    _ENTITIES.setdefault(_text, []).append(_name.rstrip(";"))


class Redaction:
    """The secrets of a client; those with fewer characters than ``shortest`` are ordinary words, which stay.

    ``whole_only``: no pieces of them, where parts of a password may be ordinary words too.
    """

    def __init__(self, secrets: Iterable[Secret], shortest: int, *, whole_only: bool = False) -> None:
        self._whole_only = whole_only
        self._secrets = [secret for secret in secrets if len(secret.reveal()) >= shortest]

    def __bool__(self) -> bool:
        return bool(self._secrets)

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        """All spellings of all secrets: the longest first, then what a cut has left of one."""
        texts = sorted({text for secret in self._secrets for text in encodings(secret.reveal())}, key=len, reverse=True)
        whole, cut = [], []
        for text in texts:
            units = [_spellings(character, is_first=not place) for place, character in enumerate(text[:_HEAD])]
            whole.append("".join(units) + (_REST if len(text) > _HEAD else ""))
            if len(units) > LEAST:
                rest = ""
                for unit in reversed(units[LEAST:]):
                    rest = f"(?:{unit}{rest})?"
                cut.append("".join(units[:LEAST]) + rest + _CUT)
        return re.compile("|".join(whole + cut), re.IGNORECASE) if whole else None

    @cached_property
    def _pieces(self) -> Pieces:
        return Pieces(secret.reveal() for secret in self._secrets if not self._whole_only)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the start and end of each secret, or piece of one, in a text."""
        if not (self._secrets and self._pattern):
            return []
        return _merged([*(found.span() for found in self._pattern.finditer(text)), *self._pieces.spans(text)])

    def text(self, text: str) -> str:
        """Return a text with bullets instead of secrets."""
        kept, position = [], 0
        for first, last in self.spans(text):
            kept += [text[position:first], BULLETS]
            position = last
        return "".join([*kept, text[position:]])

    def body(self, body: bytes) -> bytes:
        """Return a body with bullets instead of secrets; what is not UTF-8 is replaced where there are secrets."""
        return self.text(body.decode("utf-8", "replace")).encode() if self._secrets else body

    def lines(self, lines: list[Any]) -> list[Any]:
        """Return decoded lines of an answer without secrets, also where one is divided between the texts of several lines."""
        holder, places = list(lines), dict[str, list[tuple[Any, Any]]]()
        for index, line in enumerate(holder):
            holder[index] = self._copied(line, "", places, (holder, index))
        for found in places.values():
            self._clear(found)
        return holder

    def _copied(self, value: Any, path: str, places: dict[str, list[tuple[Any, Any]]], place: tuple[Any, Any]) -> Any:
        """Return a copy; ``places`` gets container and key of each text, by its path."""
        if isinstance(value, str):
            places.setdefault(path, []).append(place)
        elif isinstance(value, dict):
            copy: dict[str, Any] = {}
            for name, part in value.items():
                shown = self.text(name)
                copy[shown] = self._copied(part, f"{path}.{name}", places, (copy, shown))
            return copy
        elif isinstance(value, list) and not (value and isinstance(value[0], float)):  # a vector
            parts = list(value)
            for index, part in enumerate(value):
                parts[index] = self._copied(part, f"{path}.", places, (parts, index))
            return parts
        return value

    def _clear(self, places: list[tuple[Any, Any]]) -> None:
        """Replace the secrets in the joined texts of these places."""
        texts = [holder[key] for holder, key in places]
        spans = self.spans("".join(texts))
        start = 0
        for (holder, key), text in zip(places, texts, strict=True):
            kept, position, end = "", start, start + len(text)
            while spans and spans[0][0] < end:
                first, last = spans[0]
                kept += text[position - start : max(first, position) - start] + (BULLETS if first >= start else "")
                position = min(last, end)
                if last > end:
                    break
                spans.pop(0)
            holder[key] = kept + text[position - start :]
            start = end


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in their order, those that overlap or touch as one."""
    merged: list[tuple[int, int]] = []
    for first, last in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(last, merged[-1][1])
        else:
            merged.append((first, last))
    return merged


def _spellings(character: str, *, is_first: bool) -> str:
    """Return a pattern of a character: plain, and escaped once or several times for JSON, Python, URLs or HTML.

    Of the backslashes before the first character the pattern takes the last one only, and of others so many: else a text of
    nothing but backslashes would be read from each of them to its end.
    """
    code, wide = ord(character), character.encode("utf-16-be").hex()
    some, any_number = (r"\\", "") if is_first else (r"\\{1,31}+", r"\\{0,31}+")
    forms = [
        some if character == "\\" else any_number + re.escape(character),
        "".join(rf"{some}u{wide[index : index + 4]}" for index in range(0, len(wide), 4)),
        "".join(f"%(?:25)*{byte:02x}" for byte in character.encode()),
        rf"&(?:amp;)*#0*{code};?",
        rf"&(?:amp;)*#x0*{code:x};?",
        *(rf"&(?:amp;)*{name};?" for name in _ENTITIES.get(character, ())),
    ]
    if code < 256:
        forms.append(rf"{some}x{code:02x}")
    return f"(?:{'|'.join(forms)})"
