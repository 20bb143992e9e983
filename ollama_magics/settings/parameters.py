"""Refuse parameters of another type than a call takes, before anything is sent."""

from __future__ import annotations

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase

_NO_SWITCHES = (str, bytes, list, tuple, dict, set)


def require(name: str, given: object, wanted: str, example: str, *, fits: bool) -> None:
    """Raise SettingError where a parameter has another type than the ``wanted`` one, which is shown as text."""
    if not fits:
        reason = Phrase("need_type", wanted=wanted, kind=type(given).__name__)
        raise SettingError("setting-invalid", value=repr(str(given)[:60]), setting=name, reason=reason, example=example)


def require_switch(name: str, given: object) -> None:
    """Raise SettingError where a text or a collection is no bool: "no" would be true, and an empty list false."""
    require(name, given, "bool", f"{name}=True", fits=not isinstance(given, _NO_SWITCHES))


def require_some(name: str, given: object, example: str) -> None:
    """Raise SettingError where a list is empty, which would mean the same as none."""
    if isinstance(given, (list, tuple, set, frozenset, dict)) and not given:
        reason = Phrase("empty_kind", kind=type(given).__name__)
        raise SettingError("setting-invalid", value=repr(given), setting=name, reason=reason, example=example)
