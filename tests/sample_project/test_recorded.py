"""A test that is recorded once; tests/documented_workflow.py runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

import ollama_magics as om


@pytest.mark.usefixtures("ollama_recording")
def test_reply() -> None:
    """The answer of the stand-in repeats the prompt."""
    assert "“Hello”" in om.chat("Hello", model="sandbox-chat").text


def test_the_recording_is_beside_the_test(ollama_recording: Path) -> None:
    """Its name says whose it is."""
    assert ollama_recording.name == "test_recorded.test_the_recording_is_beside_the_test.json"
