"""Which value wins, where each is from, and to whom a key goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ollama_magics.errors import OllamaMagicsError
from ollama_magics.secret import NO_SECRET, Secret
from ollama_magics.settings.form import OllamaSettings
from ollama_magics.settings.profiles import load, save
from ollama_magics.settings.resolved import ResolvedSettings
from tests.canary import KEPT_KEY, KEY


@pytest.fixture
def here() -> ResolvedSettings:
    """Return what is in force in a notebook of its own."""
    return ResolvedSettings(OllamaSettings())


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    return caught.value


def sources(here: ResolvedSettings) -> dict[str, tuple[str, str]]:
    """Return value and source of each setting."""
    return {name: (value, source) for name, value, source in here.described()}


def said(here: ResolvedSettings) -> list[str]:
    """Return what had to be said."""
    return [key for key, _ in here.take_notices()]


def test_the_order_of_those_who_may_say_something(here: ResolvedSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built in, the profile default, the environment, a named profile, the notebook: the later wins."""
    assert sources(here)["base_url"] == ("http://127.0.0.1:11434", "default")
    save("default", {"base_url": "http://saved:1", "seed": 1, "top_k": 1})
    save("work", {"base_url": "http://named:1", "seed": 2})
    here.begin()
    assert sources(here)["base_url"] == ("http://saved:1", "saved")
    monkeypatch.setenv("OLLAMA_HOST", "far:2")
    assert sources(here)["base_url"] == ("http://far:2", "over http://saved:1")
    here.use("work")
    assert sources(here)["base_url"] == ("http://named:1", "profile work")
    here.configure({"base_url": "http://typed:1"})
    assert sources(here)["base_url"] == ("http://typed:1", "notebook")
    assert [sources(here)[name] for name in ("seed", "top_k", "top_p")] == [
        ("2", "profile work"),
        ("1", "saved"),
        ("", "default"),
    ]


