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
