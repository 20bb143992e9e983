"""The table of what differs between releases: it is read by the version, and every row is asked of a server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.server import FakeServer
from tests.contract.facts import FACTS, RELEASES, fact

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("version", "tokens"),
    [("0.24.0", 512), ("0.34.4", 259), ("0.33.0-rc2", 512), ("0.35.1", 259), ("0.20.0", 512)],
)
def test_a_version_between_two_answers_like_the_older(version: str, tokens: int) -> None:
    """As far as anybody knows; a newer one answers like the last."""
    assert fact("tokens read of a prompt that is cut to 512", version) == tokens


@pytest.mark.finding("F7")
def test_every_fact_is_asked_of_a_server(record_property: Callable[[str, object], None]) -> None:
    """By its name, in one of the tests here."""
    texts = "\n".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_contract_*.py"))
    made = {"minimum length over 2000 in a schema", "maximum length over 2000 in a schema"}  # of the name of the bound
    assert not [name for name in FACTS if f'"{name}"' not in texts and name not in made]
    record_property("figure", f"{len(FACTS)} facts, {len(RELEASES)} releases")


def test_the_stand_in_speaks_as_each_release() -> None:
    """The newest unless told otherwise, and as no other."""
    assert tuple(release.value for release in Release) == RELEASES
    for server in (FakeServer(delay=0), *(FakeServer(delay=0, version=version) for version in RELEASES)):
        with server:
            version = httpx.get(f"{server.url}/api/version", trust_env=False).json()["version"]
        assert version == server.release.value
    assert FakeServer().release is Release.NEWEST
    with pytest.raises(ValueError, match=r"0\.12\.6"):
        FakeServer(version="0.12.6")
