"""Hold the profiles that a notebook reads: the one named default and, over it, the one that the notebook uses."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from ollama_magics.errors import SettingError
from ollama_magics.settings import profiles
from ollama_magics.settings.profiles import DEFAULT


class ProfileLayers:
    """The settings of the profiles in use; one that cannot be read is remembered, as it may forbid what comes next."""

    def __init__(self) -> None:
        self.named = ""  # the profile that this notebook uses, or an empty text
        self._settings: dict[str, dict[str, Any]] = {}  # by the name of the profile
        self._broken: dict[str, SettingError] = {}

    @property
    def profile(self) -> str:
        """The name of the profile in use, which need not exist."""
        return self.named or DEFAULT

    def read(self, name: str) -> None:
        """Read a profile, if it exists, or keep the error until it is read again."""
        self._settings.pop(name, None)
        try:
            if profiles.exists(name):
                self._settings[name] = profiles.load(name)
        except SettingError as error:
            self._broken[name] = error
        else:
            self._broken.pop(name, None)

    def read_broken(self) -> bool:
        """Read those again that could not be read; return whether one of them can be read now, or is gone."""
        before = set(self._broken)
        for name in before:
            self.read(name)
        return set(self._broken) != before

    def use(self, name: str) -> list[str]:
        """Use a profile; return the names of those that could not be read and do not count any more."""
        skipped = [broken for broken in self._broken if broken != name]
        self._broken.clear()
        self.named = name
        self.read(name)
        return skipped

    def leave(self, name: str) -> None:
        """Go on without a profile."""
        self._settings.pop(name, None)
        self._broken.pop(name, None)
        if name == self.named:
            self.named = ""

    def state(self, name: str) -> str:
        """Return what is known of a profile: ``broken`` and why, ``unsaved``, or ``unverified`` or ``path`` with its file."""
        if self.error:
            return f"broken {self.error.what}"
        with suppress(SettingError):
            if profiles.exists(name):
                return f"{'unverified' if profiles.is_unverified(name) else 'path'} {profiles.path_of(name)}"
        return "unsaved"

    @property
    def error(self) -> SettingError | None:
        """Why a profile in use cannot be read."""
        return next(iter(self._broken.values()), None)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of both, those of the named one over those of the other."""
        return {**self._settings.get(DEFAULT, {}), **self._settings.get(self.named, {})}

    def layer(self, setting: str) -> Mapping[str, Any]:
        """Return the settings of the profile that a setting is from."""
        named = self._settings.get(self.named, {})
        return named if setting in named else self._settings.get(DEFAULT, {})

    def source(self, setting: str) -> str:
        """Return the source of a setting: ``profile`` and its name, ``saved`` or ``default``."""
        if setting in self._settings.get(self.named, {}):
            return f"profile {self.named}"
        return "saved" if setting in self._settings.get(DEFAULT, {}) else "default"

    def copy(self) -> ProfileLayers:
        """Return one that later changes do not touch."""
        found = copy.copy(self)
        found._settings, found._broken = dict(self._settings), dict(self._broken)  # noqa: SLF001 - its own class
        return found
