"""Situations simulated on this machine: each is named, explained in both languages, and answered with a remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ollama_magics.diagnosis.report import CheckReport
from ollama_magics.diagnosis.stages import check
from tests.diagnosis.certificates import trust
from tests.diagnosis.situations import SITUATIONS, Machine, closed_port, simulate

FOUND = "answers as Ollama"


def found_in(machine: Machine, monkeypatch: pytest.MonkeyPatch, folder: Path) -> CheckReport:
    """Return the report about a machine, with its proxy and its certificates."""
    for name, value in machine.proxy.items():
        monkeypatch.setenv(name, value)
    if machine.trusts:
        monkeypatch.setenv("SSL_CERT_FILE", trust(folder))
    return check(machine.request(), environment=machine.environment())


@pytest.mark.promise("N6")
@pytest.mark.parametrize("name", SITUATIONS)
def test_a_situation_is_reported_with_a_remedy(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """The first code and the first remedy are the right ones, and a ready command leads to an Ollama."""
    make, code, remedy = SITUATIONS[name]
    monkeypatch.setattr("ollama_magics.diagnosis.stages._METADATA_SECONDS", 0.5)
    monkeypatch.setattr("ollama_magics.diagnosis.stages._CONNECT_SECONDS", 0.5)
    with simulate(make) as machine:
        report = found_in(machine, monkeypatch, tmp_path)
    problems = [report.error] if report.error else list(report.notes)
    assert problems, report
    first = problems[0]
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
    "gateway-timeout",
    "key-refused",
    "only-cloud-models",
    "password-required",
    "request-too-large",
    "subscription-required",
    "usage-limit-reached",
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
    """The user may forbid the search."""
    make, _, _ = SITUATIONS["a slip in the port"]
    with simulate(make) as machine:
        machine.options["probes"] = False
        report = check(machine.request(), environment=machine.environment())
    assert report.error is not None
    assert FOUND not in report.error.remedy


def test_an_address_to_listen_on_is_used_as_loopback_and_noted() -> None:
    """Once, and the check goes on."""
    with simulate(SITUATIONS["a closed port"][0]) as machine:
        machine.url = f"http://0.0.0.0:{closed_port()}"
        report = check(machine.request(), environment=machine.environment())
    address = next(stage for stage in report.stages if stage.name == "address")
    assert [note.code for note in address.notes] == ["address-is-wildcard"]
    assert address.state == "ok"
