"""What is said to the person, in each language, as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from ollama_magics.messages import errors_en, errors_zh, panel_en, panel_zh, phrases_en, phrases_zh, reasons_en, reasons_zh

LANGUAGES = ("en", "zh")

_ERRORS = {"en": errors_en.ERRORS, "zh": errors_zh.ERRORS}
_PHRASES = {
    "en": phrases_en.PHRASES | reasons_en.REASONS | panel_en.PHRASES,
    "zh": phrases_zh.PHRASES | reasons_zh.REASONS | panel_zh.PHRASES,
}
_LABELS = {"en": phrases_en.LABELS, "zh": phrases_zh.LABELS}


# What a terminal obeys instead of showing it: controls but the newline, and marks of direction.
_PAINTING = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class _Facts(dict[str, str]):
    # A missing fact must never turn one error into another.
    def __missing__(self, name: str) -> str:
        return "…"


def fill(template: str, facts: Mapping[str, str]) -> str:
    """Return the template with ``{name}`` replaced by its fact; facts are never expanded again."""
    return template.format_map(_Facts({name: harmless(fact) for name, fact in facts.items()}))


def grouped(number: int) -> str:
    """Return a whole number in groups of three digits, between which there are narrow spaces that do not break."""
    return f"{number:,}".replace(",", "\u202f")


def harmless(text: str) -> str:
    """Return what a server or a person said without signs that a terminal obeys."""
    return _PAINTING.sub(" ", text)


class Phrase:
    """Words that are put into the language of the person when they are shown, not when an error is raised."""

    def __init__(self, key: str, /, **facts: object) -> None:
        self._key, self._facts = key, facts

    def spoken(self, language: str) -> str:
        """Return the words in that language; facts that are phrases themselves are told in it, too."""
        return phrase(self._key, language, **{name: told(fact, language) for name, fact in self._facts.items()})

    def __str__(self) -> str:
        return self.spoken("en")


class Label(Phrase):
    """The label of a setting, or its name where it has none."""

    def spoken(self, language: str) -> str:
        """Return the label in that language."""
        return label(self._key, language)


class Joined(Phrase):
    """Phrases and plain texts one after another, with something between them."""

    def __init__(self, parts: Iterable[object], between: object = "\n") -> None:
        super().__init__("")
        self._parts, self._between = tuple(parts), between

    def spoken(self, language: str) -> str:
        """Return the parts in that language."""
        return told(self._between, language).join(told(part, language) for part in self._parts)


def told(fact: object, language: str) -> str:
    """Return a fact as it is shown in a language: a phrase is translated, anything else is its own text."""
    return fact.spoken(language) if isinstance(fact, Phrase) else str(fact)


def error(code: str, language: str = "en") -> tuple[str, str, str]:
    """Return what, how we know and the remedy of a code, in English where the language has none."""
    return _ERRORS[language].get(code) or _ERRORS["en"][code]


def phrase(key: str, language: str = "en", **facts: object) -> str:
    """Return one phrase of the screen with its facts filled in, in English where the language has none."""
    template = _PHRASES[language].get(key) or _PHRASES["en"][key]
    return fill(template, {name: str(value) for name, value in facts.items()})


def has_phrase(key: str, language: str) -> bool:
    """Return whether a language has a phrase of its own."""
    return key in _PHRASES[language]


def notice(key: str, facts: Mapping[str, object], language: str = "en") -> str:
    """Return a phrase in which ``{label}`` is the label of the setting that the facts name."""
    return phrase(key, language, **{"label": label(str(facts.get("setting", "")), language), **facts})


def label(key: str, language: str = "en") -> str:
    """Return the label of a setting or a button, in English where the language has none, else the name itself."""
    return _LABELS[language].get(key) or _LABELS["en"].get(key, key)
