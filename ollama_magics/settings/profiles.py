"""Save settings by name in TOML files, and keep API keys by origin."""

from __future__ import annotations

import difflib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import platformdirs
import tomlkit
from tomlkit.exceptions import TOMLKitError

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret
from ollama_magics.settings import form
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.settings.values import clean_key

DEFAULT = "default"
_LOCK_TIMEOUT = 10.0  # seconds for another kernel that is writing
_LOCK_INTERVAL = 0.02  # seconds between two attempts
_TEMPORARY = ".writing-"  # how the name of a file begins that will replace another
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


def folder() -> Path:
    """Return the folder of profiles and keys: ``OLLAMA_MAGICS_CONFIG``, else the user's configuration folder.

    Raises SettingError if that is not an absolute path, as for a user without a home: it would depend on the notebook.
    """
    named = os.environ.get("OLLAMA_MAGICS_CONFIG", "").strip()
    path = Path(named) if named else platformdirs.user_config_path("ollama_magics", appauthor=False)
    if not path.is_absolute():
        raise SettingError("file-unusable", path=path, reason=Phrase("not_absolute" if named else "no_home"))
    return path


@contextmanager
def _locked() -> Iterator[Path]:
    """Yield the folder, created if needed, while no other kernel can write to it; raises SettingError."""
    import filelock  # noqa: PLC0415 - only a kernel that writes needs it

    place = folder()
    with _file_errors(place):
        place.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
        _make_private(place, _PRIVATE_FOLDER)
        lock = filelock.FileLock(place / ".lock", timeout=_LOCK_TIMEOUT, mode=_PRIVATE_FILE)
        try:
            lock.acquire(poll_interval=_LOCK_INTERVAL)
        except filelock.Timeout:
            raise SettingError("file-unusable", path=place, reason=Phrase("busy_folder")) from None
        except NotImplementedError as error:  # a file system without locks
            raise SettingError("file-unusable", path=place, reason=Phrase("system_said", said=error)) from None
        try:
            yield place
        finally:
            lock.release()


@contextmanager
def _file_errors(path: Path, remedy: Phrase | None = None) -> Iterator[None]:
    """Turn an OSError about a file into a SettingError; ``remedy`` replaces what the error advises."""
    try:
        yield
    except OSError as error:
        reason = Phrase("system_said", said=error.strerror or error)
        raise SettingError(
            "file-unusable", path=path if _is_temporary(error.filename) else error.filename or path, reason=reason
        ).with_advice(remedy=remedy) from None


def _is_temporary(name: object) -> bool:
    return isinstance(name, str) and Path(name).name.startswith(_TEMPORARY)


