"""Save settings by name in TOML files."""

from __future__ import annotations

import difflib
import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret
from ollama_magics.settings import config_folder, form
from ollama_magics.settings.config_folder import file_errors, folder
from ollama_magics.settings.form import OllamaSettings

DEFAULT = "default"
_FORMAT = 1
_UNVERIFIED = "unverified"
_HEAD = "A profile of ollama_magics. No key belongs here: api_key_env names the variable that holds it."
_NAME = re.compile(r"\w(?:[\w .+-]{0,62}[\w+-])?")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)  # names that Windows does not take
# A file from elsewhere must not choose which secrets of this machine are sent to the address in it.
_NOT_EXPORTED = ("api_key_env", "headers", "key_store")
# Nor may it let another machine read what is sent, unless the user agrees: the values with which none does.
_CLOSED = {"proxy": ("", "none"), "ca_bundle": ("",), "local_only": ("yes",)}
Confirm = Callable[[str, Any], bool]


def names() -> list[str]:
    """Return the names of the saved profiles in alphabetical order; raises SettingError if the folder cannot be read."""
    if not config_folder.has_folder():
        return []
    place = folder()
    with file_errors(place):
        if not os.path.lexists(place):
            return []
        found = [Path(name) for name in os.listdir(place) if name.endswith(".toml")]  # noqa: PTH208 - glob hides errors
    return sorted(path.stem for path in found if _is_name(path.stem))


def exists(name: str) -> bool:
    """Return whether there is a profile of this name, be it readable or not; raises SettingError."""
    if not config_folder.has_folder():
        return False
    path = path_of(name)
    with file_errors(path):
        try:
            path.lstat()
        except FileNotFoundError:
            return False
    return True


def load(name: str) -> dict[str, Any]:
    """Return the settings of a profile by name.

    Raises SettingError if it does not exist (profile-unknown), is broken (profile-unreadable), was written by a newer version
    (profile-too-new), or has a wrong setting (profile-invalid). The file stays as it is.
    """
    path = _existing(name)
    return _settings(_document(path), path)


def save(name: str, values: Mapping[str, Any], *, kept: tuple[str, ...] = (), verified: bool = True) -> tuple[Path, Path | None]:
    """Write exactly these settings to a profile; return its file, and where a former one that was broken has been kept.

    An empty value is written, too. Of the former settings the ``kept`` ones stay, and comments beside those that are set again.
    ``verified`` says whether a check has passed with the settings. Raises SettingError; a file of a newer version stays.
    """
    path, aside = path_of(name), None
    with config_folder.locked(), file_errors(path):
        document = _empty()
        if os.path.lexists(path):
            try:
                document = _document(path)
            except SettingError as error:
                if error.code == "profile-too-new":
                    raise
                aside = config_folder.set_aside(path)
        table = document.setdefault("settings", tomlkit.table())
        for gone in [one for one in table if one not in values and one not in kept]:
            table.pop(gone)
        table.update(_plain(values))
        document.pop(_UNVERIFIED, None)
        if not verified:
            document[_UNVERIFIED] = True
        config_folder.write(path, tomlkit.dumps(document))
    return path, aside


def is_unverified(name: str) -> bool:
    """Return whether a profile exists and was saved without a passed check; raises SettingError."""
    return exists(name) and _document(path_of(name)).get(_UNVERIFIED) is True


def confirm(name: str, values: Mapping[str, Any]) -> None:
    """Mark a profile as verified if it holds exactly these settings, the language aside; raises SettingError."""
    if not is_unverified(name):
        return
    path, held = path_of(name), _plain(values)
    with config_folder.locked():
        document = _document(path)
        saved = dict(document.get("settings", {}))
        for settings in (saved, held):
            settings.pop("language", None)
        if saved == held:
            document.pop(_UNVERIFIED, None)
            config_folder.write(path, tomlkit.dumps(document))


def forget(name: str) -> None:
    """Delete a profile; raises SettingError if it does not exist. What is no file, such as a folder, is renamed."""
    path = _existing(name)
    with config_folder.locked(), file_errors(path):
        if path.is_file() or path.is_symlink():
            path.unlink()
        else:
            config_folder.set_aside(path)


def export(path: Path, values: Mapping[str, Any]) -> None:
    """Write settings to a file for others, without keys or the names that lead to them.

    Raises SettingError, also if the file exists and is not a profile.
    """
    path = path.expanduser()
    with _not_of_ours(path):
        if path.exists():
            _document(path)
        document = _empty()
        document["settings"] = _plain({name: value for name, value in values.items() if name not in _NOT_EXPORTED})
        config_folder.write(path.absolute(), tomlkit.dumps(document))