@pytest.mark.parametrize("host", ["0.0.0.0", "0.0.0.0:11434", "[::]:11434", "http://0.0.0.0"])  # noqa: S104 - read
def test_an_address_to_listen_on_ranks_below_the_profile(
    here: ResolvedSettings, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """It says where a server of this machine listens; without a profile it is the best there is."""
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert here.typed_address() == (host, "environment")
    save("default", {"base_url": "http://saved:1"})
    here.begin()
    assert (here.typed_address(), here.overridden) == (("http://saved:1", "saved"), "")


def test_another_profile_takes_the_place_of_the_first(here: ResolvedSettings) -> None:
    """What only the first one said falls back."""
    save("a", {"seed": 1, "top_k": 1})
    save("b", {"seed": 2})
    assert set(here.use("a")) == {"seed", "top_k"}
    here.use("b")
    assert (here.settings.seed, here.settings.top_k) == (2, None)


def test_what_the_notebook_set_stays_under_a_profile_and_is_named(here: ResolvedSettings) -> None:
    """Also where it was set with %config, before anything was read."""
    save("a", {"seed": 1, "top_k": 1})
    here.settings.seed = 7
    here.use("a")
    assert (here.settings.seed, here.settings.top_k) == (7, 1)
    assert here.take_notices() == [("stays", {"setting": "seed", "value": "7"})]


def test_nothing_is_read_from_the_folder_of_the_notebook(
    here: ResolvedSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever a cloned repository holds."""
    monkeypatch.chdir(tmp_path)
    for name in ("default.toml", "profiles.toml", ".ollama_magics.toml", "ollama_magics.toml"):
        Path(name).write_text('format = 1\n[settings]\nbase_url = "http://evil.test"\n')
    here.begin()
    assert here.address.host == "127.0.0.1"
    monkeypatch.setenv("OLLAMA_MAGICS_CONFIG", ".")
    here.begin()
    assert failure(here.require_profiles).code == "file-unusable"


# Keys.


def test_a_key_is_for_one_origin(here: ResolvedSettings) -> None:
    """Another address does not get it, and that is said."""
    here.configure({"base_url": "https://a.test"})
    here.secrets.hold_key(Secret(KEY))
    here.configure({"headers": {"X-Token": KEY}})
    assert here.secrets.key(here.address) == (Secret(KEY), "notebook")
    assert here.secrets.headers(here.address) == {"X-Token": Secret(KEY)}
    here.configure({"base_url": "https://a.test/below"})
    assert said(here) == []
    here.configure({"base_url": "https://b.test"})
    assert said(here) == ["dropped_secret", "dropped_secret"]
    here.configure({"base_url": "https://a.test"})
    assert (here.secrets.key(here.address), here.secrets.headers(here.address)) == ((NO_SECRET, ""), {})


def test_a_variable_is_for_the_address_of_its_profile(here: ResolvedSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the environment names another one, that one does not get the key."""
    monkeypatch.setenv("TEAM_KEY", f" '{KEY}'\n")
    here.configure({"base_url": "https://a.test", "api_key_env": "TEAM_KEY"})
    here.save("default")
    other = ResolvedSettings(OllamaSettings())
    other.begin()
    assert other.secrets.key(other.address) == (Secret(KEY), "variable TEAM_KEY")
    monkeypatch.setenv("OLLAMA_HOST", "https://b.test")
    assert other.address.host == "b.test"
    assert other.secrets.key(other.address) == (NO_SECRET, "")


def test_an_address_of_the_environment_is_saved_with_the_key_that_is_for_it(
    here: ResolvedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name of a key without its address would go anywhere."""
    monkeypatch.setenv("OLLAMA_HOST", "https://a.test")
    here.configure({"api_key_env": "TEAM_KEY"})
    here.save("work")
    assert load("work") == {"api_key_env": "TEAM_KEY", "base_url": "https://a.test"}


@pytest.mark.parametrize(
    ("address", "key"),
    [("ollama.com", KEY), ("a.test", ""), ("ollama.com.a.test", "")],
    ids=["its own", "another", "a look-alike"],
)
def test_the_key_of_the_cloud_is_for_the_cloud(
    here: ResolvedSettings, monkeypatch: pytest.MonkeyPatch, address: str, key: str
) -> None:
    """Unless it is named."""
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    here.configure({"base_url": f"https://{address}"})
    assert here.secrets.key(here.address)[0] == Secret(key)
    here.configure({"api_key_env": "OLLAMA_API_KEY"})
    assert here.secrets.key(here.address)[0] == Secret(KEY)


def test_a_missing_variable_is_an_error(here: ResolvedSettings) -> None:
    """Without its key, a request would be refused by the server for no visible reason."""
    here.configure({"api_key_env": "TEAM_KEY", "headers": "X-Team: $TEAM"})
    for act in (lambda: here.secrets.key(here.address), lambda: here.secrets.headers(here.address)):
        assert failure(act).code == "environment-empty"
    assert "TEAM_KEY" in sources(here)["api_key"][0]


def test_a_key_is_kept_where_the_form_says(here: ResolvedSettings) -> None:
    """And found there by another notebook, for that address alone."""
    here.configure({"base_url": "https://a.test", "key_store": "file"})
    here.secrets.hold_key(Secret(KEPT_KEY))
    here.save("")
    other = ResolvedSettings(OllamaSettings())
    other.begin()
    assert other.secrets.key(other.address) == (Secret(KEPT_KEY), "file")
    other.configure({"base_url": "https://b.test"})
    assert other.secrets.key(other.address) == (NO_SECRET, "")


def test_a_key_in_clear_is_said(here: ResolvedSettings) -> None:
    """Everybody on the way can read it; on this machine there is nobody."""
    here.secrets.hold_key(Secret(KEY))
    assert said(here) == []
    here.configure({"base_url": "http://a.test"})
    said(here)
    here.secrets.hold_key(Secret(KEY))
    assert said(here) == ["key_in_clear"]


def test_secrets_are_in_nothing_that_is_shown_or_saved(here: ResolvedSettings) -> None:
    """Neither the table, nor a profile, nor the settings themselves."""
    address = f"https://me:{KEY}@a.test/?token={KEY}"
    here.configure({"base_url": address, "proxy": f"http://me:{KEY}@p.test:1", "headers": {"X": KEY}})
    here.secrets.hold_key(Secret(KEY))
    here.save("")
    here.export(str(Path(os.environ["OLLAMA_MAGICS_CONFIG"]) / "out.txt"))
    files = "".join(path.read_text() for path in Path(os.environ["OLLAMA_MAGICS_CONFIG"]).iterdir())
    shown = [
        list(here.described()),
        here.take_notices(),
        here.settings.trait_values(),
        here.settings.class_get_help(here.settings),
    ]
    assert KEY not in files + repr(shown) + str(vars(here))
    assert here.address.password == Secret(KEY)


def test_everything_is_put_back_after_a_sandbox(here: ResolvedSettings) -> None:
    """Values, sources and keys."""
    here.configure({"base_url": "https://a.test"})
    here.secrets.hold_key(Secret(KEY))
    before = sources(here)
    with here.restored_at_end():
        here.configure({"base_url": "https://b.test", "seed": 1})
    assert (sources(here), here.secrets.key(here.address)[0], here.notices) == (before, Secret(KEY), [])


@pytest.mark.parametrize(
    ("values", "notices"),
    [
        ({"max_tokens": 9000}, ["max_over_context"]),
        ({"context_length": 512}, ["max_over_context"]),
        ({"max_tokens": -1}, []),
        ({"max_tokens": "8k", "context_length": "8k"}, []),
        ({"seed": 1}, []),
    ],
)
def test_what_cannot_hold_together_is_said_and_left(here: ResolvedSettings, values: dict[str, Any], notices: list[str]) -> None:
    """Nothing is clamped."""
    here.configure(values)
    assert said(here) == notices
    assert set(here.settings.changed()) == set(values)


def test_a_refused_value_leaves_sources_and_keys(here: ResolvedSettings) -> None:
    """As if it had not been typed."""
    here.configure({"base_url": "https://a.test", "headers": {"X": KEY}})
    before = sources(here)
    assert failure(lambda: here.configure({"base_url": "https://b.test", "seed": "x"})).code == "setting-invalid"
    assert failure(lambda: here.configure({"seed": 3, "base_url": "ftp://x"})).code == "scheme-unsupported"
    assert sources(here) == before
    assert here.secrets.headers(here.address) == {"X": Secret(KEY)}


# What a server says.


def test_what_is_detected_gives_way_to_everything_that_was_typed(here: ResolvedSettings) -> None:
    """Here or in a profile, but for the type: no model can be what it is not."""
    save("default", {"context_length": 16384, "model_type": "embedding"})
    here.begin()
    here.configure({"max_tokens": 99})
    assert here.fill({"context_length": 2048, "max_tokens": 2048, "model_type": "chat", "think": "low"}) == [
        "model_type",
        "think",
    ]
    found = sources(here)
    assert (found["context_length"], found["max_tokens"]) == (("16384", "saved"), ("99", "notebook"))
    assert (found["model_type"], found["think"]) == (("chat", "detected"), ("low", "detected"))
    here.configure({"think": "low"})  # the same, and now it is the person's
    assert here.fill({"think": "auto"}) == []
    assert sources(here)["think"] == ("low", "notebook")


def test_what_is_detected_is_saved(here: ResolvedSettings) -> None:
    """It belongs to the model of the moment."""
    save("chat", {"model": "llama3.2"})
    here.configure({"model": "all-minilm"})
    here.fill({"model_type": "embedding"})
    here.save("")
    assert load("default") == {"model": "all-minilm", "model_type": "embedding"}
    here.use("chat")
    assert sources(here)["model_type"] == ("embedding", "saved")


@pytest.mark.finding("E15")
def test_the_notice_of_a_dropped_secret_names_the_address_that_it_was_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a typed key, of a variable and of headers, however the address changes."""
    monkeypatch.setenv("TEAM", KEY)
    for change in ({"base_url": "https://new.test"}, {"base_url": ""}):
        here = ResolvedSettings(OllamaSettings())
        here.configure({"base_url": "https://old.test"})
        here.configure({"api_key_env": "TEAM", "headers": "X-Team: $TEAM"})
        here.secrets.hold_key(Secret(KEY))
        here.configure(change)
        dropped = {facts["setting"]: facts["origin"] for key, facts in here.take_notices() if key == "dropped_secret"}
        assert dropped == dict.fromkeys(("api_key", "api_key_env", "headers"), "https://old.test:443")
