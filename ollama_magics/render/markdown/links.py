"""Where a link of a model leads: what may be clicked, and what a person must see of it."""

from __future__ import annotations

import re

# Nothing before the host (user@ is there to deceive) and nothing in it that a browser would read differently.
_WEB = re.compile(r"https?://([a-z0-9](?:[a-z0-9._-]*)|\[[0-9a-f:.]+\])(?::\d{1,5})?(?:[/?#][^\\\s]*)?", re.IGNORECASE)
_MAIL = re.compile(r"mailto:([^\s?@/\\]+@[a-z0-9._-]+)(?:\?[^\\\s]*)?", re.IGNORECASE)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_MOST_SHOWN = 80


def destination(address: str) -> str | None:
    """Return the host (or the mail address) that a link leads to, None for a link that must not be clickable."""
    found = _WEB.fullmatch(address) or _MAIL.fullmatch(address)
    return found[1].lower() if found else None


def unseen(address: str, text: str) -> str:
    """Return what must stand beside the link because its text does not say it; empty where it does."""
    shown = destination(address) or address
    if re.search(rf"(?<![\w.@-]){re.escape(shown)}(?![\w-]|[.@]\w)", text, re.IGNORECASE):
        return ""
    return shorten(shown)


def origin(address: str) -> str:
    """Return where a picture would be loaded from: its host, else its scheme, else its name."""
    scheme = _SCHEME.match(address)
    return destination(address) or (shorten(address) if scheme is None else scheme[0])


def shorten(text: str) -> str:
    """Return the text, cut where it would fill the page."""
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
