"""Tests of a project that uses the plugin; tests/documented_workflow.py runs them."""

from __future__ import annotations

import pytest

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer


def test_an_answer_by_pattern(ollama_sandbox: FakeServer) -> None:
    """The rule that was added last comes first."""
    ollama_sandbox.install("llama3.2").answer("I do not know.").answer("Paris", when="capital of france")
    assert om.chat("What is the Capital of France?", model="llama3.2").text == "Paris"
    assert om.chat("What is the capital of Spain?", model="llama3.2").text == "I do not know."
    sent = ollama_sandbox.requests[-1]
    assert sent.path == "/api/chat"
    assert sent.body
    assert sent.body["messages"][0]["content"] == "What is the capital of Spain?"


def test_faults(ollama_sandbox: FakeServer) -> None:
    """A refusal, an answer that is cut, and no server."""
    om.configure(model="sandbox-chat")
    ollama_sandbox.fail(400, "we are closed", when="hello")
    with pytest.raises(om.RequestRefused, match="we are closed"):
        _ = om.chat("Hello").text
    ollama_sandbox.cut(2)
    with pytest.raises(om.AnswerCut) as caught:
        _ = om.chat("Hello").text
    assert caught.value.partial.text
    ollama_sandbox.refuse()
    with pytest.raises(om.ConnectionProblem):
        _ = om.chat("Hello").text
    ollama_sandbox.start()
    assert om.chat("Hello").text


def test_calls_of_functions(ollama_sandbox: FakeServer) -> None:
    """They are called with the arguments that the test has written down."""

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    calls = [{"name": "add", "arguments": {"a": 2, "b": 3}}]
    ollama_sandbox.answer("It is 5.").answer(calls=calls, times=1)
    reply = om.chat("What is 2 + 3?", model="sandbox-tools", tools=[add], confirm=lambda _: True)
    assert (reply.text, reply.tool_calls[0].result) == ("It is 5.", "5")


def test_settings_and_stores_are_those_of_the_test(ollama_sandbox: FakeServer) -> None:
    """The model of the test before is not set here, and no vector is kept from an earlier run."""
    with pytest.raises(om.ModelProblem):
        _ = om.chat("Hello").text
    for _ in range(2):
        om.embed(["a text"], model="sandbox-embed")
    assert sum(one.path == "/api/embed" for one in ollama_sandbox.requests) == 1
