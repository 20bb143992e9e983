"""Profiles on disk: what is in them, who may read them, and what happens to files of other programs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ollama_magics.errors import SettingError
from ollama_magics.secret import Secret
from ollama_magics.settings import profiles
from tests.canary import KEPT_KEY, KEY

WRITER = """
import sys
from ollama_magics.settings import profiles
for number in range(20):
    profiles.save("shared", {sys.argv[1]: number + 1}, whole=False)
    profiles.save(f"own-{sys.argv[1]}", {"seed": number}, whole=True)
"""


@pytest.fixture
def folder() -> Path:
    """Return where this test's profiles will be."""
    return Path(os.environ["OLLAMA_MAGICS_CONFIG"])


def failure(act: Callable[[], object]) -> SettingError:
    """Return the error of an act."""
    with pytest.raises(SettingError) as caught:
        act()
    return caught.value


def write(path: Path, text: str) -> Path:
    """Put a file there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


VALUES: dict[str, Any] = {
    "model": "模型",
    "context_length": 8192,
    "temperature": 0.5,
    "stop": ("END", "终"),
    "keep_alive": -1,
    "headers": (("X-Team", "$TEAM"),),
}


def test_what_is_saved_is_loaded() -> None:
    """Every kind of value."""
    profiles.save("work 1", VALUES, whole=True)
    assert profiles.load("work 1") == VALUES
    assert profiles.names() == ["work 1"]
    profiles.forget("work 1")
    assert profiles.names() == []


@pytest.mark.skipif(os.name != "posix", reason="rights of this kind are POSIX's")
def test_nobody_else_may_read_a_profile(folder: Path) -> None:
    """Whatever the umask, and also where an older file was open to all."""
    before = os.umask(0)
    try:
        path = profiles.save("work", VALUES, whole=True)
    finally:
        os.umask(before)
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    path.chmod(0o644)
    folder.chmod(0o755)
    profiles.save("work", VALUES, whole=True)
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)


def test_two_processes_that_write_at_once_lose_nothing(folder: Path) -> None:
    """Each value of each of them is there in the end."""
    settings = ["seed", "top_k", "context_length"]
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name]) for name in settings]
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    assert profiles.load("shared") == dict.fromkeys(settings, 20)
    assert profiles.names() == sorted(["shared", *(f"own-{name}" for name in settings)])
    assert not [path for path in folder.iterdir() if path.name.startswith(".writing")]


HOLDER = """
import sys
from ollama_magics.settings import profiles
with profiles._locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_kernel_that_writes_too_long_is_an_error_and_one_that_is_killed_leaves_no_lock(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """The wait is bounded, the error says why, and the lock ends with its process."""
    monkeypatch.setattr(profiles, "_LOCK_TIMEOUT", 0.3)
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        error = failure(lambda: profiles.save("work", {"seed": 1}, whole=True))
        assert (error.code, error.facts["path"]) == ("file-unusable", str(folder))
        assert "Another kernel" in error.how_we_know
        assert not (folder / "work.toml").exists()
        holder.kill()
    profiles.save("work", {"seed": 1}, whole=True)
    assert profiles.load("work") == {"seed": 1}


@pytest.mark.skipif(os.name != "posix", reason="rights of this kind are POSIX's")
def test_a_lock_file_that_only_its_owner_can_read_is_used(folder: Path) -> None:
    """It is created so, whatever the umask, and stays so."""
    before = os.umask(0)
    try:
        for seed in (1, 2):
            profiles.save("work", {"seed": seed}, whole=True)
            assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    finally:
        os.umask(before)
    assert profiles.load("work") == {"seed": 2}


def test_what_a_user_wrote_beside_the_values_stays(folder: Path) -> None:
    """Comments, and settings that this kernel did not change."""
    write(folder / "work.toml", 'format = 1\n[settings]\nmodel = "a"  # the small one\nseed = 7\ntop_k = 3\n')
    profiles.save("work", {"seed": 8}, removed=["top_k"], whole=False)
    assert "# the small one" in (folder / "work.toml").read_text()
    assert profiles.load("work") == {"model": "a", "seed": 8}


NAMES = ["", " ", "../x", "a/b", "a\\b", ".x", "x.", "-x", "con", "LPT1.x", "keys", "x" * 65, "a\nb", "a\0b", "~", "🙂", "C:x"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_file_of_the_folder_is_refused(folder: Path, name: str) -> None:
    """For whatever it is used."""
    for act in (lambda: profiles.save(name, {}, whole=True), lambda: profiles.load(name), lambda: profiles.forget(name)):
        assert failure(act).code == "profile-name-invalid"
    assert not folder.exists()


BROKEN = [
    "",
    "not toml",
    "format = 1\n[settings",
    "format = 1\nsettings = 3\n",
    'format = "1"\n',
    "format = true\n",
    "\x00",
    "{}",
]


@pytest.mark.parametrize("text", BROKEN)
def test_a_broken_file_is_set_aside_and_never_overwritten(folder: Path, text: str) -> None:
    """Whether it is to be read or written."""
    for act in (lambda: profiles.load("work"), lambda: profiles.save("work", {"seed": 1}, whole=True)):
        path = write(folder / "work.toml", text)
        error = failure(act)
        assert error.code == "profile-unreadable"
        kept = Path(error.facts["kept"])
        assert kept.read_text() == text
        assert not path.exists()
    assert len(list(folder.glob("*.unreadable-*"))) == 2


def test_bytes_that_are_no_text_are_set_aside(folder: Path) -> None:
    """As everything that cannot be read."""
    write(folder / "work.toml", "").write_bytes(b"\xff\xfe" * 100)
    assert failure(lambda: profiles.load("work")).code == "profile-unreadable"


def test_a_newer_file_stays_as_it_is(folder: Path) -> None:
    """The newer version still needs it."""
    path = write(folder / "work.toml", "format = 2\n[settings]\nnew = 1\n")
    for act in (lambda: profiles.load("work"), lambda: profiles.save("work", {"seed": 1}, whole=True)):
        assert failure(act).code == "profile-too-new"
    assert path.read_text() == "format = 2\n[settings]\nnew = 1\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('modle = "x"', "model"),
        ("seed = 1.5", "whole number"),
        ("context_length = -5", "at least 1"),
        (f"headers = {{ X-Token = '{KEPT_KEY}' }}", "secret"),
        (f"api_key = '{KEPT_KEY}'", "no such setting"),
        (f"api_key_env = '{KEPT_KEY}'", "not a key"),
    ],
)
def test_a_wrong_line_is_named_and_the_file_stays(folder: Path, line: str, said: str) -> None:
    """A user wrote it by hand, and it is theirs to fix; what may be a key is not shown."""
    path = write(folder / "work.toml", f"format = 1\n[settings]\n{line}\n")
    error = failure(lambda: profiles.load("work"))
    assert error.code == "profile-invalid"
    assert said in error.how_we_know
    assert KEPT_KEY not in str(error) + repr(error.facts)
    assert path.exists()


