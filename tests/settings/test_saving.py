"""What is saved is what is shown, and what cannot be read is never taken for permission."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.secret import NO_SECRET, Secret
from ollama_magics.session.session import Session, current
from ollama_magics.settings import form, profiles
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.settings.profiles import load, save
from ollama_magics.settings.resolved import ResolvedSettings
from tests.canary import KEY
from tests.faults import FaultServer, fine

OTHER = {  # a value of each setting that is not its default
    "model": "m",
    "base_url": "http://gpu:1",
    "api_key_env": "A_KEY",
    "model_type": "completion",
    "context_length": 8192,
    "max_tokens": 99,
    "vision": "no",
    "tools": "yes",
    "embedding_model": "e",
    "system": "Brief.",
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 5,
    "seed": 5,
    "stop": ["END"],
    "think": "high",
    "keep_alive": "30m",
    "connect_timeout": 1.0,
    "first_token_timeout": 1.0,
    "idle_timeout": 1.0,
    "ca_bundle": "/",
    "headers": (("X-Team", "$TEAM"),),
    "proxy": "http://proxy:1",
    "key_store": "file",
    "local_only": "yes",
    "probes": "no",
    "language": "zh",
}


@pytest.fixture
def folder() -> Path:
    """Return where this test's profiles are."""
    path = Path(os.environ["OLLAMA_MAGICS_CONFIG"])
    path.mkdir()
    return path


def notebook(name: str = "", **values: Any) -> ResolvedSettings:
    """Return the settings of a new notebook, with a profile and some values."""
    here = ResolvedSettings(OllamaSettings())
    here.begin()
    if name:
        here.use(name)
    here.configure(values)
    return here


def shown(here: ResolvedSettings) -> dict[str, str]:
    """Return the value of each setting as the user sees it."""
    return {name: value for name, value, _ in here.described() if name != "profile"}


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    return caught.value


# Saving.


