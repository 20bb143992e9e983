"""Define the models of the stand-in server, and record which of them are loaded."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.responses import ApiError

# The manifests of the real server carry the offset of the machine; so does this.
MODIFIED_AT = "2026-01-05T09:00:00.123456789+01:00"
EMBEDDING_LENGTH = 256
_ARCHITECTURE = "sandbox"
_DETAILS = {  # of every model; there is no file behind any of them
    "parent_model": "",
    "format": "gguf",
    "family": _ARCHITECTURE,
    "families": [_ARCHITECTURE],
    "parameter_size": "0",
    "quantization_level": "unknown",
}
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
    thinking: dict[str, Any] | None = None  # the values of ``think``, as newer servers list them

    @property
    def tagged(self) -> str:
        """The name as lists show it."""
        return f"{self.name}:latest"

    @property
    def full(self) -> str:
        """The name with host, namespace and tag."""
        return f"registry.ollama.ai/library/{self.tagged}"

    def can(self, capability: str) -> bool:
        """Return whether the model has the capability."""
        return capability in self.capabilities

    def identity(self) -> dict[str, Any]:
        """Return the first members of an entry in /api/tags and /api/ps."""
        return {"name": self.tagged, "model": self.tagged}

    def digest(self) -> str:
        """Return 64 hexadecimal digits that follow from the name."""
        return hashlib.sha256(self.name.encode()).hexdigest()


_LEVELS = ("low", "medium", "high")
MODELS = {
    model.name: model
    for model in (
        Model("sandbox-chat", ("completion",), 8192, 4096),
        Model("sandbox-vision", ("completion", "vision"), 8192, 8192),
        Model("sandbox-embed", ("embedding",), 2048, 2048),
        Model("sandbox-think", ("completion", "thinking"), 8192, 4096, {"values": [False, *_LEVELS], "default": "medium"}),
        Model("sandbox-tools", ("completion", "tools"), 8192, 4096),
    )
}


def find(name: str) -> Model | None:
    """Return the model of that name (any case, with or without tag and registry), or None; ApiError if no model can have it."""
    parts = _NAME.fullmatch(name.strip())
    if parts is None:
        raise ApiError("invalid model name")
    if any((parts[part] or home).lower() != home for part, home in _HOME.items()):
        return None
    return MODELS.get(parts["model"].lower())


def tags(release: Release) -> dict[str, Any]:
    """Return the answer of /api/tags, which since 0.30 says what each model can do."""
    entries = []
    for model in MODELS.values():
        entry = {
            **model.identity(),
            "modified_at": MODIFIED_AT,
            "size": model.size,
            "digest": model.digest(),
            "details": _DETAILS,
        }
        if release.runs_llama_server:
            lengths = {"context_length": model.context_length, "embedding_length": EMBEDDING_LENGTH}
            entry |= {"details": {**_DETAILS, **lengths}, "capabilities": list(model.capabilities)}
        entries.append(entry)
    return {"models": entries}


def show(model: Model, release: Release) -> dict[str, Any]:
    """Return the answer of /api/show."""
    return {
        **({"thinking": model.thinking} if model.thinking and release.runs_llama_server else {}),
        "modelfile": f"# A model of the stand-in; it has no file.\nFROM {model.tagged}\nTEMPLATE {_TEMPLATE}\n",
        "template": _TEMPLATE,
        "details": _DETAILS,
        "model_info": {
            "general.architecture": _ARCHITECTURE,
            "general.parameter_count": 0,
            f"{_ARCHITECTURE}.context_length": model.context_length,
            f"{_ARCHITECTURE}.embedding_length": EMBEDDING_LENGTH,
        },
        "capabilities": list(model.capabilities),
        "modified_at": MODIFIED_AT,
    }


KEEP_ALIVE = 300.0  # seconds, if a request does not say


@dataclass
class _Loaded:
    """A model in memory: how long it stays after its last use, until when, and by how many requests it is in use."""

    context_length: int
    keep_alive: float = KEEP_ALIVE  # seconds
    expires: float = 0.0  # seconds since the epoch
    uses: int = 0


class LoadedModels:
    """The models in memory; any thread may use it."""

    def __init__(self) -> None:
        self._loaded: dict[str, _Loaded] = {}
        self._lock = threading.Lock()

    @contextmanager
    def use(self, model: Model, context_length: int, keep_alive: float | None) -> Iterator[None]:
        """Keep the model in memory during this block and ``keep_alive`` seconds more (None: as before)."""
        with self._lock:
            loaded = self._loaded.setdefault(model.name, _Loaded(context_length))
            loaded.context_length = context_length
            loaded.keep_alive = loaded.keep_alive if keep_alive is None else keep_alive
            loaded.expires = time.time() + loaded.keep_alive
            loaded.uses += 1
        try:
            yield
        finally:
            with self._lock:
                loaded.uses -= 1
                loaded.expires = time.time() + loaded.keep_alive

    def unload(self, model: Model) -> None:
        """Remove the model from memory."""
        with self._lock:
            self._loaded.pop(model.name, None)

    def listing(self) -> dict[str, Any]:
        """Return the answer of /api/ps; the model that stays longest comes first."""
        with self._lock:
            now = time.time()
            self._loaded = {name: loaded for name, loaded in self._loaded.items() if loaded.uses or loaded.expires > now}
            entries = []
            for name, loaded in sorted(self._loaded.items(), key=lambda item: -item[1].expires):
                expires = (datetime.fromtimestamp(0, UTC) + timedelta(seconds=loaded.expires)).astimezone()
                entry = {
                    **MODELS[name].identity(),
                    "size": MODELS[name].size,
                    "digest": MODELS[name].digest(),
                    "details": _DETAILS,
                    "expires_at": expires.isoformat().replace("+00:00", "Z"),
                    "size_vram": 0,
                    "context_length": loaded.context_length,
                }
                entries.append(entry)
        return {"models": entries}
