"""The models of the session's server: list and describe them, remove them from memory, and delete them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ollama_magics.conversation.prompt import Prompt
from ollama_magics.errors import ModelProblem, OllamaMagicsError
from ollama_magics.messages import Joined, Phrase
from ollama_magics.server.identity import of_old_server
from ollama_magics.server.model_card import InstalledModel, LoadedModel, ModelCard, full_name, version_number
from ollama_magics.server.models import ModelRegistry, read_registry
from ollama_magics.server.pulling import require_name

if TYPE_CHECKING:
    from ollama_magics.session.session import Session

_FOREVER = 100 * 365 * 86_400.0  # seconds; a model that never leaves the memory has an end centuries ahead
_UNKNOWN = ("", "0", "unknown")


def list_models(session: Session) -> list[dict[str, Any]]:
    """Return what is known of each installed model, by name; raises ConnectionProblem."""
    registry = ModelRegistry()
    for registry in read_registry(session.client, ""):  # noqa: B007 - the last one knows all of them
        pass
    rows = [_row(model, registry) for model in registry.models]
    return sorted(rows, key=lambda row: (str(row["name"]).casefold(), row["name"]))


def _row(model: InstalledModel, registry: ModelRegistry) -> dict[str, Any]:
    card, loaded = registry.card(model.name), _in_memory(model, registry.loaded.values())
    return {
        "name": model.name,
        "size": model.size,
        "parameters": _detail(model.details, "parameter_size"),
        "quantization": _detail(model.details, "quantization_level"),
        "context_length": card.context_length if card else None,
        "capabilities": list(card.capabilities) if card and card.capabilities is not None else None,
        "loaded": loaded is not None,
        "gpu": min(1.0, loaded.size_vram / loaded.size) if loaded and loaded.size else None,
        "loaded_context": (loaded.context_length or None) if loaded else None,
        "unloads_in": _seconds_to(loaded) if loaded else None,
        "remote_host": model.remote_host or (card.remote_host if card else None),
        "digest": model.digest,
    }


def _in_memory(model: InstalledModel, loaded: Iterable[LoadedModel]) -> LoadedModel | None:
    """Return the entry of a model among those in memory; a server lists models that share their files under one name."""
    same = [one for one in loaded if full_name(one.name) in model.full_names or (one.digest and one.digest == model.digest)]
    return min(same, key=lambda one: full_name(one.name) not in model.full_names, default=None)


def _detail(details: Any, name: str) -> str | None:
    value = details.get(name) if isinstance(details, dict) else None
    return value if isinstance(value, str) and value not in _UNKNOWN else None


def _seconds_to(loaded: LoadedModel) -> float | None:
    """Return the seconds until the server removes the model from memory, or None where it never does or does not say."""
    with suppress(ValueError):
        end = datetime.fromisoformat(loaded.expires_at)
        seconds = (end - datetime.now(UTC)).total_seconds() if end.tzinfo else _FOREVER
        return max(0.0, seconds) if seconds < _FOREVER else None
    return None


def describe_model(session: Session, typed: str) -> dict[str, Any]:
    """Return what the server knows about one model, and under ``conflicts`` where the settings contradict its Modelfile.

    Raises ModelProblem (``model-name-invalid``, ``model-missing``).
    """
    name = require_name(typed)
    card = _card(session, name)
    version = ""
    with suppress(OllamaMagicsError):
        version = session.client.version()
    return {
        "name": name,
        "capabilities": card.capabilities,
        "parameters": _detail(card.details, "parameter_size"),
        "quantization": _detail(card.details, "quantization_level"),
        "family": _detail(card.details, "family"),
        "context_length": card.context_length,
        "embedding_length": card.embedding_length,
        "modelfile_parameters": card.modelfile_parameters,
        "system": card.system or None,
        "template": card.template or None,
        "requires": card.requires or None,
        "remote_host": card.remote_host,
        "conflicts": [phrase.text(session.language) for phrase in _conflicts(session, card, version)],
    }


def _card(session: Session, name: str) -> ModelCard:
    session.installed.digest(name)  # reads the list once, so that the request has the name that the server lists
    try:
        with of_old_server(session.client):
            return session.client.card(name)
    except ModelProblem:
        raise session.installed.missing(name) from None


def _conflicts(session: Session, card: ModelCard, version: str) -> list[Phrase]:
    """Return where the settings override the Modelfile, and whether the server is too old for the model."""
    chosen = session.settings
    sent: Mapping[str, Any] = Prompt("").options(chosen)
    found = [
        Phrase("show_conflict", name=name, modelfile=f"{value:g}", sent=sent[name])
        for name, value in card.numbers.items()
        if name in sent and isinstance(sent[name], (int, float)) and sent[name] != value
    ]
    if card.system and chosen.system and chosen.system != card.system:
        found.append(Phrase("show_conflict_system"))
    if card.context_length and (asked := sent.get("num_ctx", 0)) > card.context_length:
        found.append(Phrase("show_conflict_context", asked=asked, most=card.context_length))
    if card.requires and version and version_number(card.requires) > version_number(version):
        found.append(Phrase("model_requires", version=card.requires, own=version))
    return found


def stop_model(session: Session, typed: str) -> bool:
    """Remove a model from the server's memory; return whether it was there. Raises ModelProblem (``model-missing``)."""
    with of_old_server(session.client):
        loaded = _in_memory(find_model(session, typed, "%ollama_stop"), session.client.loaded())
        if loaded:
            session.client.unload(loaded.name)
    return loaded is not None


def find_model(session: Session, typed: str, magic: str = "%ollama_rm") -> InstalledModel:
    """Return the installed model that was typed; raises ModelProblem (``model-name-invalid``, ``model-missing``)."""
    name = require_name(typed)
    found = next((model for model in session.installed.installed() if full_name(name) in model.full_names), None)
    if found is None:
        error = session.installed.missing(name)
        near = [Phrase("named_nearest", magic=magic, model=model) for _, model in error.repairs[:1]]
        raise error.with_advice(remedy=Joined([*near, Phrase("installed_ones")], "\n"))  # nobody downloads what is to go
    return found


def delete_model(session: Session, typed: str) -> str:
    """Delete a model from the server's disk and return its name; raises ModelProblem (``model-missing``)."""
    name = find_model(session, typed).name
    with of_old_server(session.client):
        session.client.delete(name)
    session.forget_models()
    return name
