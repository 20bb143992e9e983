"""What is said and kept around an answer of a real Ollama."""

from __future__ import annotations

import re

import pytest

import ollama_magics as om
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.reply import answer_view
from ollama_magics.errors import ModelProblem
from ollama_magics.session.session import Session, current


@pytest.fixture(autouse=True)
def session(real_url: str) -> Session:
    """Point the session at the real server."""
    om.configure(base_url=real_url)
    return current()


def test_an_answer_knows_where_it_came_from() -> None:
    """The digest is the one that the server lists."""
    reply = om.chat("Hi", model="parrot", seed=3)
    assert reply.text
    kept = answer_view(reply).provenance
    listed = {model.name: model.digest for model in current().client.installed()}
    assert kept["digest"] == listed["parrot:latest"]
    assert re.fullmatch(r"Ollama \d+\.\d+\.\d+\S*", kept["server"])
    assert (kept["model"], kept["seed"]) == ("parrot", 3)


def test_several_models_answer_one_after_another(session: Session) -> None:
    """A model that is not there stops none of the others."""
    replies = session.ask_several(Prompt("Hi"), ["parrot", "no-such-model", "thinker"])
    with pytest.raises(ModelProblem), replies:
        assert sorted(set(replies.stream())) == [0, 1, 2]
    assert [reply.complete for reply in replies] == [True, False, True]
    assert list(replies.frame["error"].isna()) == [True, False, True]


def test_a_server_says_whether_a_model_is_loaded(session: Session) -> None:
    """Not yet, or it is reading the prompt, or the prompt is in the queue."""
    assert om.chat("Hi", model="parrot", keep_alive=0).text
    watch = session.watch()
    assert watch.ask("colours") in ("loading", "queue")
    assert om.chat("What colour?", model="colours", keep_alive="1m").text is not None
    assert watch.ask("colours") == "queue"
    assert watch.ask("no-such-model") == "loading"
    watch.end()
