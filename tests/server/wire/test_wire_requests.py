"""What goes out."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from ollama_magics.server import wire
from ollama_magics.server.wire import ChatRequest, EmbedRequest, GenerateRequest, Message

REQUESTS: list[msgspec.Struct] = [
    ChatRequest(model="m", messages=(Message("user", "Hi"),)),
    GenerateRequest(model="m", prompt="Hi"),
    EmbedRequest(model="m", input=("a", "b")),
]


def sent(request: msgspec.Struct) -> dict[str, Any]:
    """Return the JSON that a server reads."""
    found: dict[str, Any] = json.loads(wire.encode(request))
    return found


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_every_request_forbids_the_server_to_cut(request_: msgspec.Struct) -> None:
    """The server would otherwise drop the start of the prompt silently."""
    assert sent(request_)["truncate"] is False


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
def test_a_request_cannot_be_changed_once_it_is_built(request_: msgspec.Struct) -> None:
    """What was shown is what goes out."""
    with pytest.raises(AttributeError):
        request_.model = "another"  # type: ignore[attr-defined]


def test_a_turn_is_sent_with_its_pictures_and_options() -> None:
    """Messages without pictures say nothing about pictures; an unset format is not sent."""
    messages = (Message("system", "Be brief."), Message("user", "Hi", ("aGk=",)))
    found = sent(ChatRequest(model="m", messages=messages, options={"num_ctx": 8192}))
    assert found["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi", "images": ["aGk="]},
    ]
    assert found["options"] == {"num_ctx": 8192}
    assert found["stream"] is True
    assert "format" not in found


def test_a_batch_is_sent_in_order() -> None:
    """One list, whatever the texts hold."""
    assert sent(EmbedRequest(model="m", input=("b", "a\nb", "数据")))["input"] == ["b", "a\nb", "数据"]
