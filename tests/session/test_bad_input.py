"""Nonsense in every field of the form, and in the environment: an error at the place, and what was good stays."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ollama_magics.errors import AddressError, OllamaMagicsError, SettingError
from ollama_magics.session.session import Session
from ollama_magics.settings import form
from ollama_magics.settings.form import OllamaSettings

MEGABYTE = 1_000_000
NONSENSE: dict[str, Any] = {
    "a megabyte": "x" * MEGABYTE,
    "a megabyte of digits": "9" * MEGABYTE,
    "a megabyte of signs": "@:/[" * (MEGABYTE // 4),
    "control characters": "a\x00b\x1b]0;title\x07\x9b31m",
    "emoji": "🙂👩‍🔬",
    "directions": "\u202eevil\u2066",
    "half a character": "\ud83d",
    "a list": [1, [2]],
    "a number": -1e308,
    "not a number": float("nan"),
    "nothing": None,
    "a dict": {"a": object()},
    "a truth": True,
    "bytes": b"\xff",
}
GOOD = {
    "model": "m",
    "base_url": "http://127.0.0.1:1",
    "context_length": 8192,
    "temperature": 0.5,
    "stop": ("END",),
    "keep_alive": "5m",
    "headers": (("X-Team", "$TEAM"),),
    "language": "en",
}


@pytest.mark.parametrize("value", NONSENSE.values(), ids=NONSENSE)
@pytest.mark.parametrize("name", form.names())
def test_nonsense_is_refused_at_the_place_or_kept_as_it_is(name: str, value: Any) -> None:
    """Whatever the field: one of our errors, short and harmless, and all of the form stays; or a value that can be shown."""
    session = Session(OllamaSettings())
    session.configure(GOOD)
    before = {one: getattr(session.settings, one) for one in form.names()}
    try:
        session.configure({"seed": 7, name: value})
    except (SettingError, AddressError) as error:
        for error.language in ("en", "zh"):
            text = str(error)
            assert len(text) < 1000
            assert len(text.splitlines()) <= 7
            assert not set(text) & set("\x00\x1b\x07\x9b\u202e\u2066")
        assert {one: getattr(session.settings, one) for one in form.names()} == before
    else:
        assert len(form.shown(getattr(session.settings, name))) <= 100_000
        assert list(session.described())
        kept = session.resolved.save("work")
        session.resolved.use("work")
        assert kept.stat().st_size < 2 * MEGABYTE
    session.close()


def test_a_bundle_of_certificates_that_is_not_there_is_said_at_once() -> None:
    """Not at the first request."""
    with pytest.raises(SettingError) as caught:
        OllamaSettings().ca_bundle = "/nowhere/ca.pem"
    assert "no such file" in str(caught.value)


def test_a_bundle_that_went_is_said_by_the_request(tmp_path: Path) -> None:
    """A profile may name what is no longer there."""
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    session = Session(OllamaSettings())
    session.configure({"base_url": "https://127.0.0.1:1", "ca_bundle": str(bundle)})
    bundle.unlink()
    report = session.check()
    assert report.error is not None
    assert report.error.code == "proxy-settings-unusable"
    assert str(bundle) in str(report)


ENVIRONMENTS: dict[str, dict[str, str]] = {
    "NO_PROXY in brackets": {"NO_PROXY": "[::1]"},
    "NO_PROXY of nonsense": {"no_proxy": "[", "HTTP_PROXY": "http://127.0.0.1:9"},
    "a proxy that is none": {"HTTP_PROXY": "[::1", "ALL_PROXY": "x:y:z"},
    "a proxy of another kind": {"ALL_PROXY": "socks5h://127.0.0.1:1"},
    "a host that is none": {"OLLAMA_HOST": "ftp://[::1"},
    "certificates that are none": {"SSL_CERT_FILE": "/nowhere", "SSL_CERT_DIR": "/nowhere"},
    "a language that is none": {"LANG": "\ud83d" if os.name == "nt" else "???", "LC_ALL": "zz_ZZ.none"},
    "a key of nonsense": {"OLLAMA_API_KEY": "a b\x01"},
    "a folder that is none": {"OLLAMA_MAGICS_CONFIG": "not/absolute"},
}


@pytest.mark.parametrize("variables", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
@pytest.mark.parametrize("url", ["", "http://box.test:1", "http://[::1]:1", "https://box.test:1"])
def test_nonsense_in_the_environment_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    """The check tells it, a request raises it, and nothing else comes."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    session = Session(OllamaSettings())
    session.configure({"base_url": url, "probes": "no", "connect_timeout": 0.2})
    assert str(session.check())
    with pytest.raises(OllamaMagicsError) as caught:
        session.client.version()
    assert len(str(caught.value).splitlines()) <= 7
    session.close()
