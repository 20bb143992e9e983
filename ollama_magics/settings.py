"""The provider form, declared once: each setting's name, type, unit, default and help."""

# The panel, the flags of %ollama_config, %config OllamaSettings and the table in the README follow from the traits below.

from __future__ import annotations

import re
import unicodedata
from typing import Any

from traitlets import Any as AnyValue
from traitlets import Float, Integer, TraitType, Unicode
from traitlets.config import Configurable

from ollama_magics import texts
from ollama_magics.errors import SettingError

DEFAULT_ADDRESS = "127.0.0.1:11434"
_WHOLE = re.compile(r"[+-]?\d{1,12}")
_UNITS = {"k": 1024, "m": 1024 * 1024}


def count(text: object, setting: str | None, *, least: int = 1, special: tuple[int, ...] = ()) -> int:
    """Return a number of tokens from ``4096``, ``4k`` (k = 1024), ``128K``, ``4,096`` or full-width digits.

    Raises SettingError for anything else, and for numbers below ``least`` that are not among ``special``.
    """
    plain = unicodedata.normalize("NFKC", str(text)).strip().lower().replace(",", "").replace("_", "").replace(" ", "")
    digits, unit = (plain[:-1], _UNITS[plain[-1]]) if plain[-1:] in _UNITS else (plain, 1)
    if not _WHOLE.fullmatch(digits):
        raise _refused(text, setting, "A whole number of tokens is needed: 4096, 4k or 4,096.", "8k")
    tokens = int(digits) * unit
    if tokens < least and tokens not in special:
        raise _refused(text, setting, f"It must be at least {least}.", "8k")
    return tokens


def number(text: object, setting: str | None, *, least: float, most: float) -> float:
    """Return a number within the limits, from a number or its text; raises SettingError otherwise."""
    try:
        value = float(unicodedata.normalize("NFKC", str(text)))
    except ValueError:
        raise _refused(text, setting, "A number is needed.", f"{least:g}") from None
    if not least <= value <= most:
        raise _refused(text, setting, f"It must lie between {least:g} and {most:g}.", f"{least:g}")
    return value


def whole(text: object, setting: str) -> int:
    """Return a whole number, negative ones included; raises SettingError otherwise."""
    plain = unicodedata.normalize("NFKC", str(text)).strip()
    if not _WHOLE.fullmatch(plain):
        raise _refused(text, setting, "A whole number is needed.", "42")
    return int(plain)


def _refused(value: object, setting: str | None, reason: str, example: str) -> SettingError:
    flag = f"--{FLAGS.get(setting or '', setting or '').replace('_', '-')}"
    shown = repr(str(value)[:60])
    return SettingError(
        "OM-S01", value=shown, setting=texts.label(setting or ""), reason=reason, example=f"%ollama_config {flag} {example}"
    )


class Text(Unicode):
    """One line of text; surrounding spaces do not count."""

    def validate(self, obj: Any, value: Any) -> str:
        """Return the stripped text; raises SettingError for what is no text."""
        return plain_text(value, self.name)


class Count(Integer):
    """A number of tokens, read as count() or most_tokens() read it."""

    def __init__(self, default: int, read: Any = count, **options: Any) -> None:
        super().__init__(default, **options)
        self._read = read

    def validate(self, obj: Any, value: Any) -> int:
        """Return the number; raises SettingError."""
        return int(self._read(value, self.name))


class Seconds(Float):
    """A time in seconds, 0.1 to one day."""

    def validate(self, obj: Any, value: Any) -> float:
        """Return the seconds; raises SettingError."""
        return number(value, self.name, least=0.1, most=86_400)


class OptionalNumber(TraitType):
    """A number that the server chooses while it is None; an empty text means None."""

    def __init__(self, read: Any, **options: Any) -> None:
        super().__init__(None, allow_none=True, **options)
        self._read = read

    def validate(self, obj: Any, value: Any) -> Any:
        """Return the number or None; raises SettingError."""
        return None if value in (None, "") else self._read(value, self.name)


