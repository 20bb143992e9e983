"""What a server answers, as values."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ollama_magics.server.wire.lines import Body, unreadable

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
