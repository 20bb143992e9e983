"""Pickled and copied errors keep their texts and attributes, and no connection."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.errors import (
    AddressError,
    AnswerCut,
    ConnectionProblem,
    EmbeddingProblem,
    FormatProblem,
    Interrupted,
    ModelProblem,
    OllamaMagicsError,
    PictureProblem,
    PromptProblem,
    PromptTooLong,
    RecordingProblem,
    RequestRefused,
    RowsProblem,
    SettingError,
    ToolProblem,
)
from ollama_magics.fake_server.server import FakeServer

ERRORS: list[OllamaMagicsError] = [
    AddressError("port-invalid", port="x"),
    AnswerCut("stream-error", said="no more", characters=7),
    ConnectionProblem("address-refused", url="http://here", host="here", port=1, debug="ConnectError"),
    EmbeddingProblem("rows-not-text", rows=(3, 7), found="Row 3 is None, row 7 is empty."),
    FormatProblem("format-invalid", kind="x"),
    ModelProblem("model-missing", model="m", host="here", installed="a", nearest=""),
    PictureProblem("picture-unreadable", source="x", reason="broken"),
    PromptProblem("prompt-not-text", kind="int"),
    PromptTooLong("prompt-too-long", tokens=5000, limit=4096, model="m", said="It has 5000 tokens, the context 4096."),
    RecordingProblem("recording-no-match", method="POST", route="/api/chat", path="a.json", reason="None is near."),
    RequestRefused("request-refused", status=500, said="no"),
    RowsProblem("rows-missing", kind="list"),
    SettingError("setting-invalid", value="x", setting="seed", reason="no", example="42"),
    ToolProblem("tool-calls-too-many", count=100, most=8),
]


def pickled(error: Any) -> Any:
    """Return an error as another process receives it."""
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own


def test_every_class_is_tried() -> None:
    """A new class with arguments of its own might not be restored."""
    assert {type(error) for error in ERRORS} == set(OllamaMagicsError.__subclasses__())


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("cross", [pickled, copy.copy], ids=["pickle", "copy"])
def test_an_error_comes_back_as_it_was(error: OllamaMagicsError, cross: Any) -> None:
    """Class, code, facts, rows, status, language and notes."""
    error.language = "zh"
    error.add_note("in partition 3")
    found = cross(error)
    assert type(found) is type(error)
    assert (str(found), found.args, vars(found)) == (str(error), error.args, vars(error))
    assert found._render_traceback_() == error._render_traceback_()


@pytest.mark.finding("B12")
def test_the_reply_so_far_comes_back(stand_in: FakeServer) -> None:
    """So that what to type after the error holds in another process, too."""
    om.configure(base_url=stand_in.url, model="sandbox-chat")
    with pytest.raises(AnswerCut) as caught:
        _ = om.chat("repeat after me: one two three", format={"type": "object"}, max_tokens=2).value
    for error in (caught.value, Interrupted(caught.value.partial)):
        assert (pickled(error).partial.text, str(pickled(error))) == ("one two", str(error))


def test_an_interrupt_stays_an_interrupt() -> None:
    """With and without a text."""
    for error in (Interrupted(), Interrupted("so far")):
        assert (type(pickled(error)), str(pickled(error)), pickled(error).partial) == (Interrupted, str(error), error.partial)