def imported(path: Path, confirm: Confirm) -> dict[str, Any]:
    """Return the settings of an exported file, without those that name secrets of this machine; raises SettingError.

    ``confirm`` gets the name and the value of each setting that lets another machine read what is sent, and returns whether
    it is taken.
    """
    path = path.expanduser()
    with _not_of_ours(path):
        path.stat()
        found = _settings(_document(path), path)
    mine = {name: value for name, value in found.items() if name not in _NOT_EXPORTED}
    return {name: value for name, value in mine.items() if value in _CLOSED.get(name, (value,)) or confirm(name, value)}


@contextmanager
def _not_of_ours(path: Path) -> Iterator[None]:
    """Let errors about a file outside of our folder advise to use another one."""
    try:
        with file_errors(path):
            yield
    except SettingError as error:
        raise error.with_advice(remedy=Phrase("another_file")) from None


def path_of(name: str) -> Path:
    """Return the file of a profile; raises SettingError where it cannot be a name."""
    plain = unicodedata.normalize("NFC", name.strip())
    if not _is_name(plain):
        raise SettingError("profile-name-invalid", profile=repr(name[:60]))
    return folder() / f"{plain}.toml"


def _existing(name: str) -> Path:
    path = path_of(name)
    if not exists(name):
        raise SettingError("profile-unknown", profile=name, known=", ".join(names()) or Phrase("none_saved"))
    return path


def _is_name(name: str) -> bool:
    return bool(_NAME.fullmatch(name)) and not _DEVICES.fullmatch(name) and name.lower() != "keys"


def _empty() -> Any:
    document = tomlkit.document()
    document.add(tomlkit.comment(_HEAD))
    document["format"] = _FORMAT
    return document


def _document(path: Path) -> Any:
    """Return the parsed file; raises SettingError where it is not a profile or of a newer version."""
    try:
        document = tomlkit.parse(config_folder.read_text(path))
        version = _format(document)
    except OSError as error:
        raise _unreadable(path, Phrase("system_said", said=error.strerror or error)) from None
    except (TOMLKitError, ValueError, RecursionError) as error:
        reason = error.args[0] if error.args and isinstance(error.args[0], Phrase) else f"{error}".rstrip(".") + "."
        raise _unreadable(path, reason) from None
    if version > _FORMAT:
        raise SettingError("profile-too-new", path=path, version=version, profile=path.stem)
    return document


def _unreadable(path: Path, reason: str | Phrase) -> SettingError:
    return SettingError("profile-unreadable", path=path, reason=reason, profile=path.stem)


def _format(document: Any) -> int:
    """Return the version of the file format; raises ValueError if the file is not a profile."""
    version = document.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(Phrase("no_format"))
    if version == _FORMAT and not isinstance(document.get("settings", {}), Mapping):
        raise ValueError(Phrase("no_table"))
    # a setting outside of the table would be ignored, and it may be the one that keeps texts on this machine
    if version == _FORMAT and (stray := [name for name in document if name not in ("format", "settings", _UNVERIFIED)]):
        raise ValueError(Phrase("stray_line", name=stray[0]))
    return version


def _settings(document: Any, path: Path) -> dict[str, Any]:
    """Return the validated settings of a parsed file."""
    settings = OllamaSettings()
    found = document.get("settings", {}).unwrap() if "settings" in document else {}
    for name, value in found.items():
        if name not in form.names():
            near = difflib.get_close_matches(name, form.names(), n=1)
            reason = Phrase("near_setting", near=near[0]) if near else Phrase("unknown_setting")
            raise SettingError("profile-invalid", path=path, name=name, reason=reason, profile=path.stem)
        pairs = value.items() if name == "headers" and isinstance(value, Mapping) else None
        try:  # headers as text, in which only names of variables are accepted
            setattr(settings, name, value if pairs is None else "\n".join(f"{header}: {text}" for header, text in pairs))
        except SettingError as error:
            reason = error.facts.get("reason", Phrase("a_secret"))
            raise SettingError("profile-invalid", path=path, name=name, reason=reason, profile=path.stem) from None
    return {name: getattr(settings, name) for name in found}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as TOML can hold them, without secrets; None is an empty text."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Secret):
            continue
        if isinstance(value, tuple):
            pairs = bool(value) and all(isinstance(part, tuple) for part in value)
            plain[name] = {header: text for header, text in value if isinstance(text, str)} if pairs else list(value)
        else:
            plain[name] = "" if value is None else value
    return {name: value for name, value in plain.items() if value != {}}
