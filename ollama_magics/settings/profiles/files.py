"""One file for each profile, in TOML, without any key."""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret
from ollama_magics.settings import form as form_module
from ollama_magics.settings.profiles.folder import folder, locked, replace, set_aside, told

_FORMAT = 1
_UNVERIFIED = "unverified"
_LARGEST = 1_000_000  # bytes
_HEAD = "A profile of ollama_magics. No key belongs here: api_key_env names the variable that holds it."
_NAME = re.compile(r"\w(?:[\w .+-]{0,62}[\w+-])?")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)  # names that Windows does not take
# A file from elsewhere must not choose what of this machine's secrets is sent to the address in it.
_NOT_FOR_OTHERS = ("api_key_env", "headers", "key_store")


def names() -> list[str]:
    """Return the names of the profiles in alphabetical order; raises SettingError where the folder cannot be read."""
    place = folder()
    with told(place):
        return sorted(path.stem for path in place.glob("*.toml") if _is_name(path.stem) and path.name != "keys.toml")


def load(name: str) -> dict[str, Any]:
    """Return the settings of a profile; raises SettingError where there is none, or none that can be read.

    A broken file is set aside under another name; one of a newer version stays for that version.
    """
    path = _path(name)
    with told(path):
        found = path.exists()
    if not found:
        raise SettingError("OM-S06", profile=name, known=_known_names())
    return _settings(_document(path), path)


def save(name: str, values: Mapping[str, Any], *, removed: Iterable[str] = (), whole: bool, verified: bool | None = None) -> Path:
    """Write settings into a profile and return its file: all of it where ``whole``, else these and not the ``removed`` ones.

    What others wrote meanwhile into the rest of it, comments included, stays. Raises SettingError; a newer file stays.
    ``verified`` says whether a check has passed with them; None leaves that as it stands in the file.
    """
    path = _path(name)
    with locked():
        document = _document(path) if path.exists() else _empty()
        table = tomlkit.table() if whole else document.get("settings", tomlkit.table())
        for gone in removed:
            table.pop(gone, None)
        table.update(_plain(values))
        document["settings"] = table
        if verified is not None:
            _mark(document, unverified=not verified)
        replace(path, tomlkit.dumps(document))
    return path


def is_unverified(name: str) -> bool:
    """Return whether a profile is there and was saved without a check that passed; raises SettingError."""
    path = _path(name)
    with told(path):
        return path.exists() and _document(path).get(_UNVERIFIED) is True


def confirm(name: str, values: Mapping[str, Any]) -> None:
    """Take the mark *unverified* off a profile, if it holds just these settings, whatever the language; raises SettingError."""
    if not is_unverified(name):
        return
    path, held = _path(name), _plain(values)
    with locked():
        document = _document(path)
        if _in_any_language(document.get("settings", {})) == _in_any_language(held):
            _mark(document, unverified=False)
            replace(path, tomlkit.dumps(document))


def _in_any_language(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != "language"}


def _mark(document: Any, *, unverified: bool) -> None:
    document.pop(_UNVERIFIED, None)
    if unverified:
        document[_UNVERIFIED] = True


def forget(name: str) -> None:
    """Remove a profile; raises SettingError where there is none."""
    path = _path(name)
    with locked():
        if not path.exists():
            raise SettingError("OM-S06", profile=name, known=_known_names())
        path.unlink()


def export(path: Path, values: Mapping[str, Any]) -> None:
    """Write settings to a file for others, without keys and where they are; raises SettingError, also over a stranger's file."""
    path = path.expanduser()
    with told(path, Phrase("another_file")):
        if path.exists():
            _document(path, aside=False)
        document = _empty()
        document["settings"] = _plain({name: value for name, value in values.items() if name not in _NOT_FOR_OTHERS})
        replace(path.absolute(), tomlkit.dumps(document))


def imported(path: Path) -> dict[str, Any]:
    """Return the settings in a file from elsewhere, without those that name secrets of this machine; raises SettingError."""
    path = path.expanduser()
    with told(path, Phrase("another_file")):
        found = _settings(_document(path, aside=False), path)
    return {name: value for name, value in found.items() if name not in _NOT_FOR_OTHERS}


def _path(name: str) -> Path:
    plain = unicodedata.normalize("NFC", name.strip())
    if not _is_name(plain):
        raise SettingError("OM-S05", profile=repr(name[:60]))
    return folder() / f"{plain}.toml"


def _known_names() -> str | Phrase:
    return ", ".join(names()) or Phrase("none_saved")


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not _DEVICES.fullmatch(name) and name.lower() != "keys"


def _empty() -> Any:
    document = tomlkit.document()
    document.add(tomlkit.comment(_HEAD))
    document["format"] = _FORMAT
    return document


def _document(path: Path, *, aside: bool = True) -> Any:
    try:
        document = tomlkit.parse(path.read_bytes()[:_LARGEST].decode())
        _look_at_format(document)
    except (TOMLKitError, ValueError) as error:
        kept = set_aside(path) if aside else path
        reason = error.args[0] if error.args and isinstance(error.args[0], Phrase) else f"{error}".rstrip(".")
        raise SettingError("OM-S07", path=path, reason=reason, kept=kept) from None
    if document["format"] > _FORMAT:
        raise SettingError("OM-S08", path=path, version=document["format"])
    return document


def _look_at_format(document: Any) -> None:
    version = document.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(Phrase("no_format"))
    if version == _FORMAT and not isinstance(document.get("settings", {}), Mapping):
        raise ValueError(Phrase("no_table"))


def _settings(document: Any, path: Path) -> dict[str, Any]:
    form = form_module.OllamaSettings()
    found = document.get("settings", {}).unwrap() if "settings" in document else {}
    for name, value in found.items():
        _known(name, path)
        try:
            setattr(form, name, _lines(value) if name == "headers" else value)
        except SettingError as error:
            raise SettingError("OM-S10", path=path, name=name, reason=error.facts.get("reason", Phrase("a_secret"))) from None
    return {name: getattr(form, name) for name in found}


def _known(name: str, path: Path) -> None:
    if name not in form_module.form():
        near = difflib.get_close_matches(name, form_module.form(), n=1)
        reason = Phrase("near_setting", near=near[0]) if near else Phrase("unknown_setting")
        raise SettingError("OM-S10", path=path, name=name, reason=reason)


def _lines(value: Any) -> Any:
    # as text, so that only names of variables are taken
    return "\n".join(f"{name}: {held}" for name, held in value.items()) if isinstance(value, Mapping) else value


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: plain for name, value in values.items() if (plain := _without_keys(value)) not in (None, (), [], {}, "")}


def _without_keys(value: Any) -> Any:
    if isinstance(value, Secret):
        return None
    if not isinstance(value, tuple):
        return value
    if all(isinstance(part, tuple) for part in value):
        return {name: held for name, held in value if isinstance(held, str)}
    return list(value)
