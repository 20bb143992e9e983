"""Keys in a file or a keyring: each for one origin, and gone when it is forgotten."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from ollama_magics.errors import SettingError
from ollama_magics.secret import NO_SECRET, Secret
from ollama_magics.settings import keys, profiles
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.settings.resolved import ResolvedSettings
from tests.canary import KEPT_KEY, KEY

HOST = "https://a.test"


@pytest.fixture
def folder() -> Path:
    """Return where this test's keys will be."""
    return Path(os.environ["OLLAMA_MAGICS_CONFIG"])


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Give what a keyring holds: a package of the three functions of keyring."""
    kept: dict[str, str] = {}
    module = ModuleType("keyring")
    vars(module).update(
        get_password=lambda _, name: kept.get(name),
        set_password=lambda _, name, key: kept.update({name: key}),
        delete_password=lambda _, name: kept.pop(name),
    )
    monkeypatch.setitem(sys.modules, "keyring", module)
    return kept


@pytest.fixture
def no_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a keyring as it is on a machine without a desktop: every call raises NoKeyringError."""
    module, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    errors.NoKeyringError = type("NoKeyringError", (RuntimeError,), {})  # type: ignore[attr-defined]

    def fail(*_: str) -> None:
        raise errors.NoKeyringError

    vars(module).update(get_password=fail, set_password=fail, delete_password=fail, errors=errors)
    monkeypatch.setitem(sys.modules, "keyring", module)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)


def notebook(**values: str) -> ResolvedSettings:
    """Return the settings of a notebook that talks to one host."""
    here = ResolvedSettings(OllamaSettings())
    here.begin()
    here.configure({"base_url": HOST, **values})
    return here


def failure(act: Callable[[], object]) -> SettingError:
    """Return the error of an act."""
    with pytest.raises(SettingError) as caught:
        act()
    return caught.value


def test_a_key_in_a_file_is_for_one_origin_and_one_reader(folder: Path) -> None:
    """And gone when it is forgotten."""
    keys.store_key("file", "http://a:1", Secret(KEPT_KEY))
    keys.store_key("file", "http://b:1", Secret("other"))
    path = folder / "keys.toml"
    path.chmod(0o644)
    assert keys.stored_key("file", "http://a:1") == Secret(KEPT_KEY)
    assert os.name != "posix" or path.stat().st_mode & 0o777 == 0o600
    keys.forget_key("http://a:1")
    assert keys.stored_key("file", "http://a:1") is None
    assert keys.stored_key("file", "http://b:1") == Secret("other")
    assert profiles.names() == []


@pytest.mark.finding("C15")
def test_files_of_keys_that_another_program_wrote(folder: Path) -> None:
    """Empty, with a byte order mark, with line ends of Windows: read; anything else is an error that quotes nothing."""
    folder.mkdir()
    path = folder / "keys.toml"
    for content, key in (
        (b"", None),
        (b"\xef\xbb\xbf", None),
        (b'"http://a:1" = ""\n', None),
        (b'"http://a:1" = " "\n', None),
        (f'\ufeff"http://b:1" = "x"\r\n"http://a:1" = "{KEPT_KEY}"\r\n'.encode(), Secret(KEPT_KEY)),
    ):
        path.write_bytes(content)
        assert keys.stored_key("file", "http://a:1") == key, content
    for content in (f"http://a = {KEPT_KEY}".encode(), f'"http://a:1" = "{KEPT_KEY}"'.encode("utf-16"), b"\xff" * 9, b"\0" * 9):
        path.write_bytes(content)
        error = failure(lambda: keys.stored_key("file", "http://a:1"))
        assert error.code == "file-unusable", content
        assert "--api-key" in error.remedy
        assert KEPT_KEY not in str(error)


@pytest.mark.finding("C15")
def test_a_folder_in_place_of_the_keys_is_an_error(folder: Path) -> None:
    """For reading and writing."""
    (folder / "keys.toml").mkdir(parents=True)
    assert failure(lambda: keys.stored_key("file", "http://a:1")).code == "file-unusable"
    assert failure(lambda: keys.store_key("file", "http://a:1", Secret("x"))).code == "file-unusable"


