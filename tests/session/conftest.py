"""Sessions for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ollama_magics.fake_server.server import FakeServer
from ollama_magics.session.session import Session
from ollama_magics.settings.form import OllamaSettings

Open = Callable[..., Session]


@pytest.fixture
def open_session() -> Iterator[Open]:
    """Return a function that makes a session with these settings; it is closed in the end."""
    opened: list[Session] = []

    def make(**values: Any) -> Session:
        session = Session(OllamaSettings())
        opened.append(session)
        session.configure(values)
        return session

    yield make
    for session in opened:
        session.close()


@pytest.fixture
def session(open_session: Open, stand_in: FakeServer) -> Session:
    """Return a session whose chat model is the stand-in's."""
    return open_session(base_url=stand_in.url, model="sandbox-chat")