def test_a_profile_that_is_not_there_is_an_error_that_lists_the_others() -> None:
    """For loading and forgetting."""
    profiles.save("work", {}, whole=True)
    for act in (lambda: profiles.load("wrok"), lambda: profiles.forget("wrok")):
        error = failure(act)
        assert error.code == "profile-unknown"
        assert "work" in error.how_we_know


def test_secrets_are_never_written(folder: Path) -> None:
    """Neither a hidden header nor a hidden proxy."""
    values = {"headers": (("X-Token", Secret(KEY)),), "proxy": Secret(f"http://me:{KEY}@p", "p"), "seed": 1}
    path = profiles.save("work", values, whole=True)
    profiles.export(folder / "out.toml", values)
    assert profiles.load("work") == {"seed": 1}
    assert KEY not in path.read_text() + (folder / "out.toml").read_text()


def test_a_file_from_elsewhere_cannot_choose_what_secrets_are_sent(tmp_path: Path) -> None:
    """It names an address, and would name a variable of this machine for it."""
    text = 'format = 1\n[settings]\nbase_url = "http://evil.test"\napi_key_env = "AWS_KEY"\nheaders = { X = "$HOME" }\n'
    assert profiles.imported(write(tmp_path / "x.toml", text)) == {"base_url": "http://evil.test"}


def test_an_export_does_not_replace_what_is_no_profile(tmp_path: Path) -> None:
    """It may be the thesis; nor is a broken file renamed that is not in our folder."""
    path = write(tmp_path / "thesis.tex", "years of work")
    assert failure(lambda: profiles.export(path, {})).code == "profile-unreadable"
    nowhere = tmp_path / "nowhere" / "x.toml"
    assert failure(lambda: profiles.export(nowhere, {})).what == f"{nowhere} cannot be used."
    assert failure(lambda: profiles.imported(path)).code == "profile-unreadable"
    assert path.read_text() == "years of work"
    profiles.export(tmp_path / "a.toml", {"seed": 1})
    profiles.export(tmp_path / "a.toml", {"seed": 2})
    assert profiles.imported(tmp_path / "a.toml") == {"seed": 2}