def test_a_keyring_is_used_where_there_is_one(ring: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, or with one that fails, the error says so, and does not show the key."""
    keys.store_key("keyring", "http://a:1", Secret(KEY))
    assert ring == {"http://a:1": KEY}
    assert keys.stored_key("keyring", "http://a:1") == Secret(KEY)
    keys.forget_key("http://a:1")
    keys.forget_key("http://a:1")
    assert ring == {}
    vars(sys.modules["keyring"]).clear()
    error = failure(lambda: keys.store_key("keyring", "http://a:1", Secret(KEY)))
    assert (error.code, KEY in str(error)) == ("key-not-stored", False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "not installed" in failure(lambda: keys.stored_key("keyring", "http://a:1")).how_we_know


@pytest.mark.finding("C16")
@pytest.mark.parametrize("back", ["notebook", "keyring", "file"])
@pytest.mark.parametrize("store", ["file", "keyring"])
def test_a_forgotten_key_is_in_no_store(folder: Path, ring: dict[str, str], store: str, back: str) -> None:
    """Wherever it was kept, and whichever store the settings name when it is forgotten."""
    here = notebook(key_store=store)
    here.secrets.hold_key(Secret(KEPT_KEY))
    here.configure({"key_store": back})
    here.secrets.hold_key(None)
    assert ring == {}
    assert all(KEPT_KEY not in path.read_text() for path in folder.glob("*"))
    here.configure({"key_store": store})
    assert here.secrets.key(here.address) == (NO_SECRET, "")


@pytest.mark.finding("C16")
def test_a_key_that_is_typed_anew_leaves_no_older_one_in_the_file(folder: Path) -> None:
    """A user who chose this notebook only would not look for it there."""
    here = notebook(key_store="file")
    here.secrets.hold_key(Secret(KEPT_KEY))
    here.configure({"key_store": "notebook"})
    here.secrets.hold_key(Secret("another"))
    assert KEPT_KEY not in (folder / "keys.toml").read_text()


KILLED = """
import os, signal
from pathlib import Path
from ollama_magics.secret import Secret
from ollama_magics.settings import keys
Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
keys.store_key("file", "https://a.test:443", Secret("sk-left-behind"))
"""


@pytest.mark.finding("C16")
@pytest.mark.skipif(os.name != "posix", reason="signals of this kind are POSIX's")
def test_what_a_killed_kernel_was_writing_is_swept_by_the_next_one(folder: Path) -> None:
    """It held the key; the next notebook need not write anything for that."""
    subprocess.run([sys.executable, "-c", KILLED], check=False)
    assert [path.name[:9] for path in folder.glob(".writing-*")] == [".writing-"]
    ResolvedSettings(OllamaSettings()).begin()
    assert list(folder.glob(".writing-*")) == []


@pytest.mark.finding("C16")
def test_a_deleted_profile_takes_its_key_with_it_and_a_renamed_one_keeps_it(ring: dict[str, str]) -> None:
    """A key goes with the last profile of its address, from the file and from the keyring."""
    for store in ("file", "keyring"):
        here = notebook(key_store=store)
        here.secrets.hold_key(Secret(KEPT_KEY))
        here.save("old")
        here.save("new")
        here.forget("old")
        other = ResolvedSettings(OllamaSettings())
        other.use("new")
        assert other.secrets.key(other.address) == (Secret(KEPT_KEY), store)
        here.forget("new")
        assert keys.stored_key(store, "https://a.test:443") is None
    assert ring == {}


@pytest.mark.finding("C18")
@pytest.mark.usefixtures("no_backend")
@pytest.mark.parametrize("missing", [True, False], ids=["not installed", "no backend"])
def test_without_a_keyring_the_notebook_goes_on_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
    missing: bool,  # noqa: FBT001 - a case
) -> None:
    """No stored key is found; a typed one is kept for this notebook; forgetting one finds nothing to forget."""
    if missing:
        monkeypatch.setitem(sys.modules, "keyring", None)
    here = notebook(key_store="keyring")
    assert [here.secrets.key(here.address) for _ in range(3)] == [(NO_SECRET, "")] * 3
    assert [key for key, _ in here.take_notices()] == ["no_stored_key"]
    here.secrets.hold_key(Secret(KEY))
    assert [key for key, _ in here.take_notices()] == ["key_not_stored"]
    assert here.secrets.key(here.address) == (Secret(KEY), "notebook")
    here.secrets.hold_key(None)
    assert here.secrets.key(here.address) == (NO_SECRET, "")
