"""Read values as users write them: numbers, times, words and lists."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ollama_magics.errors import SettingError
from ollama_magics.messages import Label, Phrase

FLAGS = {"model_type": "type", "context_length": "context"}
_WHOLE = re.compile(r"[+-]?\d{1,12}")
_UNITS = {"k": 1024, "m": 1024 * 1024}
_MAX_TEXT, _MAX_NAME = 100_000, 500  # characters
_COMMAND = re.compile(r"^[$>!%\s]*ollama\s+(?:run|pull|show)\s+")
_SURROGATES = "\ud800-\udfff"  # UTF-8 cannot write them
_CONTROLS = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f{_SURROGATES}]")

Reader = Callable[[object, Any], Any]


def refused(
    value: object, setting: str | None, reason: str | Phrase, example: str, magic: str = "%ollama_config"
) -> SettingError:
    """Return the error for a value that a setting cannot take, with a line that sets a valid one."""
    option = f"--{FLAGS.get(setting or '', setting or '').replace('_', '-')}"
    shown = repr(str(value)[:60])
    line = f"{magic} {option} {example}"
    return SettingError("setting-invalid", value=shown, setting=Label(setting or ""), reason=reason, example=line)


def count(text: object, setting: str | None, *, least: int = 1, special: tuple[int, ...] = ()) -> int:
    """Return a number of tokens from ``4096``, ``4k`` (k = 1024), ``128K``, ``4,096`` or full-width digits.

    Raises SettingError for anything else, and for numbers below ``least`` that are not among ``special``.
    """
    plain = _narrow(text).lower().replace(",", "").replace("_", "").replace(" ", "")
    digits, unit = (plain[:-1], _UNITS[plain[-1]]) if plain[-1:] in _UNITS else (plain, 1)
    if isinstance(text, bool) or not _WHOLE.fullmatch(digits):
        raise refused(text, setting, Phrase("need_tokens"), "8k")
    tokens = int(digits) * unit
    if tokens < least and tokens not in special:
        raise refused(text, setting, Phrase("need_least", least=least), "8k")
    return tokens


def number(text: object, setting: str | None, *, least: float, most: float) -> float:
    """Return a number within the limits, from a number or its text; raises SettingError otherwise."""
    try:
        value = float(_narrow(text))
    except ValueError:
        raise refused(text, setting, Phrase("need_number"), f"{least:g}") from None
    if isinstance(text, bool) or not least <= value <= most:
        raise refused(text, setting, Phrase("need_between", least=f"{least:g}", most=f"{most:g}"), f"{least:g}")
    return value


def whole(text: object, setting: str) -> int:
    """Return a whole number, negative ones included; raises SettingError otherwise."""
    plain = _narrow(text)
    if isinstance(text, bool) or not _WHOLE.fullmatch(plain):
        raise refused(text, setting, Phrase("need_whole"), "42")
    return int(plain)


def any_text(value: object, setting: str | None, example: str = "NAME", magic: str = "%ollama_config") -> str:
    """Return the text; raises SettingError for other types."""
    if not isinstance(value, str):
        raise refused(value, setting, Phrase("need_text", kind=type(value).__name__), example, magic)
    return value


def plain_text(value: object, setting: str | None) -> str:
    """Return a text without surrounding spaces; raises SettingError for other types, long text and control characters."""
    text = any_text(value, setting)
    if len(text) > _MAX_TEXT or _CONTROLS.search(text):
        raise refused(text, setting, Phrase("need_plain", most=f"{_MAX_TEXT:,}"), "NAME")
    return text.strip()


def name(value: object, setting: str) -> str:
    """Return the name of a model, also from ``ollama run NAME``: one line of at most 500 characters; raises SettingError."""
    text = _COMMAND.sub("", plain_text(value, setting))
    if len(text) > _MAX_NAME or not text.isprintable():
        raise refused(value, setting, Phrase("need_name", most=_MAX_NAME), "llama3.2")
    return text


# The readers below are objects, so that their limits can be shown.


@dataclass(frozen=True)
class Between:
    """Reads a number within limits."""

    least: float
    most: float

    def __call__(self, value: object, setting: str) -> float:
        """Return the value as it is kept; raises SettingError."""
        return number(value, setting, least=self.least, most=self.most)

    @property
    def limits(self) -> str:
        """The range, as text."""
        return f"{self.least:g} to {self.most:g}"


@dataclass(frozen=True)
class AtLeast:
    """Reads a number of tokens."""

    least: int
    special: tuple[int, ...] = ()

    def __call__(self, value: object, setting: str) -> int:
        """Return the value as it is kept; raises SettingError."""
        return count(value, setting, least=self.least, special=self.special)

    @property
    def limits(self) -> str:
        """The range, as text."""
        return " or ".join([*(f"{one}" for one in self.special), f"{self.least} and more"])


@dataclass(frozen=True)
class OneOf:
    """Reads one of a few words, in any case."""

    words: tuple[str, ...]

    def __call__(self, value: object, setting: str) -> str:
        """Return the value as it is kept; raises SettingError."""
        word = str(value).strip().lower()
        if word not in self.words:
            raise refused(value, setting, Phrase("need_word", words=", ".join(self.words)), self.words[0])
        return word

    @property
    def limits(self) -> str:
        """The range, as text."""
        return ", ".join(self.words)


context_length = AtLeast(1)
most_tokens = AtLeast(1, (-1, -2))  # no limit, and the rest of the context
top_k = AtLeast(0)
temperature = Between(0, 10)
top_p = Between(0, 1)
seconds = Between(0.1, 86_400)
think = OneOf(("auto", "off", "on", "low", "medium", "high", "max"))


def think_field(word: str) -> bool | str | None:
    """Return the value of ``think`` in a request, or None to leave it out."""
    return {"auto": None, "off": False, "on": True}.get(word, word)


# Times that a model stays loaded, in the forms that Ollama reads: a number of seconds, or a text of Go such as 1h30m.
_FOREVER = 9e9  # seconds; Go counts nanoseconds in 63 bits
_TIME = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|s|m|h))+")
_TIME_WORDS = {"forever": -1, "always": -1, "永久": -1, "now": 0, "unload": 0}
_LONG_UNITS = (("milliseconds?", "ms"), ("seconds?|secs?", "s"), ("minutes?|mins?", "m"), ("hours?|hrs?", "h"))


def keep_alive(value: object, setting: str) -> float | str | None:
    """Return how long a model stays loaded as Ollama takes it: seconds as a number (negative: forever), or ``1h30m``.

    None leaves it to the server. Raises SettingError for anything else, and for text that Ollama would answer with 400.
    """
    plain = _narrow("" if value is None else value).lower().replace(" ", "")
    for unit, short in _LONG_UNITS:
        plain = re.sub(rf"(?<=\d)(?:{unit})(?=\d|$)", short, plain)
    plain = re.sub(r"^(\d{1,6})(?:d|days?)$", lambda days: f"{24 * int(days[1])}h", plain)
    if isinstance(value, bool):
        raise _no_time(value, setting)
    if plain in _TIME_WORDS or not plain:
        return _TIME_WORDS.get(plain)
    if _TIME.fullmatch(plain.removeprefix("-")):
        return -1 if plain.startswith("-") else plain
    try:
        time = float(plain)
    except ValueError:
        raise _no_time(value, setting) from None
    if not abs(time) <= _FOREVER:
        raise _no_time(value, setting)
    return -1 if time < 0 else int(time) if time.is_integer() else time


def _no_time(value: object, setting: str) -> SettingError:
    return refused(value, setting, Phrase("need_time"), "30m")


def stops(value: object, setting: str) -> tuple[str, ...]:
    """Return the texts that end an answer, from a list, or from a text with one on each line; raises SettingError."""
    found = value.splitlines() if isinstance(value, str) else value
    if isinstance(found, (list, tuple)):  # a list in a variable comes as a list in the list of a repeatable option
        found = [text for part in found for text in (part if isinstance(part, (list, tuple)) else [part])]
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise refused(value, setting, Phrase("need_texts"), "END")
    if sum(map(len, found)) > _MAX_TEXT or re.search(f"[{_SURROGATES}]", "".join(found)):
        raise refused(value, setting, Phrase("need_plain", most=f"{_MAX_TEXT:,}"), "END")
    return tuple(text for text in found if text)


def certificates(value: object, setting: str) -> str:
    """Return the path of a file or folder of certificates that is there; raises SettingError otherwise."""
    text = plain_text(value, setting)
    try:
        missing = text and not (path := Path(text).expanduser()).exists()
    except (OSError, RuntimeError, ValueError):
        missing = True
    if missing:
        raise refused(text, setting, Phrase("need_file"), "/etc/ssl/certs/ca-certificates.crt")
    return str(path) if text else ""


def _narrow(text: object) -> str:
    return unicodedata.normalize("NFKC", str(text)).strip()
