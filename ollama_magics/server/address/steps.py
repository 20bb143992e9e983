"""Why an address is changed, and how a row of steps tells it."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum

# Each step takes a text and returns it nearer to its normal form, or refuses it. Tables put the steps in order, each beside
# the reason that is told when it changed something. Name and password leave the text between TEXT and PLACE, so that no
# later step can show them.


class Why(StrEnum):
    """Why the address used differs from what was typed: the name is a stable key, the value the English clause."""

    BLANK = "nothing was typed, and Ollama listens there unless it is told otherwise"
    INVISIBLE = "characters that cannot be seen were left out"
    EDGES = "spaces, quotes and marks around the address were left out"
    PICKED = "only the address was taken from the text"
    NO_ADDRESS = "the command names no address, and Ollama listens there unless it is told otherwise"
    USERINFO = "name and password are kept apart from the address"
    WIDE = "full-width characters were written as plain ones"
    QUERY = "what follows ? or # is no part of the address"
    BRACKETS = "an IPv6 address stands in brackets"
    MACHINE = "no machine was named, so it is the one of this kernel"
    NETWORK_NAME = "the network knows such a name in plain letters only"
    BIND = "0.0.0.0, :: and * say where a server listens, and it is reached on the loopback address"
    CLOUD = "ollama.com is reached over https"
    SCHEME = "no http:// was typed"
    PORT = "no port was typed, and Ollama's own is 11434"
    PATH = "paths such as /api/chat or /v1 are added with each request"
    SPELLING = "this is the usual spelling"


Step = tuple[Callable[[str], str], Why]


def run(text: str, steps: tuple[Step, ...]) -> tuple[str, list[Why]]:
    """Return the text after all steps, and the reasons of those that changed it."""
    reasons = []
    for step, why in steps:
        before, text = text, step(text)
        if text != before:
            reasons.append(why)
    return text, reasons


def rewriting(pattern: str, new: str) -> Callable[[str], str]:
    """Return a step that replaces every match of the pattern."""
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda text: compiled.sub(new, text)
