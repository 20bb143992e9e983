"""Troubles made on this machine: each is named, told in both languages, and answered with what to type."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ollama_magics.diagnosis.report import CheckReport
from ollama_magics.diagnosis.stages import check
from tests.diagnosis.certificates import trust
from tests.diagnosis.rig import SITUATIONS, Scene, closed_port, scene_of

COMMAND = re.compile(r"%ollama_config --base-url (http\S+)   #")


def found_in(scene: Scene, monkeypatch: pytest.MonkeyPatch, folder: Path) -> CheckReport:
    """Return the report about a scene, with its proxy and its trust."""
    for name, value in scene.proxy.items():
        monkeypatch.setenv(name, value)
    if scene.trusts:
        monkeypatch.setenv("SSL_CERT_FILE", trust(folder))
    return check(scene.request(), environment=scene.environment())


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_is_named_with_what_to_type(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The first code and the first remedy are the right ones, and a ready command leads to an Ollama."""
    make, code, remedy = SITUATIONS[name]
    monkeypatch.setattr("ollama_magics.diagnosis.stages._METADATA_SECONDS", 0.5)
    monkeypatch.setattr("ollama_magics.diagnosis.stages._CONNECT_SECONDS", 0.5)
    with scene_of(make) as scene:
        report = found_in(scene, monkeypatch, tmp_path)
    told = [report.error] if report.error else list(report.notes)
    assert told, report
    first = told[0]
    line = next((line for line in first.remedy.splitlines() if remedy in line), first.remedy.splitlines()[0])
    record_property("situation", (name, first.code, line))
    assert first.code == code, report
    assert remedy in first.remedy, report
    assert 3 <= len(first.lines()) <= 8
    first.language = "zh"
    assert re.search("[\u4e00-\u9fff]", first.what + first.how_we_know)
    assert "…" not in first.what


# What a check can find wrong with a connection, a server or a model.
FINDINGS = {
    "host-unknown",
    "lookup-failed",
    "address-refused",
    "address-refused-container",
    "address-refused-wsl",
    "address-refused-remote",
    "address-silent",
    "address-family-refused",
    "address-family-slow",
    "address-is-wildcard",
    "address-refused-cloud",
    "address-refused-hub",
    "connection-broken",
    "not-http",
    "https-to-http",
    "http-to-https",
    "certificate-rejected",
    "tls-failed",
    "proxy-answered",
    "proxy-failed",
    "proxy-refused",
    "proxy-settings-unusable",
    "redirect-refused",
    "not-ollama",
    "path-unknown",
    "sign-in-required",
    "authentication-required",
    "host-header-refused",
    "cloud-disabled",
    "cloud-key-required",
    "server-silent",
    "model-loading",
    "gateway-failed",
    "server-busy",
    "server-too-old",
    "model-missing",
    "no-model-able",
    "model-wrong-type",
    "model-not-able",
    "context-above-maximum",
    "context-reload",
    "model-failed",
    "model-needs-newer-server",
    "model-on-cpu",
    "certificate-not-yet-valid",
}


def test_there_are_enough_situations_and_every_row_of_the_table_is_made() -> None:
    """At least 45; the other two stand beside another stage's result and have tests of their own."""
    codes = {code for _, code, _ in SITUATIONS.values()}
    assert len(SITUATIONS) >= 45
    assert FINDINGS - codes == {"address-is-wildcard", "model-loading"}


def test_without_probes_no_other_address_is_tried_or_offered() -> None:
    """The person may forbid the look around."""
    make, _, _ = SITUATIONS["a slip in the port"]
    with scene_of(make) as scene:
        scene.question["probes"] = False
        report = check(scene.request(), environment=scene.environment())
    assert report.error is not None
    assert not COMMAND.search(report.error.remedy)


def test_an_address_to_listen_on_is_used_as_loopback_and_noted() -> None:
    """Once, and the check goes on."""
    with scene_of(SITUATIONS["a closed port"][0]) as scene:
        scene.url = f"http://0.0.0.0:{closed_port()}"
        report = check(scene.request(), environment=scene.environment())
    assert [note.code for note in report.stages[0].notes] == ["address-is-wildcard"]
    assert report.stages[0].state == "ok"
