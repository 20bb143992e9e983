"""Classify the failure of a request, and turn an error of a server into one of this package."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from functools import cached_property
from typing import Any

import msgspec
from msgspec import Struct

from ollama_magics.errors import AnswerCut, ConnectionProblem, ModelProblem, OllamaMagicsError, PromptTooLong, RequestRefused
from ollama_magics.messages import Capability, Phrase
from ollama_magics.server.wire import readable

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
    STUCK = auto()  # the model repeats itself, and would again
    LIMITED = auto()  # a quota is used up; nothing succeeds before it is renewed
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
    FailureKind.STUCK: r"token repeat limit|prediction aborted",
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
_STATUSES = {
    **dict.fromkeys((429, 503), FailureKind.BUSY),  # a gateway counts requests, too
    408: FailureKind.UNAVAILABLE,
    **dict.fromkeys((401, 403, 404, 405, 412, 501), FailureKind.FATAL),
}
# refused, no connection in time, broken, a gateway whose Ollama does not answer
_UNAVAILABLE_CODES = {"address-refused", "address-silent", "connection-broken", "gateway-failed", "gateway-timeout"}
_CODES = {"usage-limit-reached": FailureKind.LIMITED, "request-too-large": FailureKind.TOO_LONG}
_LIMIT = re.compile(r"usage limit|quota|insufficient (?:credit|balance)", re.IGNORECASE)
_LONGEST_RETRY_AFTER = 120.0  # seconds; a server that asks for a longer wait is not asked again
_OTHER_SCHEMES = ("digest", "negotiate", "ntlm", "kerberos")
EMPTY_ANSWER = "nothing (an empty answer)"  # what an answer without words is quoted as


def classify(status: int, said: str) -> FailureKind:
    """Return the kind of a failure from the HTTP status (200 within a stream) and what the server said."""
    for kind, words in _WORDS.items():
        if re.search(words, said, re.IGNORECASE):
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
    if isinstance(error, RequestRefused) and error.code in _CODES:
        return _CODES[error.code]
    if isinstance(error, AnswerCut) and error.code == "model-stuck":
        return FailureKind.STUCK
    if isinstance(error, (RequestRefused, AnswerCut)):
        return classify(getattr(error, "status", 200), str(error.facts.get("said", "")))
    return FailureKind.FATAL


_SHORTEST_REDACTED = 4  # characters; to replace shorter secrets would garble the text and hide nothing
_LONGEST_QUOTE = 300
_CANNOT = re.compile(r"does not support (\w+)|(multimodal|image input is not supported)|not support (embeddings)", re.IGNORECASE)
_RUNNER_FAILURES = {FailureKind.UNAVAILABLE, FailureKind.CRASHED, FailureKind.OUT_OF_MEMORY, FailureKind.LOAD_FAILED}
_OPTION = re.compile(r'^(\w+) is no longer supported|^option "(\w+)" must be')
_SCHEMA = re.compile(r"invalid JSON schema in format|JSON schema conversion failed|failed to parse grammar")
EXTRAS = ("vision", "audio", "tools", "thinking", "insert")  # what a model may do besides what it is for
_TLS_WANTED = re.compile(r"HTTP request (was sent )?to (an )?HTTPS (server|port)", re.IGNORECASE)
_ABILITIES = {"generate": "completion", "chat": "chat", "multimodal": "vision", "embeddings": "embedding"}


class Refusal(Struct, frozen=True, dict=True):
    """An HTTP response that reports an error: its content, where it came from, and for which model."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    host: str
    model: str = ""
    proxy: str = ""
    has_key: bool = False  # whether the request had a key or a password

    # Each is made once: an error is asked for them a dozen times, and the body may have 64 kB.
    @cached_property
    def found(self) -> Any:
        """The body as JSON, or None."""
        return _json(self.body)

    @cached_property
    def _words(self) -> str:
        return quote(readable(self.body))

    @cached_property
    def said(self) -> str:
        """The error message of the server in one line."""
        detail = self.found.get("detail") if isinstance(self.found, dict) else None  # of Open WebUI and other FastAPI programs
        message = quote(str(self.error_body.get("message") or detail or ""))
        return message or self._words or EMPTY_ANSWER

    @property
    def retry_after(self) -> float:
        """The seconds after which the server may be asked again; 0 where it does not say."""
        text = self.headers.get("retry-after", "").strip()
        with suppress(ValueError, TypeError, OverflowError):
            return max(0.0, min(float(text), 1e9)) if text.isdecimal() else _seconds_until(text)
        return 0.0

    @cached_property
    def kind(self) -> FailureKind:
        """The kind of failure, also by the type that newer servers name."""
        return classify(self.status, f"{self.said} {quote(str(self.error_body.get('type', '')))}".rstrip())

    @property
    def content(self) -> str:
        """The media type and the first words, for a response that is not Ollama's."""
        kind = self.headers.get("content-type", "?").partition(";")[0]
        return f"{kind}: {self._words[:120]!r}" if self._words else EMPTY_ANSWER

    def as_error(self) -> OllamaMagicsError:
        """Return the error that fits best."""
        return (
            _gateway_error(self)
            or _access_denied(self)
            or _model_error(self)
            or _busy_or_broken(self)
            or _input_error(self)
            or _not_ollama(self)
            or RequestRefused("request-refused", status=self.status, said=self.said)
        )

    @cached_property
    def error_body(self) -> dict[str, Any]:
        """The error object of the body, or {}."""
        return error_object(self.found)

    @property
    def is_ollamas(self) -> bool:
        """Whether the body is an error in Ollama's form: other servers send an object instead of a text."""
        return isinstance(self.found, dict) and isinstance(self.found.get("error"), str)


