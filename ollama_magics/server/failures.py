"""Classify the failure of a request, and turn an error of a server into one of this package."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import msgspec

from ollama_magics.errors import AnswerCut, ConnectionProblem, ModelProblem, OllamaMagicsError, PromptTooLong, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.secret import BULLETS

# The status alone does not say it: /api/embed answers 400 to a runner that was killed and to a text that gives NaN. The words are
# those of the versions 0.12 to 0.33, and of the gateways in front of them.


class FailureKind(Enum):
    """Why a request failed.

    For a batch of embeddings the kind decides whether and how it is sent again. A chat shows the error with its advice instead.
    """

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


_SHORTEST_REDACTED = 4  # characters; to replace shorter secrets would garble the text and hide nothing
_LONGEST_QUOTE = 300
_CANNOT = re.compile(r"does not support (\w+)|(multimodal|image input is not supported)|not support (embeddings)", re.IGNORECASE)
_RUNNER_FAILURES = {FailureKind.UNAVAILABLE, FailureKind.CRASHED, FailureKind.OUT_OF_MEMORY, FailureKind.LOAD_FAILED}
EXTRAS = ("vision", "tools", "thinking", "insert")  # what a model may do besides what it is for
_TLS_WANTED = re.compile(r"HTTP request (was sent )?to (an )?HTTPS (server|port)", re.IGNORECASE)
_ABILITIES = {"generate": "completion", "chat": "chat", "multimodal": "vision", "embeddings": "embedding"}


@dataclass(frozen=True)
class Refusal:
    """An HTTP response that reports an error: its content, where it came from, and for which model."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    host: str
    model: str = ""
    proxy: str = ""

    @property
    def said(self) -> str:
        """The error message of the server in one line."""
        message = str(self.error_body().get("message") or "") or self.body.decode("utf-8", "replace")
        return quote(message) or EMPTY_ANSWER

    @property
    def kind(self) -> FailureKind:
        """The kind of failure, also by the type that newer servers name."""
        return classify(self.status, f"{self.said} {self.error_body().get('type', '')}".rstrip())

    @property
    def content(self) -> str:
        """The media type and the first words, for a response that is not Ollama's."""
        kind = self.headers.get("content-type", "?").partition(";")[0]
        return f"{kind}: {quote(self.body[:120].decode('utf-8', 'replace'))!r}"

    def as_error(self) -> OllamaMagicsError:
        """Return the error that fits best."""
        return (
            _gateway_error(self)
            or _access_denied(self)
            or _model_error(self)
            or _busy_or_broken(self)
            or _not_ollama(self)
            or RequestRefused("request-refused", status=self.status, said=self.said)
        )

    def error_body(self) -> dict[str, Any]:
        """Return the error object of the body, or {}."""
        return error_object(_json(self.body))

    @property
    def is_ollamas(self) -> bool:
        """Whether the body is an error in Ollama's form."""
        return bool(self.error_body())


def error_object(found: Any) -> dict[str, Any]:
    """Return the innermost error object of a decoded body as a dict with ``message``, or {} where there is none.

    Servers from 0.30 on relay errors of their runner as JSON inside the error text.
    """
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, str):
        return error_object(_json(error.encode())) or {"message": error}
    return error if isinstance(error, dict) and "message" in error else {}


def quote(text: str) -> str:
    """Return the start of a text from a server, in one line without control characters."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _model_error(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.kind is FailureKind.TOO_LONG:
        error = refusal.error_body()
        tokens, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
        known = Phrase("prompt_has", tokens=tokens, limit=limit) if tokens and limit else Phrase("server_said", said=refusal.said)
        return PromptTooLong("prompt-too-long", tokens=tokens, limit=limit, model=refusal.model, said=known)
    if refusal.status == 404 and refusal.is_ollamas and refusal.model:
        known = Phrase("server_said", said=refusal.said)
        return ModelProblem("model-missing", model=refusal.model, host=refusal.host, installed=known, nearest="")
    if refusal.is_ollamas and (match := _CANNOT.search(refusal.said)):
        word = next(group for group in match.groups() if group).lower()
        ability = _ABILITIES.get(word, "vision" if "image" in word else word)
        code = "model-not-able" if ability in EXTRAS else "model-wrong-type"
        there, said = Phrase("list_there", host=refusal.host), refusal.said
        unable = ModelProblem(code, model=refusal.model, ability=ability, capabilities="", installed=there, said=said)
        return unable.with_advice(Phrase("server_said", said=said))
    return None


def _busy_or_broken(refusal: Refusal) -> OllamaMagicsError | None:
    kind = refusal.kind
    if kind is FailureKind.BUSY and (refusal.status == 429 or refusal.is_ollamas):
        return RequestRefused("server-busy", status=refusal.status, said=refusal.said)
    if refusal.status == 412 and refusal.is_ollamas:
        return RequestRefused("model-needs-newer-server", status=412, model=refusal.model, said=refusal.said)
    if refusal.is_ollamas and kind in _RUNNER_FAILURES:
        return RequestRefused("model-failed", status=refusal.status, model=refusal.model, said=refusal.said)
    return None


def _gateway_error(refusal: Refusal) -> OllamaMagicsError | None:
    url, host, status, said = refusal.url, refusal.host, refusal.status, refusal.content
    if 300 <= status < 400:
        location = quote(refusal.headers.get("location", "")) or "(none given)"
        return ConnectionProblem("redirect-refused", url=url, status=status, location=location)
    if refusal.is_ollamas:
        return None
    if status == 407:
        reason = Phrase("named_said", name=refusal.proxy or host, said=f"407 {said}")
        return ConnectionProblem("proxy-refused", url=url, host=host, reason=reason)
    if refusal.proxy and status in (403, 502, 503, 504):
        return ConnectionProblem("proxy-answered", url=url, host=host, status=status, said=said, proxy=refusal.proxy)
    return ConnectionProblem("gateway-failed", url=url, status=status, said=said) if status in (502, 504, 524) else None


def _access_denied(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.status not in (401, 403):
        return None
    if "cloud is disabled" in refusal.said:
        return ConnectionProblem("cloud-disabled", host=refusal.host, said=refusal.said)
    if refusal.host == "ollama.com":
        return ConnectionProblem("cloud-key-required", said=refusal.said)
    found = _json(refusal.body)
    if isinstance(found, dict) and found.get("signin_url"):
        return ConnectionProblem("sign-in-required", host=refusal.host, link=quote(str(found["signin_url"])))
    if refusal.status == 403 and not refusal.body:
        return ConnectionProblem("host-header-refused", url=refusal.url, host=refusal.host)
    challenge = quote(refusal.headers.get("www-authenticate", "")) or refusal.content
    return ConnectionProblem("authentication-required", url=refusal.url, status=refusal.status, asked=challenge)


def _not_ollama(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.status == 400 and _TLS_WANTED.search(refusal.said):
        return ConnectionProblem("http-to-https", url=refusal.url, said=refusal.said)
    if refusal.status == 404 and refusal.body.strip() == b"404 page not found":
        return ConnectionProblem("path-unknown", url=refusal.url)
    if refusal.is_ollamas or refusal.status not in (200, 404, 405):
        return None
    answer = Phrase("answered", status=refusal.status, said=refusal.content)
    return ConnectionProblem("not-ollama", url=refusal.url, reason=answer)


def redact(text: bytes, secrets: Iterable[str]) -> bytes:
    """Return a text of a server without the secrets in it; some servers repeat a key that they refuse."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_REDACTED:
            text = text.replace(secret.encode(), BULLETS.encode())
    return text
