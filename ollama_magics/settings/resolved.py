"""Resolve each setting to its value and where it comes from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ollama_magics.errors import AddressError, SettingError
from ollama_magics.secret import Secret, revealed
from ollama_magics.server.address import Address, parse
from ollama_magics.settings import form, profiles
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.settings.values import clean_key

Notice = tuple[str, dict[str, object]]  # the key of a phrase, and its facts


def is_bind(host: str) -> bool:
    """Return whether an address is one to listen on, such as 0.0.0.0."""
    try:
        return parse(host).from_bind
    except AddressError:
        return False


def variable(name: str, setting: str) -> str:
    """Return the key in an environment variable; raises SettingError if there is none."""
    held = os.environ.get(name, "").strip()
    if not held:
        raise SettingError("environment-empty", name=name)
    return clean_key(held, setting).reveal()


def describe_key(find: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """Return bullets for the key that ``find`` returns and the source of the key, or the reason why there is none."""
    try:
        key, source = find()
    except SettingError as error:
        return error.what, "default"
    return ("••••" if key else ""), source or "default"


# This notebook > a profile named in it > the environment > the profile "default" > built in. (An option of a cell wins over all
# of them, and is not handled here.) The environment has two settings: OLLAMA_HOST, and OLLAMA_API_KEY for ollama.com.


_CLOUD = "ollama.com"
_DETECTED_OVER_SAVED = ("model_type",)  # what the server reports about the model wins over a saved value
_BOUND = ("api_key_env", "headers")  # valid for one origin only, as the key itself


class ResolvedSettings:
    """The settings of a notebook or script: merged values in ``settings``, and the source of each.

    ``notices`` are to be shown to the user: (key of a phrase, facts).
    """

    def __init__(self, chosen: OllamaSettings) -> None:
        self.settings = chosen
        self.profile = ""  # the one that this notebook named
        self.notices: list[Notice] = []
        self._named: dict[str, Any] = {}
        self._saved: dict[str, Any] = {}
        self._typed = set(chosen.changed())  # with %config, before the first use
        self._detected: set[str] = set()  # as the server reports, until the user types another value
        self._is_merging = False
        self._key: Secret | None = None
        self._parsed: tuple[Secret, Address] | None = None
        self._origins: dict[str, str] = {}
        for name in _BOUND:
            self._bind(name)
        chosen.observe(self._follow, names=form.names())

    # The address.

    @property
    def address(self) -> Address:
        """Where the requests go; raises AddressError."""
        typed = Secret(self.typed_address()[0])  # with the password in it
        if self._parsed is None or self._parsed[0] != typed:  # a cell needs it several times, and parsing takes a while
            self._parsed = typed, parse(typed.reveal())
        return self._parsed[1]

    def typed_address(self) -> tuple[str, str]:
        """Return the address as it was typed and its source: notebook, profile, environment, saved or default."""
        source, chosen = self.source("base_url"), revealed(self.settings.base_url)
        if chosen and source != "saved":
            return chosen, source.partition(" ")[0]
        host = os.environ.get("OLLAMA_HOST", "").strip()
        if host and not (chosen and is_bind(host)):  # 0.0.0.0 is an address to listen on
            return host, "environment"
        return (chosen, "saved") if chosen else (form.DEFAULT_ADDRESS, "default")

    @property
    def overridden(self) -> str:
        """The saved address that the environment overrides, or an empty text."""
        return form.shown(self.settings.base_url) if self.typed_address()[1] == "environment" else ""

    # Changes.

    def configure(self, values: Mapping[str, Any]) -> Sequence[str]:
        """Set all of the values or, if one is refused, none; return the names of those that changed.

        Raises SettingError for an unknown name or a bad value, AddressError for an address that cannot be used.
        """
        if unknown := [name for name in values if name not in form.names()]:
            raise SettingError("setting-unknown", setting=unknown[0], known=", ".join(form.names()))
        before, origin = {name: getattr(self.settings, name) for name in values}, self._origin()
        typed, origins = set(self._typed), dict(self._origins)
        try:
            self._assign(values)
            parse(revealed(self.settings.base_url))
        except BaseException:
            self._assign(before)
            self._typed, self._origins = typed, origins
            raise
        self._typed |= set(values)
        self._detected -= set(values)
        for name in _BOUND:
            if name in values:
                self._bind(name)
        if origin != self._origin():
            self._drop_foreign_secrets()
        tokens, context = self.settings.max_tokens, self.settings.context_length
        if {"context_length", "max_tokens"} & set(values) and tokens > context:
            self.notices.append(("max_over_context", {"most": tokens, "context": context}))
        return [name for name in values if getattr(self.settings, name) != before[name]]

    def fill(self, found: Mapping[str, Any]) -> Sequence[str]:
        """Set what the server reports about a model, where the user typed nothing; return the names of those that changed.

        Saved values stay, too, except for the type, which belongs to the model that was saved with it.
        """
        new = {name: value for name, value in found.items() if getattr(self.settings, name) != value}
        free = {}
        for name, value in new.items():
            source = self.source(name)
            if source in ("default", "detected") or (name in _DETECTED_OVER_SAVED and source != "notebook"):
                free[name] = value
        changed = self.configure(free)
        self._detected |= set(free)
        return changed

    def _assign(self, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            setattr(self.settings, name, value)

    def take_notices(self) -> list[Notice]:
        """Return the notices that were not returned before."""
        found, self.notices = self.notices, []
        return found

    def _follow(self, change: Any) -> None:
        if not self._is_merging:  # it was the notebook, perhaps with %config
            self._typed.add(change["name"])
            self._detected.discard(change["name"])
            if change["name"] in _BOUND:
                self._bind(change["name"])

    # Profiles.

    def begin(self) -> None:
        """Read the profile ``default``, if there is one; raises SettingError where it cannot be read."""
        if profiles.DEFAULT in profiles.names():
            self._saved = profiles.load(profiles.DEFAULT)
            self._merge()

    def use(self, name: str) -> Sequence[str]:
        """Use a profile in this notebook; return the names of the settings that changed. Raises SettingError."""
        found, before, origin = profiles.load(name), self._values(), self._origin()
        parse(revealed(found.get("base_url", "")))
        self.profile, self._named = name.strip(), found
        self._typed, self._detected = self._typed - self._detected, set()
        self._merge()
        for stays in sorted(set(found) & self._typed):
            if (value := getattr(self.settings, stays)) != found[stays]:
                self.notices.append(("stays", {"setting": stays, "value": form.shown_on_line(stays, form.shown(value))}))
        if origin != self._origin():
            self._drop_foreign_secrets()
        return [name for name, value in self._values().items() if value != before[name]]

    def save(self, name: str, *, verified: bool | None = None) -> Path:
        """Save the resolved settings as a profile and return its file; raises SettingError.

        ``verified``: whether a check passed with them; None leaves the mark in the file as it is.
        """
        name = name.strip() or profiles.DEFAULT
        kept = {"default": self._saved, self.profile: self._named}.get(name)
        if kept is None or name not in profiles.names():
            return profiles.save(name, self._portable(self.settings.changed()), whole=True, verified=verified)
        # Only what was typed here: another kernel may have changed the rest since this one read it.
        changed = {one: value for one, value in self.settings.changed().items() if one in self._typed}
        gone = self._typed - set(changed)
        return profiles.save(name, self._portable(changed), removed=gone, whole=False, verified=verified)

    def is_unverified(self) -> bool:
        """Return whether the profile in use was saved without a successful check; raises SettingError."""
        return profiles.is_unverified(self.profile or profiles.DEFAULT)

    def confirm(self) -> None:
        """Mark the profile in use as verified, if it holds the resolved settings; raises SettingError."""
        profiles.confirm(self.profile or profiles.DEFAULT, self.settings.changed())

    def export(self, path: str) -> None:
        """Write the resolved settings to a file, without keys; raises SettingError."""
        profiles.export(Path(path), self._portable(self.settings.changed()))

    def read_file(self, path: str) -> Sequence[str]:
        """Take the settings of a file for this notebook; return the names of those that changed. Raises SettingError."""
        return self.configure(profiles.imported(Path(path)))

    def _portable(self, values: dict[str, Any]) -> dict[str, Any]:
        if isinstance(values.get("base_url"), Secret) or {*_BOUND, "key_store"} & set(values):
            values = {**values, "base_url": self.address.url}  # a name of a key goes nowhere without its address
        if isinstance(proxy := values.get("proxy"), Secret):
            self.notices.append(("proxy_not_saved", {"proxy": proxy}))
        if any(isinstance(held, Secret) for _, held in values.get("headers", ())) or self.address.password or self._key:
            self.notices.append(("secrets_not_saved", {}))
        return values

    def _merge(self) -> None:
        merged = {**self._saved, **self._named}
        self._is_merging = True
        try:
            for name in form.names():
                if name not in self._typed:
                    setattr(self.settings, name, merged.get(name, form.default(name)))
        finally:
            self._is_merging = False
        for name in _BOUND:
            if name not in self._typed:
                layer = self._named if name in self._named else self._saved
                self._bind(name, parse(revealed(layer.get("base_url", ""))).origin)

    # Keys, each valid for one origin.

    def hold_key(self, key: Secret | None) -> None:
        """Keep a key for the current address; None removes it. Raises SettingError if it cannot be stored."""
        origin = self.address.origin
        if self.settings.key_store != "notebook":
            profiles.store_key(self.settings.key_store, origin, key)
        self._key = key
        self._origins["api_key"] = origin
        if key and self.address.scheme == "http" and not self.address.is_loopback:
            self.notices.append(("key_in_clear", {"host": self.address.host}))

    def key(self, address: Address) -> tuple[str, str]:
        """Return the key for an address and its source, both empty if there is none; raises SettingError."""
        chosen = self.settings
        if self._key and self._origins.get("api_key") == address.origin:
            return self._key.reveal(), "notebook"
        if chosen.api_key_env and self._origins.get("api_key_env") == address.origin:
            return variable(chosen.api_key_env, "api_key_env"), f"variable {chosen.api_key_env}"
        if chosen.key_store != "notebook" and (found := profiles.stored_key(chosen.key_store, address.origin)):
            return found.reveal(), chosen.key_store
        if address.host == _CLOUD and os.environ.get("OLLAMA_API_KEY", "").strip():
            return variable("OLLAMA_API_KEY", "OLLAMA_API_KEY"), "variable OLLAMA_API_KEY"
        return "", ""

    def headers(self, address: Address) -> dict[str, str]:
        """Return the additional headers for an address; raises SettingError if an environment variable is missing."""
        if self._origins.get("headers") != address.origin:
            return {}
        pairs = self.settings.headers
        return {name: held.reveal() if isinstance(held, Secret) else variable(held[1:], "headers") for name, held in pairs}

    def _bind(self, name: str, origin: str | None = None) -> None:
        self._origins[name] = self._origin() if origin is None else origin

    def _origin(self) -> str:
        try:
            return self.address.origin
        except AddressError:
            return ""

    def _drop_foreign_secrets(self) -> None:
        here = self._origin()
        if self._key and self._origins["api_key"] != here:
            self._key = None
            self.notices.append(("dropped_secret", {"setting": "api_key", "origin": self._origins["api_key"]}))
        for name in _BOUND:
            if getattr(self.settings, name) and self._origins[name] != here:
                origin = self._origins[name]
                setattr(self.settings, name, form.default(name))  # which binds it anew, see _follow
                self.notices.append(("dropped_secret", {"setting": name, "origin": origin}))

    # The settings as a table.

    def described(self) -> Iterator[tuple[str, str, str]]:
        """Yield each setting with its value and its source; of the key, the source alone."""
        for name in form.names():
            if name == "base_url":
                source = f"over {self.overridden}" if self.overridden else self.typed_address()[1]
                yield name, self.address.url, f"profile {self.profile}" if source == "profile" else source
                yield "api_key", *describe_key(lambda: self.key(self.address))
            else:
                yield name, form.shown(getattr(self.settings, name)), self.source(name)

    def source(self, name: str) -> str:
        """Return the source of a value: notebook, detected, profile and its name, saved or default."""
        if name in self._detected:
            return "detected"
        if name in self._typed:
            return "notebook"
        if name in self._named:
            return f"profile {self.profile}"
        return "saved" if name in self._saved else "default"

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self.settings, name) for name in form.names()}

    @contextmanager
    def restored_at_end(self) -> Iterator[None]:
        """Restore everything at the end of the ``with`` block, keys and sources too."""
        parts = ("profile", "_named", "_saved", "_key")
        before, held = self._values(), {part: getattr(self, part) for part in parts}
        typed, origins = set(self._typed), dict(self._origins)
        try:
            yield
        finally:
            self._assign(before)
            vars(self).update(held, _typed=typed, _origins=origins, notices=[])