def test_a_folder_that_is_a_relative_path_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would depend on the notebook."""
    monkeypatch.setenv("OLLAMA_MAGICS_CONFIG", "relative/x")
    assert failure(profiles.folder).how_we_know == "OLLAMA_MAGICS_CONFIG must be an absolute path."


def test_a_folder_that_cannot_be_used_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file in its place, and a path that would begin in the folder of the notebook."""
    monkeypatch.setenv("OLLAMA_MAGICS_CONFIG", str(write(tmp_path / "file", "x") / "below"))
    assert failure(lambda: profiles.save("work", {}, whole=True)).code == "file-unusable"
    monkeypatch.setenv("OLLAMA_MAGICS_CONFIG", "here")
    assert failure(lambda: profiles.save("work", {}, whole=True)).code == "file-unusable"
    assert failure(profiles.names).code == "file-unusable"


def test_a_key_in_a_file_is_for_one_origin_and_one_reader(folder: Path) -> None:
    """And gone when it is forgotten."""
    profiles.store_key("file", "http://a:1", Secret(KEY))
    profiles.store_key("file", "http://b:1", Secret("other"))
    path = folder / "keys.toml"
    path.chmod(0o644)
    assert profiles.stored_key("file", "http://a:1") == Secret(KEY)
    assert os.name != "posix" or path.stat().st_mode & 0o777 == 0o600
    profiles.store_key("file", "http://a:1", None)
    assert profiles.stored_key("file", "http://a:1") is None
    assert profiles.stored_key("file", "http://b:1") == Secret("other")
    assert profiles.names() == []


def test_a_broken_file_of_keys_is_not_quoted(folder: Path) -> None:
    """What TOML cannot read may be the key."""
    write(folder / "keys.toml", f"http://a = {KEPT_KEY}")
    error = failure(lambda: profiles.stored_key("file", "http://a:1"))
    assert error.code == "file-unusable"
    assert KEPT_KEY not in str(error)


def test_a_keyring_is_used_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of the same three functions; without it, or with one that fails, the error says so."""
    kept: dict[tuple[str, str], str] = {}
    ring = type(sys)("keyring")
    vars(ring).update(
        get_password=lambda service, name: kept.get((service, name)),
        set_password=lambda service, name, key: kept.update({(service, name): key}),
        delete_password=lambda service, name: kept.pop((service, name)),
    )
    monkeypatch.setitem(sys.modules, "keyring", ring)
    profiles.store_key("keyring", "http://a:1", Secret(KEY))
    assert kept == {("ollama_magics", "http://a:1"): KEY}
    assert profiles.stored_key("keyring", "http://a:1") == Secret(KEY)
    profiles.store_key("keyring", "http://a:1", None)
    profiles.store_key("keyring", "http://a:1", None)
    assert kept == {}
    vars(ring).clear()
    error = failure(lambda: profiles.store_key("keyring", "http://a:1", Secret(KEY)))
    assert (error.code, KEY in str(error)) == ("key-not-stored", False)
    monkeypatch.setitem(sys.modules, "keyring", None)
    assert "not installed" in failure(lambda: profiles.stored_key("keyring", "http://a:1")).how_we_know


def test_a_profile_that_no_check_has_proved_says_so_in_its_file(folder: Path) -> None:
    """Before its settings, so that the file stays what it is; saving it without a word about that leaves the mark."""
    profiles.save("default", {"seed": 1}, whole=True, verified=False)
    profiles.save("default", {"seed": 2}, whole=False)
    text = (folder / "default.toml").read_text()
    assert text.index("unverified = true") < text.index("[settings]")
    assert profiles.is_unverified("default")
    assert profiles.load("default") == {"seed": 2}
    profiles.confirm("default", {"seed": 3})
    assert profiles.is_unverified("default")
    profiles.confirm("default", {"seed": 2})
    assert not profiles.is_unverified("default")
    assert "unverified" not in (folder / "default.toml").read_text()
    profiles.save("default", {"seed": 2}, whole=True, verified=False)
    profiles.save("default", {"seed": 2}, whole=True, verified=True)
    assert not profiles.is_unverified("default")
    assert not profiles.is_unverified("never saved")
