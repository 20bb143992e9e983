"""What is left out or changed on the way to the model is reported in one way, and refused with strict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from ollama_magics.conversation.image_sources import collect
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.reply import answer_view
from ollama_magics.errors import PromptProblem
from ollama_magics.session.session import Session
from tests.faults import FaultServer, fine, whole

from .conftest import Open

NO_LEVELS = 'm has no thinking levels; "high" was sent as "on"'
SHRUNK = "picture shrunk from 3000 × 30 to 2048 × 20"
CARD = {
    "capabilities": ["completion", "vision", "thinking"],
    "model_info": {"general.architecture": "qwen3", "qwen3.context_length": 2048},
    "template": "{{ if and .IsThinkSet .Think }}/think{{ end }}",
}


@pytest.fixture
def server() -> Iterator[FaultServer]:
    """Run a server whose model thinks, without levels, sees, and has a short context."""
    with FaultServer(fine(show=whole(CARD))) as server:
        yield server


@pytest.fixture
def session(open_session: Open, server: FaultServer) -> Session:
    """Return a session with that model."""
    return open_session(base_url=server.url, model="m", context_length=2048)


def prompt(**more: Any) -> Prompt:
    """Return a prompt with a level that the model does not have, and a picture that is shrunk."""
    pictures = tuple(collect(Image.new("L", (3000, 30))))
    return Prompt("Hi", once=True, overrides={"think": "high"}, images=pictures, **more)


def asked(server: FaultServer) -> int:
    """Return the number of prompts that were sent."""
    return sum(request.path == "/api/chat" for request in server.requests)


def test_notes_are_in_the_reply_the_footer_and_the_provenance(session: Session) -> None:
    """What loses something is a warning, what does not a small figure."""
    reply = session.ask(prompt())
    assert reply.text == "Hello"
    assert reply.notes == [NO_LEVELS, SHRUNK]
    view = answer_view(reply)
    assert (view.warnings, SHRUNK in view.figures, view.provenance["notes"]) == ([NO_LEVELS], True, reply.notes)
    assert NO_LEVELS not in view.figures


def test_a_prompt_without_notes_has_none(session: Session) -> None:
    """In its provenance neither."""
    reply = session.ask(Prompt("Hi", once=True))
    assert reply.text
    assert reply.notes == []
    assert "notes" not in answer_view(reply).provenance


def test_a_context_above_the_maximum_of_the_model_is_a_note_that_loses_nothing(session: Session) -> None:
    """Strict does not refuse it: the default may be above it."""
    reply = session.ask(Prompt("Hi", once=True, strict=True, overrides={"context_length": 4096}))
    assert reply.text
    assert reply.notes == ["the model's maximum context is 2048, less than --context"]


def test_strict_refuses_losses_before_the_prompt_is_sent(session: Session, server: FaultServer) -> None:
    """And names those only."""
    with pytest.raises(PromptProblem) as caught:
        session.ask(prompt(strict=True))
    assert (caught.value.code, caught.value.how_we_know, asked(server)) == ("left-out", NO_LEVELS, 0)
    caught.value.language = "zh"
    assert "没有发送" in caught.value.what
    assert "思考程度" in caught.value.how_we_know


def test_many_notes_stay_few_lines(session: Session) -> None:
    """Equal ones once; reply.notes has them all."""
    pictures = [Image.new("L", (3000, 30 + 30 * number)) for number in range(6)]
    reply = session.ask(Prompt("Hi", once=True, images=tuple(collect([*pictures, pictures[0].copy()]))))
    assert reply.text
    figures = [figure for figure in answer_view(reply).figures if "shrunk" in figure or "more" in figure]
    assert figures[0] == f"{SHRUNK} (2 times)"
    assert figures[4:] == ["and 2 more changes to the prompt: see reply.notes"]
    assert len(reply.notes) == 7
