"""Requests and replies of the Ollama API as values, without any HTTP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from ollama_magics.errors import PromptProblem, RequestRefused

Body = bytes | bytearray | memoryview
LONGEST_LINE = 64 * 1024 * 1024  # bytes; Ollama's own client gives up at 8 MB


class Lines:
    r"""Cuts a byte stream at ``\n`` and nowhere else (str.splitlines would also cut at U+0085, which Go writes raw)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that are complete now, without blank ones; raises RequestRefused for an endless one."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LONGEST_LINE:
            raise unreadable(self._rest, f"it is longer than {LONGEST_LINE // 1024 // 1024} MB")
        return [line for line in lines if line and not line.isspace()]

    def rest(self) -> Iterator[bytes]:
        """Yield the last line where it came without its end."""
        last, self._rest = self._rest, b""
        if last.strip():
            yield last


def unreadable(line: Body, why: str) -> RequestRefused:
    """Return the error for an answer that is not what the interface promises."""
    start = bytes(line[:80]).decode("utf-8", "replace")
    return RequestRefused("answer-unreadable", status=200, reason=f"{why}; it begins: {start!r}")


OLDEST_SERVER = (0, 12, 6)


class _Said(msgspec.Struct, frozen=True):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Chunk(msgspec.Struct, frozen=True):
    """One line of a chat or generate answer; counts and durations (nanoseconds) stand in the last one only."""

    model: str = ""
    message: _Said | None = None
    response: str | None = None
    thoughts: str | None = msgspec.field(name="thinking", default=None)  # of generate; those of chat are in the message
    logprobs: list[dict[str, Any]] | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    load_duration: int = 0
    total_duration: int = 0
    error: Any = None

    @property
    def text(self) -> str:
        """The piece of the answer in this line, which may be empty."""
        return (self.message.content if self.message else self.response) or ""

    @property
    def thinking(self) -> str:
        """The piece of the thoughts in this line, which may be empty."""
        return (self.message.thinking if self.message else self.thoughts) or ""

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The calls of functions in this line, as the model wrote them."""
        return (self.message.tool_calls if self.message else None) or []


class InstalledModel(msgspec.Struct, frozen=True):
    """One entry of /api/tags; ``size`` in bytes on disk, ``details`` as the server has them."""

    name: str
    size: int = 0
    digest: str = ""
    remote_host: str | None = None
    capabilities: list[str] | None = None  # newer servers only
    details: Any = None  # {parameter_size, quantization_level, …}; no reason to refuse a list

    @property
    def is_local(self) -> bool:
        """Whether the model runs on that server and not in a cloud behind it."""
        tag = self.name.rpartition(":")[2]
        return not self.remote_host and tag != "cloud" and not tag.endswith("-cloud")


class LoadedModel(msgspec.Struct, frozen=True):
    """One entry of /api/ps; sizes in bytes, ``context_length`` the tokens it was loaded with (0: not said)."""

    name: str
    size: int = 0
    size_vram: int = 0
    context_length: int = 0


class ModelCard(msgspec.Struct, frozen=True):
    """What /api/show says about one model."""

    capabilities: list[str] | None = None
    model_info: dict[str, Any] | None = None
    remote_host: str | None = None
    template: str = ""
    renderer: str = ""

    @property
    def context_length(self) -> int | None:
        """The most tokens of context the model was made for, if the server says."""
        return self._figure("context_length")

    @property
    def embedding_length(self) -> int | None:
        """The width of its vectors, if the server says."""
        return self._figure("embedding_length")

    def can(self, ability: str) -> bool:
        """Whether it lists completion, vision, embedding, tools, thinking; an old server's silence counts as no."""
        return ability in (self.capabilities or ())

    def _figure(self, name: str) -> int | None:
        # model_info holds decoys such as "llama.vision.embedding_length": only the architecture's own key counts
        info = self.model_info or {}
        figure = info.get(f"{info.get('general.architecture')}.{name}")
        return figure if isinstance(figure, int) else None


class Embeddings(msgspec.Struct, frozen=True):
    """The answer of /api/embed: one list of numbers for each text, in order."""

    embeddings: list[list[float]] | None = None


class _Tags(msgspec.Struct, frozen=True):
    models: list[InstalledModel] | None


class _Loaded(msgspec.Struct, frozen=True):
    models: list[LoadedModel] | None


class _Version(msgspec.Struct, frozen=True):
    version: str


_Kind = TypeVar("_Kind")
_DECODERS: dict[type[Any], Any] = {
    kind: msgspec.json.Decoder(kind) for kind in (Chunk, ModelCard, Embeddings, _Tags, _Loaded, _Version)
}


