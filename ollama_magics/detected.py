"""What a server says about a model, put beside what the form says."""

from __future__ import annotations

from ollama_magics import texts
from ollama_magics.settings import OllamaSettings
from ollama_magics.wire import ModelCard

_ABILITIES = {"vision": "vision", "tools": "tools"}  # setting: capability
_TYPES = {"chat": "completion", "completion": "completion", "embedding": "embedding"}

Remark = tuple[str, bool]  # the text, and whether it is a contradiction


def remarks(card: ModelCard, chosen: OllamaSettings, language: str) -> dict[str, Remark]:
    """Return for each setting that the card speaks about what it says, and whether the form says something else."""
    found = {name: _ability(card, name, str(getattr(chosen, name)), language) for name in _ABILITIES}
    found["model_type"] = _type(card, str(chosen.model_type), language)
    if card.context_length:
        key = "context_detected" if chosen.context_length <= card.context_length else "over_maximum"
        found["context_length"] = (texts.phrase(key, language, count=card.context_length), key == "over_maximum")
    return {name: remark for name, remark in found.items() if remark and card.capabilities is not None}


def _ability(card: ModelCard, name: str, chosen: str, language: str) -> Remark:
    says = "yes" if card.can(_ABILITIES[name]) else "no"
    if chosen == "auto":
        return texts.phrase(f"detected_{says}", language), False
    key = "yours" if chosen == says else f"yours_against_{says}"
    return texts.phrase(key, language), chosen != says


def _type(card: ModelCard, chosen: str, language: str) -> Remark:
    can = " · ".join(card.capabilities or ())
    if card.can(_TYPES[chosen]):
        return texts.phrase("detected_type", language, can=can), False
    return texts.phrase("wrong_type", language, can=can), True
