"""Read values as users write them, and hide those that may hold a secret."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from ollama_magics.errors import SettingError
from ollama_magics.messages import Label, Phrase
from ollama_magics.secret import BULLETS, Secret, looks_like_key

FLAGS = {"model_type": "type", "context_length": "context"}
_WHOLE = re.compile(r"[+-]?\d{1,300}")
_LARGEST_WHOLE = 10**12 - 1  # far beyond any context, and exact in JSON and in every float
_GROUPS = re.compile(r"\d{1,3}([ ,_]\d{3})+")  # not 4,5k, with the comma that many languages write as a point
_UNITS = {"k": 1024, "m": 1024 * 1024}
_MAX_TEXT, _MAX_NAME = 100_000, 500  # characters
_WORD = re.compile(r"[a-z][\w.-]{0,39}")
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


def addresses(given: str | Iterable[str]) -> tuple[str, ...]:
    """Return several addresses, each once, from a list or a text with commas between them."""
    urls = given.split(",") if isinstance(given, str) else map(str, given)
    return tuple(dict.fromkeys(url.strip() for url in urls if url.strip()))


def count(text: object, setting: str | None, *, least: int = 1, special: tuple[int, ...] = ()) -> int:
    """Return a number of tokens from ``4096``, ``4k`` (k = 1024), ``128K``, ``4,096`` or full-width digits.

    Raises SettingError for anything else, and for numbers below ``least`` that are not among ``special``.
    """
    plain = _narrow(text).lower()
    digits, unit = (plain[:-1].rstrip(), _UNITS[plain[-1]]) if plain[-1:] in _UNITS else (plain, 1)
    if _GROUPS.fullmatch(digits):
        digits = re.sub(r"[ ,_]", "", digits)
    if isinstance(text, bool) or not _WHOLE.fullmatch(digits):
        raise refused(text, setting, Phrase("need_tokens"), "8k")
    tokens = int(digits) * unit
    if tokens < least and tokens not in special:
        known = Phrase("need_least_or", least=least, special=", ".join(map(str, special)))
        raise refused(text, setting, known if special else Phrase("need_least", least=least), "8k")
    if tokens > _LARGEST_WHOLE:
        raise refused(text, setting, Phrase("need_most", most=f"{_LARGEST_WHOLE:,}"), "8k")
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
    if abs(found := int(plain)) > _LARGEST_WHOLE:
        limits = Phrase("need_between", least=f"-{_LARGEST_WHOLE:,}", most=f"{_LARGEST_WHOLE:,}")
        raise refused(text, setting, limits, "42")
    return found


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
    """Return the name of a model, also from ``ollama run NAME`` or a link; raises SettingError."""
    from ollama_magics.server.model_names import read_name  # noqa: PLC0415 - loading does not need it

    text = read_name(plain_text(value, setting))
    if len(text) > _MAX_NAME or not text.isprintable():
        raise refused(value, setting, Phrase("need_name", most=_MAX_NAME), "llama3.2")
    return text


# The readers below are objects, so that their limits can be shown.


class Between(Struct, frozen=True):
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


class AtLeast(Struct, frozen=True):
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


_BOOLEANS = {"true": ("yes", "on"), "false": ("no", "off")}


class OneOf(Struct, frozen=True):
    """Reads one of a few words, in any case; True is yes or on, False is no or off, where these are among them."""

    words: tuple[str, ...]

    def __call__(self, value: object, setting: str) -> str:
        """Return the value as it is kept; raises SettingError."""
        word = str(value).strip().lower()
        word = next((meant for meant in _BOOLEANS.get(word, ()) if meant in self.words), word)
        if word not in self.words:
            raise refused(value, setting, Phrase("need_word", words=", ".join(self.words)), self.words[0])
        return word

    @property
    def limits(self) -> str:
        """The range, as text."""
        return ", ".join(self.words)


class OneOfOrOther(OneOf, frozen=True):
    """Reads one of a few words, or another single word, which only a server can know."""

    def __call__(self, value: object, setting: str) -> str:
        """Return the value as it is kept; raises SettingError."""
        word = str(value).strip().lower()
        return word if _WORD.fullmatch(word) and word not in _BOOLEANS else super().__call__(value, setting)

    @property
    def limits(self) -> str:
        """The range, as text."""
        return f"{super().limits}, or another word that the server lists for the model"


context_length = AtLeast(1)
most_tokens = AtLeast(1, (-1, -2))  # no limit, and the rest of the context
top_k = AtLeast(0)
temperature = Between(0, 10)
fraction = Between(0, 1)
seconds = Between(0.1, 86_400)
think = OneOfOrOther(("auto", "off", "on", "low", "medium", "high", "max"))


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
    if value is None or value == "":
        return None
    plain = _narrow(value).lower().replace(" ", "")
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


_ESCAPES = {"\\n": "\n", "\\t": "\t", "\\\\": "\\"}


def unescaped(text: str) -> str:
    r"""Return a text that was typed on a line, with ``\n`` for a line break, ``\t`` for a tab, and ``\\`` for a backslash."""
    return re.sub(r"\\[nt\\]", lambda found: _ESCAPES[found[0]], text)


def escaped(text: str) -> str:
    """Return a text as ``unescaped`` reads it."""
    text = re.sub(r"\\(?=[nt\\])", r"\\\\", text)
    return text.replace("\n", "\\n").replace("\t", "\\t")


def stops(value: object, setting: str) -> tuple[str, ...]:
    r"""Return the texts that end an answer, from a list, or from a text with one on each line; raises SettingError.

    In a text, unlike in a list, ``\n`` is a line break; one of line breaks only is itself.
    """
    found = value
    if isinstance(value, str):
        found = list(map(unescaped, value.splitlines())) if value.strip("\r\n") else [value]
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
        path = Path(text).expanduser()
        missing = text and not (path.is_file() or path.is_dir())  # OpenSSL would wait for a pipe
    except (OSError, RuntimeError, ValueError):
        missing = True
    if missing:
        raise refused(text, setting, Phrase("need_file"), "/etc/ssl/certs/ca-certificates.crt")
    return str(path) if text else ""


def _narrow(text: object) -> str:
    return unicodedata.normalize("NFKC", str(text)).strip()


# Values that may hold a secret.

_MAX_KEY = 8192  # characters; servers take no longer header
_KEY = re.compile(f"[!-~]{{0,{_MAX_KEY}}}")
_AROUND = "\"'`“”„‘’«» \t\r\n\u200b\u200c\u200d\u2060\ufeff"
_USERINFO = re.compile(r"^([^@＠﹫/]*:[/\\]{2,}|)(.*)[@＠﹫]", re.DOTALL)
_PASSWORD = re.compile(r"[^:/\\]:(?!/)[^/\\]*[@＠﹫]|\b(?:api_?key|key|token|password)=[^&\s]", re.IGNORECASE)
_SECRET_MARKS = re.compile(r"[@＠﹫?#？＃\s]")  # characters before or after a secret in an address
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110, 5.1
_OWN_HEADERS = {"accept-encoding", "content-type", "content-length", "transfer-encoding", "connection"}

Headers = tuple[tuple[str, str | Secret], ...]


def clean_key(typed: Secret, setting: str = "api_key") -> Secret:
    """Return a key without surrounding spaces, quotes and invisible characters; raises SettingError, which never shows it."""
    key = Secret(re.sub(r"^bearer\s+", "", typed.reveal().strip(_AROUND), flags=re.IGNORECASE).strip(_AROUND))
    if _KEY.fullmatch(key.reveal()):
        return key
    raise _unshown(setting, Phrase("need_key", most=_MAX_KEY), "%ollama_config --api-key")


def holds_password(address: str) -> bool:
    """Return whether an address as it was typed holds a password."""
    return bool(_PASSWORD.search(address)) and not address.startswith("$")


def address(value: object, setting: str) -> str | Secret:
    """Return an address as it was typed, hidden where it may hold a password, a key or a query; raises SettingError."""
    text = _text(value, setting)
    text = text.replace(f"{BULLETS}@", "")  # a shown address that was edited
    return Secret(text, _without_secrets(text)) if _SECRET_MARKS.search(text) else text


def _text(value: object, setting: str) -> str:
    try:
        return plain_text(value.reveal() if isinstance(value, Secret) else value, setting)
    except SettingError as error:
        raise _unshown(setting, error.facts["reason"], error.facts["example"]) from None


def _without_secrets(text: str) -> str:
    if len(text.split()) > 1:
        return "…"
    front = _USERINFO.sub(rf"\1{BULLETS}@", text)
    return re.sub(r"[?#？＃].+", "?…", front, flags=re.DOTALL)


def proxy(value: object, setting: str) -> str | Secret:
    """Return the address of a proxy (http or https), ``none`` for none at all, or an empty text for the system's."""
    text = _text(value, setting).replace(f"{BULLETS}@", "")
    if text.lower() in ("", "none"):
        return text.lower()
    full = text if "://" in text else f"http://{text}"
    try:
        url = urlsplit(full)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in text):
        raise _unshown(setting, Phrase("need_proxy"), "%ollama_config --proxy http://HOST:3128")
    return Secret(full, _without_secrets(full)) if "@" in full else full


