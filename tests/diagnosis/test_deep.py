"""The deep check: it reports progress while a model loads, can be stopped, and its tests fail where a model lacks an ability."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from ollama_magics.diagnosis import capability_tests
from ollama_magics.diagnosis.report import CheckReport, CheckRequest
from ollama_magics.diagnosis.stages import DEEP_STAGES, PLAIN_STAGES, check
from ollama_magics.fake_server.server import FakeServer
from tests.diagnosis.situations import card
from tests.faults import FaultServer, Hold, Receive, Step, Wait, chunk, fine, whole
from tests.faults.connection import Connection

LINE = "application/x-ndjson"


def deep(script: list[Step], *abilities: str) -> CheckReport:
    """Return the deep check of the model of a server with this script."""
    with FaultServer(script) as server:
        return check(CheckRequest(server.url, model="m", abilities=abilities or ("completion",), deep=True))


def saying(text: str, **fields: Any) -> list[Step]:
    """Return the answer of /api/chat."""
    return whole(chunk(text, done=True, done_reason="stop", **fields), kind=LINE)


def test_the_fake_server_passes_and_gets_the_options_of_real_use(stand_in: FakeServer) -> None:
    """The same context for the load and for the answer, so that the model is loaded once."""
    report = check(CheckRequest(stand_in.url, model="sandbox-chat", context_length=1024, deep=True))
    assert report, report
    assert {stage.state for stage in report.stages} == {"ok"}
    bodies = [body for _, path, body in stand_in.requests if path == "/api/chat" and body]
    assert bodies[0]["messages"] == []
    assert {body["options"]["num_ctx"] for body in bodies} == {1024}


def test_a_long_load_is_reported_and_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known is reported while the model is on its way, with D32 when it takes long."""
    monkeypatch.setattr(capability_tests, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(capability_tests, "_LONG_LOAD_SECONDS", 0.0)
    seen: list[CheckReport] = []
    with FaultServer(fine(show=card(), chat=[Wait(0.4), *saying("Hello")])) as server:
        assert check(CheckRequest(server.url, model="m", deep=True), seen.append)
    ticks = [stage for report in seen for stage in report.stages if (stage.name, stage.state) == ("load", "running")]
    assert ticks
    assert ticks[0].sentence.startswith("loading m … ")
    assert ticks[0].notes[0].code == "model-loading"


def test_a_load_can_be_stopped() -> None:
    """Whoever started the check ends it, and the report says so."""
    stop = threading.Event()

    def press() -> None:
        server.wait_for("/api/chat")
        stop.set()

    with FaultServer(fine(show=card(), chat=[Hold()])) as server:
        threading.Thread(target=press, daemon=True).start()
        report = check(CheckRequest(server.url, model="m", deep=True), stop=stop)
        assert server.wait_until_left()
    assert report.error is not None
    assert report.error.code == "check-stopped"


def test_an_interrupt_leaves_no_connection_behind() -> None:
    """The stop button ends the load on the server, too, and nothing of ours goes on."""

    def press(report: CheckReport) -> None:
        if any((stage.name, stage.state) == ("load", "running") for stage in report.stages):
            raise KeyboardInterrupt

    outer = threading.Event()
    with FaultServer(fine(show=card(), chat=[Hold()])) as server:
        with pytest.raises(KeyboardInterrupt):
            check(CheckRequest(server.url, model="m", deep=True), press, stop=outer)
        assert server.wait_until_left()
    assert not outer.is_set()  # it may belong to the whole session


@pytest.mark.parametrize(
    ("answers", "abilities", "code"),
    [
        ({"chat": saying("I like it")}, ("completion", "vision"), "vision-blind"),
        ({"chat": saying("red")}, ("completion", "vision"), "vision-blind"),
        ({"chat": saying("five"), "show": card(8192, "completion", "tools")}, ("completion",), "tools-unused"),
        ({"chat": saying("five"), "show": card(8192, "completion", "thinking")}, ("completion",), "thinking-unused"),
        ({"chat": saying("")}, ("completion",), "answer-empty"),
        ({"show": card(512, "embedding"), "embed": whole({"embeddings": [[0.0, 0.0]] * 6})}, ("embedding",), "vectors-useless"),
        ({"show": card(512, "embedding"), "embed": whole({"embeddings": [[1.0, 2.0]] * 5})}, ("embedding",), "vectors-useless"),
        ({"show": card(512, "embedding"), "embed": whole({"embeddings": [[1.0, 2.0]] * 6})}, ("embedding",), "vectors-useless"),
    ],
)
def test_a_test_fails_where_the_model_lacks_the_ability(answers: dict[str, Any], abilities: tuple[str, ...], code: str) -> None:
    """Whatever its card says."""
    report = deep(fine(**{"show": card(), **answers}), *abilities)
    assert report.error is not None
    assert report.error.code == code, report


class Refuses:
    """Answers a question, and refuses it with 400 where it comes with functions."""

    def run(self, connection: Connection) -> None:
        """Do it."""
        has_tools = b'"tools":' in connection.received[-1].body
        for step in whole({"error": "m does not support tools"}, status=400) if has_tools else saying("Hello"):
            step.run(connection)


def test_a_server_that_refuses_tools_is_quoted() -> None:
    """The form said that the model calls them, and the card did not."""
    report = deep(fine(show=card(), chat=[Refuses()]), "completion", "tools")
    assert report.error is not None
    assert (report.error.code, report.error.how_we_know) == (
        "tools-unused",
        "Asked to call a function, it answered: m does not support tools",
    )


def test_the_report_is_the_same_as_json(stand_in: FakeServer) -> None:
    """With a code for programs, and null where nothing failed."""
    good = json.loads(check(CheckRequest(stand_in.url, model="sandbox-chat")).as_json())
    assert (good["ok"], good["code"]) == (True, None)
    ended = {stage["name"]: stage["state"] for stage in good["stages"]}
    assert [name for name, state in ended.items() if state == "not run"] == list(DEEP_STAGES)
    assert {state for name, state in ended.items() if name not in DEEP_STAGES} == {"ok"}
    assert set(ended) == {*PLAIN_STAGES, *DEEP_STAGES} - {"name", "proxy", "encryption"}
    bad = check(CheckRequest(stand_in.url, model="nope"))
    found = json.loads(str(bad.shown_as_json()))
    assert bad.error is not None
    assert (found["ok"], found["code"]) == (False, "model-missing")
    model = next(stage for stage in found["stages"] if stage["name"] == "model")
    assert model["error"]["remedy"] == bad.error.remedy
    assert bad.shown_as_json()._repr_html_() is None


def test_silence_of_the_server_ends_the_metadata_but_not_a_load() -> None:
    """The load has its own budget; here the version never comes."""
    report = deep([Receive(), Hold()])
    assert report.error is not None
    assert report.error.code == "server-silent"
