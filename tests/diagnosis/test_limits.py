"""How long a check may take, and how much it may ask: bounded at every stage, by whatever a server does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ollama_magics.diagnosis.environment import Environment
from ollama_magics.diagnosis.report import CheckReport, CheckRequest
from ollama_magics.diagnosis.stages import check
from tests.diagnosis.situations import card
from tests.faults import FaultServer, Hold, Receive, Send, Step, Wait, fine, whole

LIMIT = 10.0  # seconds for all stages before the load


def trickling(found: Any, seconds: float = 0.3) -> list[Step]:
    """Return an answer whose bytes come one by one, slower than anybody can wait for, and never late enough for a timeout."""
    (answer,) = whole(found)
    assert isinstance(answer, Send)
    pieces = [answer.data[place : place + 1] for place in range(len(answer.data))]
    return [step for piece in pieces for step in (Send(piece), Wait(seconds))]


def silent_names(host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
    """Look a name up for ever."""
    threading.Event().wait(60)
    raise OSError(host)


def slow_names(host: str, *_: object, **__: object) -> list[tuple[Any, ...]]:
    """Find addresses of which nothing ever comes back, and only then one that answers, almost too late."""
    time.sleep(1.2)
    silent = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{number}", 0)) for number in range(1, 8)]
    return [*silent, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))] if host else []


CARD = {"capabilities": ["completion"]}
SLOW: dict[str, tuple[list[Step], Environment, str]] = {
    "a silent name": ([Hold()], Environment(resolve=silent_names), "http://box.test:{port}"),
    "a name with silent addresses": ([Hold()], Environment(resolve=slow_names), "http://box.test:{port}"),
    "a silent handshake": ([Hold()], Environment(), "https://127.0.0.1:{port}"),
    "a silent server": ([Receive(), Hold()], Environment(), "http://127.0.0.1:{port}"),
    "a trickling version": (fine(version=trickling({"version": "0.24.0"})), Environment(), "http://127.0.0.1:{port}"),
    "a trickling list": (fine(tags=trickling({"models": [{"name": "m"}]})), Environment(), "http://127.0.0.1:{port}"),
    "a trickling card": (fine(show=trickling(CARD)), Environment(), "http://127.0.0.1:{port}"),
    "a trickling refusal": (fine(show=trickling({"error": "x" * 99})), Environment(), "http://127.0.0.1:{port}"),
    "a trickling memory": (fine(show=card(), ps=trickling({"models": []})), Environment(), "http://127.0.0.1:{port}"),
    "a trickling start": (trickling({"version": "0.24.0"}), Environment(), "http://127.0.0.1:{port}"),
}


def timed(script: list[Step], environment: Environment, url: str, found: dict[str, Any], name: str) -> None:
    """Make one check, and note its report and how long it took."""
    with FaultServer(script) as server:
        start = time.monotonic()
        report = check(CheckRequest(url.format(port=server.port), model="m"), environment=environment)
        found[name] = report, time.monotonic() - start


@pytest.mark.slow
def test_the_metadata_stages_end_in_time_whatever_a_server_does() -> None:
    """All at the same time, with the limits of real use: none takes longer than ten seconds."""
    found: dict[str, tuple[CheckReport, float]] = {}
    runs = [threading.Thread(target=timed, args=(*case, found, name)) for name, case in SLOW.items()]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert set(found) == set(SLOW)
    assert {name: round(seconds, 1) for name, (_, seconds) in found.items() if seconds > LIMIT} == {}
    failed = {name for name, (report, _) in found.items() if not report}
    assert failed == set(SLOW) - {"a trickling memory"}  # what is only good to know fails nothing
    assert "[server-silent]" in str(found["a trickling card"][0])  # the time of one answer, however many bytes come


def requests_of(models: int, capabilities: list[str], **options: Any) -> tuple[CheckReport, list[str]]:
    """Return the report about a server with so many models, and the paths that were requested."""
    tags = whole({"models": [{"name": f"m{number}", "size": number + 1} for number in range(models)]})
    with FaultServer(fine(tags=tags, show=whole({"capabilities": capabilities}))) as server:
        return check(CheckRequest(server.url, **options)), server.paths()


def test_not_every_card_of_many_models_is_requested() -> None:
    """Where several can do it, so many as an error names are enough; with a name on the form, one card is."""
    report, paths = requests_of(200, ["completion"])
    assert report.error is not None
    assert report.error.code == "model-ambiguous"
    assert paths.count("/api/show") <= 10
    report, paths = requests_of(200, ["completion"], model="m7")
    assert report
    assert paths == ["/api/version", "/api/tags", "/api/show", "/api/ps"]


def test_a_wrong_name_costs_no_load() -> None:
    """Four small requests, the last of which brings the nearest names."""
    refused = whole({"error": "model 'x' not found"}, status=404)
    with FaultServer(fine(show=refused)) as server:
        report = check(CheckRequest(server.url, model="x"))
        assert server.paths() == ["/api/version", "/api/tags", "/api/show", "/api/tags"]
    assert report.error is not None
    assert report.error.code == "model-missing"


STOPPED: dict[str, Callable[[], list[Step]]] = {
    "the connection": lambda: [Hold()],
    "the version": lambda: [Receive(), Hold()],
    "the card": lambda: fine(show=[Hold()]),
}


@pytest.mark.parametrize("script", STOPPED.values(), ids=STOPPED)
def test_a_check_can_be_stopped_at_any_stage(script: Callable[[], list[Step]]) -> None:
    """Within two slices, with a report that says so."""
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    with FaultServer(script()) as server:
        start = time.monotonic()
        report = check(CheckRequest(server.url, model="m", probes=False), stop=stop)
        assert time.monotonic() - start < 1.3
    assert report.error is not None
    assert report.error.code == "check-stopped"
