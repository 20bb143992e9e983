"""How a wish to think is put to a model: in levels, as on or off, or not at all."""

from __future__ import annotations

from ollama_magics.messages import Phrase
from ollama_magics.server.wire.answers import ModelCard

_LEVELS = ("low", "medium", "high", "max")
_ALWAYS = ("gptoss", "gpt-oss")  # architectures that know three levels, and think in any case
_NAMES_LEVELS = ("ThinkLevel", "reasoning_effort")  # in a template of Go or Jinja: this model tells levels apart
_NAMES_SWITCH = (".Think", "enable_thinking")


def asked(word: str, card: ModelCard, model: str) -> tuple[str, tuple[Phrase, ...]]:
    """Return the word of the form that the model understands instead, and what the person has to know of it.

    A server takes any level for any model that thinks, and says nothing where the model only knows on and off.
    """
    if (card.model_info or {}).get("general.architecture") in _ALWAYS:
        return _always(word, model)
    if word in _LEVELS and _only_switches(card):
        return "on", (Phrase("think_no_levels", model=model, level=word),)
    return word, ()


def _always(word: str, model: str) -> tuple[str, tuple[Phrase, ...]]:
    if word == "off":
        return "low", (Phrase("think_always", model=model),)
    if word == "max":
        return "high", (Phrase("think_max", model=model),)
    return word, ()


def _only_switches(card: ModelCard) -> bool:
    # a renderer inside the server shows nothing of what it knows
    if card.renderer or any(name in card.template for name in _NAMES_LEVELS):
        return False
    return any(name in card.template for name in _NAMES_SWITCH)
