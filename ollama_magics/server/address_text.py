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

# Each step takes a text and returns it closer to its normal form, or raises AddressError. Tables hold the steps in order, each
# with the reason that is given when it changed the text. User name and password leave the text between TEXT_STEPS and
# LOCATION_STEPS, so that no later step can show them.


class ChangeReason(StrEnum):
    """Why an address differs from the text that was typed: the name is a stable key, the value an English clause."""

    BLANK = "nothing was typed, and this is Ollama's default address"
    INVISIBLE = "characters that cannot be seen were left out"
    EDGES = "spaces, quotes and marks around the address were left out"
    PICKED = "only the address was taken from the text"
    NO_ADDRESS = "the command names no address, and this is Ollama's default address"
    USERINFO = "name and password are kept apart from the address"
    WIDE = "full-width characters were written as plain ones"
    QUERY = "the part after ? or # is not used"
    BRACKETS = "an IPv6 address needs brackets"
    MACHINE = "no host was typed, so it is the kernel's own machine"
    NETWORK_NAME = "DNS has such a name in ASCII letters only"
    BIND = "0.0.0.0, :: and * are addresses to listen on; clients connect to the loopback address"
    CLOUD = "ollama.com is reached over https"
    SCHEME = "no http:// was typed"
    PORT = "no port was typed, and Ollama's own is 11434"
    PATH = "paths such as /api/chat or /v1 are added with each request"
    SPELLING = "this is the usual spelling"


Step = tuple[Callable[[str], str], ChangeReason]


def apply_steps(text: str, steps: tuple[Step, ...]) -> tuple[str, list[ChangeReason]]:
    """Return the text after all steps, and the reasons of those that changed it."""
    reasons = []
    for step, reason in steps:
        before, text = text, step(text)
        if text != before:
            reasons.append(reason)
    return text, reasons


def replacing(pattern: str, new: str) -> Callable[[str], str]:
    """Return a step that replaces every match of the pattern."""
    compiled = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return lambda text: compiled.sub(new, text)


_MAX_SHOWN = 100
_TEXT_WITH_SPACES = "a text with spaces"
_COMMAND_START = r"[$>!%#(& '\"`]*"
FETCH = re.compile(_COMMAND_START + r"(curl(?:\.exe)?|wget|https?|i[rw][mr]|invoke-(?:webrequest|restmethod)) ", re.IGNORECASE)
OLLAMA = re.compile(_COMMAND_START + r"(ollama(?:_config|_check)?) ", re.IGNORECASE)
_USERINFO = re.compile(r"([^@＠﹫:：/／]*+[:：][/／\\]{2,}+|)(.*)[@＠﹫](.*)", re.DOTALL)


def split_userinfo(text: str) -> tuple[str, str | None, str]:
    """Return the text before user name and password, these two (None where there are none), and the text after them."""
    parts = _USERINFO.fullmatch(text)
    return (parts[1], parts[2], parts[3]) if parts else ("", None, text)


def shown(text: str) -> str:
    """Return the text as it may be shown: on one line, shortened, without user name, password and query."""
    command = FETCH.match(text) or OLLAMA.match(text)
    if len(text.split()) > 1:
        return f"{command[1]} …" if command else _TEXT_WITH_SPACES
    front, userinfo, rest = split_userinfo(text.strip())
    plain = front + ("" if userinfo is None else f"{BULLETS}@") + re.sub(r"[?#？＃].+", "?…", rest, flags=re.DOTALL)
    return "".join(char if char.isprintable() else "\ufffd" for char in plain[:_MAX_SHOWN])


def address_error(text: str, reason: str, **facts: object) -> AddressError:
    """Return the error for a text that is no address; ``reason`` is the key of a phrase."""
    typed: str | Phrase = shown(text)
    typed = Phrase("spaced_text") if typed == _TEXT_WITH_SPACES else typed
    return AddressError("address-unusable", typed=typed, reason=Phrase(reason, **facts))


DEFAULT_URL = "http://127.0.0.1:11434"
_MAX_TEXT = 20_000  # encoding makes a path up to three times as long, and httpx takes 65 536 characters
_QUOTES_AND_SPACES = " '\"`<>()“”„‘’‚«»「」『』《》（）＂＇"
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
_OTHER_SCHEME = re.compile(
    r"(?!https?:)([a-z](?=:\\)|[a-z][a-z0-9+.-]*(?=://)|(?:data|file|ftp|mailto|sftp|ssh|unix|wss?)(?=:(?!\d)))", re.IGNORECASE
)


def _without_invisible(text: str) -> str:
    if len(text) > _MAX_TEXT:
        raise AddressError("address-unusable", typed=Phrase("long_text"), reason=Phrase("longer_than", most=_MAX_TEXT))
    return "".join(char for char in text if char.isspace() or unicodedata.category(char) not in {"Cc", "Cf"})


def _find_address(text: str) -> str:
    """Return the value of a setting such as OLLAMA_HOST in the text, or the word that is an address."""
    named = _NAMED_VALUE.search(text)
    found = named[1] if named else _address_word(text) if " " in text else text
    # PowerShell's users type (Invoke-WebRequest … -uri URL).Content
    return text if found == text else _trimmed(re.sub(r"\)[^)@＠﹫]*$", "", found))


def _address_word(text: str) -> str:
    words = text.split()
    is_fetch = bool(FETCH.match(text))
    if is_fetch:
        with suppress(ValueError):  # a quote that is not closed
            words = shlex.split(text)
        pairs = itertools.pairwise(words)
        words = [word for before, word in pairs if not _TAKES_VALUE.fullmatch(before) and not _OPTION.fullmatch(word)]
    found = list(filter(_URL_WORD.match, words)) or (list(filter(_HOST_WORD.search, words)) if is_fetch else [])
    if found and re.search("[@＠﹫]", " ".join(words).partition(found[0])[2]):
        raise AddressError("password-ambiguous")  # the word was cut inside a password
    return found[0] if found else text


def _trimmed(text: str) -> str:
    return text.strip(_QUOTES_AND_SPACES).rstrip(_QUOTES_AND_SPACES + END_MARKS)


def only_http(text: str) -> str:
    """Refuse any scheme but http and https."""
    if scheme := _OTHER_SCHEME.match(text):
        raise AddressError("scheme-unsupported", scheme=shown(scheme[1]))
    return text


TEXT_STEPS: tuple[Step, ...] = (
    (_without_invisible, ChangeReason.INVISIBLE),
    (replacing(r"[\\^`]\r?\n", " "), ChangeReason.EDGES),
    (lambda text: " ".join(text.split()), ChangeReason.EDGES),
    (_find_address, ChangeReason.PICKED),
    (_trimmed, ChangeReason.EDGES),
    (lambda text: DEFAULT_URL if OLLAMA.match(text) or FETCH.match(text) else text, ChangeReason.NO_ADDRESS),
    (lambda text: text or DEFAULT_URL, ChangeReason.BLANK),
    (only_http, ChangeReason.SPELLING),
)
