"""What a server says about its models, put beside what the form says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ollama_magics import messages
from ollama_magics.server.wire.answers import ModelCard
from ollama_magics.settings import form
from ollama_magics.settings.form import OllamaSettings

_ABILITIES = {"vision": "vision", "tools": "tools"}  # setting: capability
_TYPES = {"chat": "completion", "completion": "completion", "embedding": "embedding"}

Remark = tuple[str, bool]  # the text, and whether it is a contradiction


def found(card: ModelCard, chosen: OllamaSettings) -> dict[str, Any]:
    """Return the settings that follow from a model: its type, and no more context than it was made for."""
    if card.capabilities is None:
        return {}
    values: dict[str, Any] = {}
    if not card.can(_TYPES[chosen.model_type]):
        kind = next((kind for kind, ability in _TYPES.items() if card.can(ability)), "")
        values |= {"model_type": kind} if kind else {}
    if values.get("model_type", chosen.model_type) != "embedding" and card.context_length:
        most = form.default("context_length")
        values["context_length"] = values["max_tokens"] = min(most, card.context_length)
    return values


def remarks(card: ModelCard | None, chosen: OllamaSettings, language: str) -> dict[str, Remark]:
    """Return for each setting about which something is known what it is, and whether the form says something else."""
    noted = dict(_of_card(card, chosen, language)) if card and card.capabilities is not None else {}
    if chosen.max_tokens > chosen.context_length and chosen.model_type != "embedding":
        noted["max_tokens"] = (messages.phrase("over_context", language, context=messages.grouped(chosen.context_length)), True)
    return noted


def _of_card(card: ModelCard, chosen: OllamaSettings, language: str) -> Iterator[tuple[str, Remark]]:
    for name in _ABILITIES:
        yield name, _ability(card, name, str(getattr(chosen, name)), language)
    yield "model_type", _type(card, str(chosen.model_type), language)
    yield "think", _thinking(card, str(chosen.think), language)
    if card.context_length:
        is_over = chosen.context_length > card.context_length and chosen.model_type != "embedding"
        key = "over_maximum" if is_over else "context_detected"
        yield "context_length", (messages.phrase(key, language, count=messages.grouped(card.context_length)), is_over)


def _ability(card: ModelCard, name: str, chosen: str, language: str) -> Remark:
    says = "yes" if card.can(_ABILITIES[name]) else "no"
    if chosen == "auto":
        return messages.phrase(f"detected_{says}", language), False
    key = "yours" if chosen == says else f"yours_against_{says}"
    return messages.phrase(key, language), chosen != says


def _thinking(card: ModelCard, chosen: str, language: str) -> Remark:
    says = "yes" if card.can("thinking") else "no"
    if chosen in ("auto", "off"):
        return messages.phrase(f"detected_{says}", language), False
    key = "yours" if says == "yes" else "yours_against_no"
    return messages.phrase(key, language), says == "no"


def _type(card: ModelCard, chosen: str, language: str) -> Remark:
    can = messages.harmless(" · ".join(card.capabilities or ()))
    if card.can(_TYPES[chosen]):
        return messages.phrase("detected_type", language, can=can), False
    return messages.phrase("wrong_type", language, can=can), True
