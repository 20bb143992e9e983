"""What a check is asked by a session: the form's claims, the options of real use, and whether it may look around."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_magics.conversation.prompt import Prompt
from ollama_magics.fake_server.server import FakeServer

from .conftest import Open

CLAIMS: list[tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]] = [
    ({}, ("completion",), ()),
    ({"vision": "yes", "tools": "yes"}, ("completion", "vision", "tools"), ()),
    ({"vision": "no", "tools": "no"}, ("completion",), ("vision", "tools")),
    ({"tools": "yes", "model_type": "completion"}, ("completion",), ()),
    ({"vision": "yes", "tools": "no", "model_type": "embedding"}, ("embedding",), ()),
]


@pytest.mark.parametrize(("values", "claimed", "denied"), CLAIMS)
def test_the_form_claims_and_denies(
    open_session: Open, values: dict[str, Any], claimed: tuple[str, ...], denied: tuple[str, ...]
) -> None:
    """What its fields say, as far as the type of the model has a use for it."""
    question = open_session(**values).check_request()
    assert (question.abilities, question.denied) == (claimed, denied)


def test_a_model_for_embeddings_is_the_one_that_embeds(open_session: Open) -> None:
    """Its own field counts more than the model."""
    values = {"model": "m", "embedding_model": "e"}
    assert open_session(**values).check_request().model == "m"
    assert open_session(**values, model_type="embedding").check_request().model == "e"


def test_a_check_may_be_told_not_to_look_around(open_session: Open) -> None:
    """The person's word is kept in the form."""
    assert open_session().check_request().probes
    assert not open_session(probes="no").check_request().probes


def bodies(stand_in: FakeServer, path: str) -> list[dict[str, Any]]:
    """Return what was sent to a path."""
    return [body for _, asked, body in stand_in.requests if asked == path and body is not None]


def test_a_deep_check_asks_as_real_use_does(open_session: Open, stand_in: FakeServer) -> None:
    """The same context and keep-alive with every request, so that the load is not wasted."""
    session = open_session(base_url=stand_in.url, model="sandbox-chat", context_length=512, keep_alive="7m", seed=3)
    assert session.check(deep=True)
    assert session.ask(Prompt("Hi", once=True)).text
    *checked, used = bodies(stand_in, "/api/chat")
    assert {(body["options"]["num_ctx"], body["options"]["seed"], body["keep_alive"]) for body in checked} == {(512, 3, "7m")}
    assert (used["options"]["num_ctx"], used["keep_alive"]) == (512, "7m")


def test_embeddings_stay_as_long_as_the_form_says(open_session: Open, stand_in: FakeServer) -> None:
    """In the check and in real use; what a call says wins."""
    session = open_session(base_url=stand_in.url, model="sandbox-embed", model_type="embedding", keep_alive="1h30m")
    assert session.check(deep=True)
    session.embed(["a"], store=False)
    session.embed(["a"], store=False, keep_alive="5m")
    assert [body["keep_alive"] for body in bodies(stand_in, "/api/embed")] == [*["1h30m"] * 5, "5m"]


def test_a_denied_ability_is_told_and_not_proved(open_session: Open, stand_in: FakeServer) -> None:
    """Whoever does not want it must not wait for it."""
    values = {"base_url": stand_in.url, "model": "sandbox-vision", "model_type": "chat"}
    seen = open_session(**values).check(deep=True)
    denied = open_session(**values, vision="no").check(deep=True)
    assert "vision: works" in str(seen)
    assert "your settings say no: vision" in str(denied)
    assert "vision: works" not in str(denied)


ENVIRONMENT = [
    ("http://far:2", "http://far:2, from OLLAMA_HOST, overriding the saved http://saved:1"),
    ("far:2", "because no http:// was typed · from OLLAMA_HOST, overriding the saved http://saved:1"),
]


@pytest.mark.parametrize(("host", "said"), ENVIRONMENT)
def test_a_saved_address_that_the_environment_overrides_is_named(
    open_session: Open, monkeypatch: pytest.MonkeyPatch, host: str, said: str
) -> None:
    """By the check and by the line beside the field, so that it is no riddle."""
    open_session(base_url="http://saved:1").resolved.save("")
    monkeypatch.setenv("OLLAMA_HOST", host)
    session = open_session(probes="no", connect_timeout=0.1)
    session.resolved.begin()
    assert session.address_told().endswith(said)
    assert session.check_request().overridden == "http://saved:1"
    assert said in next(stage.sentence for stage in session.check().stages if stage.name == "address")
    session.configure({"language": "zh"})
    assert "覆盖已保存的 http://saved:1" in session.address_told()
