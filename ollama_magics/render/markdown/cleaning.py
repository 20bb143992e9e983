"""Text from a model -> text without anything that a page or a terminal would obey."""

from __future__ import annotations

import html
import re

_LINE_ENDS = re.compile(r"\r\n?")
# C0 except \n and \t, DEL, C1; embeddings, overrides and isolates (they reorder what stands around them); lone
# surrogates (they cannot be sent to a browser).
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# CSI (colours, cursor); strings with an end (OSC: titles, links, the clipboard; DCS, SOS, PM, APC); all others.
_SEQUENCE = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    "|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x80-\x9f]*(?:\x07|\x1b\\\\|\x9c)"
    "|\x1b[ -/]*[0-~]"
)
_ESCAPES = re.compile("[\x1b\x90\x98\x9b\x9d-\x9f]")
_OPENERS = frozenset(f"\x1b{sign}" for sign in "[]PX^_")  # alone, they are no sequence yet
_LONGEST_SEQUENCE = 256  # characters of one that are waited for
_DELETE, _UNKNOWN = 0x7F, "\N{REPLACEMENT CHARACTER}"


def normalise(text: str) -> str:
    """Return the text with one kind of line end, and a visible sign for everything that must not act."""
    return _UNSAFE.sub(_sign, _LINE_ENDS.sub("\n", text))


def _sign(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == _DELETE:
        return "\N{SYMBOL FOR DELETE}"
    return chr(0x2400 + code) if code < ord(" ") else _UNKNOWN


def escape(text: str) -> str:
    """Return the text as HTML that shows it letter by letter."""
    return html.escape(normalise(text))


def plain(text: str) -> str:
    """Return what a terminal may print: no escape sequence, no control character but line ends and tabs.

    A sequence that is cut in two by the end of the text leaves its harmless letters behind.
    """
    unescaped = _SEQUENCE.sub("", _LINE_ENDS.sub("\n", text))
    return normalise(_CONTROL.sub("", unescaped))


class Cleaned:
    """Makes a growing text plain, piece by piece, and holds back an escape sequence until all of it has come."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return what a terminal may print of the next piece."""
        self._held += text
        end = self._open_end()
        ready, self._held = self._held[:end], self._held[end:]
        return plain(ready)

    def rest(self) -> str:
        """Return what was held back."""
        ready, self._held = self._held, ""
        return plain(ready)

    def _open_end(self) -> int:
        # Where a sequence begins that has no end yet, or a line end that may be half of one.
        position = 0
        while found := _ESCAPES.search(self._held, position):
            whole = _SEQUENCE.match(self._held, found.start())
            if whole is None or whole[0] in _OPENERS:
                waits = len(self._held) - found.start() < _LONGEST_SEQUENCE
                return found.start() if waits else len(self._held)
            position = whole.end()
        return len(self._held.removesuffix("\r"))