def _write(path: Path, text: str) -> None:
    """Replace a file by one with this text and mode 0600, all at once; an interrupt leaves the old one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=_TEMPORARY)  # with 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(temporary).unlink()
        raise


def _make_private(path: Path, mode: int) -> None:
    """Take the rights of other users away."""
    if os.name == "posix" and path.exists() and path.stat().st_mode & 0o077:
        path.chmod(mode)


_FORMAT = 1
_UNVERIFIED = "unverified"
_LARGEST = 1_000_000  # bytes
_HEAD = "A profile of ollama_magics. No key belongs here: api_key_env names the variable that holds it."
_NAME = re.compile(r"\w(?:[\w .+-]{0,62}[\w+-])?")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)  # names that Windows does not take
# A file from elsewhere must not choose which secrets of this machine are sent to the address in it.
_NOT_EXPORTED = ("api_key_env", "headers", "key_store")


def names() -> list[str]:
    """Return the names of the saved profiles in alphabetical order; raises SettingError if the folder cannot be read."""
    place = folder()
    with _file_errors(place):
        return sorted(path.stem for path in place.glob("*.toml") if _is_name(path.stem) and path.name != "keys.toml")


def load(name: str) -> dict[str, Any]:
    """Return the settings of a profile by name.

    Raises SettingError if it does not exist (profile-unknown), is broken (profile-unreadable: the file is renamed), was
    written by a newer version (profile-too-new: the file stays), or has a wrong setting (profile-invalid).
    """
    path = _path(name)
    with _file_errors(path):
        found = path.exists()
    if not found:
        raise SettingError("profile-unknown", profile=name, known=_known_names())
    return _settings(_document(path), path)


def save(name: str, values: Mapping[str, Any], *, removed: Iterable[str] = (), whole: bool, verified: bool | None = None) -> Path:
    """Write settings to a profile and return its file.

    ``whole`` replaces all settings of the file. Otherwise only ``values`` are set and the ``removed`` names deleted;
    other settings and comments stay, including those that another kernel wrote meanwhile.
    ``verified`` says whether a check has passed with the settings; None leaves the mark in the file as it is.
    Raises SettingError; a file of a newer version is not changed.
    """
    path = _path(name)
    with _locked():
        document = _document(path) if path.exists() else _empty()
        table = tomlkit.table() if whole else document.get("settings", tomlkit.table())
        for name_removed in removed:
            table.pop(name_removed, None)
        table.update(_plain(values))
        document["settings"] = table
        if verified is not None:
            document.pop(_UNVERIFIED, None)
        if verified is False:
            document[_UNVERIFIED] = True
        _write(path, tomlkit.dumps(document))
    return path


def is_unverified(name: str) -> bool:
    """Return whether a profile exists and was saved without a passed check; raises SettingError."""
    path = _path(name)
    with _file_errors(path):
        return path.exists() and _document(path).get(_UNVERIFIED) is True


def confirm(name: str, values: Mapping[str, Any]) -> None:
    """Mark a profile as verified if it holds exactly these settings, the language aside; raises SettingError."""
    if not is_unverified(name):
        return
    path, held = _path(name), _plain(values)
    with _locked():
        document = _document(path)
        saved = dict(document.get("settings", {}))
        for settings in (saved, held):
            settings.pop("language", None)
        if saved == held:
            document.pop(_UNVERIFIED, None)
            _write(path, tomlkit.dumps(document))


def forget(name: str) -> None:
    """Delete a profile; raises SettingError if it does not exist."""
    path = _path(name)
    with _locked():
        if not path.exists():
            raise SettingError("profile-unknown", profile=name, known=_known_names())
        path.unlink()


def export(path: Path, values: Mapping[str, Any]) -> None:
    """Write settings to a file for others, without keys or the names that lead to them.

    Raises SettingError, also if the file exists and is not a profile.
    """
    path = path.expanduser()
    with _file_errors(path, Phrase("another_file")):
        if path.exists():
            _document(path, aside=False)
        document = _empty()
        document["settings"] = _plain({name: value for name, value in values.items() if name not in _NOT_EXPORTED})
        _write(path.absolute(), tomlkit.dumps(document))


def imported(path: Path) -> dict[str, Any]:
    """Return the settings of an exported file, without those that name secrets of this machine; raises SettingError."""
    path = path.expanduser()
    with _file_errors(path, Phrase("another_file")):
        found = _settings(_document(path, aside=False), path)
    return {name: value for name, value in found.items() if name not in _NOT_EXPORTED}


def _path(name: str) -> Path:
    plain = unicodedata.normalize("NFC", name.strip())
    if not _is_name(plain):
        raise SettingError("profile-name-invalid", profile=repr(name[:60]))
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
    """Return the parsed file; one that is broken is renamed to a free name if ``aside``."""
    try:
        document = tomlkit.parse(path.read_bytes()[:_LARGEST].decode())
        version = _format(document)
    except (TOMLKitError, ValueError) as error:
        kept, number = path, 1
        if aside:
            while (kept := path.with_name(f"{path.name}.unreadable-{number}")).exists():
                number += 1
            path.rename(kept)
        reason = error.args[0] if error.args and isinstance(error.args[0], Phrase) else f"{error}".rstrip(".")
        raise SettingError("profile-unreadable", path=path, reason=reason, kept=kept) from None
    if version > _FORMAT:
        raise SettingError("profile-too-new", path=path, version=version)
    return document


def _format(document: Any) -> int:
    """Return the version of the file format; raises ValueError if the file is not a profile."""
    version = document.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(Phrase("no_format"))
    if version == _FORMAT and not isinstance(document.get("settings", {}), Mapping):
        raise ValueError(Phrase("no_table"))
    return version


def _settings(document: Any, path: Path) -> dict[str, Any]:
    """Return the validated settings of a parsed file."""
    settings = OllamaSettings()
    found = document.get("settings", {}).unwrap() if "settings" in document else {}
    for name, value in found.items():
        if name not in form.names():
            near = difflib.get_close_matches(name, form.names(), n=1)
            reason = Phrase("near_setting", near=near[0]) if near else Phrase("unknown_setting")
            raise SettingError("profile-invalid", path=path, name=name, reason=reason)
        pairs = value.items() if name == "headers" and isinstance(value, Mapping) else None
        try:  # headers as text, in which only names of variables are accepted
            setattr(settings, name, value if pairs is None else "\n".join(f"{header}: {text}" for header, text in pairs))
        except SettingError as error:
            reason = error.facts.get("reason", Phrase("a_secret"))
            raise SettingError("profile-invalid", path=path, name=name, reason=reason) from None
    return {name: getattr(settings, name) for name in found}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings as TOML can hold them, without secrets and without empty values."""
    plain: dict[str, Any] = {}
    for name, value in values.items():
        held: Any = None if isinstance(value, Secret) else value
        if isinstance(value, tuple):
            pairs = all(isinstance(part, tuple) for part in value)
            held = {header: text for header, text in value if isinstance(text, str)} if pairs else list(value)
        if held not in (None, [], {}, ""):
            plain[name] = held
    return plain


_SERVICE = "ollama_magics"


def stored_key(where: str, origin: str) -> Secret | None:
    """Return the key of an origin, such as ``http://host:11434``, from the ``keyring`` or the ``file``; raises SettingError."""
    if where == "keyring":
        found = _keyring("get_password", origin)
    else:
        path = folder() / "keys.toml"
        with _file_errors(path):
            found = _keys(path).get(origin)
    return clean_key(str(found)) if found else None


def store_key(where: str, origin: str, key: Secret | None) -> None:
    """Keep the key of an origin in the ``keyring`` or the ``file``; None deletes it. Raises SettingError."""
    if where == "keyring":
        if key is not None:
            _keyring("set_password", origin, key.reveal())
        elif _keyring("get_password", origin) is not None:
            _keyring("delete_password", origin)
        return
    with _locked() as place:
        path = place / "keys.toml"
        keys = _keys(path)
        keys.pop(origin, None)
        if key is not None:
            keys[origin] = key.reveal()
        _write(path, tomlkit.dumps(keys))


def _keys(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        _make_private(path, _PRIVATE_FILE)
        return dict(tomlkit.parse(path.read_text(encoding="utf-8")).unwrap())
    except (TOMLKitError, ValueError):  # its message may quote a key
        raise SettingError("file-unusable", path=path, reason=Phrase("no_toml")) from None


def _keyring(call: str, *words: str) -> Any:
    try:
        return getattr(import_module("keyring"), call)(_SERVICE, *words)
    except ImportError:
        reason = Phrase("no_keyring")
    except Exception as error:  # noqa: BLE001 - each backend has its own errors, and their text may hold the key
        reason = Phrase("broken_keyring", kind=type(error).__name__)
    raise SettingError("key-not-stored", reason=reason)