class Choice(TraitType):
    """One of a few words."""

    def __init__(self, words: tuple[str, ...], **options: Any) -> None:
        super().__init__(words[0], **options)
        self.words = words

    def validate(self, obj: Any, value: Any) -> str:
        """Return the word in lower case; raises SettingError with the words that are possible."""
        word = str(value).strip().lower()
        if word not in self.words:
            raise _refused(value, self.name, f"Possible: {', '.join(self.words)}.", self.words[0])
        return word


def most_tokens(value: object, setting: str) -> int:
    """Return a bound for the tokens of an answer, -1 (no bound) and -2 (fill the context) included; raises SettingError."""
    return count(value, setting, special=(-1, -2))


def temperature(value: object, setting: str) -> float:
    """Return a temperature, 0 to 10; raises SettingError."""
    return number(value, setting, least=0, most=10)


def plain_text(value: object, setting: str | None) -> str:
    """Return a name without the spaces around it; raises SettingError for what is no text."""
    if not isinstance(value, str):
        raise _refused(value, setting, f"Text is needed, not {type(value).__name__}.", "NAME")
    return value.strip()


class OllamaSettings(Configurable):
    """What the person set for this notebook; an empty value means that something else decides (see each help)."""

    model = Text(help="Model that answers; empty: the only installed one that can do what the cell asks").tag(config=True)
    base_url = Text(help="Where Ollama listens; empty: OLLAMA_HOST, else 127.0.0.1:11434").tag(config=True)
    model_type = Choice(("chat", "completion", "embedding"), help="What the model is asked for").tag(config=True)
    context_length = Count(4096, help="Tokens of context, sent as num_ctx; takes 8k").tag(config=True)
    max_tokens = Count(4096, most_tokens, help="Most tokens of an answer, sent as num_predict; -1: no bound").tag(config=True)
    vision = Choice(("auto", "yes", "no"), help="Whether the model sees pictures; auto: as the server says").tag(config=True)
    embedding_model = Text(help="Model of %embed; empty: the model above if it embeds, else the only one that does").tag(
        config=True
    )
    system = Text(help="System prompt of every conversation").tag(config=True)
    temperature = OptionalNumber(temperature, help="0 to 10; empty: the model's own").tag(config=True)
    seed = OptionalNumber(whole, help="Whole number for repeatable answers; empty: random").tag(config=True)
    connect_timeout = Seconds(5, help="Seconds to reach the server (at most 2 on this machine)").tag(config=True)
    first_token_timeout = Seconds(600, help="Seconds to the first token, loading included").tag(config=True)
    idle_timeout = Seconds(120, help="Seconds between two tokens").tag(config=True)
    language = Choice(("auto", *texts.LANGUAGES), help="Language of labels and messages; auto: from LANG").tag(config=True)

    # The session that was made from these settings, or None; see session.current().
    session = AnyValue(None)

    def changed(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, by name."""
        return {name: getattr(self, name) for name in form() if getattr(self, name) != default(name)}


FLAGS = {"model_type": "type", "context_length": "context"}


def form() -> list[str]:
    """Return the names of all settings in the order of the panel."""
    return [name for name in OllamaSettings.__dict__ if name in OllamaSettings.class_traits(config=True)]


def default(name: str) -> Any:
    """Return the built-in value of a setting."""
    return OllamaSettings.class_traits()[name].default_value


def words(name: str) -> tuple[str, ...]:
    """Return the words that a setting may take, or () where it is no choice."""
    return tuple(getattr(OllamaSettings.class_traits()[name], "words", ()))


def explain(name: str) -> str:
    """Return the help of a setting, one line."""
    return str(OllamaSettings.class_traits()[name].help)


def flag(name: str) -> str:
    """Return the option of %ollama_config that sets it."""
    return "--" + FLAGS.get(name, name).replace("_", "-")


_shared: OllamaSettings | None = None


def shared() -> OllamaSettings:
    """Return the settings that the magics and the plain calls share; made at the first call."""
    global _shared  # noqa: PLW0603 - the one module global: notebook and script see the same settings
    if _shared is None:
        _shared = OllamaSettings()
    return _shared


def forget() -> None:
    """Drop the shared settings; the next call of shared() starts from the defaults."""
    global _shared  # noqa: PLW0603 - see shared()
    _shared = None
