"""Describe how a server is reached for other processes, with the name of a key's variable but never a key."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret, looks_like_key
from ollama_magics.server.address import parse
from ollama_magics.session.session import Session, current
from ollama_magics.settings.form import OllamaSettings

# The address of the environment is not among them: each machine has its own (OLLAMA_HOST there, else 127.0.0.1:11434).
_SENT_SETTINGS = (
    *("base_url", "model", "model_type", "embedding_model", "language"),
    *("connect_timeout", "first_token_timeout", "idle_timeout"),
    *("local_only", "proxy", "ca_bundle", "headers"),
)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_opening = threading.RLock()  # a worker process may begin with several threads at once


@dataclass(frozen=True)
class RemoteSession:
    """Settings that differ from their defaults, and the name of the environment variable with the key, if there is one.

    It can be pickled, compared and hashed, and means the same in every process; 127.0.0.1 is each machine's own.
    """

    settings: tuple[tuple[str, Any], ...] = ()
    api_key_env: str = ""

    def open(self) -> Session:
        """Return this process's session for it, made at first use; it ends with the process's own.

        Raises SettingError where the variable of the key is not set in this process (setting-invalid), or a profile is broken.
        """
        if self.api_key_env and not os.environ.get(self.api_key_env, "").strip():
            raise _invalid(Phrase("the_variable"), Phrase("unset_variable", name=self.api_key_env, process=os.getpid()))
        with _opening:
            own = current()
            own.resolved.require_profiles()
            if own.settings.local_only == "yes" and ("local_only", "yes") not in self.settings:
                settings = {**dict(self.settings), "local_only": "yes"}  # what holds in this process holds here as well
                return replace(self, settings=tuple(sorted(settings.items()))).open()
            if self not in own.others:
                other = Session(OllamaSettings())
                other.configure(dict(self.settings))
                other.recording = own.recording
                if self.api_key_env:
                    other.configure({"api_key_env": self.api_key_env})
                own.others[self] = other
                own.own(other.close)
            return own.others[self]


def describe_session(base_url: str = "", api_key_env: str = "", before: Mapping[str, Any] | None = None) -> RemoteSession:
    """Return how this notebook or script reaches its server, or the one at ``base_url`` with the key in ``api_key_env``.

    ``before`` holds settings that count where this process has set none. Headers go to the address that they were set for, so
    they stay here if another one is meant, or that of the environment. Raises SettingError (setting-invalid) where the address,
    the proxy or a header holds a secret instead of the name of its variable, and AddressError where the address cannot be used.
    """
    current().resolved.require_profiles()
    changed = current().settings.changed()
    chosen = {**(before or {}), **{name: changed[name] for name in _SENT_SETTINGS if name in changed}}
    if base_url:
        chosen["base_url"] = base_url
    refuse_secrets(chosen.get("base_url", ""), api_key_env)
    address = parse(chosen["base_url"]) if "base_url" in chosen else None
    if chosen.get("headers"):
        set_for = current().address if "headers" in changed else parse((before or {}).get("base_url", ""))
        if address is None or address.origin != set_for.origin:
            del chosen["headers"]
    if address and address.is_loopback:
        chosen.pop("proxy", None)  # which is for other machines
    for setting, held in (("proxy", chosen.get("proxy")), *(("headers", value) for _, value in chosen.get("headers", ()))):
        if isinstance(held, Secret):
            raise _cannot_travel(setting)
    return RemoteSession(tuple(sorted(chosen.items())), api_key_env)


def refuse_secrets(base_url: object, api_key_env: object) -> None:
    """Raise SettingError (setting-invalid) for a key in place of the name of its variable, or a password in an address.

    Both would be shown with an estimator, and would be sent to other machines in clear.
    """
    if isinstance(api_key_env, str) and api_key_env and (not _VARIABLE.fullmatch(api_key_env) or looks_like_key(api_key_env)):
        raise _invalid(Phrase("what_was_given"), Phrase("need_variable"))
    if isinstance(base_url, Secret):  # an address with a password, as the settings hold it
        raise _invalid(Phrase("the_address"), Phrase("clear_password"))
    if isinstance(base_url, str) and "@" in base_url and (parse(base_url).username or parse(base_url).password):
        raise _invalid(Phrase("the_address"), Phrase("clear_password"))


def _cannot_travel(setting: str) -> SettingError:
    example = '"X-Token: $VARIABLE"' if setting == "headers" else Phrase("proxy_variable")
    return SettingError(
        "setting-invalid", value=Phrase("what_was_given"), setting=setting, reason=Phrase("secret_stays"), example=example
    )


def _invalid(value: Phrase, reason: Phrase) -> SettingError:
    example = Phrase("name_variable")
    return SettingError("setting-invalid", value=value, setting="api_key_env", reason=reason, example=example)
