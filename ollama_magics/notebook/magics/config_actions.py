"""Carry out the options of %ollama_config: set values, hold the key, save and load profiles, and report each."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterable
from getpass import getpass
from typing import Any

from ollama_magics import messages
from ollama_magics.errors import SettingError
from ollama_magics.notebook.display import lines
from ollama_magics.secret import Secret
from ollama_magics.session.session import Session
from ollama_magics.settings import form, profiles
from ollama_magics.settings.values import clean_key


def run(session: Session, options: Namespace) -> bool:
    """Carry out the options, values before what is saved; return whether there were any. Raises SettingError."""
    actions = [(name, act) for name, act in _ACTIONS.items() if getattr(options, name, None) not in (None, False)]
    values = {name: getattr(options, name) for name in form.form() if getattr(options, name) is not None}
    early = [(name, act) for name, act in actions if name in ("profile", "import_file")]
    try:
        for name, act in early:
            act(session, getattr(options, name))
        if values:
            _say_changed(session, session.configure(values))
        for name, act in actions[len(early) :]:
            act(session, getattr(options, name))
    finally:
        lines.say_notices(session.resolved.take_notices(), session.language)
    return bool(values or actions)


def _say_changed(session: Session, names: Iterable[str]) -> None:
    for name in names:
        why = session.address_told() if name == "base_url" and session.address.reasons else ""
        lines.say_set(name, form.shown(getattr(session.settings, name)), why, session.language)


def _use(session: Session, name: str) -> None:
    changed = session.resolved.use(name)
    session.forget_models()
    lines.say("profile_used", session.language, profile=name)
    _say_changed(session, changed)


def _import(session: Session, path: str) -> None:
    changed = session.resolved.read_file(path)
    session.forget_models()
    _say_changed(session, changed)


def _hold_key(session: Session, typed: Any) -> None:
    origin = session.address.origin
    key = _ask_key(messages.phrase("key_prompt", session.language, origin=origin)) if typed == "?" else _clean(typed)
    session.resolved.hold_key(key)
    lines.say("key_set" if key else "key_gone", session.language, origin=origin)


def _ask_key(prompt: str) -> Secret | None:
    try:
        return _clean(getpass(prompt))
    except NotImplementedError:  # ipykernel raises it if the front end cannot ask
        raise SettingError("key-not-asked", reason=messages.Phrase("cannot_ask")) from None
    except EOFError:
        raise SettingError("key-not-asked", reason=messages.Phrase("no_terminal")) from None


def _clean(typed: Any) -> Secret | None:
    text = typed.reveal() if isinstance(typed, Secret) else str(typed)
    return clean_key(text) if text.strip() else None


def _save(session: Session, name: str) -> None:
    lines.say("profile_saved", session.language, path=session.resolved.save(name))


def _forget(session: Session, name: str) -> None:
    profiles.forget(name)
    lines.say("profile_forgotten", session.language, profile=name)


def _export(session: Session, path: str) -> None:
    session.resolved.export(path)
    lines.say("exported", session.language, path=path)


def _list(session: Session, _: object) -> None:
    names = profiles.names()
    lines.say_lines(names or [messages.phrase("no_profiles", session.language)])


def _record(session: Session, path: str) -> None:
    session.record(path)
    lines.say("recording", session.language, path=path)


# option: what it does, in the order of execution
_ACTIONS: dict[str, Callable[[Session, Any], None]] = {
    "profile": _use,
    "import_file": _import,
    "api_key": _hold_key,
    "record": _record,
    "save": _save,
    "export": _export,
    "forget": _forget,
    "profiles": _list,
}
