"""What the environment, a caller and the form say, looked at: whether it is there, known, and can hold together."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from ollama_magics.errors import AddressError, SettingError
from ollama_magics.server.address.reading import parse
from ollama_magics.settings import form, hidden
from ollama_magics.settings.form import OllamaSettings

Notice = tuple[str, dict[str, object]]  # the key of a phrase, and its facts


def contradictions(chosen: OllamaSettings) -> list[Notice]:
    """Return what cannot hold together; nothing is changed for it."""
    if chosen.max_tokens <= chosen.context_length:
        return []
    return [("max_over_context", {"most": chosen.max_tokens, "context": chosen.context_length})]


def is_bind(host: str) -> bool:
    """Return whether an address says where a server listens, as 0.0.0.0 does, and not where one is."""
    try:
        return parse(host).from_bind
    except AddressError:
        return False


def variable(name: str, setting: str) -> str:
    """Return the key that an environment variable holds; raises SettingError where it holds none."""
    held = os.environ.get(name, "").strip()
    if not held:
        raise SettingError("OM-S11", name=name)
    return hidden.clean_key(held, setting).reveal()


def key_told(find: Callable[[], tuple[str, str]]) -> tuple[str, str]:
    """Return what may be shown of a key and its source, which ``find`` gives, or of why there is none."""
    try:
        key, source = find()
    except SettingError as error:
        return error.what, "default"
    return ("••••" if key else ""), source or "default"


def require_known(values: Mapping[str, Any]) -> None:
    """Raise SettingError for a name that is no setting."""
    for name in values:
        if name not in form.form():
            known = ", ".join(form.form())
            raise SettingError("OM-S03", setting=name, known=known)
