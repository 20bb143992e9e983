"""The models of the stand-in server, and which of them are loaded."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ollama_magics.fake_server import go_json, responses

# The manifests of the real server carry the offset of the machine; so does this.
MODIFIED_AT = "2026-01-05T09:00:00.123456789+01:00"
EMBEDDING_LENGTH = 256
_ARCHITECTURE = "sandbox"
_TEMPLATE = "{{ range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}"

_PART = r"[A-Za-z0-9_][\w.-]{0,79}"
_NAME = re.compile(
    rf"(?:(?:(?:\w+://)?(?P<host>[A-Za-z0-9][\w.:-]{{0,349}})/)?(?P<namespace>[A-Za-z0-9_][\w-]{{0,79}})/)?"
    rf"(?P<model>{_PART})(?::(?P<tag>{_PART}))?",
    re.ASCII,
)
_HOME = {"host": "registry.ollama.ai", "namespace": "library", "tag": "latest"}


@dataclass(frozen=True)
class Model:
    """A model: ``context_length`` is in tokens, ``size`` in bytes."""

    name: str
    capabilities: tuple[str, ...]
    context_length: int
    size: int

    @property
    def tagged(self) -> str:
        """The name as lists show it."""
        return f"{self.name}:latest"

    @property
    def full(self) -> str:
        """The name with everything that a name may leave out."""
        return f"registry.ollama.ai/library/{self.tagged}"

    def can(self, what: str) -> bool:
        """Return whether ``what`` is among the capabilities."""
        return what in self.capabilities

    def identity(self) -> dict[str, Any]:
        """Return what /api/tags and /api/ps both say first."""
        return {"name": self.tagged, "model": self.tagged}

    def digest(self) -> str:
        """64 hexadecimal digits that stay the same as long as the name does."""
        return hashlib.sha256(self.name.encode()).hexdigest()


MODELS = {
    model.name: model
    for model in (
        Model("sandbox-chat", ("completion",), 8192, 4096),
        Model("sandbox-vision", ("completion", "vision"), 8192, 8192),
        Model("sandbox-embed", ("embedding",), 2048, 2048),
        Model("sandbox-think", ("completion", "thinking"), 8192, 4096),
        Model("sandbox-tools", ("completion", "tools"), 8192, 4096),
    )
}


def find(name: str) -> Model | None:
    """Return the model of that name (any case, with or without tag and registry), or None.

    Raises RefusalError if it cannot be the name of any model.
    """
    parts = _NAME.fullmatch(name.strip())
    if parts is None:
        raise responses.bad_request("invalid model name")
    if any((parts[part] or home).lower() != home for part, home in _HOME.items()):
        return None
    return MODELS.get(parts["model"].lower())


def details() -> dict[str, Any]:
    """Return what every answer says about how a model is made; these are made of nothing."""
    return {
        "parent_model": "",
        "format": "gguf",
        "family": _ARCHITECTURE,
        "families": [_ARCHITECTURE],
        "parameter_size": "0",
        "quantization_level": "unknown",
    }


def tags() -> dict[str, Any]:
    """Return the answer of /api/tags, which in 0.24.0 does not list capabilities."""
    return {"models": [_listed(model) for model in MODELS.values()]}


def _listed(model: Model) -> dict[str, Any]:
    size_and_digest = {"size": model.size, "digest": model.digest()}
    return {**model.identity(), "modified_at": MODIFIED_AT, **size_and_digest, "details": details()}


def show(model: Model) -> dict[str, Any]:
    """Return the answer of /api/show."""
    return {
        "modelfile": f"# A model of the stand-in; it has no file.\nFROM {model.tagged}\nTEMPLATE {_TEMPLATE}\n",
        "template": _TEMPLATE,
        "details": details(),
        "model_info": {
            "general.architecture": _ARCHITECTURE,
            "general.parameter_count": 0,
            f"{_ARCHITECTURE}.context_length": model.context_length,
            f"{_ARCHITECTURE}.embedding_length": EMBEDDING_LENGTH,
        },
        "capabilities": list(model.capabilities),
        "modified_at": MODIFIED_AT,
    }


KEEP_ALIVE = 300.0  # seconds, where a request does not say


@dataclass
class _Stay:
    context_length: int
    keep: float = KEEP_ALIVE
    expires: float = 0.0
    uses: int = 0


class Residence:
    """The models in memory; any thread may ask."""

    def __init__(self) -> None:
        self._stays: dict[str, _Stay] = {}
        self._lock = threading.Lock()

    @contextmanager
    def use(self, model: Model, context_length: int, keep_alive: float | None) -> Iterator[None]:
        """Keep the model in memory for this block and ``keep_alive`` seconds more (None: as before)."""
        stay = self._enter(model, context_length, keep_alive)
        try:
            yield
        finally:
            with self._lock:
                stay.uses -= 1
                stay.expires = time.time() + stay.keep

    def unload(self, model: Model) -> None:
        """Forget the model."""
        with self._lock:
            self._stays.pop(model.name, None)

    def listing(self) -> dict[str, Any]:
        """Return the answer of /api/ps: who stays longest comes first."""
        with self._lock:
            now = time.time()
            self._stays = {name: stay for name, stay in self._stays.items() if stay.uses or stay.expires > now}
            stays = sorted(self._stays.items(), key=lambda item: -item[1].expires)
            return {"models": [_loaded_entry(MODELS[name], stay) for name, stay in stays]}

    def _enter(self, model: Model, context_length: int, keep_alive: float | None) -> _Stay:
        with self._lock:
            stay = self._stays.setdefault(model.name, _Stay(context_length))
            stay.context_length = context_length
            stay.keep = stay.keep if keep_alive is None else keep_alive
            stay.expires = time.time() + stay.keep
            stay.uses += 1
            return stay


def _loaded_entry(model: Model, stay: _Stay) -> dict[str, Any]:
    return {
        **model.identity(),
        "size": model.size,
        "digest": model.digest(),
        "details": details(),
        "expires_at": go_json.moment(stay.expires),
        "size_vram": 0,
        "context_length": stay.context_length,
    }
