"""A text as it may be shown: never with a name, a password or a query in it."""

from __future__ import annotations

import re

from ollama_magics.errors import AddressError
from ollama_magics.messages import Phrase
from ollama_magics.secret import BULLETS

_LONGEST_SHOWN = 100
_SPACED = "a text with spaces"
_COMMAND_START = r"[$>!%#(& '\"`]*"
FETCH = re.compile(_COMMAND_START + r"(curl(?:\.exe)?|wget|https?|i[rw][mr]|invoke-(?:webrequest|restmethod)) ", re.IGNORECASE)
OLLAMA = re.compile(_COMMAND_START + r"(ollama(?:_config|_check)?) ", re.IGNORECASE)
_USERINFO = re.compile(r"([^@＠﹫:：/／]*+[:：][/／\\]{2,}+|)(.*)[@＠﹫](.*)", re.DOTALL)


def apart(text: str) -> tuple[str, str | None, str]:
    """Return what stands before name and password, these two (None where there are none), and what follows."""
    parts = _USERINFO.fullmatch(text)
    return (parts[1], parts[2], parts[3]) if parts else ("", None, text)


def shown(text: str) -> str:
    """Return the text on one line, cut, and without name, password and query."""
    command = FETCH.match(text) or OLLAMA.match(text)
    if len(text.split()) > 1:
        return f"{command[1]} …" if command else _SPACED
    front, userinfo, rest = apart(text.strip())
    plain = front + ("" if userinfo is None else f"{BULLETS}@") + re.sub(r"[?#？＃].+", "?…", rest, flags=re.DOTALL)
    return "".join(char if char.isprintable() else "\ufffd" for char in plain[:_LONGEST_SHOWN])


def refusal(text: str, reason: str, **facts: object) -> AddressError:
    """Return the error for a text that is no address, with the text as it may be shown; ``reason`` is the key of a phrase."""
    found = shown(text)
    return AddressError("OM-A01", typed=Phrase("spaced_text") if found == _SPACED else found, reason=Phrase(reason, **facts))
