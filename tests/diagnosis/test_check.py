"""The check: each stage's failure, what the report says of it, and that nothing is asked in vain."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest

from ollama_magics.diagnosis.report import CheckReport, CheckRequest, Stage
from ollama_magics.diagnosis.stages import DEEP_STAGES, PLAIN_STAGES, check
from ollama_magics.fake_server.server import FakeServer
from tests.faults import Close, FaultServer, Hold, Receive, Step, fine, refusing, whole

STAGES = tuple(name for name in PLAIN_STAGES if name not in ("name", "proxy", "encryption"))  # of a number and plain http
LATER = ["not run"] * len(DEEP_STAGES)
CAPABLE = ["completion", "vision"]


def found_on(script: Sequence[Step], **options: Any) -> CheckReport:
    """Return the report about a server with this script, which must be left afterwards."""
    with FaultServer(script) as server:
        report = check(CheckRequest(server.url, **{"probes": False, **options}))
        assert server.wait_until_left()
        return report


def stage(report: CheckReport, name: str) -> Stage:
    """Return a stage of a report by its name."""
    return next(one for one in report.stages if one.name == name)


def states(report: CheckReport) -> list[str]:
    """Return how each stage ended."""
    return [stage.state for stage in report.stages]


def stopped_at(name: str) -> list[str]:
    """Return the states of a check that stopped there."""
    before = STAGES.index(name)
    return ["ok"] * before + ["failed"] + ["not run"] * (len(STAGES) - before - 1) + LATER


def test_a_good_server_passes_every_stage(stand_in: FakeServer) -> None:
    """And is told with what it can do."""
    report = check(CheckRequest(stand_in.url, "notebook", model="sandbox-chat"))
    assert states(report) == ["ok"] * len(STAGES) + LATER
    assert (bool(report), report.ok, report.error) == (True, True, None)
    sentences = {one.name: one.sentence for one in report.stages}
    assert sentences["address"] == f"{stand_in.url}, set in this notebook"
    assert [sentences[name] for name in ("server", "model", "abilities")] == [
        "Ollama 0.34.4",
        "sandbox-chat is installed (one of 5)",
        "completion, context up to 8\u202f192",
    ]
    assert all(stage(report, name).milliseconds is not None for name in STAGES)


def test_a_check_loads_no_model(stand_in: FakeServer) -> None:
    """Only small questions are asked."""
    assert check(CheckRequest(stand_in.url, model="sandbox-embed", abilities=("embedding",)))
    assert {path for _, path, _ in stand_in.requests} == {"/api/version", "/api/tags", "/api/show"}


def test_the_only_fitting_model_is_found(stand_in: FakeServer) -> None:
    """With the size of its vectors, where it makes some."""
    report = check(CheckRequest(stand_in.url, abilities=("embedding",)))
    assert stage(report, "model").sentence == "sandbox-embed (the only suitable one of 5 installed)"
    assert "dimension 256" in stage(report, "abilities").sentence


@pytest.mark.finding("C20")
@pytest.mark.parametrize(
    ("source", "said"),
    [("default", "the default"), ("environment", "from OLLAMA_HOST"), ("notebook", "set in this notebook")],
)
def test_the_report_says_where_the_address_comes_from(source: str, said: str) -> None:
    """So that a forgotten variable is noticed; what was changed in it is told instead. Nobody typed the default."""
    report = check(CheckRequest("http://127.0.0.1:1", source))
    assert stage(report, "address").sentence == f"http://127.0.0.1:1, {said}"
    completed = stage(check(CheckRequest("127.0.0.1:1", source)), "address").sentence
    assert completed.startswith("typed 127.0.0.1:1 → used http://127.0.0.1:1") == (source != "default")


@pytest.mark.parametrize("typed", ["ftp://x", "http://h:99999", "llama3.2:1b"])
def test_a_bad_address_stops_at_the_first_stage(typed: str) -> None:
    """Nothing is connected to."""
    report = check(CheckRequest(typed))
    assert states(report) == stopped_at("address")
    assert report.error is not None
    assert report.error.code in ("port-invalid", "scheme-unsupported", "address-is-model")
    assert not report


def test_a_refused_port_stops_at_the_connection() -> None:
    """With the command that starts a server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    report = check(CheckRequest(f"http://127.0.0.1:{port}"))
    assert states(report) == stopped_at("connection")
    assert "ollama serve" in str(report)


