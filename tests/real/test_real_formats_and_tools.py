"""Answers as objects and calls of functions on a real Ollama, whose models `caller` and `parrot` always do the same."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import pytest

import ollama_magics as om
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.schema import make_schema
from ollama_magics.errors import AnswerCut, FormatProblem, ModelProblem, ToolProblem
from ollama_magics.session.session import Session, current
from tests.conversation.schema.type_cases import CASES, HOLDERS

PARROT = "Hello there . I am a tiny model .."


@dataclass
class Person:
    """Somebody."""

    name: str
    age: int


@pytest.fixture(autouse=True)
def session(real_url: str) -> Session:
    """Return the shared session, on the real server; every context is of one size, as another one loads the model anew."""
    om.configure(base_url=real_url, context_length=512, max_tokens=256, temperature=0, first_token_timeout=60)
    return current()


def test_a_function_is_called_and_the_second_answer_arrives() -> None:
    """With 2 and 3, and 5 goes back."""
    seen: list[tuple[int, int]] = []

    def add(a: int, b: int) -> int:
        """Add two numbers."""
        seen.append((a, b))
        return a + b

    reply = om.chat("What is 2 plus 3?", model="caller", tools=[add], confirm=lambda call: call.name == "add")
    assert reply.text.strip() == PARROT
    assert seen == [(2, 3)]
    assert [(call.name, call.arguments, call.result) for call in reply.tool_calls] == [("add", {"a": 2, "b": 3}, "5")]
    assert [message["role"] for message in reply.messages] == ["user", "assistant", "tool", "assistant"]
    assert reply.complete


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_a_turn_with_a_call_can_be_gone_on_with(session: Session) -> None:
    """The server takes the exchange back from memory."""
    first = session.ask(Prompt("What is 2 plus 3?", model="caller", tools=[add], confirm=lambda _: True))
    assert first.text.strip() == PARROT
    second = session.ask(Prompt("And then?", model="caller"))
    assert second.text.strip() == PARROT
    assert len(second.messages) == 6
    alone = om.chat("And then?", model="caller")
    assert alone.text
    assert second.stats.prompt_tokens > 2 * alone.stats.prompt_tokens


def test_without_somebody_to_ask_nothing_runs() -> None:
    """The call is an error that names it."""
    with pytest.raises(ToolProblem) as caught:
        _ = om.chat("What is 2 plus 3?", model="caller", tools=[add]).text
    assert caught.value.code == "tool-unconfirmed"


def test_a_model_that_calls_no_functions_is_refused_before_it_is_asked() -> None:
    """With those that do."""
    with pytest.raises(ModelProblem) as caught:
        om.chat("Hi", model="parrot", tools=[add])
    assert caught.value.code == "model-not-able"
    assert "caller" in caught.value.remedy


@pytest.mark.parametrize("kind", ["json", Person], ids=["json", "a class"])
def test_a_model_that_loops_where_json_is_wanted_is_an_error_with_its_text(kind: object) -> None:
    """Never half an object."""
    reply = om.chat("Hi", model="parrot", format=kind)
    with pytest.raises(AnswerCut) as caught:
        _ = reply.value
    assert caught.value.code in ("model-stuck", "object-cut")
    assert caught.value.partial is reply
    assert reply.text.startswith("{")
    assert not reply.complete
    with pytest.raises(FormatProblem):
        _ = reply.value


def test_an_answer_of_a_type_is_a_value_of_it() -> None:
    """The grammar makes even this model say yes or no."""
    assert om.chat("Hi", model="parrot", format=Literal["Hello"]).value == "Hello"
    assert om.chat("Hi", model="parrot", format=None).text.strip() == PARROT


@pytest.mark.finding("A5")
def test_no_schema_ends_the_runner(real_url: str, record_property: Any) -> None:
    """Of every type that we know, as msgspec and pydantic write it: an answer or a refusal, and the runner lives."""
    request = {"model": "parrot", "messages": [{"role": "user", "content": "Hi"}], "stream": False}
    request["options"] = {"num_ctx": 512, "num_predict": 4}
    answers = {}
    with httpx.Client(base_url=real_url, trust_env=False, timeout=60) as http:
        for place, name in itertools.product(("dataclass", "BaseModel"), CASES):
            if place not in CASES[name].without:
                schema = make_schema(HOLDERS[place](CASES[name].kind)).format
                answers[place, name] = http.post("/api/chat", json={**request, "format": schema}).status_code
    assert {key: status for key, status in answers.items() if status not in (200, 400)} == {}
    record_property("figure", f"{len(answers)} schemas sent to a real server")
