"""What the failure of a batch means, read from its words and not from its status."""

from __future__ import annotations

import re
from enum import Enum, auto

from ollama_magics.errors import ConnectionProblem, PromptTooLong, RequestRefused
from ollama_magics.messages import Phrase

# Ollama answers 400 to a runner that was killed, and to a text with NaN; the words are those of the versions 0.12 to 0.33.


class TooLong(Phrase):
    """That a text is longer than the model can read."""


class Meaning(Enum):
    """Why a batch failed."""

    AWAY = auto()  # the server is busy, starts again or is gone: never the fault of a text
    CRASH = auto()  # what computes died: somebody killed it, or a text does
    MEMORY = auto()  # too much at once
    TOO_LONG = auto()  # a text does not fit the context
    TEXT = auto()  # something in it cannot be embedded
    FATAL = auto()  # no batch would fare better


_MEMORY = re.compile(
    r"out of memory|more system memory|failed to allocate|unable to allocate|cudaMalloc|insufficient memory", re.IGNORECASE
)
_AWAY = re.compile(
    r"no longer running|connection refused|broken pipe|server busy|pending requests|request canceled|shutting down"
    r"|timed out waiting|loading model",
    re.IGNORECASE,
)
_CRASH = re.compile(
    r"\bEOF\b|connection reset|unexpectedly stopped|has terminated|exit status|error was encountered while running the model",
    re.IGNORECASE,
)
# refused, no connection in time, broken, a proxy whose Ollama is away
_AWAY_CODES = {"OM-D03", "OM-D07", "OM-D13", "OM-D33"}
_AWAY_STATUSES = {408, 429, 503}  # a gateway counts requests, too
_FATAL_STATUSES = {401, 403, 404, 405, 501}


def meaning(error: BaseException) -> Meaning:
    """Return what the failure of a batch means."""
    if isinstance(error, PromptTooLong):
        return Meaning.TOO_LONG
    if isinstance(error, ConnectionProblem):
        away = error.code in _AWAY_CODES
        return Meaning.AWAY if away else Meaning.FATAL
    return _of_refusal(error) if isinstance(error, RequestRefused) else Meaning.FATAL


def _of_refusal(error: RequestRefused) -> Meaning:
    said = error.facts.get("said", "")
    for words, found in ((_MEMORY, Meaning.MEMORY), (_AWAY, Meaning.AWAY), (_CRASH, Meaning.CRASH)):
        if words.search(said):
            return found
    if error.status in _AWAY_STATUSES or (error.status == 500 and said.startswith("nothing")):
        return Meaning.AWAY
    return Meaning.FATAL if error.status in _FATAL_STATUSES else Meaning.TEXT


def said(error: BaseException) -> Phrase:
    """Return what happened to a text that was asked alone, as the end of a sentence about its row."""
    if isinstance(error, PromptTooLong):
        if error.tokens and error.limit:
            return TooLong("row_longer", by=error.tokens - error.limit, tokens=error.tokens, limit=error.limit)
        return TooLong("row_long")
    facts = getattr(error, "facts", {})
    return Phrase("row_failed", said=facts.get("said") or facts.get("reason") or error)
