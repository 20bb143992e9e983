"""Define the models of the stand-in server, and record which of them are installed and loaded."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ollama_magics.fake_server import responses
from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.responses import ApiError, Lines

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
    tag: str = "latest"
    copy_of: str = ""  # the name of the model whose files it shares
    system: str = ""
    parameters: tuple[tuple[str, Any], ...] = ()

    @property
    def tagged(self) -> str:
        """The name as lists show it."""
        return f"{self.name}:{self.tag}"

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
        """Return 64 hexadecimal digits that follow from the name; a copy has those of its model."""
        return hashlib.sha256((self.copy_of or self.name).encode()).hexdigest()


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


# What can be pulled; the sandbox begins with all but the last two: one shows a download, the other hears.
LIBRARY = {
    **MODELS,
    "sandbox-mini": Model("sandbox-mini", ("completion",), 8192, 250_000_000),
    "sandbox-audio": Model("sandbox-audio", ("completion", "vision", "audio"), 8192, 8192),
}


RECOMMENDED = (
    {
        "model": "sandbox-far:cloud",
        "description": "Long answers from far away",
        "context_length": 262144,
        "max_output_tokens": 8192,
    },
    {"model": "sandbox-mini", "description": "Short answers locally", "vram_bytes": 500_000_000},
)


def _parts(name: str) -> dict[str, str] | None:
    """Return host, namespace, model and tag of a name, or None where no model can have it."""
    found = _NAME.fullmatch(name.strip())
    return {part: value or _HOME[part] for part, value in found.groupdict().items()} if found else None


def is_name(name: str) -> bool:
    """Return whether a model can have the name."""
    return _parts(name) is not None


class InstalledModels:
    """The models on the server by their full names; any thread may use it."""

    def __init__(self) -> None:
        self._models = {self._key(model.name): model for model in MODELS.values()}
        self._downloaded: dict[str, int] = {}  # bytes of a layer that was not finished
        self.blobs = set[str]()  # digests of files that were sent
        self._lock = threading.Lock()

    @staticmethod
    def _key(name: str) -> str:
        parts = _parts(name)
        if parts is None:
            raise ApiError("invalid model name")
        return "/".join(parts[part].lower() for part in ("host", "namespace", "model", "tag"))

    def find(self, name: str) -> Model | None:
        """Return the model of that name (any case, with or without tag and registry), or None; ApiError for no name."""
        key = self._key(name)
        with self._lock:
            return self._models.get(key)

    def add(self, name: str, capabilities: tuple[str, ...]) -> None:
        """Install a model of that name with these capabilities; ApiError for no name."""
        parts = _parts(name) or {}
        thinking = MODELS["sandbox-think"].thinking if "thinking" in capabilities else None
        model = Model("", capabilities, 8192, 4096, thinking)
        key = self._key(name)
        with self._lock:
            self._models[key] = replace(model, name=_short(parts), tag=parts["tag"])

    def copy(self, model: Model, name: str) -> None:
        """Give a model another name."""
        parts = _parts(name) or {}
        named = replace(model, name=_short(parts), tag=parts["tag"], copy_of=model.copy_of or model.name)
        with self._lock:
            self._models[self._key(name)] = named

    def create(self, name: str, source: str, system: str, parameters: dict[str, Any], pause: Callable[[], None]) -> Lines:
        """Yield the steps of making a model from another, which is downloaded where it is not here."""
        model = self.find(source)
        if model is None:
            yield from (line for line in self.pull(source, pause) if line["status"] != "success")
            model = self.find(source)
        if model is not None:
            yield {"status": f"using existing layer sha256:{model.digest()}"}
            self.copy(replace(model, system=system or model.system, parameters=tuple(parameters.items())), name)
        yield from ({"status": status} for status in ("writing manifest", "success"))

    def delete(self, name: str) -> Model | None:
        """Remove and return the model of that name, or return None."""
        key = self._key(name)
        with self._lock:
            return self._models.pop(key, None)

    def pull(self, name: str, pause: Callable[[], None]) -> Lines:
        """Yield the steps of a download, which goes on where an earlier one was left; unknown names end it with an error."""
        key, parts = self._key(name), _parts(name) or {}
        yield {"status": "pulling manifest"}
        model = LIBRARY.get(parts["model"].lower())
        if model is None or key != self._key(model.name):
            raise ApiError("pull model manifest: file does not exist", 500)
        for layer, size in (("weights", model.size), ("template", _SMALL_LAYER), ("parameters", _SMALL_LAYER)):
            digest = hashlib.sha256(f"{model.name} {layer}".encode()).hexdigest()
            step = {"status": f"pulling {digest[:12]}", "digest": f"sha256:{digest}", "total": size}
            done = size if self.find(name) else self._downloaded.get(digest, 0)
            yield {**step, **({"completed": done} if done else {})}
            while done < size:
                pause()
                done = self._downloaded[digest] = min(size, done + max(1, size // _PULL_STEPS))
                yield {**step, "completed": done}
        yield from ({"status": status} for status in ("verifying sha256 digest", "writing manifest"))
        with self._lock:
            self._models[key] = model
            self._downloaded.clear()
        yield {"status": "success"}

    def tags(self, release: Release) -> dict[str, Any]:
        """Return the answer of /api/tags, which since 0.30 says what each model can do."""
        with self._lock:
            models = list(self._models.values())
        return {"models": [_entry(model, release) for model in models]}


def _short(parts: dict[str, str]) -> str:
    """Return a name without tag, and without host and namespace where they are Ollama's own."""
    prefixes = [parts[part] for part in ("host", "namespace") if parts[part].lower() != _HOME[part]]
    return "/".join([*prefixes, parts["model"]])


_SMALL_LAYER, _PULL_STEPS = 512, 50  # bytes; steps of a layer


def _entry(model: Model, release: Release) -> dict[str, Any]:
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
    return entry


def _written(parameters: tuple[tuple[str, Any], ...]) -> str:
    """Return parameters as Ollama lists them, a line for each value."""
    lines = [(name, one) for name, value in parameters for one in (value if isinstance(value, list) else [value])]
    return "\n".join(f"{name:<30} {responses.json_text(one)}" for name, one in lines)


def show(model: Model, release: Release) -> dict[str, Any]:
    """Return the answer of /api/show."""
    return {
        **({"thinking": model.thinking} if model.thinking and release.runs_llama_server else {}),
        "modelfile": f"# A model of the stand-in; it has no file.\nFROM {model.tagged}\nTEMPLATE {_TEMPLATE}\n",
        **({"parameters": _written(model.parameters)} if model.parameters else {}),
        **({"system": model.system} if model.system else {}),
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

    model: Model
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
            loaded = self._loaded.setdefault(model.tagged, _Loaded(model, context_length))
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
            self._loaded.pop(model.tagged, None)

    def listing(self) -> dict[str, Any]:
        """Return the answer of /api/ps; the model that stays longest comes first."""
        with self._lock:
            now = time.time()
            self._loaded = {name: loaded for name, loaded in self._loaded.items() if loaded.uses or loaded.expires > now}
            entries = []
            for loaded in sorted(self._loaded.values(), key=lambda one: -one.expires):
                expires = (datetime.fromtimestamp(0, UTC) + timedelta(seconds=loaded.expires)).astimezone()
                entry = {
                    **loaded.model.identity(),
                    "size": loaded.model.size,
                    "digest": loaded.model.digest(),
                    "details": _DETAILS,
                    "expires_at": expires.isoformat().replace("+00:00", "Z"),
                    "size_vram": 0,
                    "context_length": loaded.context_length,
                }
                entries.append(entry)
        return {"models": entries}