@pytest.mark.finding("C10")
@pytest.mark.parametrize(
    ("proxy", "code"),
    [
        ("socks5://127.0.0.1:1", "proxy-settings-unusable"),
        ("http://127.0.0.1:1", "proxy-failed"),
        ("127.0.0.1:1", "proxy-failed"),
        ("http://me:pa55word@127.0.0.1:1", "proxy-failed"),
        ("http://no-such-proxy.test:3128", "proxy-failed"),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_a_stage_of_its_own(monkeypatch: pytest.MonkeyPatch, proxy: str, code: str, scheme: str) -> None:
    """A dead one is not reported as a connection to the server."""
    monkeypatch.setenv(f"{scheme}_proxy", proxy)
    report = check(CheckRequest(f"{scheme}://gpu-box.test:11434", probes=False))
    assert [(one.name, one.state) for one in report.stages[:3]] == [("address", "ok"), ("proxy", "failed"), ("server", "not run")]
    assert report.error is not None
    assert report.error.code == code, report
    assert "%ollama_config --proxy none" in report.error.remedy
    assert "accepts connections" not in str(report)
    assert "pa55word" not in str(report)


@pytest.mark.finding("C10")
def test_a_proxy_that_works_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection behind it cannot be tested."""
    with FaultServer(fine()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        report = check(CheckRequest("http://gpu-box.test:11434", model="m"))
    assert report, report
    assert stage(report, "proxy").sentence == f"proxy {proxy.url} accepts connections"
    assert "connection" not in [one.name for one in report.stages]


SERVERS: dict[str, tuple[Sequence[Step], str]] = {
    "a web page": (refusing(200, b"<html>", "text/html"), "not-ollama"),
    "another page": (refusing(404, b"<html>", "text/html"), "not-ollama"),
    "an old server": (fine(version=whole({"version": "0.11.0"})), "server-too-old"),
    "a guard": (refusing(403, b""), "host-header-refused"),
    "a redirect": ([Receive(), *whole(b"", status=302, extra="Location: /login\r\n"), Close()], "redirect-refused"),
    "a close": ([Receive(), Close()], "connection-broken"),
}


@pytest.mark.parametrize(("script", "code"), SERVERS.values(), ids=SERVERS)
def test_another_server_stops_at_the_server(script: Sequence[Step], code: str) -> None:
    """And is told from one that is down."""
    report = found_on(script)
    assert states(report) == stopped_at("server")
    assert report.error is not None
    assert report.error.code == code


def test_a_silent_server_ends_the_check_within_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check does not wait as long as an answer may take."""
    monkeypatch.setattr("ollama_magics.diagnosis.stages._METADATA_SECONDS", 0.2)
    report = found_on([Hold()])
    assert states(report) == stopped_at("server")
    assert report.error is not None
    assert report.error.code == "server-silent"


MODELS: dict[str, tuple[dict[str, Any], dict[str, Any], str, str]] = {
    "none installed": ({"tags": whole({"models": []})}, {}, "model", "no-model-able"),
    "none that fits": ({"show": whole({"capabilities": ["embedding"]})}, {}, "model", "no-model-able"),
    "several that fit": (
        {"tags": whole({"models": [{"name": "a"}, {"name": "b"}]}), "show": whole({"capabilities": CAPABLE})},
        {},
        "model",
        "model-ambiguous",
    ),
    "not the one named": (
        {"show": whole({"error": "model 'x' not found"}, status=404)},
        {"model": "x"},
        "model",
        "model-missing",
    ),
    "no list": ({"tags": whole({"data": []})}, {}, "server", "not-ollama"),
    "of another kind": ({"show": whole({"capabilities": ["embedding"]})}, {"model": "m"}, "abilities", "model-wrong-type"),
    "without sight": (
        {"show": whole({"capabilities": ["completion"]})},
        {"model": "m", "abilities": ("completion", "vision")},
        "abilities",
        "model-not-able",
    ),
}


@pytest.mark.parametrize(("answers", "options", "failed", "code"), MODELS.values(), ids=MODELS)
def test_an_unsuitable_model_stops_where_that_is_known(
    answers: dict[str, Any], options: dict[str, Any], failed: str, code: str
) -> None:
    """Missing, or of another kind."""
    report = found_on(fine(**answers), **options)
    assert states(report) == stopped_at(failed)
    assert report.error is not None
    assert report.error.code == code


def test_a_server_that_lists_no_capabilities_passes_with_a_question_mark() -> None:
    """What it does not say is not known."""
    report = found_on(fine(show=whole({})), model="m")
    assert report
    assert stage(report, "abilities").sentence == "?"


def test_each_stage_is_reported_as_it_ends(stand_in: FakeServer) -> None:
    """A panel paints from it; before the end it counts as nothing."""
    seen: list[CheckReport] = []
    last = check(CheckRequest(stand_in.url, model="sandbox-chat"), seen.append)
    assert [states(report).count("ok") for report in seen] == list(range(1, len(STAGES) + 1))
    assert not any(seen)
    assert last


# How it is told.

HOSTILE = "<script>alert(1)</script>&\x1b]0;x\x07\u202e"


class Tags(HTMLParser):
    """Collects the names of the elements of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, _: Any) -> None:
        """Note one."""
        self.names.add(tag)


@pytest.mark.parametrize(
    "answers",
    [
        {"version": whole({"version": HOSTILE})},
        {"version": whole(f"x {HOSTILE}".encode(), kind="text/plain")},
        {"show": whole({"capabilities": [HOSTILE, "completion"]})},
        {"tags": whole({"models": [{"name": HOSTILE}]}), "show": whole({"error": HOSTILE}, status=404)},
        {"tags": whole({"error": HOSTILE}, status=500)},
    ],
)
def test_texts_of_a_server_are_escaped(answers: dict[str, Any]) -> None:
    """Its version, its models, its errors."""
    report = found_on(fine(**answers), model="m")
    page = report.as_html()
    assert Tags(page).names <= {"table", "tr", "td", "br", "div", "span"}
    assert "alert(1)" in page
    for text in (page, str(report)):
        assert not set(text) & set("\x1b\x07\u202e")


def test_the_text_has_a_line_for_each_stage_and_the_remedy_below() -> None:
    """Signs and columns, readable in a terminal."""
    lines = str(found_on(fine(tags=whole({"models": []})))).splitlines()
    passed = STAGES.index("model")
    assert [line[0] for line in lines if line[0] != " "] == [*["✓"] * passed, "✗", "–"]
    failed, _, remedy, not_run = lines[passed:]
    assert failed.startswith("✗ Model")
    assert "No installed model on 127.0.0.1 supports this: completion." in failed
    assert remedy.strip() == "%ollama_pull llama3.2  [no-model-able]"
    assert not_run.endswith("not asked yet")
    assert "ms)" not in not_run


def test_a_report_speaks_one_language(stand_in: FakeServer) -> None:
    """The user's, where there is a translation."""
    report = check(CheckRequest("ftp://x", language="zh"))
    assert report.language == "zh"
    assert "地址" in str(report)
    assert "地址" in report.as_html()
    assert report.error is not None
    assert report.error.language == "zh"
    report = check(CheckRequest(stand_in.url, model="sandbox-embed", language="zh"))
    assert "不支持：对话（completion）" in str(report)
    assert "服务器列出的能力：嵌入（embedding）" in str(report)
    assert "对话（completion） · 视觉（vision）" in str(check(CheckRequest(stand_in.url, model="sandbox-vision", language="zh")))


def test_a_report_is_true_only_if_every_stage_passed() -> None:
    """One that is still open is not."""
    passed = tuple(Stage(name, "ok") for name in STAGES)
    assert CheckReport(passed)
    assert not CheckReport(passed, complete=False)
    assert CheckReport((*passed, Stage("load", "not run")))
    assert not CheckReport((*passed, Stage("load", "running")))
    assert not CheckReport((*passed[:-1], Stage("abilities", "failed")))


@pytest.mark.finding("F6")
@pytest.mark.parametrize(
    ("abilities", "asked", "loaded", "reloads"),
    [
        (CAPABLE, 512, 2048, False),
        (CAPABLE, 512, 4096, True),
        (CAPABLE, 3000, 3000, False),
        (CAPABLE, 9000, 8192, False),
        (["completion"], 512, 2048, True),
        (["completion"], 1, 4, False),
        (["completion"], 9000, 8192, False),
    ],
)
def test_another_context_is_one_that_the_server_would_not_give(
    abilities: list[str], asked: int, loaded: int, *, reloads: bool
) -> None:
    """A model that sees gets at least 2048 tokens, each at least 4, and none more than it has: that loads nothing anew."""
    info = {"general.architecture": "x", "x.context_length": 8192}
    show = whole({"capabilities": abilities, "model_info": info})
    ps = whole({"models": [{"name": "m:latest", "size": 100, "context_length": loaded}]})
    report = found_on(fine(show=show, ps=ps), model="m", context_length=asked)
    assert ("context-reload" in [note.code for note in report.notes]) is reloads
