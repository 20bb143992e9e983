"""What a server says about its models, as values."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import msgspec

_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # what is larger cannot be divided


_Name = Annotated[str, msgspec.Meta(max_length=500)]  # what is longer is no name


class InstalledModel(msgspec.Struct, frozen=True):
    """One entry of /api/tags; ``size`` is in bytes on disk, ``details`` is as the server sends it."""

    name: _Name
    size: _Count = 0
    digest: str = ""
    remote_host: str | None = None
    capabilities: list[str] | None = None  # newer servers only
    details: Any = None  # {parameter_size, quantization_level, …}, unchecked
    model: _Name = ""  # what requests call it, where that differs from its name

    @property
    def request_name(self) -> str:
        """The name that requests to this server use."""
        return self.model or self.name

    @property
    def full_names(self) -> set[str]:
        """The names that mean the model, as servers compare them."""
        return {full_name(self.name), full_name(self.request_name)}

    @property
    def card(self) -> ModelCard | None:
        """What the entry says of the model, or None where it lists no capabilities, as before version 0.30."""
        if self.capabilities is None:
            return None
        details = self.details if isinstance(self.details, dict) else {}
        family = str(details.get("family", ""))
        figures = {f"{family}.{name}": details.get(name) for name in ("context_length", "embedding_length")}
        return ModelCard(self.capabilities, {"general.architecture": family, **figures}, self.remote_host)

    @property
    def is_local(self) -> bool:
        """Whether the model runs on that server, not in a cloud behind it; servers read the tag without case and blanks."""
        tags = [name.rpartition(":")[2].strip() for name in self.full_names]
        return not self.remote_host and not any(f"-{tag}".endswith("-cloud") for tag in tags)


class Recommendation(msgspec.Struct, frozen=True):
    """A model that a server recommends to download; ``vram_bytes`` is the graphics memory that it needs, or 0."""

    model: _Name
    description: str = ""
    vram_bytes: _Count = 0


class LoadedModel(msgspec.Struct, frozen=True):
    """One entry of /api/ps; sizes are in bytes, ``context_length`` is the number of tokens it was loaded with, or 0."""

    name: _Name
    size: _Count = 0
    size_vram: _Count = 0
    context_length: _Count = 0
    digest: str = ""
    expires_at: str = ""  # when it leaves the memory, in RFC 3339


_MOST_FIGURES = {"context_length": 10**9, "embedding_length": 10**6}  # what is larger no model has
_LEAST_CONTEXT, _LEAST_VISION_CONTEXT = 4, 2048  # tokens that a server gives to a model, and to one that sees
_PADS_CONTEXT, _CONTEXT_STEP = (0, 30), 256  # since this version llama-server computes, which rounds up


class ModelCard(msgspec.Struct, frozen=True):
    """The answer of /api/show about one model."""

    capabilities: list[str] | None = None
    model_info: dict[str, Any] | None = None
    remote_host: str | None = None
    template: str = ""
    system: str = ""
    details: Any = None  # as in InstalledModel
    renderer: str = ""
    parameters: str = ""  # of the Modelfile: a name and a value on each line
    requires: str = ""  # the oldest version of Ollama that runs it, or empty
    thinking: Any = None  # {"values": [false, "low", …], "default": "low"}, unchecked; servers from 0.34 only

    @property
    def context_length(self) -> int | None:
        """The longest context of the model in tokens, if the server reports it."""
        return self._figure("context_length")

    @property
    def embedding_length(self) -> int | None:
        """The number of dimensions of its vectors, if the server reports it."""
        return self._figure("embedding_length")

    @property
    def think_words(self) -> tuple[str, ...]:
        """The values that ``think`` may have for the model, as words (off, on, or a level); empty where the server lists none."""
        values = self.thinking.get("values") if isinstance(self.thinking, dict) else None
        return tuple(word for value in values if (word := _think_word(value))) if isinstance(values, list) else ()

    @property
    def think_default(self) -> str:
        """What the model does if a request does not say, as such a word; empty where the server does not report it."""
        return _think_word(self.thinking.get("default")) if isinstance(self.thinking, dict) else ""

    @property
    def numbers(self) -> dict[str, float]:
        """The parameters of the Modelfile that are numbers, such as a temperature."""
        found = {}
        for line in self.parameters.splitlines():
            name, _, value = line.strip().partition(" ")
            with suppress(ValueError):
                found[name] = float(value)
        return found

    @property
    def modelfile_parameters(self) -> dict[str, list[str]]:
        """The values of each parameter of the Modelfile, as they stand there."""
        found: dict[str, list[str]] = {}
        for line in self.parameters.splitlines():
            name, _, value = line.strip().partition(" ")
            if name:
                found.setdefault(name, []).append(value.strip())
        return found

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts of the Modelfile that end an answer."""
        lines = (line.strip().partition(" ") for line in self.parameters.splitlines())
        quoted = [value.strip() for name, _, value in lines if name == "stop"]
        return tuple(text[1:-1].replace('\\"', '"') if text[:1] == text[-1:] == '"' else text for text in quoted)

    def loaded_context(self, requested: int) -> int:
        """Return the context length that the model gets for ``num_ctx``, in tokens, as /api/ps shows it."""
        least = _LEAST_VISION_CONTEXT if self.can("vision") else _LEAST_CONTEXT
        context = max(requested, least)
        return min(context, self.context_length or context)

    def usable_context(self, requested: int, server_version: str) -> int:
        """Return the context length that an answer can use, in tokens: that with which the model is loaded, or a bit more."""
        loaded = self.loaded_context(requested)
        padded = version_number(server_version) >= _PADS_CONTEXT
        return -(-loaded // _CONTEXT_STEP) * _CONTEXT_STEP if padded else loaded

    def can(self, ability: str) -> bool:
        """Whether the card lists the ability (completion, vision, embedding, tools, thinking); old servers list none."""
        return ability in (self.capabilities or ())

    def _figure(self, name: str) -> int | None:
        # model_info also holds keys such as "llama.vision.embedding_length": only that of the architecture counts
        info = self.model_info or {}
        figure = info.get(f"{info.get('general.architecture')}.{name}")
        return figure if type(figure) is int and 0 < figure <= _MOST_FIGURES[name] else None


def _think_word(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return value if isinstance(value, str) else ""


def version_number(text: str) -> tuple[int, ...]:
    """Return (0, 12, 6) for ``0.12.6-rc1``; a development build (0.0.0) counts as the newest."""
    parts = [int(part) for part in text.partition("-")[0].split(".")[:9] if part.isdecimal() and len(part) < 10]
    return tuple(parts) if any(parts) else (999,)


def full_name(name: str) -> str:
    """Return the name as servers compare it: lower case, with its tag."""
    lower = name.strip().lower()
    return lower if ":" in lower.rpartition("/")[2] else f"{lower}:latest"
