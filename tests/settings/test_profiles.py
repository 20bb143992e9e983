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
from ollama_magics.settings import config_folder, profiles
from tests.canary import KEPT_KEY, KEY

WRITER = """
import sys
from ollama_magics.settings import profiles
name, others = sys.argv[1], ("seed", "top_k", "context_length")
for number in range(20):
    profiles.save("shared", {name: number + 1}, kept=others)
    profiles.save(f"own-{name}", {"seed": number})
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
    profiles.save("work 1", VALUES)
    assert profiles.load("work 1") == VALUES
    assert profiles.names() == ["work 1"]
    profiles.forget("work 1")
    assert profiles.names() == []


@pytest.mark.skipif(os.name != "posix", reason="rights of this kind are POSIX's")
def test_nobody_else_may_read_a_profile(folder: Path) -> None:
    """Whatever the umask, and also where an older file was open to all."""
    before = os.umask(0)
    try:
        path, _ = profiles.save("work", VALUES)
    finally:
        os.umask(before)
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    path.chmod(0o644)
    folder.chmod(0o755)
    profiles.save("work", VALUES)
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
from ollama_magics.settings import config_folder
with config_folder.locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_kernel_that_writes_too_long_is_an_error_and_one_that_is_killed_leaves_no_lock(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    """The wait is bounded, the error says why, and the lock ends with its process."""
    monkeypatch.setattr(config_folder, "_LOCK_TIMEOUT", 0.3)
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        error = failure(lambda: profiles.save("work", {"seed": 1}))
        assert (error.code, error.facts["path"]) == ("file-unusable", str(folder))
        assert "Another kernel" in error.how_we_know
        assert not (folder / "work.toml").exists()
        holder.kill()
    profiles.save("work", {"seed": 1})
    assert profiles.load("work") == {"seed": 1}


@pytest.mark.skipif(os.name != "posix", reason="rights of this kind are POSIX's")
def test_a_lock_file_that_only_its_owner_can_read_is_used(folder: Path) -> None:
    """It is created so, whatever the umask, and stays so."""
    before = os.umask(0)
    try:
        for seed in (1, 2):
            profiles.save("work", {"seed": seed})
            assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    finally:
        os.umask(before)
    assert profiles.load("work") == {"seed": 2}


def test_what_a_user_wrote_beside_the_values_stays(folder: Path) -> None:
    """The comments beside it; the settings are those that are saved."""
    write(folder / "work.toml", 'format = 1\n[settings]\nmodel = "a"  # the small one\nseed = 7\ntop_k = 3\n')
    profiles.save("work", {"seed": 8, "model": "a"})
    assert "# the small one" in (folder / "work.toml").read_text()
    assert profiles.load("work") == {"model": "a", "seed": 8}


NAMES = ["", " ", "../x", "a/b", "a\\b", ".x", "x.", "-x", "con", "LPT1.x", "keys", "x" * 65, "a\nb", "a\0b", "~", "🙂", "C:x"]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_no_file_of_the_folder_is_refused(folder: Path, name: str) -> None:
    """For whatever it is used."""
    for act in (lambda: profiles.save(name, {}), lambda: profiles.load(name), lambda: profiles.forget(name)):
        assert failure(act).code == "profile-name-invalid"
    assert not folder.exists()


def test_a_newer_file_stays_as_it_is(folder: Path) -> None:
    """The newer version still needs it."""
    path = write(folder / "work.toml", "format = 2\n[settings]\nnew = 1\n")
    for act in (lambda: profiles.load("work"), lambda: profiles.save("work", {"seed": 1})):
        assert failure(act).code == "profile-too-new"
    assert path.read_text() == "format = 2\n[settings]\nnew = 1\n"


@pytest.mark.finding("A12")
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
    profiles.save("work", {})
    for act in (lambda: profiles.load("wrok"), lambda: profiles.forget("wrok")):
        error = failure(act)
        assert error.code == "profile-unknown"
        assert "work" in error.how_we_know


def test_secrets_are_never_written(folder: Path) -> None:
    """Neither a hidden header nor a hidden proxy."""
    values = {"headers": (("X-Token", Secret(KEY)),), "proxy": Secret(f"http://me:{KEY}@p", "p"), "seed": 1}
    path, _ = profiles.save("work", values)
    profiles.export(folder / "out.toml", values)
    assert profiles.load("work") == {"seed": 1}
    assert KEY not in path.read_text() + (folder / "out.toml").read_text()


def no(_: str, __: object) -> bool:
    """Take nothing that lets another machine read along."""
    return False


def test_a_file_from_elsewhere_cannot_choose_what_secrets_are_sent(tmp_path: Path) -> None:
    """It names an address, and would name a variable of this machine for it."""
    text = 'format = 1\n[settings]\nbase_url = "http://evil.test"\napi_key_env = "AWS_KEY"\nheaders = { X = "$HOME" }\n'
    assert profiles.imported(write(tmp_path / "x.toml", text), no) == {"base_url": "http://evil.test"}


def test_an_export_does_not_replace_what_is_no_profile(tmp_path: Path) -> None:
    """It may be the thesis; nor is a broken file renamed that is not in our folder."""
    path = write(tmp_path / "thesis.tex", "years of work")
    assert failure(lambda: profiles.export(path, {})).code == "profile-unreadable"
    nowhere = tmp_path / "nowhere" / "x.toml"
    assert failure(lambda: profiles.export(nowhere, {})).what == f"{nowhere} cannot be used."
    assert failure(lambda: profiles.imported(path, no)).code == "profile-unreadable"
    assert path.read_text() == "years of work"
    profiles.export(tmp_path / "a.toml", {"seed": 1})
    profiles.export(tmp_path / "a.toml", {"seed": 2})
    assert profiles.imported(tmp_path / "a.toml", no) == {"seed": 2}


def test_a_folder_that_is_a_relative_path_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would depend on the notebook."""
    monkeypatch.setenv("OLLAMA_MAGICS_CONFIG", "relative/x")
    assert failure(config_folder.folder).how_we_know == "OLLAMA_MAGICS_CONFIG must be an absolute path."


