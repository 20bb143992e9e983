"""What of earlier turns a model cannot read is left out and reported, or refused with strict."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.image_sources import collect
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.reply import answer_view
from ollama_magics.errors import ModelProblem, PromptProblem, SettingError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.session.session import Session
from tests.faults import FaultServer, fine, whole

from .conftest import Open

RED = collect(np.full((20, 30, 3), (255, 0, 0), "uint8"), name="red")
NO_PICTURES = "pictures of an earlier turn were left out, since sandbox-chat does not see: What is this?"
NO_CALLS = "calls of functions in an earlier turn were left out, since sandbox-chat does not call functions: add 2 3"


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture
def talk(session: Session) -> Conversation:
    """Return a conversation with a picture in its first turn and calls of a function in its second."""
    talk = Conversation()
    assert session.ask(Prompt("What is this?", model="sandbox-vision", images=tuple(RED), chat=talk)).text
    assert session.ask(Prompt("add 2 3", model="sandbox-tools", tools=[add], confirm=lambda _: True, chat=talk)).text
    return talk


def last_messages(server: FakeServer) -> list[dict[str, Any]]:
    """Return the messages of the last request."""
    (*_, body) = [body for _, path, body in server.requests if path == "/api/chat" and body]
    return list(body["messages"])


@pytest.mark.finding("A9")
def test_what_a_model_cannot_read_is_left_out_and_reported(session: Session, stand_in: FakeServer, talk: Conversation) -> None:
    """Texts stay; the conversation keeps all, so that a model that sees gets the picture again."""
    reply = session.ask(Prompt("And now?", chat=talk))
    assert reply.text
    assert reply.notes == [NO_PICTURES, NO_CALLS]
    assert all(note in answer_view(reply).warnings for note in reply.notes)
    assert [message["role"] for message in last_messages(stand_in)] == ["user", "assistant", "user", "assistant", "user"]
    assert not any(message.get("images") or message.get("tool_calls") for message in last_messages(stand_in))

    for model, has_picture, roles in (("sandbox-vision", True, 7), ("sandbox-tools", False, 11)):
        reply = session.ask(Prompt("And here?", model=model, chat=talk))
        assert reply.text
        assert (bool(last_messages(stand_in)[0].get("images")), len(last_messages(stand_in))) == (has_picture, roles)
        assert len(reply.notes) == 1


@pytest.mark.finding("A9")
def test_strict_refuses_it_and_names_the_turns(session: Session, stand_in: FakeServer, talk: Conversation) -> None:
    """Nothing is sent."""
    count = len(stand_in.requests)
    with pytest.raises(PromptProblem) as caught:
        session.ask(Prompt("And now?", chat=talk, strict=True))
    assert caught.value.code == "left-out"
    assert NO_PICTURES in caught.value.how_we_know
    assert NO_CALLS in caught.value.how_we_know
    assert not any(path == "/api/chat" for _, path, _ in stand_in.requests[count:])


@pytest.mark.finding("A9")
@pytest.mark.release("0.24.0")  # which ignores pictures that a model cannot read
@pytest.mark.parametrize(("vision", "sent"), [("yes", True), ("no", False)])
def test_the_settings_decide_before_the_server(session: Session, stand_in: FakeServer, vision: str, *, sent: bool) -> None:
    """What a user says of a model is believed."""
    talk = Conversation()
    assert session.ask(Prompt("What is this?", model="sandbox-vision", images=tuple(RED), chat=talk)).text
    session.configure({"vision": vision})
    assert session.ask(Prompt("And now?", model="sandbox-chat" if sent else "sandbox-vision", chat=talk)).text
    assert bool(last_messages(stand_in)[0].get("images")) == sent


@pytest.mark.finding("A9")
def test_a_server_that_lists_no_abilities_gets_everything(open_session: Open, talk: Conversation) -> None:
    """It may be able to read them."""
    with FaultServer(fine(show=whole({"model_info": {}}))) as server:
        reply = open_session(base_url=server.url, model="m").ask(Prompt("And now?", chat=talk))
        assert reply.text
        assert reply.notes == []
        assert sum(bool(message.images) for message in reply.request.messages) == 1  # type: ignore[union-attr]


@pytest.mark.finding("A9")
def test_a_turn_with_a_picture_is_not_continued_by_a_model_that_does_not_see(session: Session) -> None:
    """The picture belongs to the prompt that is asked again."""
    talk = Conversation()
    cut = Prompt("What is this?", model="sandbox-vision", images=tuple(RED), chat=talk, overrides={"max_tokens": 2})
    assert session.ask(cut).text
    with pytest.raises(ModelProblem) as caught:
        session.ask(Prompt("", model="sandbox-chat", chat=talk, go_on=True))
    assert caught.value.code == "model-not-able"
    session.configure({"vision": "no"})
    with pytest.raises(SettingError):
        session.ask(Prompt("", chat=talk, go_on=True))


@pytest.mark.finding("A14")
def test_logprobs_under_a_format_are_marked(session: Session) -> None:
    """As a figure, since nothing is lost: strict sends them, too."""
    marked = "logprobs are those of the model without the format"
    cases: list[tuple[str | None, int | None, list[str]]] = [("json", 3, [marked]), (None, 3, []), ("json", None, [])]
    for kind, count, notes in cases:
        reply = session.ask(Prompt("Is this spam?", format=kind, logprobs=count, strict=True))
        assert reply.text
        assert reply.notes == notes
        assert [figure for figure in answer_view(reply).figures if "logprobs" in figure] == notes
    forced = session.ask(Prompt("Is this spam?", format="json", logprobs=3))
    assert forced.text
    assert max(entry["logprob"] for entry in forced.logprobs) < -5
    assert all(len(entry["top_logprobs"]) == 3 for entry in forced.logprobs)
