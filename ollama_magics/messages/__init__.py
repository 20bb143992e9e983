"""All texts shown to the user, in English and Chinese."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping

from ollama_magics.messages import errors_en, errors_zh, phrases_en, phrases_zh

LANGUAGES = ("en", "zh")

_ERRORS = {"en": errors_en.ERRORS, "zh": errors_zh.ERRORS}
_PHRASES = {"en": phrases_en.PHRASES, "zh": phrases_zh.PHRASES}
_LABELS = {"en": phrases_en.LABELS, "zh": phrases_zh.LABELS}

# What a terminal obeys instead of showing it: control characters but the newline, and marks of direction.
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


class _Facts(dict[str, str]):
    # A missing fact must never turn one error into another.
    def __missing__(self, name: str) -> str:
        return "…"


def fill(template: str, facts: Mapping[str, str]) -> str:
    """Return the template with ``{name}`` replaced by its fact; braces in a fact are plain text.

    A fact that ends a sentence and is a sentence of others, such as one of the system, keeps no full stop of its own.
    """
    shown = _Facts({name: strip_controls(fact) for name, fact in facts.items()})
    for name, fact in shown.items():
        if fact.endswith((".", "。")) and not fact.endswith("..") and re.search(rf"\{{{name}\}}[.。]", template):
            shown[name] = fact[:-1]
    return template.format_map(shown)


def group_digits(number: int) -> str:
    """Return a whole number in groups of three digits, separated by narrow no-break spaces."""
    return f"{number:,}".replace(",", "\u202f")


_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def bytes_text(count: float) -> str:
    """Return a number of bytes in the unit that fits, such as ``2.0 GB``."""
    factor, unit = next(((factor, unit) for factor, unit in _UNITS if count >= factor), (1, "B"))
    return f"{count / factor:.{1 if factor == 1e9 else 0}f} {unit}"


_MINUTE, _HOUR = 60, 3600


def duration(seconds: float) -> Phrase:
    """Return a time in the unit that fits, such as ``2 h 5 min``."""
    if seconds < _MINUTE:
        return Phrase("duration_seconds", seconds=f"{seconds:.3g}" if seconds < 10 else f"{seconds:.0f}")
    if seconds < _HOUR:
        return Phrase("duration_minutes", minutes=round(seconds / _MINUTE))
    return Phrase("duration_hours", hours=int(seconds // _HOUR), minutes=round(seconds % _HOUR / _MINUTE))


def terminal_width(text: str) -> int:
    """Return the width of the text in a terminal, where Chinese characters take two columns."""
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)


def strip_controls(text: str) -> str:
    r"""Return the text of a server or user with a space for each character that a terminal would obey or nobody would see.

    Half of a surrogate pair, which no output takes, is written as ``\udcff``.
    """
    return _CONTROLS.sub(" ", text).encode("utf-8", "backslashreplace").decode()


class Phrase:
    """A text that is translated when it is shown, not when an error is raised."""

    def __init__(self, key: str, /, **facts: object) -> None:
        self._key, self._facts = key, facts

    def text(self, language: str) -> str:
        """Return the text in that language; facts that are phrases are translated too."""
        return phrase(self._key, language, **{name: format_fact(fact, language) for name, fact in self._facts.items()})

    def __str__(self) -> str:
        return self.text("en")


class Label(Phrase):
    """The label of a setting, or its name if it has none."""

    def text(self, language: str) -> str:
        """Return the label in that language."""
        return label(self._key, language)


class Capability(Phrase):
    """A capability of a model: in words, with the server's own word behind them, by which it is found elsewhere."""

    def text(self, language: str) -> str:
        """Return it in that language."""
        words = capability(self._key, language)
        return self._key if words == self._key else f"{words}（{self._key}）"


class Joined(Phrase):
    """Several phrases and plain texts with a separator between them."""

    def __init__(self, parts: Iterable[object], separator: object = "\n") -> None:
        super().__init__("")
        self._parts, self._separator = tuple(parts), separator

    def text(self, language: str) -> str:
        """Return the joined parts in that language."""
        return format_fact(self._separator, language).join(format_fact(part, language) for part in self._parts)


class Rewritten(Phrase):
    """A phrase whose texts went through a function."""

    def __init__(self, phrase: Phrase, rewrite: Callable[[str], str]) -> None:
        super().__init__("")
        self._texts = {language: rewrite(phrase.text(language)) for language in LANGUAGES}

    def text(self, language: str) -> str:
        """Return the text in that language."""
        return self._texts[language]


def format_fact(fact: object, language: str) -> str:
    """Return a fact as text: a phrase in that language, anything else by ``str``."""
    return fact.text(language) if isinstance(fact, Phrase) else str(fact)


def error(code: str, language: str = "en") -> tuple[str, str, str]:
    """Return the three templates of a code (what, how we know, remedy); English if the language has none."""
    return _ERRORS[language].get(code) or _ERRORS["en"][code]


def phrase(key: str, language: str = "en", **facts: object) -> str:
    """Return one phrase with its facts filled in; English if the language has none."""
    template = _PHRASES[language].get(key) or _PHRASES["en"][key]
    return fill(template, {name: str(value) for name, value in facts.items()})


def capability(word: str, language: str) -> str:
    """Return what a server calls a capability of a model in a language; a word that is not known stays as it is."""
    return _PHRASES[language].get(f"can_{word}", word)


def has_phrase(key: str, language: str) -> bool:
    """Return whether a language has a phrase of its own."""
    return key in _PHRASES[language]


# What Python's argparse says of a mistake, each with the key of a phrase that says the same.
_ARGPARSE = [
    (re.compile(pattern, re.DOTALL), key)
    for pattern, key in (
        (r"argument (?P<option>[^:]+): (?P<rest>.+)", "argparse_option"),
        (r"expected (?:one argument|1 argument)", "argparse_one"),
        (r"expected at least one argument", "argparse_some"),
        (r"ignored explicit argument (?P<value>.+)", "argparse_none"),
        (r"invalid choice: (?P<value>.+) \(choose from (?P<words>.+)\)", "argparse_choice"),
        (r"invalid (?P<kind>\w+) value: (?P<value>.+)", "argparse_value"),
        (r"the following arguments are required: (?P<names>.+)", "argparse_required"),
        (r"unrecognized arguments: (?P<names>.+)", "argparse_unknown"),
    )
]


def argparse_error(text: str) -> Phrase | str:
    """Return an error of argparse as a phrase, or as it is if it is not a known one."""
    for pattern, key in _ARGPARSE:
        if found := pattern.fullmatch(text):
            facts = found.groupdict()
            return Phrase(key, **{name: argparse_error(fact) if name == "rest" else fact for name, fact in facts.items()})
    return text


def notice(key: str, facts: Mapping[str, object], language: str = "en") -> str:
    """Return a phrase in which ``{label}`` is the label of the setting in ``facts["setting"]``."""
    return Phrase(key, **{"label": Label(str(facts.get("setting", ""))), **facts}).text(language)


def label(key: str, language: str = "en") -> str:
    """Return the label of a setting or button; English, then the key itself, if the language has none."""
    return _LABELS[language].get(key) or _LABELS["en"].get(key, key)
