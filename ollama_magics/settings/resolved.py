"""Resolve each setting to its value and where it comes from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ollama_magics.errors import AddressError, SettingError
from ollama_magics.messages import Joined, Phrase
from ollama_magics.secret import Secret, revealed
from ollama_magics.server.address import Address, parse
from ollama_magics.settings import config_folder, form, keys, profiles, worker_settings
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.settings.layers import ProfileLayers
from ollama_magics.settings.origin_secrets import BOUND, OriginSecrets, describe_key

Notice = tuple[str, dict[str, object]]  # the key of a phrase, and its facts


def is_bind(host: str) -> bool:
    """Return whether an address is one to listen on, such as 0.0.0.0."""
    try:
        return parse(host).from_bind
    except AddressError:
        return False


def _origin_of(values: Mapping[str, Any]) -> str:
    """Return the origin of the address in a profile, or an empty text where that cannot be used."""
    try:
        return parse(revealed(values.get("base_url", ""))).origin
    except AddressError:
        return ""


# This notebook > a profile named in it > the environment > the profile "default" > built in. (An option of a cell wins over all
# of them, and is not handled here.) The environment has two settings: OLLAMA_HOST, and OLLAMA_API_KEY for ollama.com.


_DETECTED_OVER_SAVED = ("model_type",)  # what the server reports about the model wins over a saved value
_OF_SERVER = ("base_url", "model", "model_type", "embedding_model")  # which mean nothing without a sandbox's address

Shown = tuple[dict[str, Any], Secret]  # the values of the settings and the address, for comparison


class ResolvedSettings:
    """The settings of a notebook or script: merged values in ``settings``, and the source of each.

    ``notices`` are to be shown to the user: (key of a phrase, facts).
    """

    def __init__(self, chosen: OllamaSettings) -> None:
        self.settings = chosen
        self.notices: list[Notice] = []
        self.sandboxes: set[str] = set()  # origins of servers that end with this process
        self._layers = ProfileLayers()
        self._proved: Shown | None = None  # with which a model has answered
        self._typed = set(chosen.changed())  # with %config, before the first use
        self._detected: set[str] = set()  # as the server reports, until the user types another value
        self._is_merging = False
        self._parsed: tuple[tuple[Secret, str], Address] | None = None
        self.secrets = OriginSecrets(chosen, lambda: self.address, self._notify)
        for name in BOUND:
            self.secrets.bind(name, self._origin())
        chosen.observe(self._follow, names=form.names())

    # The address.

    @property
    def address(self) -> Address:
        """Where the requests go; raises AddressError, which says where the address is from."""
        typed, source = self.typed_address()
        state = Secret(typed), source  # with the password in it
        if self._parsed is None or self._parsed[0] != state:  # a cell needs it several times, and parsing takes a while
            known, drop = self._address_source(source)
            try:
                self._parsed = state, replace(parse(typed), known=known, drop=drop)
            except AddressError as error:
                raise error.with_advice(Joined((error.phrase("how_we_know"), known), " "), drop) from None
        return self._parsed[1]

    def _address_source(self, source: str) -> tuple[Phrase | None, Phrase | None]:
        """Return where the address is from, and what to type to drop it; None for the built-in one."""
        kind, _, name = source.partition(" ")
        if kind == "default":
            return None, None
        name = name or profiles.DEFAULT
        path = profiles.path_of(name) if kind in ("saved", "profile") else ""
        return Phrase(f"address_is_from_{kind}", profile=name, path=path), Phrase(f"drop_address_{kind}", profile=name)

    def typed_address(self) -> tuple[str, str]:
        """Return the address as it was typed and its source: notebook, profile and its name, environment, saved or default."""
        source, chosen = self.source("base_url"), revealed(self.settings.base_url)
        if chosen and source != "saved":
            return chosen, source
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
        typed, secrets = set(self._typed), self.secrets.state()
        try:
            self._assign(values)
            parse(revealed(self.settings.base_url if "base_url" in values else ""))
        except BaseException:
            self._assign(before)
            self._typed = typed
            self.secrets.restore(secrets)
            raise
        self._typed |= set(values)
        self._detected -= set(values)
        for name in BOUND:
            if name in values:
                self.secrets.bind(name, self._origin())
        if origin != self._origin():
            self.secrets.drop_foreign(self._origin())
        tokens, context = self.settings.max_tokens, self.settings.context_length
        if {"context_length", "max_tokens"} & set(values) and tokens > context:
            self._notify("max_over_context", most=tokens, context=context)
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
            if change["name"] in BOUND:
                self.secrets.bind(change["name"], self._origin())

    def unset(self, names: Iterable[str]) -> Sequence[str]:
        """Let settings of this notebook go back to the profile, the environment or the built-in value.

        ``names`` are settings, or ``api_key``. Returns the names of those that changed; raises SettingError for an unknown name.
        """
        plain = {form.flag(name)[2:].replace("-", "_"): name for name in form.names()} | {"api_key": "api_key"}
        plain |= {name: name for name in form.names()}
        found = {name: plain.get(name.strip().lstrip("-").replace("-", "_")) for name in names}
        if unknown := [name for name, setting in found.items() if setting is None]:
            raise SettingError("setting-unknown", setting=unknown[0], known=", ".join(form.names()))
        origin, dropped = self._origin(), {setting for setting in found.values() if setting}
        self._typed -= dropped
        self._detected -= dropped
        if "api_key" in dropped:
            self.secrets.forget_typed_key()
        return self._merge(origin)

    # Profiles.

    @property
    def profile(self) -> str:
        """The name of the profile in use, which need not exist."""
        return self._layers.profile

    def profile_state(self) -> str:
        """Return what is known of it: ``broken`` and why, ``unsaved``, or ``unverified`` or ``path`` with its file."""
        return self._layers.state(self.profile)

    def begin(self) -> None:
        """Read the profile ``default``, if there is one, and take over what the process demands that started this worker."""
        config_folder.sweep()
        self._layers.read(profiles.DEFAULT)
        self._merge(self._origin())
        self.configure(worker_settings.inherited())

    def require_profiles(self) -> None:
        """Raise SettingError where a profile in use cannot be read, as it may forbid what is about to happen.

        One that has been fixed or deleted meanwhile is read now.
        """
        origin = self._origin()
        if self._layers.read_broken():
            self._merge(origin)
        if self._layers.error:
            raise self._layers.error

    def use(self, name: str) -> Sequence[str]:
        """Use a profile in this notebook; return the names of the settings that changed. Raises SettingError.

        One that cannot be read is in use as well, and stops every request until it is fixed or another one is used.
        """
        if not profiles.exists(name := name.strip()):
            profiles.load(name)  # which raises
        origin = self._origin()
        for skipped in self._layers.use(name):
            self._notify("profile_skipped", profile=skipped)
        self._typed, self._detected = self._typed - self._detected, set()
        changed = self._merge(origin)
        self.require_profiles()
        for stays in sorted(set(self._layers.settings) & self._typed):
            value = getattr(self.settings, stays)
            if self._layers.source(stays) != "saved" and value != self._layers.settings[stays]:
                self._notify("stays", setting=stays, value=form.shown_on_line(stays, form.shown(value)))
        self.address  # noqa: B018 - raises AddressError, which names the file
        return changed

    def shown(self) -> Shown:
        """Return what the settings are now, the language aside."""
        return {**self._values(), "language": ""}, Secret(self.typed_address()[0])

    def save(self, name: str = "") -> Path:
        """Save what is shown, wherever each value is from, to a profile (empty: the one in use), which is in use then.

        Returns its file. It is marked as unverified unless a model has answered with these very settings. The address of a
        sandbox, which ends with this process, is not saved. Raises SettingError and AddressError.
        """
        name = name.strip() or self.profile
        values, kept = self._to_save(name)
        self._note_secrets()
        verified = self._proved == self.shown() and not kept
        path, aside = profiles.save(name, values, kept=kept, verified=verified)
        if aside:
            self._notify("profile_kept", path=aside)
        if kept:
            self._notify("sandbox_not_saved")
        if name == self.profile:
            self._layers.read(name)
        elif profiles.DEFAULT in self._layers.use(name):
            self._layers.read(profiles.DEFAULT)  # one that cannot be read still stops every request
        return path

    def _to_save(self, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
        """Return the settings with which a profile gives what is shown, and those that stay in it as they are."""
        below = {}
        if name != profiles.DEFAULT:  # which another kernel may have changed
            with suppress(SettingError):
                below = profiles.load(profiles.DEFAULT)
        values = {one: value for one, value in self._values().items() if value != form.default(one) or one in below}
        if self._origin() in self.sandboxes:
            return {one: value for one, value in values.items() if one not in _OF_SERVER}, _OF_SERVER
        # a name of a key goes nowhere without its address
        if name != profiles.DEFAULT or self.typed_address()[1] != "default" or {*BOUND, "key_store"} & set(values):
            values["base_url"] = self.address.url
        return values, ()

    def _note_secrets(self) -> None:
        if isinstance(proxy := self.settings.proxy, Secret):
            self._notify("proxy_not_saved", proxy=proxy)
        if any(isinstance(held, Secret) for _, held in self.settings.headers) or self.address.password or self.secrets.has_key:
            self._notify("secrets_not_saved")

    def confirm(self, shown: Shown) -> None:
        """Keep in mind that a model has answered with these settings, and mark the profile in use as verified if it holds them.

        Raises SettingError.
        """
        self._proved = shown
        if shown == self.shown():
            profiles.confirm(self.profile, self._to_save(self.profile)[0])

    def forget(self, name: str) -> Sequence[str]:
        """Delete a profile with the stored key of its address, unless another profile has that address.

        Returns the names of the settings that changed; raises SettingError if there is no such profile.
        """
        origin, name, found = self._origin(), name.strip(), {}
        with suppress(SettingError):
            found = profiles.load(name)
        profiles.forget(name)
        self._forget_key_of(found)
        self._layers.leave(name)
        return self._merge(origin)

    def _forget_key_of(self, forgotten: Mapping[str, Any]) -> None:
        store = forgotten.get("key_store", "notebook")
        others = []
        for name in profiles.names():
            with suppress(SettingError):
                others.append(_origin_of(profiles.load(name)))
        if store == "notebook" or (origin := _origin_of(forgotten)) in others:
            return
        try:
            keys.forget_key(origin, (store,))
        except SettingError as error:
            self._notify("key_stays", origin=origin, reason=error.facts["reason"])

    def export(self, path: str) -> None:
        """Write the resolved settings to a file, without keys; raises SettingError."""
        values = self.settings.changed()
        if self._origin() in self.sandboxes:
            values = {name: value for name, value in values.items() if name not in _OF_SERVER}
            self._notify("sandbox_not_saved")
        elif isinstance(values.get("base_url"), Secret):
            values["base_url"] = self.address.url
        self._note_secrets()
        profiles.export(Path(path), values)

    def read_file(self, path: str, confirm: profiles.Confirm) -> Sequence[str]:
        """Take the settings of a file for this notebook; return the names of those that changed. Raises SettingError."""
        return self.configure(profiles.imported(Path(path), confirm))

    def _merge(self, origin: str) -> Sequence[str]:
        """Set the values of the layers where this notebook typed none; return the names of those that changed.

        ``origin`` is that of the address before; secrets for it are dropped where it is another one now.
        """
        before, merged = self._values(), self._layers.settings
        self._is_merging = True
        try:
            for name in form.names():
                if name not in self._typed:
                    setattr(self.settings, name, merged.get(name, form.default(name)))
        finally:
            self._is_merging = False
        for name in BOUND:
            if name not in self._typed:
                self.secrets.bind(name, _origin_of(self._layers.layer(name)))
        if origin != self._origin():
            self.secrets.drop_foreign(self._origin())
        return [name for name, value in self._values().items() if value != before[name]]

    def _origin(self) -> str:
        """Return the origin of the address, or an empty text where that cannot be used."""
        try:
            return self.address.origin
        except AddressError:
            return ""

    def _notify(self, key: str, **facts: object) -> None:
        self.notices.append((key, facts))

    # The settings as a table.

    def described(self) -> Iterator[tuple[str, str, str]]:
        """Yield the profile and each setting with its value and its source; of the key, the source alone."""
        yield "profile", self.profile, self.profile_state()
        for name in form.names():
            if name == "base_url":
                source = f"over {self.overridden}" if self.overridden else self.typed_address()[1]
                try:
                    yield name, self.address.url, source
                except AddressError as error:
                    yield name, error.what, source
                yield "api_key", *describe_key(lambda: self.secrets.key(self.address))
            else:
                yield name, form.shown(getattr(self.settings, name)), self.source(name)

    def source(self, name: str) -> str:
        """Return the source of a value: notebook, detected, profile and its name, saved or default."""
        if name in self._detected:
            return "detected"
        if name in self._typed:
            return "notebook"
        return self._layers.source(name)

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self.settings, name) for name in form.names()}

    @contextmanager
    def restored_at_end(self) -> Iterator[None]:
        """Restore everything at the end of the ``with`` block, keys and sources too."""
        before, layers, proved = self._values(), self._layers.copy(), self._proved
        typed, secrets = set(self._typed), self.secrets.state()
        try:
            yield
        finally:
            self._assign(before)
            self._layers, self._proved, self._typed, self.notices = layers, proved, typed, []
            self.secrets.restore(secrets)
