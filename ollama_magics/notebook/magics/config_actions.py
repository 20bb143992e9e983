"""Carry out the options of %ollama_config: set values, hold the key, save and load profiles, and report each."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterable
from functools import partial
from getpass import getpass
from typing import Any

from IPython.core.error import StdinNotImplementedError

from ollama_magics import messages
from ollama_magics.errors import Interrupted, SettingError
from ollama_magics.notebook.arguments import ASK
from ollama_magics.notebook.display import lines
from ollama_magics.secret import Secret
from ollama_magics.session.session import Session
from ollama_magics.settings import form, profiles
from ollama_magics.settings.values import clean_key

# In the order of execution; the first ones before values are set.
_OPTIONS = ("unset", "profile", "import_file", "api_key", "record", "save", "export", "forget", "profiles")
_BEFORE_VALUES = ("unset", "profile", "import_file")


def run(session: Session, options: Namespace) -> bool:
    """Carry out the options, values before what is saved; return whether there were any. Raises SettingError."""
    typed = {name: value for name in _OPTIONS if (value := getattr(options, name, None)) not in (None, False)}
    values = {name: value for name in form.names() if (value := getattr(options, name)) is not None}
    for name in [name for name in typed if name in _BEFORE_VALUES]:
        _carry_out(session, name, typed[name])
    if values:
        _say_changed(session, session.configure(values))
    for name in [name for name in typed if name not in _BEFORE_VALUES]:
        _carry_out(session, name, typed[name])
    return bool(values or typed)


def _carry_out(session: Session, option: str, value: Any) -> None:
    match option:
        case "profile":
            changed = session.resolved.use(value)
            session.forget_models()
            lines.say("profile_used", session.language, profile=value)
            _say_changed(session, changed)
        case "import_file":
            changed = session.resolved.read_file(value, partial(_takes, session, value))
            session.forget_models()
            _say_changed(session, changed)
        case "unset":
            changed = session.resolved.unset(value)
            session.forget_models()
            _say_changed(session, changed)
        case "api_key":
            origin = session.address.origin
            key = _ask_key(session.language, origin) if value == ASK else _clean(value)
            session.resolved.secrets.hold_key(key)
            lines.say("key_set" if key else "key_gone", session.language, origin=origin)
        case "record":
            session.record(value)
            lines.say("recording" if session.is_recorded else "recording_ended", session.language, path=value)
        case "save":
            path = session.resolved.save(value)
            is_proved = not profiles.is_unverified(session.resolved.profile)
            lines.say("profile_saved" if is_proved else "saved_unverified", session.language, path=path)
        case "export":
            session.resolved.export(value)
            lines.say("exported", session.language, path=value)
        case "forget":
            changed = session.resolved.forget(value)
            session.forget_models()
            lines.say("profile_forgotten", session.language, profile=value)
            _say_changed(session, changed)
        case "profiles":
            lines.say_lines(profiles.names() or [messages.phrase("no_profiles", session.language)])


def _takes(session: Session, path: str, name: str, value: Any) -> bool:
    """Return whether the user takes a setting of a file; where the front end cannot ask, it is not taken."""
    if getattr(session.settings, name) == value:
        return True
    language, label = session.language, messages.label(name, session.language)
    question = messages.phrase("import_asks", language, path=path, label=label, value=form.shown(value))
    try:
        if lines.is_confirmed(question):
            return True
    except (StdinNotImplementedError, EOFError):
        pass
    except KeyboardInterrupt:
        raise Interrupted(code="interrupted-import") from None
    lines.say("import_left_out", language, label=label, value=form.shown(value), option=f"--{name.replace('_', '-')}")
    return False


def _say_changed(session: Session, names: Iterable[str]) -> None:
    for name in names:
        why = session.address_told() if name == "base_url" and session.address.reasons else ""
        lines.say_set(name, form.shown(getattr(session.settings, name)), why, session.language)


def _ask_key(language: str, origin: str) -> Secret | None:
    try:
        return _clean(getpass(messages.phrase("key_prompt", language, origin=origin)))
    except KeyboardInterrupt:
        raise Interrupted(code="interrupted-key") from None
    except NotImplementedError:  # ipykernel raises it if the front end cannot ask
        raise SettingError("key-not-asked", reason=messages.Phrase("cannot_ask")) from None
    except EOFError:
        raise SettingError("key-not-asked", reason=messages.Phrase("no_terminal")) from None


def _clean(typed: Any) -> Secret | None:
    held = typed if isinstance(typed, Secret) else Secret(str(typed))
    return clean_key(held) if held.reveal().strip() else None
