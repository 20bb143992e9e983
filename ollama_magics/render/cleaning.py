"""Remove from text of a model what a page or a terminal would obey, and check its links."""

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
_OPENERS = frozenset(f"\x1b{letter}" for letter in "[]PX^_")  # alone, they are no sequence yet
_LONGEST_SEQUENCE = 256  # characters of one that are waited for
_DELETE, _UNKNOWN = 0x7F, "\N{REPLACEMENT CHARACTER}"


def normalise(text: str) -> str:
    """Return the text with one kind of line end, and visible stand-ins for control characters."""
    return _UNSAFE.sub(_stand_in, _LINE_ENDS.sub("\n", text))


def _stand_in(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code == _DELETE:
        return "\N{SYMBOL FOR DELETE}"
    return chr(0x2400 + code) if code < ord(" ") else _UNKNOWN


def escape(text: str) -> str:
    """Return HTML that shows the text as it is."""
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
        end, position = len(self._held.removesuffix("\r")), 0  # a \r may be half of a line end
        while found := _ESCAPES.search(self._held, position):
            whole = _SEQUENCE.match(self._held, found.start())
            if whole is None or whole[0] in _OPENERS:  # a sequence that has no end yet
                is_waiting = len(self._held) - found.start() < _LONGEST_SEQUENCE
                end = found.start() if is_waiting else len(self._held)
                break
            position = whole.end()
        ready, self._held = self._held[:end], self._held[end:]
        return plain(ready)

    def rest(self) -> str:
        """Return what was held back."""
        ready, self._held = self._held, ""
        return plain(ready)


# no user@ before the host, which is there to deceive, and nothing in it that a browser would read differently
_WEB = re.compile(r"https?://([a-z0-9](?:[a-z0-9._-]*)|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:[/?#][^\\\s]*)?", re.IGNORECASE)
_MAIL = re.compile(r"mailto:([^\s?@/\\]+@[a-z0-9._-]+)(?:\?[^\\\s]*)?", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_MOST_SHOWN = 80


def destination(address: str) -> str | None:
    """Return the host or the mail address of a link, None for a link that must not be clickable."""
    found = _WEB.fullmatch(address) or _MAIL.fullmatch(address)
    return found[1].lower() if found else None


def unseen(address: str, text: str) -> str:
    """Return the destination of a link where its text does not contain it, else an empty text."""
    shown = destination(address) or address
    if re.search(rf"(?<![\w.@-]){re.escape(shown)}(?![\w-]|[.@]\w)", text, re.IGNORECASE):
        return ""
    return shorten(shown)


def origin(address: str) -> str:
    """Return from where a picture would be loaded: its host, else its scheme, else its name."""
    scheme = _SCHEME.match(address)
    return destination(address) or (shorten(address) if scheme is None else scheme[0])


def shorten(text: str) -> str:
    """Return the text, cut where it would fill the page."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
