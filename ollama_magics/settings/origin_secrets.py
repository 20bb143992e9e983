"""Hold what is secret, each part for one origin: the key, the variable that names it, and additional headers."""

from __future__ import annotations

import os
from collections.abc import Callable

from ollama_magics.errors import OllamaMagicsError, SettingError
from ollama_magics.secret import NO_SECRET, Secret
from ollama_magics.server.address import Address
from ollama_magics.settings import form, keys
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.settings.values import clean_key

BOUND = ("api_key_env", "headers")  # settings that are valid for one origin only, as the key itself
_CLOUD = "ollama.com"


def variable(name: str, setting: str) -> Secret:
    """Return the key in an environment variable; raises SettingError if there is none."""
    held = Secret(os.environ.get(name, "").strip())
    if not held:
        raise SettingError("environment-empty", name=name)
    return clean_key(held, setting)


def describe_key(find: Callable[[], tuple[Secret, str]]) -> tuple[str, str]:
    """Return bullets for the key that ``find`` returns and the source of the key, or the reason why there is none."""
    try:
        key, source = find()
    except OllamaMagicsError as error:
        return error.what, "default"
    return ("••••" if key else ""), source or "default"


class OriginSecrets:
    """The key and what leads to it; ``address`` returns the current address, ``notify`` takes a phrase's key and facts."""

    def __init__(self, chosen: OllamaSettings, address: Callable[[], Address], notify: Callable[..., None]) -> None:
        self._settings, self._address, self._notify = chosen, address, notify
        self._key: Secret | None = None
        self._origins: dict[str, str] = {}
        self._has_no_keyring = False  # which was reported

    @property
    def has_key(self) -> bool:
        """Whether a key was typed in this notebook."""
        return self._key is not None

    def state(self) -> tuple[Secret | None, dict[str, str]]:
        """Return what ``restore`` takes."""
        return self._key, dict(self._origins)

    def restore(self, state: tuple[Secret | None, dict[str, str]]) -> None:
        """Go back to an earlier state."""
        self._key, self._origins = state[0], dict(state[1])

    def bind(self, name: str, origin: str) -> None:
        """Let a setting be valid for one origin only."""
        self._origins[name] = origin

    def forget_typed_key(self) -> None:
        """Drop the key that was typed in this notebook."""
        self._key = None

    def hold_key(self, key: Secret | None) -> None:
        """Keep a key for the current address; None removes it, from all stores.

        Where there is no keyring, the key is kept for this notebook only, which is a notice. Raises SettingError if the file of
        keys cannot be written, or where a removed key may have stayed in the keyring.
        """
        address = self._address()
        origin = address.origin
        if key is None:
            self._key = None  # also where the stored one stays
            keys.forget_key(origin)
        else:
            try:
                keys.store_key(self._settings.key_store, origin, key)
            except SettingError as error:
                if error.code != "key-not-stored":
                    raise
                self._notify("key_not_stored", reason=error.facts["reason"])
        self._key = key
        self._origins["api_key"] = origin
        if key and address.scheme == "http" and not address.is_loopback:
            self._notify("key_in_clear", host=address.host)

    def key(self, address: Address) -> tuple[Secret, str]:
        """Return the key for an address and its source, both empty if there is none; raises SettingError."""
        chosen = self._settings
        if self._key and self._origins.get("api_key") == address.origin:
            return self._key, "notebook"
        if chosen.api_key_env and self._origins.get("api_key_env") == address.origin:
            return variable(chosen.api_key_env, "api_key_env"), f"variable {chosen.api_key_env}"
        if chosen.key_store != "notebook" and (found := self._stored_key(address.origin)):
            return found, chosen.key_store
        if address.host == _CLOUD and os.environ.get("OLLAMA_API_KEY", "").strip():
            return variable("OLLAMA_API_KEY", "OLLAMA_API_KEY"), "variable OLLAMA_API_KEY"
        return NO_SECRET, ""

    def _stored_key(self, origin: str) -> Secret | None:
        """Return the stored key; where there is no keyring to look into, there is none, which is a notice once."""
        try:
            return keys.stored_key(self._settings.key_store, origin)
        except SettingError as error:
            if error.code != "key-not-stored":
                raise
            if not self._has_no_keyring:
                self._notify("no_stored_key", reason=error.facts["reason"])
            self._has_no_keyring = True
            return None

    def headers(self, address: Address) -> dict[str, Secret]:
        """Return the additional headers for an address; raises SettingError if an environment variable is missing."""
        if self._origins.get("headers") != address.origin:
            return {}
        pairs = self._settings.headers
        return {name: held if isinstance(held, Secret) else variable(held[1:], "headers") for name, held in pairs}

    def drop_foreign(self, origin: str) -> None:
        """Drop all that is for another origin than the current one, which is a notice."""
        if self._key and self._origins["api_key"] != origin:
            self._key = None
            self._notify("dropped_secret", setting="api_key", origin=self._origins["api_key"])
        for name in BOUND:
            if getattr(self._settings, name) and self._origins[name] != origin:
                former = self._origins[name]
                setattr(self._settings, name, form.default(name))  # which binds it anew
                self._notify("dropped_secret", setting=name, origin=former)
