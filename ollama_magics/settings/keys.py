"""Keep API keys by origin, such as ``http://host:11434``, in the system's keyring or in a file of ours."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from ollama_magics.errors import SettingError
from ollama_magics.files import make_private
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret
from ollama_magics.settings import config_folder
from ollama_magics.settings.config_folder import file_errors, folder
from ollama_magics.settings.values import clean_key

_SERVICE, _FILE = "ollama_magics", "keys.toml"


def stored_key(where: str, origin: str) -> Secret | None:
    """Return the key of an origin from the ``keyring`` or the ``file``.

    Raises SettingError: key-not-stored where the keyring cannot be used, file-unusable where the file cannot be read.
    """
    found = _keyring("get_password", origin) if where == "keyring" else _keys().get(origin)
    kept = Secret(str(found).strip() if found else "")
    return clean_key(kept) if kept else None


def store_key(where: str, origin: str, key: Secret) -> None:
    """Keep the key of an origin in the ``keyring``, the ``file`` or (only) the ``notebook``; raises SettingError."""
    if where == "keyring":
        _keyring("set_password", origin, key.reveal())
    if where == "file":
        _change_file(origin, key)
    else:
        _change_file(origin, None)  # an earlier one is not the key any more


def forget_key(origin: str, stores: Iterable[str] = ("file", "keyring")) -> None:
    """Delete the key of an origin from these stores; raises SettingError where a key may have stayed."""
    for where in stores:
        if where == "file":
            _change_file(origin, None)
            continue
        try:
            if _keyring("get_password", origin) is not None:
                _keyring("delete_password", origin)
        except SettingError as error:
            if not error.facts.get("empty"):
                raise SettingError("key-not-removed", origin=origin, reason=error.facts["reason"]) from None


def _change_file(origin: str, key: Secret | None) -> None:
    if key is None and not (config_folder.has_folder() and origin in _keys()):
        return
    with config_folder.locked() as place:
        keys = {name: held for name, held in _keys().items() if name != origin}
        if key is not None:
            keys[origin] = key.reveal()
        config_folder.write(place / _FILE, tomlkit.dumps(keys))


def _keys() -> dict[str, Any]:
    path = folder() / _FILE
    try:
        with file_errors(path):
            if not path.exists():
                return {}
            make_private(path)
            return dict(tomlkit.parse(config_folder.read_text(path)).unwrap())
    except (TOMLKitError, ValueError, RecursionError) as error:  # the message of a TOMLKitError may quote a key
        reason = error.args[0] if error.args and isinstance(error.args[0], Phrase) else Phrase("no_toml")
        raise SettingError("file-unusable", path=path, reason=reason).with_advice(remedy=Phrase("fix_keys")) from None


def _keyring(call: str, *words: str) -> Any:
    """Call a function of the package keyring; raises SettingError, with the fact ``empty`` where it can hold nothing."""
    empty = ""
    try:
        return getattr(import_module("keyring"), call)(_SERVICE, *words)
    except ImportError:
        reason, empty = Phrase("no_keyring"), "yes"
    except Exception as error:  # noqa: BLE001 - each backend has its own errors, and their text may hold the key
        reason = Phrase("broken_keyring", kind=type(error).__name__)
        with suppress(ImportError, AttributeError):
            empty = "yes" if isinstance(error, import_module("keyring.errors").NoKeyringError) else ""
    raise SettingError("key-not-stored", reason=reason, empty=empty)
