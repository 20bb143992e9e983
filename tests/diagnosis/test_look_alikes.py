"""Programs that are not Ollama, or stand before it, are named before anything is said about version or models."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import pytest

from ollama_magics.diagnosis.environment import Environment
from ollama_magics.diagnosis.report import CheckRequest
from ollama_magics.diagnosis.stages import check
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.server.address import parse
from ollama_magics.server.client import Client
from ollama_magics.server.models import InstalledModels
from tests.diagnosis.look_alikes import LOOK_ALIKES
from tests.faults import FaultServer


@pytest.mark.finding("C1", "C2", "C5", "C24")
@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_is_named_by_the_check(name: str) -> None:
    """Its code, its name and what to type; never a tag of HTML, and never a version that is not Ollama's."""
    program = LOOK_ALIKES[name]
    with FaultServer(program.script()) as server:
        request = CheckRequest(server.url + program.path, probes=False, **program.options)
        report = check(request, environment=Environment(port=1))
    if not program.code:
        assert report, report
        return
    assert report.error, report
    assert report.error.code == program.code, report
    assert program.said in report.error.how_we_know, report
    assert program.advised in report.error.remedy, report
    for language in ("en", "zh"):
        report.error.language = language
        assert not re.search(r"<\w", str(report.error)), report
        assert 3 <= len(report.error.lines()) <= 7, report


@pytest.mark.finding("C1")
@pytest.mark.parametrize("name", [name for name, one in LOOK_ALIKES.items() if one.code == "not-ollama"])
def test_a_look_alike_is_named_by_a_chat_as_well(name: str) -> None:
    """Not only by the check."""
    program = LOOK_ALIKES[name]
    with FaultServer(program.script()) as server:
        client = Client(parse(server.url + program.path))
        with pytest.raises(OllamaMagicsError) as caught:
            InstalledModels(client).require_recent()
        client.close()
    assert caught.value.code == "not-ollama"
    assert program.said in caught.value.how_we_know


@pytest.mark.finding("C1")
def test_there_are_enough_programs(record_property: Callable[[str, object], None]) -> None:
    """Each with a source."""
    assert all(program.source for program in LOOK_ALIKES.values())
    codes = Counter(program.code or "works" for program in LOOK_ALIKES.values())
    record_property("figure", f"{len(LOOK_ALIKES)} programs: " + ", ".join(f"{n} {code}" for code, n in codes.most_common()))
    assert len(LOOK_ALIKES) >= 45
