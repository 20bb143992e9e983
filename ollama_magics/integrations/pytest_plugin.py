"""A pytest plugin: the stand-in server as a fixture, and recordings of tests and notebooks; loaded when they are used."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ollama_magics.fake_server.server import FakeServer

_MODE = "ollama_recordings"
_LONGEST_NAME = 100  # characters of a recording's name, which a file system takes in any encoding
_ENVIRONMENT = {  # which kernels inherit
    "record": {"OLLAMA_MAGICS_REPLAY": "0"},
    "replay": {"OLLAMA_MAGICS_REPLAY": "1", "OLLAMA_MAGICS_STREAM": "off"},
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --ollama-record and --ollama-replay."""
    group = parser.getgroup("ollama", "Ollama (ollama_magics)")
    for mode, said in (
        ("record", "write the recordings of notebooks and of tests with ollama_recording anew, with a real server"),
        ("replay", "replay the recordings of notebooks, without a server and without times in their outputs"),
    ):
        group.addoption(f"--ollama-{mode}", action="append_const", const=mode, dest=_MODE, default=[], help=said)


_before = pytest.StashKey[pytest.MonkeyPatch]()


def pytest_configure(config: pytest.Config) -> None:
    """Set the environment of the run, also in each process of pytest-xdist."""
    modes = set(config.getoption(_MODE))
    if len(modes) > 1:
        message = "--ollama-record writes recordings anew, and --ollama-replay replays them: one of them"
        raise pytest.UsageError(message)
    patch = config.stash[_before] = pytest.MonkeyPatch()
    for name, value in (item for mode in modes for item in _ENVIRONMENT[mode].items()):
        patch.setenv(name, value)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Give the environment back."""
    if patch := config.stash.get(_before, None):
        patch.undo()


def _name_of_recording(request: pytest.FixtureRequest) -> str:
    """Return MODULE.TEST, in a class MODULE.CLASS.TEST; with a hash where two tests or the file system would not fit it."""
    classes = [part.name for part in request.node.listchain() if isinstance(part, pytest.Class)]
    whole = ".".join([request.path.stem, *classes, request.node.name])
    name = re.sub(r"[^\w.\[\]-]+", "_", whole)
    if name == whole and len(name) <= _LONGEST_NAME:
        return name
    return f"{name[:_LONGEST_NAME]}-{zlib.crc32(whole.encode('utf-8', 'surrogatepass')):08x}"


@contextmanager
def _own_session() -> Iterator[None]:
    """Let the block begin with settings of its own, and end what it leaves open."""
    from ollama_magics.settings import form  # noqa: PLC0415 - only who uses the fixture needs it

    def close() -> None:
        if form.shared().session is not None:
            form.shared().session.close()
        form.forget()

    close()
    try:
        yield
    finally:
        close()


@pytest.fixture
def ollama_sandbox(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeServer]:
    """Start a stand-in Ollama on this machine (``.url``, also in OLLAMA_HOST), which knows the models that ``.install`` names.

    ``.answer("…", when=pattern)`` says what it answers, ``.fail(503)``, ``.cut()``, ``.refuse()`` and ``.delay`` make it fail,
    and ``.requests`` holds what it was sent. No profile, store or setting of the user is read or written.
    """
    from ollama_magics.fake_server.server import FakeServer  # noqa: PLC0415 - as above

    folder = tmp_path_factory.mktemp("ollama")
    with FakeServer(delay=0) as server, _own_session():
        monkeypatch.setenv("OLLAMA_HOST", server.url)
        monkeypatch.setenv("OLLAMA_MAGICS_CONFIG", str(folder / "profiles"))
        monkeypatch.setenv("OLLAMA_MAGICS_CACHE", str(folder / "cache"))
        yield server


@pytest.fixture
def ollama_recording(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Replay the exchanges of this test from recordings/MODULE.TEST.json beside it, or write them there with --ollama-record."""
    from ollama_magics.errors import RecordingProblem  # noqa: PLC0415 - as above
    from ollama_magics.session.session import current  # noqa: PLC0415 - as above

    modes = request.config.getoption(_MODE)
    path = request.path.parent / "recordings" / f"{_name_of_recording(request)}.json"
    for variable, value in _ENVIRONMENT["record" if "record" in modes else "replay"].items():
        monkeypatch.setenv(variable, value)
    if "record" in modes:
        path.parent.mkdir(exist_ok=True)
    with _own_session():
        try:
            current().record(str(path))
        except RecordingProblem as problem:
            again = f"record it with a server: pytest --ollama-record {request.node.nodeid!r}"
            pytest.fail(f"{problem.what} {problem.how_we_know}\n{again}", pytrace=False)
        yield path
