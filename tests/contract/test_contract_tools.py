"""Calls of functions: how a model writes them, how they are sent back, and what is refused."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from PIL import Image

if TYPE_CHECKING:
    from tests.contract.conftest import Server

Lines = Callable[[httpx.Response], list[dict[str, Any]]]
ADD = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Add two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}
ASKED = {"role": "user", "content": "What is 2 plus 3?"}
CALL: dict[str, Any] = {"id": "call_x", "function": {"index": 0, "name": "add", "arguments": {"a": 2, "b": 3}}}
RESULT = {"role": "tool", "content": "5", "tool_name": "add", "tool_call_id": "call_x"}


def converse(server: Server, *messages: dict[str, Any], **fields: Any) -> httpx.Response:
    """Return the answer of the model that calls functions."""
    return server.converse(list(messages), model=server.tools_model, **{"tools": [ADD], **fields})


def test_a_model_lists_that_it_calls_functions(server: Server) -> None:
    """As "tools"; others do not."""
    assert server.show(server.tools_model)["capabilities"] == ["completion", "tools"]
    assert "tools" not in server.show(server.chat_model)["capabilities"]


def picture() -> str:
    """Return a red picture as a request carries it."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (255, 0, 0)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.finding("B9")
def test_a_picture_in_a_result_is_seen(server: Server) -> None:
    """By a model that sees, as one in a prompt."""
    messages: list[dict[str, Any]] = [
        ASKED,
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        RESULT | {"images": [picture()]},
    ]
    answer = server.converse(messages, model=server.vision_model).json()["message"]["content"]
    assert "red" in answer


def check_call(message: dict[str, Any]) -> None:
    """Check the shape of a message that is one call; the order of the arguments is the server's own."""
    (call,) = message["tool_calls"]
    assert (message["role"], message["content"]) == ("assistant", "")
    assert call["function"] == {"index": 0, "name": "add", "arguments": {"a": 2, "b": 3}}
    assert call["id"].startswith("call_")
    assert len(call["id"]) == len("call_") + 8


def test_a_call_comes_whole_in_one_line(server: Server, lines: Lines) -> None:
    """Its arguments are an object, and the line that ends the answer follows: "stop", as ever."""
    called, last = lines(converse(server, ASKED, stream=True))
    check_call(called["message"])
    assert called["done"] is False
    assert last["message"] == {"role": "assistant", "content": ""}
    assert (last["done"], last["done_reason"]) == (True, "stop")


def test_a_call_is_in_the_message_of_a_whole_answer(server: Server) -> None:
    """Where nothing is streamed."""
    answer = converse(server, ASKED).json()
    check_call(answer["message"])
    assert answer["done_reason"] == "stop"


def test_after_the_result_the_model_answers(server: Server) -> None:
    """The exchange goes back as a message with the call and one with the role "tool"."""
    called = {"role": "assistant", "content": "", "tool_calls": [CALL]}
    message = converse(server, ASKED, called, RESULT).json()["message"]
    assert message["content"]
    assert "tool_calls" not in message


def test_without_tools_the_model_answers(server: Server) -> None:
    """It calls only tools of the request."""
    message = converse(server, ASKED, tools=[]).json()["message"]
    assert message["content"]
    assert "tool_calls" not in message


def test_a_call_sent_back_needs_an_object_of_arguments(server: Server) -> None:
    """A text that holds JSON is refused."""
    texted = {"function": {**CALL["function"], "arguments": '{"a": 2}'}}
    answer = converse(server, ASKED, {"role": "assistant", "content": "", "tool_calls": [texted]})
    assert (answer.status_code, answer.json()["error"]) == (400, "Value looks like object, but can't find closing '}' symbol")


def test_tools_and_a_format_may_be_in_one_request(server: Server) -> None:
    """The call comes first."""
    check_call(converse(server, ASKED, format="json").json()["message"])


@pytest.mark.parametrize("stream", [True, False])
def test_tools_for_a_model_without_them_are_refused(server: Server, *, stream: bool) -> None:
    """With its full name."""
    answer = server.chat(tools=[ADD], stream=stream)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(f"/{server.chat_model}:latest does not support tools")