def error_object(found: Any) -> dict[str, Any]:
    """Return the innermost error object of a decoded body as a dict with ``message``, or {} where there is none.

    Servers from 0.30 on relay errors of their runner as JSON inside the error text.
    """
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, str):
        return error_object(_json(error.encode())) or {"message": error}
    return error if isinstance(error, dict) and "message" in error else {}


def other_scheme(url: str) -> str:
    """Return the address with https instead of http, or the reverse."""
    scheme, _, rest = url.partition("://")
    return f"{'http' if scheme == 'https' else 'https'}://{rest}"


def quote(text: str) -> str:
    """Return the start of a text from a server, in one line without control characters."""
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"


def _seconds_until(date: str) -> float:
    return max(0.0, parsedate_to_datetime(date).timestamp() - time.time())


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _model_error(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.kind is FailureKind.TOO_LONG:
        error = refusal.error_body
        tokens, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
        known = Phrase("prompt_has", tokens=tokens, limit=limit) if tokens and limit else Phrase("server_said", said=refusal.said)
        return PromptTooLong("prompt-too-long", tokens=tokens, limit=limit, model=refusal.model, said=known)
    is_open_webuis = refusal.status == 400 and refusal.said.endswith("was not found")
    if refusal.model and (is_open_webuis or (refusal.status == 404 and refusal.is_ollamas)):
        known = Phrase("server_said", said=refusal.said)
        return ModelProblem("model-missing", model=refusal.model, host=refusal.host, installed=known, nearest="")
    if refusal.is_ollamas and (match := _CANNOT.search(refusal.said)):
        word = next(group for group in match.groups() if group).lower()
        ability = _ABILITIES.get(word, "vision" if "image" in word else word)
        code = "model-not-able" if ability in EXTRAS else "model-wrong-type"
        there, said = Phrase("list_there", host=refusal.host), refusal.said
        unable = ModelProblem(code, model=refusal.model, ability=Capability(ability), capabilities="", installed=there, said=said)
        return unable.with_advice(Phrase("server_said", said=said))
    return None


def _busy_or_broken(refusal: Refusal) -> OllamaMagicsError | None:
    kind = refusal.kind
    if kind is FailureKind.STUCK and refusal.is_ollamas:
        return AnswerCut("model-stuck", seen=Phrase("server_said", said=refusal.said))
    if kind is FailureKind.BUSY and (refusal.status == 429 or refusal.is_ollamas):
        is_short = 0 < refusal.retry_after <= _LONGEST_RETRY_AFTER
        is_limit = refusal.retry_after > _LONGEST_RETRY_AFTER or (_LIMIT.search(refusal.said) and not is_short)
        code = "usage-limit-reached" if refusal.status == 429 and is_limit else "server-busy"
        return RequestRefused(code, status=refusal.status, said=refusal.said, retry_after=refusal.retry_after)
    if refusal.status == 412 and refusal.is_ollamas:
        return RequestRefused("model-needs-newer-server", status=412, model=refusal.model, said=refusal.said)
    if refusal.is_ollamas and kind in _RUNNER_FAILURES:
        return RequestRefused("model-failed", status=refusal.status, model=refusal.model, said=refusal.said)
    return None


def _input_error(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.is_ollamas and (match := _OPTION.search(refusal.said)):
        return RequestRefused("option-refused", status=refusal.status, option=match[1] or match[2], said=refusal.said)
    if refusal.is_ollamas and _SCHEMA.search(refusal.said):
        return RequestRefused("schema-refused", status=refusal.status, said=refusal.said)
    return None


# 52x and 530 are Cloudflare's
_GATEWAY_STATUSES = {"gateway-failed": (502, 503, 520, 521, 523, 530), "gateway-timeout": (408, 504, 522, 524)}


def _gateway_error(refusal: Refusal) -> OllamaMagicsError | None:
    url, host, status, said = refusal.url, refusal.host, refusal.status, refusal.content
    if 300 <= status < 400:
        location = quote(refusal.headers.get("location", "")) or "(none given)"
        return ConnectionProblem("redirect-refused", url=url, status=status, location=location)
    if status == 413:
        return RequestRefused("request-too-large", status=status, url=url, said=said)
    if refusal.is_ollamas:
        return None
    if status == 407:
        reason = Phrase("named_said", name=refusal.proxy or host, said=f"407 {said}")
        return ConnectionProblem("proxy-refused", url=url, host=host, reason=reason)
    if refusal.proxy and status in (403, 502, 503, 504):
        return ConnectionProblem("proxy-answered", url=url, host=host, status=status, said=said, proxy=refusal.proxy)
    code = next((code for code, statuses in _GATEWAY_STATUSES.items() if status in statuses), "")
    return ConnectionProblem(code, url=url, status=status, said=said) if code else None


def _access_denied(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.status not in (401, 403):
        return None
    host, said, is_cloud = refusal.host, refusal.said, refusal.host == "ollama.com"
    if "cloud is disabled" in said:
        return ConnectionProblem("cloud-disabled", host=host, said=said)
    if refusal.model and "subscription" in said:
        return RequestRefused("subscription-required", status=refusal.status, model=refusal.model, said=said)
    link = refusal.found.get("signin_url") if isinstance(refusal.found, dict) else None
    is_models = refusal.is_ollamas and refusal.model and not is_cloud  # the server itself asks for no key
    if link or (is_models and said.lower() == "unauthorized"):
        known = Phrase("sign_in_link", link=quote(str(link))) if link else Phrase("server_said", said=said)
        return ConnectionProblem("sign-in-required", host=host, seen=known)
    if is_cloud and not refusal.has_key:
        return ConnectionProblem("cloud-key-required", said=said)
    return _credentials_refused(refusal)


def _credentials_refused(refusal: Refusal) -> OllamaMagicsError:
    """Return the error of a server, or a proxy before it, that wants a key, a user name and a password, or others."""
    url, status = refusal.url, refusal.status
    challenge = quote(refusal.headers.get("www-authenticate", ""))
    scheme = challenge.partition(" ")[0].lower()
    if status == 403 and not refusal.body and not challenge:
        return ConnectionProblem("host-header-refused", url=url, host=refusal.host)
    asked = challenge or refusal.content
    if scheme == "basic":
        before, _, place = url.partition("://")
        return ConnectionProblem("password-required", url=url, status=status, asked=asked, scheme=before, place=place)
    if refusal.has_key:
        return ConnectionProblem("key-refused", url=url, status=status, asked=asked)
    error = ConnectionProblem("authentication-required", url=url, status=status, asked=asked)
    return error.with_advice(remedy=Phrase("scheme_unsupported", scheme=scheme)) if scheme in _OTHER_SCHEMES else error


def _not_ollama(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.status == 400 and _TLS_WANTED.search(refusal.said):
        return ConnectionProblem("http-to-https", url=refusal.url, other=other_scheme(refusal.url), said=refusal.said)
    if refusal.status == 404 and refusal.body.strip() == b"404 page not found":
        origin = "/".join(refusal.url.split("/")[:3])
        return ConnectionProblem("path-unknown", url=refusal.url, origin=origin)
    if refusal.is_ollamas or refusal.status not in (200, 404, 405):
        return None
    answer = Phrase("answered", status=refusal.status, said=refusal.content)
    return ConnectionProblem("not-ollama", url=refusal.url, reason=answer)
