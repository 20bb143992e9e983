"""A stand-in server without delays, and a plain client of it."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from ollama_magics.fake_server.server import FakeServer


@pytest.fixture
def server() -> Iterator[FakeServer]:
    """Yield a running stand-in."""
    with FakeServer(delay=0) as stand_in:
        yield stand_in


@pytest.fixture
def http(server: FakeServer) -> Iterator[httpx.Client]:
    """Yield a client of it."""
    with httpx.Client(base_url=server.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def older() -> Iterator[httpx.Client]:
    """Yield a client of a stand-in that answers as 0.24.0 does."""
    with (
        FakeServer(delay=0, version="0.24.0") as stand_in,
        httpx.Client(base_url=stand_in.url, trust_env=False, timeout=30) as client,
    ):
        yield client
