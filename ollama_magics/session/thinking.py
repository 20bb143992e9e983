"""Choose the thinking level to send: the requested one, or the nearest that the model has."""

from __future__ import annotations

from ollama_magics.conversation.notes import Note
from ollama_magics.messages import Phrase
from ollama_magics.server.model_card import ModelCard
from ollama_magics.settings import values

LEVELS = ("minimal", "low", "medium", "high", "xhigh", "max")  # from little to much
_ALWAYS = ("gptoss", "gpt-oss")  # architectures that know three levels, and think in any case
_NAMES_LEVELS = ("ThinkLevel", "reasoning_effort")  # in a template of Go or Jinja: this model tells levels apart
_NAMES_SWITCH = (".Think", "enable_thinking")
# servers that do not list the values of a model take these for any, and do not say what it makes of them
_UNLISTED = ("off", "on", "low", "medium", "high", "max")


def think_level(word: str, card: ModelCard, model: str) -> tuple[str, tuple[Note, ...]]:
    """Return the word to send for ``think``, and what to report where it is not the requested one.

    What the server lists for the model decides; only where it lists nothing, architecture and template are read.
    Raises SettingError (setting-invalid) for a word that is not listed and is no level either.
    """
    known = card.think_words or _known_without_list(card)
    if word == "auto" or word in known:
        return word, ()
    levels = [one for one in known if one not in ("off", "on")]
    if word not in ("off", "on", *LEVELS):
        listed = ", ".join(known)
        raise values.refused(word, "think", Phrase("need_think", model=model, words=listed), known[-1], "%ollama")
    if not levels:
        instead = "on" if "on" in known else "off"
        key = "think_always" if word == "off" else "think_no_levels"
        return instead, (Note(Phrase(key, model=model, level=word, sent=instead)),)

    ranked = sorted((one for one in levels if one in LEVELS), key=LEVELS.index)
    usual = card.think_default if card.think_default in levels else levels[len(levels) // 2]
    if word == "on":  # which does not say how much
        return usual, ()
    if word == "off":
        instead = ranked[0] if ranked else levels[0]
        return instead, (Note(Phrase("think_always", model=model, sent=instead)),)
    # of two levels as near, the one with more thinking; of words that are not known here, the model's own choice
    wanted = LEVELS.index(word)
    instead = min(reversed(ranked), key=lambda one: abs(LEVELS.index(one) - wanted), default=usual)
    return instead, (Note(Phrase("think_nearest", model=model, level=word, sent=instead, levels=", ".join(levels))),)


def _known_without_list(card: ModelCard) -> tuple[str, ...]:
    if (card.model_info or {}).get("general.architecture") in _ALWAYS:
        return ("on", "low", "medium", "high")
    has_levels = card.renderer or any(name in card.template for name in _NAMES_LEVELS)  # a renderer does not show what it knows
    if not has_levels and any(name in card.template for name in _NAMES_SWITCH):
        return ("off", "on")
    return _UNLISTED
