"""The address within what was pasted: a text with marks around it, a command, or a line of code."""

from __future__ import annotations

import itertools
import re
import shlex
import unicodedata
from contextlib import suppress

from ollama_magics.errors import AddressError
from ollama_magics.messages import Phrase
from ollama_magics.server.address.shown import FETCH, OLLAMA, shown
from ollama_magics.server.address.steps import Step, Why

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
        raise AddressError("OM-A01", typed=Phrase("long_text"), reason=Phrase("longer_than", most=_LONGEST_TEXT))
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
        raise AddressError("OM-A05")  # the word was cut inside a password
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
        raise AddressError("OM-A03", scheme=shown(scheme[1]))
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
