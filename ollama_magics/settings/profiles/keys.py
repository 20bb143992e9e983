"""Keys that the person asked to keep: in the keyring of the system, or in a file that only the person can read."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret
from ollama_magics.settings import hidden
from ollama_magics.settings.profiles.folder import folder, locked, private, replace, told

_SERVICE = "ollama_magics"


def stored(where: str, origin: str) -> Secret | None:
    """Return the key of an origin from the ``keyring`` or the ``file``, or None; raises SettingError."""
    if where == "keyring":
        found = _keyring("get_password", origin)
    else:
        path = folder() / "keys.toml"
        with told(path):
            found = _keys(path).get(origin)
    return hidden.clean_key(str(found)) if found else None


def store(where: str, origin: str, key: Secret | None) -> None:
    """Keep the key of an origin, or forget it where it is None; raises SettingError."""
    if where == "file":
        _write(origin, key)
    elif key is not None:
        _keyring("set_password", origin, key.reveal())
    elif _keyring("get_password", origin) is not None:
        _keyring("delete_password", origin)


def _write(origin: str, key: Secret | None) -> None:
    with locked() as place:
        path = place / "keys.toml"
        keys = _keys(path)
        keys.pop(origin, None)
        if key is not None:
            keys[origin] = key.reveal()
        replace(path, tomlkit.dumps(keys))


def _keys(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        return dict(tomlkit.parse(private(path).read_text(encoding="utf-8")).unwrap())
    except (TOMLKitError, ValueError):  # whose own words may quote a key
        raise SettingError("OM-S09", path=path, reason=Phrase("no_toml")) from None


def _keyring(call: str, *words: str) -> Any:
    try:
        return getattr(import_module("keyring"), call)(_SERVICE, *words)
    except ImportError:
        reason = Phrase("no_keyring")
    except Exception as error:  # noqa: BLE001 - each backend has errors of its own, and their text may hold what was kept
        reason = Phrase("broken_keyring", kind=type(error).__name__)
    raise SettingError("OM-S12", reason=reason)
