"""Find the address in pasted text, and show an address without a password."""

from __future__ import annotations

import itertools
import re
import shlex
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum

from ollama_magics.errors import AddressError
from ollama_magics.messages import Phrase
from ollama_magics.secret import BULLETS

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
    return AddressError(
        "address-unusable", typed=Phrase("spaced_text") if found == _SPACED else found, reason=Phrase(reason, **facts)
    )


DEFAULT_URL = "http://127.0.0.1:11434"
_LONGEST_TEXT = 20_000  # encoding makes a path three times as long at most, and httpx takes 65 536 characters
_EDGES = " '\"`<>()“”„‘’‚«»「」『』《》（）＂＇"
END_MARKS = ".,;。，；、"
_TAKES_VALUE = re.compile(
    r"-[sSfLkNiv]*[AFHTXbcdemouwx]|--(?:cacert|cert|connect-timeout|cookie|data|data-binary|data-raw|form|header|json|key"
    r"|max-time|output|proxy|request|retry|user|user-agent|write-out)"
)
_OPTION = re.compile(r"-d@.*|-[^@＠﹫]*", re.DOTALL)  # what holds an @ may be the rest of a password
_NAMED_VALUE = re.compile(
    r"""(?:^|[\s"'(\[,]|\$env:)(?:(?:OLLAMA_HOST|OLLAMA_BASE_URL|OLLAMA_API_BASE|base_url)["'\]]*\s?[=:,]"""
    r"""|(?<=\()host=|(?:setx|setenv)\sOLLAMA_HOST\s|--?(?:base-)?ur[il][\s=])\s?"""
    # up to the last @ of the line: a value cut inside a password would show half of it
    r"""((?:"[^"]*"|'[^']*')(?!.*[@＠﹫])|(?:.*[@＠﹫])?\S*)""",
    re.IGNORECASE,
)
_URL_WORD = re.compile(r"""["'<(]*https?://""", re.IGNORECASE)
_HOST_WORD = re.compile(r"[.:/]|localhost")
_FOREIGN = re.compile(
    r"(?!https?:)([a-z](?=:\\)|[a-z][a-z0-9+.-]*(?=://)|(?:data|file|ftp|mailto|sftp|ssh|unix|wss?)(?=:(?!\d)))", re.IGNORECASE
)


def _visible(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise AddressError("address-unusable", typed=Phrase("long_text"), reason=Phrase("longer_than", most=_LONGEST_TEXT))
    return "".join(char for char in text if char.isspace() or unicodedata.category(char) not in {"Cc", "Cf"})


def _one_line(text: str) -> str:
    return " ".join(re.sub(r"[\\^`]\r?\n", " ", text).split())


def _picked(text: str) -> str:
    named = _NAMED_VALUE.search(text)
    found = named[1] if named else _picked_word(text) if " " in text else text
    # PowerShell's users type (Invoke-WebRequest … -uri URL).Content
    return text if found == text else _trimmed(re.sub(r"\)[^)@＠﹫]*$", "", found))


def _trimmed(text: str) -> str:
    return text.strip(_EDGES).rstrip(_EDGES + END_MARKS)


def _picked_word(text: str) -> str:
    fetch = FETCH.match(text)
    words = _operands(text) if fetch else text.split()
    found = list(filter(_URL_WORD.match, words)) or (list(filter(_HOST_WORD.search, words)) if fetch else [])
    if found and re.search("[@＠﹫]", " ".join(words).partition(found[0])[2]):
        raise AddressError("password-ambiguous")  # the word was cut inside a password
    return found[0] if found else text


def _operands(command: str) -> list[str]:
    words = command.split()
    with suppress(ValueError):  # a quote that is never closed
        words = shlex.split(command)
    pairs = itertools.pairwise(words)
    return [word for before, word in pairs if not _TAKES_VALUE.fullmatch(before) and not _OPTION.fullmatch(word)]


def _default_for_command(text: str) -> str:
    return DEFAULT_URL if OLLAMA.match(text) or FETCH.match(text) else text


def _default_for_blank(text: str) -> str:
    return text or DEFAULT_URL


def only_http(text: str) -> str:
    """Refuse any scheme but http and https."""
    if scheme := _FOREIGN.match(text):
        raise AddressError("scheme-unsupported", scheme=shown(scheme[1]))
    return text


TEXT: tuple[Step, ...] = (
    (_visible, Why.INVISIBLE),
    (_one_line, Why.EDGES),
    (_picked, Why.PICKED),
    (_trimmed, Why.EDGES),
    (_default_for_command, Why.NO_ADDRESS),
    (_default_for_blank, Why.BLANK),
    (only_http, Why.SPELLING),
)
