"""Read values that may hold a secret, and hide it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from urllib.parse import urlsplit

from ollama_magics.errors import SettingError
from ollama_magics.messages import Label, Phrase
from ollama_magics.secret import BULLETS, Secret
from ollama_magics.settings.values import plain_text

_MAX_KEY = 8192  # characters; servers take no longer header
_AROUND = "\"'`“”„‘’«» \t\r\n\u200b\u200c\u200d\u2060\ufeff"
_USERINFO = re.compile(r"^([^@＠﹫/]*:[/\\]{2,}|)(.*)[@＠﹫]", re.DOTALL)
_PASSWORD = re.compile(r"[^:/\\]:(?!/)[^/\\]*[@＠﹫]|\b(?:api_?key|key|token|password)=[^&\s]", re.IGNORECASE)
_SECRET_MARKS = re.compile(r"[@＠﹫?#？＃\s]")  # characters before or after a secret in an address
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")  # RFC 9110, 5.1
_OWN_HEADERS = {"accept-encoding", "content-type", "content-length", "transfer-encoding", "connection"}

Headers = tuple[tuple[str, str | Secret], ...]


def clean_key(text: str, setting: str = "api_key") -> Secret:
    """Return a key without surrounding spaces, quotes and invisible characters; raises SettingError, which never shows it."""
    key = re.sub(r"^bearer\s+", "", text.strip(_AROUND), flags=re.IGNORECASE).strip(_AROUND)
    if key.isascii() and key.isprintable() and " " not in key and len(key) <= _MAX_KEY:
        return Secret(key)
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
    if text and not _VARIABLE.fullmatch(text):
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
