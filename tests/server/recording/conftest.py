"""Sessions that record what a server says, and sessions that live on the recording alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ollama_magics.session.session import Session
from ollama_magics.settings.form import OllamaSettings

Record = Callable[..., Session]
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return the path of the recording."""
    return tmp_path / "recording.json"


@pytest.fixture
def record(recording: Path) -> Iterator[Record]:
    """Return a function that opens a session recording what the server at an address says."""
    with ExitStack() as opened:

        def start(url: str, model: str = "sandbox-chat", **settings: object) -> Session:
            session = Session(OllamaSettings())
            opened.callback(session.close)
            session.configure({"base_url": url, "model": model, "embedding_model": "sandbox-embed", **settings})
            session.record(str(recording))
            return session

        yield start


@pytest.fixture
def replay(record: Record, monkeypatch: pytest.MonkeyPatch) -> Record:
    """Return a function that opens a session replaying the file, at once; nobody answers at its address."""

    def start(model: str = "sandbox-chat", **settings: object) -> Session:
        monkeypatch.setenv("OLLAMA_MAGICS_REPLAY", "1")
        monkeypatch.setenv("OLLAMA_MAGICS_STREAM", "off")
        return record(NOBODY, model, **settings)

    return start