def variable(value: object, setting: str) -> str:
    """Return the name of an environment variable; raises SettingError, which does not show the value: it may be the key."""
    text = _text(value, setting)
    if text and (not _VARIABLE.fullmatch(text) or looks_like_key(text)):
        raise _unshown(setting, Phrase("need_variable"), "%ollama_config --api-key-env NAME")
    return text


def headers(value: object, setting: str) -> Headers:
    """Return additional headers as pairs; a value is the ``$VARIABLE`` that holds it, or hidden.

    Takes ``Name: $VARIABLE``, several of them on lines or between semicolons, or a dict, whose values may be anything that
    HTTP allows. Raises SettingError, which shows no value, also for a value that was typed as text.
    """
    if isinstance(value, Mapping):
        return tuple((_header(name), _header_value(str(held), name)) for name, held in value.items())
    if isinstance(value, list):  # of a repeatable option
        return tuple(pair for part in value for pair in headers(part, setting))
    if isinstance(value, tuple):
        return headers({name: held.reveal() if isinstance(held, Secret) else held for name, held in value}, setting)
    lines = [line for line in re.split(r"[;\n]", _text(value, setting)) if line.strip()]
    pairs = [(name.strip(), held.strip()) for name, _, held in (line.partition(":") for line in lines)]
    if any(":" not in line for line in lines):
        raise _unshown(setting, Phrase("need_pair"), '%ollama_config --headers "X-Token: $VARIABLE"')
    if any(not held.startswith("$") for _, held in pairs):
        raise SettingError("secret-on-line", setting=Label(setting), instead='%ollama_config --headers "X-Token: $VARIABLE"')
    return headers(dict(pairs), setting)


def _header(name: object) -> str:
    if not _HEADER.fullmatch(text := str(name).strip()) or text.lower() in _OWN_HEADERS:
        raise _unshown("headers", Phrase("need_header"), '%ollama_config --headers "X-Token: $VARIABLE"')
    return text


def _header_value(held: str, name: object) -> str | Secret:
    if held.startswith("$"):
        return f"${variable(held[1:], 'headers')}"
    text = unicodedata.normalize("NFC", held).strip()
    if not (text.isascii() and text.isprintable() and len(text) <= _MAX_KEY):
        raise _unshown("headers", Phrase("need_value", name=name), "%ollama_config --headers …")
    return Secret(text)


def _unshown(setting: str, reason: Phrase, example: str) -> SettingError:
    return SettingError("setting-invalid", value=Phrase("what_was_given"), setting=Label(setting), reason=reason, example=example)