@pytest.mark.finding("A11")
@pytest.mark.parametrize("setting", form.names())
def test_saving_keeps_what_is_shown_over_every_other_source(setting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each setting: the profile default has a value, the profile in use another, the user a third; then the built-in one."""
    monkeypatch.setenv("OLLAMA_HOST", "env:9")
    save("default", {setting: OTHER[setting]})
    save("gpu", {"base_url": "http://gpu:1", "seed": 1})
    for value in (OTHER[setting], form.default(setting)):
        here = notebook("gpu", **{setting: value})
        here.save()
        assert shown(notebook("gpu")) == shown(here)


@pytest.mark.finding("A11")
def test_saving_goes_to_the_profile_in_use_and_leaves_the_others(folder: Path) -> None:
    """It is the one that was named last, to use it or to save it; else it is default."""
    save("default", {"seed": 1})
    save("gpu", {"seed": 2, "base_url": "http://gpu:1"})
    here = notebook("gpu", context_length="16k")
    assert here.save() == folder / "gpu.toml"
    assert (load("gpu"), load("default")) == ({"seed": 2, "base_url": "http://gpu:1", "context_length": 16384}, {"seed": 1})
    here.save("new")
    here.configure({"seed": 3})
    assert here.save() == folder / "new.toml"
    assert (load("gpu")["seed"], load("new")["seed"]) == (2, 3)
    assert notebook(seed=7).save() == folder / "default.toml"


@pytest.mark.finding("A11")
def test_an_address_of_the_environment_is_saved_as_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was the one that was proved, and a named profile counts more than the environment."""
    monkeypatch.setenv("OLLAMA_HOST", "far:2")
    notebook().save("far")
    notebook(seed=1).save()
    monkeypatch.delenv("OLLAMA_HOST")
    assert notebook("far").address.url == notebook().address.url == "http://far:2"
    notebook("far", base_url="").save("here")
    monkeypatch.setenv("OLLAMA_HOST", "other:3")
    assert notebook("here").address.url == "http://127.0.0.1:11434"


@pytest.mark.finding("A11")
def test_only_settings_with_which_a_model_has_answered_are_verified() -> None:
    """The language aside, and until one of them changes."""
    here = notebook(model="llama3.2")
    here.save()
    assert profiles.is_unverified("default")
    here.confirm(here.shown())
    assert not profiles.is_unverified("default")
    here.configure({"seed": 1})
    here.save()
    assert profiles.is_unverified("default")
    here.configure({"seed": "", "language": "zh"})
    here.save()
    assert not profiles.is_unverified("default")
    before = here.shown()
    here.configure({"base_url": "http://b:1"})
    here.confirm(before)
    here.save()
    assert profiles.is_unverified("default")


def test_a_check_that_asks_the_model_is_the_proof() -> None:
    """A plain one is not."""
    with om.sandbox() as url:
        session = current()
        session.resolved.sandboxes.clear()  # as a server that stays
        session.configure({"base_url": url})
        session.check()
        session.resolved.save("a")
        assert profiles.is_unverified("a")
        assert session.check(deep=True).ok
        assert not profiles.is_unverified("a")
        session.resolved.save("b")
        assert not profiles.is_unverified("b")


@pytest.mark.finding("A13")
def test_the_address_of_a_sandbox_is_never_written(folder: Path) -> None:
    """Neither to a new profile nor over an older address; the rest is saved, and it is said."""
    save("gpu", {"base_url": "http://gpu:1", "model": "big"})
    with om.sandbox() as url:
        here = current().resolved
        here.configure({"seed": 1})
        here.save("new")
        assert load("new") == {"seed": 1}
        here.save("gpu")
        assert load("gpu") == {"base_url": "http://gpu:1", "model": "big", "seed": 1}
        assert ("sandbox_not_saved", {}) in here.take_notices()
        here.export(str(folder / "out.txt"))
        port = url.rpartition(":")[2]
        assert [path.name for path in folder.iterdir() if path.is_file() and port in path.read_text()] == []
        assert all(profiles.is_unverified(name) for name in ("new", "gpu"))


@pytest.mark.finding("A13")
def test_an_error_about_an_address_says_where_it_is_from_and_how_to_drop_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether nobody is there or it is no address, from each source, for prompts and other requests."""
    for address, code in (("127.0.0.1:1", "address-refused"), ("ftp://x", "scheme-unsupported")):
        profiles.save("default", {"base_url": address})
        profiles.save("gpu", {"base_url": address})

        def said(session: Session, code: str = code) -> str:
            error = failure(lambda: session.client.version())  # noqa: PLW0108 - a client that fails
            assert error.code == code
            return str(error)

        def session() -> Session:
            made = Session(OllamaSettings())
            made.resolved.begin()
            return made

        text = said(session())
        assert f"the profile default, {folder / 'default.toml'}" in text
        assert "%ollama_config --forget default" in text
        named = session()
        if code == "address-refused":
            named.resolved.use("gpu")
        else:
            failure(lambda: named.resolved.use("gpu"))  # noqa: B023 - called here
        assert f"the profile gpu, {folder / 'gpu.toml'}" in said(named)
        monkeypatch.setenv("OLLAMA_HOST", address)
        assert "the value of OLLAMA_HOST" in said(session())
        profiles.forget("default")
        typed = session()
        typed.settings.base_url = address
        assert "%ollama_config --unset base_url" in said(typed)
        monkeypatch.delenv("OLLAMA_HOST")


@pytest.mark.finding("C8")
@pytest.mark.parametrize("bad", ["localhost:11434 # local, the old one", "ftp://x", "host:99999", "a b"])
def test_a_bad_address_is_named_and_blocks_no_better_source(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    """In the environment and in a profile; the table of settings shows it."""
    monkeypatch.setenv("OLLAMA_HOST", bad)
    here = notebook()
    if bad.startswith("localhost"):  # a comment may be understood
        assert here.typed_address() == (bad, "environment")
    else:
        assert "OLLAMA_HOST" in failure(lambda: here.address).how_we_know
        assert {name: source for name, _, source in here.described()}["base_url"] == "environment"
    save("gpu", {"base_url": "http://gpu:1"})
    assert notebook("gpu").address.url == "http://gpu:1"
    here.configure({"base_url": "http://typed:1"})
    assert here.address.url == "http://typed:1"
    save("default", {"base_url": bad})
    monkeypatch.setenv("OLLAMA_HOST", "good:1")
    assert notebook(seed=1).address.url == "http://good:1"
    assert notebook("gpu").address.url == "http://gpu:1"


def test_what_was_typed_can_be_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes back to the profile, the environment or the built-in value; names are read in every spelling."""
    save("default", {"seed": 1, "context_length": 512})
    monkeypatch.setenv("OLLAMA_HOST", "far:2")
    here = notebook(seed=2, context_length=1024, top_k=3, base_url="http://typed:1")
    here.secrets.hold_key(Secret(KEY))
    changed = here.unset(["seed", "--context", "top-k", "base_url"])
    assert set(changed) == {"seed", "context_length", "top_k", "base_url"}
    assert (here.settings.seed, here.settings.context_length, here.settings.top_k) == (1, 512, None)
    assert here.address.url == "http://far:2"
    assert here.secrets.key(here.address) == (NO_SECRET, "")
    assert failure(lambda: here.unset(["modle"])).code == "setting-unknown"


# What cannot be read.

BROKEN = {
    "one bad line": b'format = 1\n[settings]\nlocal_only = "yes"\nmodel = \n',
    "a wrong type": b'format = 1\n[settings]\nlocal_only = "yes"\nseed = "x"\n',
    "a bad value of a security setting": b'format = 1\n[settings]\nlocal_only = "perhaps"\n',
    "a list for a word": b'format = 1\n[settings]\nlocal_only = ["yes"]\n',
    "a number for a word": b"format = 1\n[settings]\nlocal_only = 1\n",
    "a setting of a newer version": b'format = 1\n[settings]\nlocal_only = "yes"\nsend_only_to = "gpu"\n',
    "a newer format": b'format = 2\n[settings]\nlocal_only = "yes"\n',
    "a bad proxy": b'format = 1\n[settings]\nproxy = "socks5://p"\n',
    "missing certificates": b'format = 1\n[settings]\nca_bundle = "/nowhere/ca.pem"\n',
    "a secret header": b'format = 1\n[settings]\nheaders = { X = "secret" }\n',
    "an address of a wrong type": b"format = 1\n[settings]\nbase_url = 5\n",
    "an address that is none": b'format = 1\n[settings]\nbase_url = "ftp://gpu"\n',
    "no table": b'format = 1\nlocal_only = "yes"\n',
    "a table that is none": b"format = 1\nsettings = 3\n",
    "no format": b'[settings]\nlocal_only = "yes"\n',
    "a text for a format": b'format = "1"\n',
    "a format that is true": b"format = true\n",
    "half written": b'format = 1\n[settings]\nlocal_only = "y',
    "empty": b"",
    "zeros": b"\0" * 64,
    "no text": b"\xff\xfe\xfd" * 9,
    "UTF-16": 'format = 1\n[settings]\nlocal_only = "yes"\n'.encode("utf-16"),
    "endless": b"#" * 1_000_001 + b'\nformat = 1\n[settings]\nlocal_only = "yes"\n',
    "JSON": b"{}",
}


def requests(server: FaultServer, *, typed: dict[str, Any] | None = None) -> list[str]:
    """Try everything that sends something; return the codes of the errors."""
    current().configure({"base_url": server.url, "model": "m", **(typed or {})})
    acts: list[Callable[[], object]] = [
        lambda: om.chat("Hi").text,
        lambda: om.embed(["a"], model="m"),
        om.models,
        lambda: list(om.pull("m")),
        lambda: om.embed(["a"], model="m", base_url=server.url),
    ]
    codes = [failure(act).code for act in acts]
    report = om.check(deep=True)
    return [*codes, report.error.code if report.error else "ok"]


@pytest.mark.finding("A12", "C15")
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_profile_that_cannot_be_read_stops_every_request_until_it_is_fixed(folder: Path, content: bytes) -> None:
    """Each time, with an error that names the file, which stays as it is; the table of settings says it, too."""
    path = folder / "default.toml"
    path.write_bytes(content)
    if b'base_url = "ftp' in content:
        assert failure(lambda: om.chat("Hi").text).code == "scheme-unsupported"
        return
    with FaultServer(fine()) as server:
        codes = requests(server)
        assert set(codes) <= {"profile-unreadable", "profile-invalid", "profile-too-new"}
        assert len(set(codes)) == 1
        assert server.requests == []
        assert path.read_bytes() == content
        assert [path.name for path in folder.iterdir() if path.name != ".lock"] == ["default.toml"]
        assert str(path) in str(failure(lambda: om.chat("Hi").text))
        (_, _, state), *_ = current().described()
        assert state.startswith("broken ")
        path.write_text("format = 1\n[settings]\nseed = 5\n")
        assert om.chat("Hi").text
        assert current().settings.seed == 5


@pytest.mark.finding("A12")
@pytest.mark.parametrize("way_out", ["forget", "another", "replace", "delete"])
@pytest.mark.parametrize("name", ["default", "gpu"])
def test_the_ways_out_of_a_broken_profile(folder: Path, name: str, way_out: str) -> None:
    """Each is a line that the user types, or a file that is deleted; the broken file is kept when another takes its place."""
    (folder / f"{name}.toml").write_text("broken")
    save("good", {"seed": 9})
    with FaultServer(fine()) as server:
        session = current()
        session.configure({"base_url": server.url, "model": "m"})
        if name != "default":
            assert failure(lambda: om.use_profile(name)).code == "profile-unreadable"
        assert failure(lambda: om.chat("Hi").text).code == "profile-unreadable"
        match way_out:
            case "forget":
                session.resolved.forget(name)
            case "another":
                session.resolved.use("good")
                assert [key for key, _ in session.resolved.take_notices()] == ["profile_skipped"]
            case "replace":
                session.resolved.save()
                assert (folder / f"{name}.toml.unreadable-1").read_text() == "broken"
                assert "profile_kept" in [key for key, _ in session.resolved.take_notices()]
            case "delete":
                (folder / f"{name}.toml").unlink()
        assert om.chat("Hi").text


@pytest.mark.finding("A12")
def test_saving_under_another_name_does_not_make_a_broken_default_harmless(folder: Path) -> None:
    """It would still be read by every other notebook, and nobody has said to go on without it."""
    (folder / "default.toml").write_text("broken")
    current().resolved.save("other")
    assert failure(lambda: om.chat("Hi").text).code == "profile-unreadable"


@pytest.mark.finding("C15")
def test_what_is_no_file_in_place_of_a_profile_is_told(folder: Path) -> None:
    """A folder, a pipe, a link to nowhere; each can be forgotten, and nobody waits for the pipe."""
    path = folder / "default.toml"
    kinds: list[Callable[[], object]] = [path.mkdir, lambda: path.symlink_to(folder / "nowhere")]
    if hasattr(os, "mkfifo"):
        kinds.append(lambda: os.mkfifo(path))
    for make in kinds:
        make()
        here = notebook()
        assert failure(here.require_profiles).code == "profile-unreadable"
        assert profiles.names() == ["default"]
        here.forget("default")
        here.require_profiles()
        assert not os.path.lexists(path)


@pytest.mark.finding("C15")
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_byte_order_mark_and_line_ends_of_windows_are_read(folder: Path, mark: str, end: str) -> None:
    """And what is saved again can be read by anybody."""
    text = mark + end.join(["format = 1", "[settings]", "# mine", "seed = 7", 'system = "模型"', ""])
    (folder / "default.toml").write_bytes(text.encode())
    here = notebook(top_k=3)
    assert (here.settings.seed, here.settings.system) == (7, "模型")
    here.save()
    content = (folder / "default.toml").read_bytes()
    assert tomllib.loads(content.decode())["settings"] == {"seed": 7, "system": "模型", "top_k": 3}
    assert b"# mine" in content


@pytest.mark.finding("A12")
def test_a_folder_of_settings_that_cannot_be_found_stops_requests(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A relative path, or a file in its place; a user without a home has saved nothing."""
    (tmp_path / "file").write_text("x")
    for named in ("relative", str(tmp_path / "file" / "below")):
        monkeypatch.setenv("OLLAMA_MAGICS_CONFIG", named)
        assert failure(notebook().require_profiles).code == "file-unusable"
    monkeypatch.delenv("OLLAMA_MAGICS_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    monkeypatch.setenv("HOME", "nowhere")
    notebook().require_profiles()


def test_a_check_sends_nothing_off_this_machine_where_that_is_forbidden() -> None:
    """Neither to the address, nor to others that might answer, nor through a local server."""
    om.configure(local_only="yes", base_url="http://192.0.2.1:1")
    report = om.check()
    assert report.error is not None
    assert (report.error.code, [stage.state for stage in report.stages].count("ok")) == ("local-only", 0)
    request = current().check_request()
    assert request.local_only