def chunk(line: bytes) -> Chunk:
    """Return one line of an answer as a value; raises RequestRefused for a line that is none.

    A line with an ``error`` is returned as it is: who reads the stream knows whether it is the first.
    """
    found = _decoded(line, Chunk)
    if found.message is None and found.response is None and not found.done and found.error is None:
        raise unreadable(line, "it is neither a piece of an answer nor an error")
    return found


def installed(body: Body) -> list[InstalledModel]:
    """Return the models of an /api/tags answer."""
    return _decoded(body, _Tags).models or []


def loaded(body: Body) -> list[LoadedModel]:
    """Return the models of an /api/ps answer."""
    return _decoded(body, _Loaded).models or []


def card(body: Body) -> ModelCard:
    """Return the value of an /api/show answer."""
    return _decoded(body, ModelCard)


def version(body: Body) -> str:
    """Return the text of an /api/version answer."""
    return _decoded(body, _Version).version


def embeddings(body: Body) -> list[list[float]]:
    """Return the vectors of an /api/embed answer, unchecked."""
    return _decoded(body, Embeddings).embeddings or []


def version_number(text: str) -> tuple[int, ...]:
    """Return (0, 12, 6) for ``0.12.6-rc1``; a development build (0.0.0) counts as the newest."""
    parts = [int(part) for part in text.partition("-")[0].split(".") if part.isdecimal()]
    return tuple(parts) if any(parts) else (999,)


def full_name(name: str) -> str:
    """Return the name as servers compare it: lower case, with its tag."""
    lower = name.strip().lower()
    return lower if ":" in lower.rpartition("/")[2] else f"{lower}:latest"


def _decoded(body: Body, kind: type[_Kind]) -> _Kind:
    try:
        found: _Kind = _DECODERS[kind].decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise unreadable(body, str(error)) from None
    return found


# Every request carries "truncate": false, so that the server refuses what it would otherwise cut without a word
# (known to servers from 0.12.6 on; for embeddings much longer).


_ENCODER = msgspec.json.Encoder()


class Message(msgspec.Struct, frozen=True, omit_defaults=True):
    """One message of a conversation; ``images`` are base64 texts of PNG or JPEG files, ``tool_…`` those of called functions."""

    role: str
    content: str
    images: tuple[str, ...] = ()
    thinking: str = ""
    tool_calls: tuple[dict[str, Any], ...] = ()
    tool_name: str = ""
    tool_call_id: str = ""


class _Prompted(msgspec.Struct, frozen=True, kw_only=True):
    # What /api/chat and /api/generate have in common.
    model: str
    options: dict[str, Any] = {}
    format: Any = msgspec.UNSET
    think: bool | str | msgspec.UnsetType = msgspec.UNSET
    keep_alive: float | str | msgspec.UnsetType = msgspec.UNSET
    stream: bool = True
    truncate: bool = False
    shift: bool | msgspec.UnsetType = msgspec.UNSET
    logprobs: bool | msgspec.UnsetType = msgspec.UNSET
    top_logprobs: int | msgspec.UnsetType = msgspec.UNSET


class ChatRequest(_Prompted, frozen=True, kw_only=True):
    """A turn for /api/chat."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...] | msgspec.UnsetType = msgspec.UNSET


class GenerateRequest(_Prompted, frozen=True, kw_only=True):
    """A prompt to be completed by /api/generate."""

    prompt: str
    suffix: str | msgspec.UnsetType = msgspec.UNSET
    system: str | msgspec.UnsetType = msgspec.UNSET
    images: tuple[str, ...] = ()


class EmbedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A batch of texts for /api/embed."""

    model: str
    input: tuple[str, ...]
    truncate: bool = False
    dimensions: int | msgspec.UnsetType = msgspec.UNSET
    keep_alive: float | str | msgspec.UnsetType = msgspec.UNSET
    options: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


def embed_request(  # noqa: PLR0913 - one for each field
    model: str,
    texts: Sequence[str],
    *,
    truncate: bool = False,
    dimensions: int | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> EmbedRequest:
    """Return the request for a batch of texts; what is None is left to the server."""
    return EmbedRequest(
        model=model,
        input=tuple(texts),
        truncate=truncate,
        dimensions=dimensions or msgspec.UNSET,
        keep_alive=msgspec.UNSET if keep_alive is None else keep_alive,
        options=dict(options) if options else msgspec.UNSET,
    )


def is_held_back(request: ChatRequest | GenerateRequest) -> bool:
    """Whether the server may keep text to itself until it is whole: calls of functions, and answers in a format."""
    return request.format is not msgspec.UNSET or (isinstance(request, ChatRequest) and request.tools is not msgspec.UNSET)


def encode(request: msgspec.Struct | Mapping[str, Any]) -> bytes:
    """Return the request as JSON; raises PromptProblem for a text that UTF-8 cannot write."""
    try:
        return _ENCODER.encode(request)
    except UnicodeEncodeError:
        raise PromptProblem("character-invalid") from None
