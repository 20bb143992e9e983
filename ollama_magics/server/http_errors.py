"""Turn what a server says, in its status or within a stream, into one of our errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ollama_magics.errors import AnswerCut, ConnectionProblem, ModelProblem, OllamaMagicsError, PromptTooLong, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.server import wire
from ollama_magics.server.failures import EMPTY_ANSWER, FailureKind, classify
from ollama_magics.server.headers import without

_LONGEST_QUOTE = 300
_CANNOT = re.compile(r"does not support (\w+)|(multimodal|image input is not supported)|not support (embeddings)", re.IGNORECASE)
_RUNNER_FAILURES = {FailureKind.UNAVAILABLE, FailureKind.CRASHED, FailureKind.OUT_OF_MEMORY, FailureKind.LOAD_FAILED}
EXTRAS = ("vision", "tools", "thinking", "insert")  # what a model may do besides what it is for
_TLS_WANTED = re.compile(r"HTTP request (was sent )?to (an )?HTTPS (server|port)", re.IGNORECASE)
_ABILITIES = {"generate": "completion", "chat": "chat", "multimodal": "vision", "embeddings": "embedding"}


@dataclass(frozen=True)
class Refusal:
    """An HTTP answer that is no success: where it came from, for which model, and all that it said."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    host: str
    model: str = ""
    proxy: str = ""

    @property
    def said(self) -> str:
        """The server's own words in one line, or what can be said of an answer without any."""
        return quote(str(self._error().get("message") or "") or self.body.decode("utf-8", "replace")) or EMPTY_ANSWER

    @property
    def kind(self) -> FailureKind:
        """What kind of failure it is, also by the type that newer servers name."""
        return classify(self.status, f"{self.said} {self._error().get('type', '')}".rstrip())

    @property
    def spoken(self) -> str:
        """The media type and the first words, for an answer that is not Ollama's."""
        kind = self.headers.get("content-type", "?").partition(";")[0]
        return f"{kind}: {quote(self.body[:120].decode('utf-8', 'replace'))!r}"

    def as_error(self) -> OllamaMagicsError:
        """Return the error of our family that fits best."""
        for reading in _READINGS:
            if error := reading(self):
                return error
        return RequestRefused("request-refused", status=self.status, said=self.said)

    def _error(self) -> dict[str, Any]:
        return error_object(_json(self.body))

    @property
    def is_ollamas(self) -> bool:
        """Whether the body has the form that Ollama gives its errors."""
        return bool(self._error())


def error_object(found: Any) -> dict[str, Any]:
    """Return the innermost error object of a decoded body as a dict with ``message``, or {} where there is none.

    Servers from 0.30 on relay errors of their runner as JSON inside the error text.
    """
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, str):
        return error_object(_json(error.encode())) or {"message": error}
    return error if isinstance(error, dict) and "message" in error else {}


def quote(text: str) -> str:
    """Return the first words of what a server said, in one line without control characters."""
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= _LONGEST_QUOTE else f"{line[:_LONGEST_QUOTE]}…"


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _elsewhere(refusal: Refusal) -> OllamaMagicsError | None:
    if not 300 <= refusal.status < 400:
        return None
    location = quote(refusal.headers.get("location", "")) or "(none given)"
    return ConnectionProblem("redirect-refused", url=refusal.url, status=refusal.status, location=location)


def _too_long(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.kind is not FailureKind.TOO_LONG:
        return None
    error = refusal._error()  # noqa: SLF001 - one module
    tokens, limit = error.get("n_prompt_tokens"), error.get("n_ctx")
    said = Phrase("server_said", said=refusal.said)
    if tokens and limit:
        said = Phrase("prompt_has", tokens=tokens, limit=limit)
    return PromptTooLong("prompt-too-long", tokens=tokens, limit=limit, model=refusal.model, said=said)


def _model(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.status == 404 and refusal.is_ollamas and refusal.model:
        seen = Phrase("server_said", said=refusal.said)
        return ModelProblem("model-missing", model=refusal.model, host=refusal.host, installed=seen, nearest="")
    if refusal.is_ollamas and (match := _CANNOT.search(refusal.said)):
        word = next(group for group in match.groups() if group).lower()
        ability = _ABILITIES.get(word, "vision" if "image" in word else word)
        code = "model-not-able" if ability in EXTRAS else "model-wrong-type"
        there, said = Phrase("list_there", host=refusal.host), refusal.said
        error = ModelProblem(code, model=refusal.model, ability=ability, capabilities="", installed=there, said=said)
        return error.with_advice(Phrase("server_said", said=said))
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


def _between(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.is_ollamas:
        return None
    url, host, status, said = refusal.url, refusal.host, refusal.status, refusal.spoken
    if status == 407:
        reason = Phrase("named_said", name=refusal.proxy or host, said=f"407 {said}")
        return ConnectionProblem("proxy-refused", url=url, host=host, reason=reason)
    if refusal.proxy and status in (403, 502, 503, 504):
        return ConnectionProblem("proxy-answered", url=url, host=host, status=status, said=said, proxy=refusal.proxy)
    return ConnectionProblem("gateway-failed", url=url, status=status, said=said) if status in (502, 504, 524) else None


def _door(refusal: Refusal) -> OllamaMagicsError | None:
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
    asked = quote(refusal.headers.get("www-authenticate", "")) or refusal.spoken
    return ConnectionProblem("authentication-required", url=refusal.url, status=refusal.status, asked=asked)


def _stranger(refusal: Refusal) -> OllamaMagicsError | None:
    if refusal.status == 400 and _TLS_WANTED.search(refusal.said):
        return ConnectionProblem("http-to-https", url=refusal.url, said=refusal.said)
    if refusal.status == 404 and refusal.body.strip() == b"404 page not found":
        return ConnectionProblem("path-unknown", url=refusal.url)
    if refusal.is_ollamas or refusal.status not in (200, 404, 405):
        return None
    looks = Phrase("answered", status=refusal.status, said=refusal.spoken)
    return ConnectionProblem("not-ollama", url=refusal.url, reason=looks)


_READINGS: tuple[Callable[[Refusal], OllamaMagicsError | None], ...] = (
    _elsewhere,
    _between,
    _door,
    _too_long,
    _model,
    _busy_or_broken,
    _stranger,
)


def checked(chunk: wire.Chunk, hidden: Iterable[str], *, started: bool) -> wire.Chunk:
    """Return the chunk, unless it is an error: RequestRefused as the first, AnswerCut after others."""
    if chunk.error is None:
        return chunk
    said = str(error_object({"error": chunk.error}).get("message") or chunk.error)
    said = quote(without(said.encode(), hidden).decode())
    if not started:
        raise RequestRefused("request-refused", status=200, said=said)
    raise AnswerCut("stream-error", said=said)


def refuse_error(body: bytes, hidden: Iterable[str]) -> None:
    """Raise RequestRefused where the body is nothing but an error."""
    try:
        chunk = wire.chunk(body)
    except RequestRefused:
        return  # no such thing can be read from it
    checked(chunk, hidden, started=False)
