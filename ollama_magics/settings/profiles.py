"""Named settings on disk in TOML files, and the keys that the user asked to keep."""

from __future__ import annotations

import difflib
import os
import re
import sys
import tempfile
import time
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
from ollama_magics.settings import secret_values
from ollama_magics.settings.form import OllamaSettings, form

DEFAULT = "default"
_LONGEST_WAIT = 10  # seconds for another kernel that is writing
_PRIVATE_FOLDER, _PRIVATE_FILE = 0o700, 0o600


class _BusyError(TimeoutError):
    """Another kernel has been writing for too long."""


def folder() -> Path:
    """Return where profiles and keys are: ``OLLAMA_MAGICS_CONFIG``, else the user's own folder for such files.

    Raises SettingError where that is no full path (a user without a home): it would be the folder of the notebook.
    """
    named = os.environ.get("OLLAMA_MAGICS_CONFIG", "").strip()
    path = Path(named) if named else platformdirs.user_config_path("ollama_magics", appauthor=False)
    if not path.is_absolute():
        raise SettingError("file-unusable", path=path, reason=Phrase("no_home"))
    return path


@contextmanager
def locked() -> Iterator[Path]:
    """Give the folder, made if need be, which no other kernel changes meanwhile; raises SettingError."""
    place = folder()
    with told(place):
        place.mkdir(parents=True, exist_ok=True, mode=_PRIVATE_FOLDER)
        _tighten(place, _PRIVATE_FOLDER)
        lock = os.open(place / ".lock", os.O_CREAT | os.O_RDWR, _PRIVATE_FILE)
    try:
        with told(place):
            _wait_for(lock)
        with told(place):
            yield place
    finally:
        os.close(lock)  # which also ends the lock


def replace(path: Path, text: str) -> None:
    """Put a file of 0600 with this text into the place of another at once; an interrupt leaves the old one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".writing-")  # with 0600
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


def set_aside(path: Path) -> Path:
    """Give a file that cannot be read another name, which no other file has, and return it."""
    number = 1
    while (aside := path.with_name(f"{path.name}.unreadable-{number}")).exists():
        number += 1
    return path.rename(aside)


def private(path: Path) -> Path:
    """Return the path, having taken the rights of others to it away."""
    _tighten(path, _PRIVATE_FILE)
    return path


@contextmanager
def told(path: Path, instead: Phrase | None = None) -> Iterator[None]:
    """Turn what the system says about a file into our error; ``instead`` is what to type."""
    try:
        yield
    except OSError as error:
        reason = Phrase("busy_folder") if isinstance(error, _BusyError) else Phrase("system_said", said=error.strerror or error)
        raise SettingError("file-unusable", path=error.filename or path, reason=reason).with_advice(remedy=instead) from None


def _tighten(path: Path, mode: int) -> None:
    if os.name == "posix" and path.exists() and path.stat().st_mode & 0o077:
        path.chmod(mode)


def _wait_for(lock: int) -> None:
    last = time.monotonic() + _LONGEST_WAIT
    while not _taken(lock):
        if time.monotonic() > last:
            raise _BusyError
        time.sleep(0.02)


def _taken(lock: int) -> bool:
    try:
        _try_lock(lock)
    except (BlockingIOError, PermissionError):
        return False
    return True


if sys.platform == "win32":
    import msvcrt

    def _try_lock(lock: int) -> None:
        msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(lock: int) -> None:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


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
        raise SettingError("profile-unknown", profile=name, known=_known_names())
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
            raise SettingError("profile-unknown", profile=name, known=_known_names())
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
    try:
        document = tomlkit.parse(path.read_bytes()[:_LARGEST].decode())
        _look_at_format(document)
    except (TOMLKitError, ValueError) as error:
        kept = set_aside(path) if aside else path
        reason = error.args[0] if error.args and isinstance(error.args[0], Phrase) else f"{error}".rstrip(".")
        raise SettingError("profile-unreadable", path=path, reason=reason, kept=kept) from None
    if document["format"] > _FORMAT:
        raise SettingError("profile-too-new", path=path, version=document["format"])
    return document


def _look_at_format(document: Any) -> None:
    version = document.get("format")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ValueError(Phrase("no_format"))
    if version == _FORMAT and not isinstance(document.get("settings", {}), Mapping):
        raise ValueError(Phrase("no_table"))


def _settings(document: Any, path: Path) -> dict[str, Any]:
    settings = OllamaSettings()
    found = document.get("settings", {}).unwrap() if "settings" in document else {}
    for name, value in found.items():
        _known(name, path)
        try:
            setattr(settings, name, _lines(value) if name == "headers" else value)
        except SettingError as error:
            raise SettingError(
                "profile-invalid", path=path, name=name, reason=error.facts.get("reason", Phrase("a_secret"))
            ) from None
    return {name: getattr(settings, name) for name in found}


def _known(name: str, path: Path) -> None:
    if name not in form():
        near = difflib.get_close_matches(name, form(), n=1)
        reason = Phrase("near_setting", near=near[0]) if near else Phrase("unknown_setting")
        raise SettingError("profile-invalid", path=path, name=name, reason=reason)


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


_SERVICE = "ollama_magics"


def stored(where: str, origin: str) -> Secret | None:
    """Return the key of an origin from the ``keyring`` or the ``file``, or None; raises SettingError."""
    if where == "keyring":
        found = _keyring("get_password", origin)
    else:
        path = folder() / "keys.toml"
        with told(path):
            found = _keys(path).get(origin)
    return secret_values.clean_key(str(found)) if found else None


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
        raise SettingError("file-unusable", path=path, reason=Phrase("no_toml")) from None


def _keyring(call: str, *words: str) -> Any:
    try:
        return getattr(import_module("keyring"), call)(_SERVICE, *words)
    except ImportError:
        reason = Phrase("no_keyring")
    except Exception as error:  # noqa: BLE001 - each backend has errors of its own, and their text may hold what was kept
        reason = Phrase("broken_keyring", kind=type(error).__name__)
    raise SettingError("key-not-stored", reason=reason)
