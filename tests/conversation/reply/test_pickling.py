"""A reply that has ended is data: it is pickled, copied and stored without a client, a key or a function."""

from __future__ import annotations

import copy
import datetime as dt
import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cloudpickle
import joblib
import numpy as np
import pytest

import ollama_magics as om
from ollama_magics.conversation.reply import answer_view
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.render.answer import answer_output
from ollama_magics.session.session import current

KEY = "key-that-must-not-be-pickled-4711"


@dataclass
class Person:
    """What an answer is decoded into."""

    name: str
    born: dt.date
    mood: Literal["glad", "sad"]


def joblib_copy(value: Any) -> Any:
    """Return the value as joblib writes and reads it."""
    file = io.BytesIO()
    joblib.dump(value, file)
    file.seek(0)
    return joblib.load(file)


def pickled(value: Any) -> Any:
    """Return the value as another process receives it."""
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own


WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": pickled,
    "cloudpickle": lambda value: pickle.loads(cloudpickle.dumps(value)),  # noqa: S301 - our own
    "joblib": joblib_copy,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def replies() -> dict[str, Callable[[], Any]]:
    """Return how to ask for replies of every kind."""
    picture = np.full((30, 40, 3), (255, 0, 0), "uint8")
    return {
        "text": lambda: om.chat("repeat after me: one two", logprobs=2, conversation=om.Conversation(), system="Be brief."),
        "thoughts": lambda: om.chat("Why?", model="sandbox-think", think="on"),
        "completion": lambda: om.chat("Once", generate=True),
        "cut": lambda: om.chat("Tell me more about all of this", max_tokens=3),
        "picture": lambda: om.chat("What is this?", model="sandbox-vision", images=[picture]),
        "class": lambda: om.chat("Ada", format=Person),
        "list": lambda: om.chat("Ada", format=list[Person]),
        "schema": lambda: om.chat("Ada", format={"type": "object", "properties": {"a": {"type": "string"}}}),
        "json": lambda: om.chat("Ada", format="json"),
        "function": lambda: om.chat("add 2 3", model="sandbox-tools", tools=[add, lambda_in_a_test()], confirm=lambda _: True),
        "stored": lambda: om.chat("again", reuse=True),
        "empty": lambda: om.chat("repeat after me:", values={}),
    }


def lambda_in_a_test() -> Callable[[], str]:
    """Return a function that cannot be pickled."""

    def later() -> str:
        return "later"

    return later


NAMES = ["text", "thinking", "model", "stats", "done_reason", "complete", "shifted", "messages", "logprobs", "request", "images"]
NAMES += ["left_out", "notes", "stored", "tool_calls"]


@pytest.fixture(autouse=True)
def server(stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch) -> FakeServer:
    """Ask the stand-in, with a key."""
    monkeypatch.setenv("KEY_OF_TESTS", KEY)
    om.configure(base_url=stand_in.url, model="sandbox-chat", api_key_env="KEY_OF_TESTS")
    return stand_in


@pytest.mark.finding("B12")
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", replies())
def test_a_reply_that_has_ended_comes_back_whole(kind: str, way: str) -> None:
    """All that it offers, and what it shows; nothing is asked again."""
    reply = replies()[kind]()
    assert str(reply) or kind == "empty"
    found = WAYS[way](reply)
    assert type(found) is om.Reply
    assert [getattr(found, name) for name in NAMES] == [getattr(reply, name) for name in NAMES]
    assert (list(found), len(found), str(found)) == (list(reply), len(reply), str(reply))
    assert answer_output(answer_view(found)) == answer_output(answer_view(reply))
    assert list(found.chunks()) == []
    if reply.request.format:
        assert found.value == reply.value
        assert type(found.value) is type(reply.value)
        assert found.frame.equals(reply.frame)


@pytest.mark.finding("B12")
@pytest.mark.parametrize("kind", replies())
def test_what_is_pickled_holds_no_key_and_no_address(kind: str, server: FakeServer) -> None:
    """So it may be given to others."""
    reply = replies()[kind]()
    assert str(reply) is not None
    for data in (pickle.dumps(reply), cloudpickle.dumps(reply)):
        assert KEY.encode() not in data
        assert server.url.partition("//")[2].encode() not in data


@pytest.mark.finding("B12")
def test_several_replies_come_back_with_their_errors() -> None:
    """Also one whose model is missing, and those that were never asked."""
    several = current().ask_several(om_prompt("hello"), ["sandbox-chat", "nope", "sandbox-think"])
    assert list(several.stream())
    for way in WAYS.values():
        found = way(several)
        assert (list(found.models), found.text, {place: str(error) for place, error in found.errors.items()}) == (
            list(several.models),
            several.text,
            {1: str(several.errors[1])},
        )
        assert [reply.complete for reply in found] == [True, False, True]
        assert found._repr_mimebundle_() == several._repr_mimebundle_()
        assert found.frame.text.tolist() == several.frame.text.tolist()
        with pytest.raises(om.ModelProblem, match="nope is not installed"):
            _ = found[1].text
    assert pickled(current().ask_several(om_prompt("hello"), ["a", "b"])).text == ""


def om_prompt(text: str) -> Any:
    """Return a prompt as a magic makes it."""
    from ollama_magics.conversation.prompt import Prompt  # noqa: PLC0415 - only here

    return Prompt(text)


@pytest.mark.finding("B12")
def test_a_reply_that_has_not_ended_says_what_to_do() -> None:
    """Before it is asked, and while it is read; once it is closed, the text so far is data."""
    reply = om.chat("Tell me more")
    with pytest.raises(TypeError, match=r"not asked yet .* read its \.text first"):
        pickle.dumps(reply)
    next(iter(reply))
    with pytest.raises(TypeError, match="still being read"):
        copy.deepcopy(reply)
    reply.close()
    assert (pickled(reply).text, pickled(reply).complete) == (reply.text, False)
    assert copy.copy(om.chat("repeat after me: yes")).text == "yes"


@pytest.mark.finding("B12")
def test_a_value_whose_class_cannot_be_pickled_is_named() -> None:
    """Python names the class; copies in this process need no pickle."""

    @dataclass
    class Local:
        name: str

    reply = om.chat("Ada", format=Local)
    assert reply.value == Local("Ada")
    with pytest.raises((AttributeError, pickle.PicklingError), match="Local"):
        pickle.dumps(reply)
    assert (copy.deepcopy(reply).value, copy.copy(reply).value) == (Local("Ada"), Local("Ada"))


@pytest.mark.finding("B12")
def test_a_reply_is_read_in_other_threads_and_tasks(tmp_path: Path) -> None:
    """In a running event loop, as in a cell of a notebook."""
    import asyncio  # noqa: PLC0415 - only here

    def ask(number: int) -> str:
        return om.chat(f"repeat after me: {number}").text

    async def ask_two() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(ask, number) for number in (1, 2)))

    async def ask_here() -> str:
        return str(om.chat("repeat after me: here"))

    assert asyncio.run(ask_two()) == ["1", "2"]
    assert asyncio.run(ask_here()) == "here"
    joblib.dump(om.chat("repeat after me: file").text, tmp_path / "text")
    found = joblib.Parallel(n_jobs=2, prefer="threads")(joblib.delayed(om.chat)(f"repeat after me: {n}") for n in (1, 2))
    assert [str(reply) for reply in found] == ["1", "2"]