def test_a_folder_that_cannot_be_used_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file in its place, and a path that would begin in the folder of the notebook."""
    monkeypatch.setenv("OLLAMA_MAGICS_CONFIG", str(write(tmp_path / "file", "x") / "below"))
    assert failure(lambda: profiles.save("work", {})).code == "file-unusable"
    monkeypatch.setenv("OLLAMA_MAGICS_CONFIG", "here")
    assert failure(lambda: profiles.save("work", {})).code == "file-unusable"
    assert failure(profiles.names).code == "file-unusable"


def test_a_profile_that_no_check_has_proved_says_so_in_its_file(folder: Path) -> None:
    """Before its settings, so that the file stays what it is."""
    profiles.save("default", {"seed": 1})
    profiles.save("default", {"seed": 2}, verified=False)
    text = (folder / "default.toml").read_text()
    assert text.index("unverified = true") < text.index("[settings]")
    assert profiles.is_unverified("default")
    assert profiles.load("default") == {"seed": 2}
    profiles.confirm("default", {"seed": 3})
    assert profiles.is_unverified("default")
    profiles.confirm("default", {"seed": 2})
    assert not profiles.is_unverified("default")
    assert "unverified" not in (folder / "default.toml").read_text()
    profiles.save("default", {"seed": 2}, verified=False)
    profiles.save("default", {"seed": 2}, verified=True)
    assert not profiles.is_unverified("default")
    assert not profiles.is_unverified("never saved")


@pytest.mark.finding("E17")
@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_a_folder_to_which_others_write_is_not_read(folder: Path) -> None:
    """They could put a proxy into the profile that every notebook begins with; saving closes the folder."""
    profiles.save("default", {"seed": 1})
    folder.chmod(0o777)
    error = failure(lambda: profiles.load("default"))
    assert (error.code, f"chmod 700 {folder}" in error.how_we_know) == ("profile-unreadable", True)
    profiles.save("work", {"seed": 2})
    assert profiles.load("default") == {"seed": 1}


@pytest.mark.finding("E17")
@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can give files away")
def test_files_of_another_user_are_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither profiles nor keys; root itself may work in the folder of somebody else."""
    path, _ = profiles.save("default", {"seed": 1})
    os.chown(path, 12345, -1)
    assert profiles.load("default") == {"seed": 1}
    monkeypatch.setattr(os, "geteuid", lambda: 999)
    os.chown(folder, 999, -1)
    assert "belongs to another user" in failure(lambda: profiles.load("default")).how_we_know
