"""Classify the failure of a request by its status, the server's words and its cause."""

from __future__ import annotations

import re
from enum import Enum, auto

from ollama_magics.errors import AnswerCut, ConnectionProblem, PromptTooLong, RequestRefused

# The status alone does not say it: /api/embed answers 400 to a runner that was killed and to a text that gives NaN. The words are
# those of the versions 0.12 to 0.33, and of the gateways in front of them.


class FailureKind(Enum):
    """Why a request failed, which decides whether and how it is sent again."""

    BUSY = auto()  # the server has too many requests
    UNAVAILABLE = auto()  # the server or its runner is gone, or not there yet
    CRASHED = auto()  # the runner crashed: something killed it, or the input did
    OUT_OF_MEMORY = auto()  # the model or the batch does not fit
    TOO_LONG = auto()  # the input does not fit the context
    INPUT = auto()  # something in the request cannot be processed
    LOAD_FAILED = auto()  # the model's files cannot be loaded
    FATAL = auto()  # no request of this kind to this server and model would succeed

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed later."""
        return self in {FailureKind.BUSY, FailureKind.UNAVAILABLE, FailureKind.CRASHED}


# The first whose words are found counts.
_WORDS = {
    FailureKind.TOO_LONG: r"exceeds? (the )?(available |maximum )?context|exceed_context_size|longer than the context length",
    FailureKind.OUT_OF_MEMORY: (
        r"out of memory|more system memory|failed to allocate|unable to allocate|cudaMalloc|insufficient memory"
        r"|unable to load full model on GPU"
    ),
    FailureKind.BUSY: r"(server|runner) (is )?busy|pending requests",
    FailureKind.LOAD_FAILED: r"failed to load model|error loading model|unable to load",
    FailureKind.UNAVAILABLE: (
        r"no longer running|connection refused|broken pipe|request canceled|shutting down|timed out waiting|loading model"
    ),
    # the runner's name with other words than those above counts as a crash: it may do better once it runs again
    FailureKind.CRASHED: (
        r"\bEOF\b|connection reset|unexpectedly stopped|has terminated|exit status|signal: |running the model"
        r"|runner|llama-server|do embedding request"
    ),
}
_PATTERNS = {kind: re.compile(words, re.IGNORECASE) for kind, words in _WORDS.items()}
_STATUSES = {
    **dict.fromkeys((429, 503), FailureKind.BUSY),  # a gateway counts requests, too
    408: FailureKind.UNAVAILABLE,
    **dict.fromkeys((401, 403, 404, 405, 412, 501), FailureKind.FATAL),
}
# refused, no connection in time, broken, a proxy whose Ollama does not answer
_UNAVAILABLE_CODES = {"address-refused", "address-silent", "connection-broken", "gateway-failed"}
EMPTY_ANSWER = "nothing (an empty answer)"  # what an answer without words is quoted as


def classify(status: int, said: str) -> FailureKind:
    """Return the kind of a failure from the HTTP status (200 within a stream) and what the server said."""
    for kind, pattern in _PATTERNS.items():
        if pattern.search(said):
            return kind
    if status == 500 and said == EMPTY_ANSWER:  # a panic in the server
        return FailureKind.UNAVAILABLE
    return _STATUSES.get(status, FailureKind.INPUT)


def failure_kind(error: BaseException) -> FailureKind:
    """Return the kind of a failure that was raised as an error."""
    if isinstance(error, PromptTooLong):
        return FailureKind.TOO_LONG
    if isinstance(error, ConnectionProblem) and error.code in _UNAVAILABLE_CODES:
        return FailureKind.UNAVAILABLE
    if isinstance(error, (RequestRefused, AnswerCut)):
        return classify(getattr(error, "status", 200), str(error.facts.get("said", "")))
    return FailureKind.FATAL
