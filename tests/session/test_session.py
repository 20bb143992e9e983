"""The session: how a prompt becomes a request, to whom it goes, and what is refused before."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from PIL import Image

from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.reply import answer_view, exchange_of
from ollama_magics.conversation.turns import Place
from ollama_magics.errors import (
    AddressError,
    Cancelled,
    ModelProblem,
    OllamaMagicsError,
    PromptProblem,
    RequestRefused,
    SettingError,
)
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server.wire import ChatRequest, GenerateRequest
from ollama_magics.session import build_request
from ollama_magics.session.session import Session, current
from ollama_magics.settings.form import shared
from tests.faults import FaultServer, Hold, chunk, fine, refusing, whole

from .conftest import Open


def sent(server: FakeServer, path: str = "/api/chat") -> list[dict[str, Any]]:
    """Return the bodies of the requests to an endpoint."""
    return [body for _, asked, body in server.requests if asked == path and body is not None]


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    return caught.value


def chat_request(session: Session, prompt: Prompt) -> ChatRequest:
    """Return what a prompt becomes."""
    request = build_request.request(session.settings, prompt, "m", prompt.text)
    assert isinstance(request, ChatRequest)
    return request


# A request.


def test_settings_become_options_of_the_request(open_session: Open) -> None:
    """What the server decides itself is not sent."""
    assert chat_request(open_session(), Prompt("Hi")).options == {"num_ctx": 4096, "num_predict": 4096}
    session = open_session(context_length="8k", max_tokens=-1, temperature=0, seed=0)
    assert chat_request(session, Prompt("Hi")).options == {"num_ctx": 8192, "num_predict": -1, "temperature": 0, "seed": 0}


def test_the_cell_wins_over_the_settings(open_session: Open) -> None:
    """Zero is a value."""
    session = open_session(context_length=8192, max_tokens=99, temperature=1, seed=7, system="Be long.")
    here = Prompt("Hi", system="", overrides={"context_length": 512, "max_tokens": 9, "temperature": 0, "seed": 0})
    request = chat_request(session, here)
    assert request.options == {"num_ctx": 512, "num_predict": 9, "temperature": 0, "seed": 0}
    assert [message.role for message in request.messages] == ["user"]


@pytest.mark.parametrize(
    "option", [{"context_length": 0}, {"context_length": -5}, {"max_tokens": 0}, {"temperature": 99}, {"seed": 1.5}]
)
def test_a_value_that_a_setting_could_not_take_is_not_sent_either(open_session: Open, option: dict[str, Any]) -> None:
    """A server would answer nonsense to some of them."""
    assert isinstance(failure(lambda: chat_request(open_session(), Prompt("Hi", overrides=option))), SettingError)


def test_the_system_prompt_comes_first(open_session: Open) -> None:
    """That of the cell, else that of the form."""
    session = open_session(system="Be brief.")
    for prompt, system in ((Prompt("Hi"), "Be brief."), (Prompt("Hi", system="Be long."), "Be long.")):
        messages = chat_request(session, prompt).messages
        assert [(message.role, message.content) for message in messages] == [("system", system), ("user", "Hi")]


def test_values_fill_prompt_and_system_prompt(session: Session, stand_in: FakeServer) -> None:
    """In the same way, and once."""
    prompt = Prompt("Say {{word}} {x}", system="You are {{who}}.")
    assert session.ask(prompt, {"word": "{{who}}", "who": "a pirate"}).text
    (body,) = sent(stand_in)
    assert [message["content"] for message in body["messages"]] == ["You are a pirate.", "Say {{who}} {x}"]


def test_without_values_braces_are_text(session: Session, stand_in: FakeServer) -> None:
    """As plain calls have it."""
    assert session.ask(Prompt("Say {{word}}", system="{{who}}")).text
    assert [message["content"] for message in sent(stand_in)[0]["messages"]] == ["{{who}}", "Say {{word}}"]


def test_a_completion_goes_to_its_own_endpoint(session: Session, stand_in: FakeServer) -> None:
    """With prompt and system prompt, and without memory."""
    session.configure({"model_type": "completion", "system": "Be brief."})
    assert isinstance(build_request.request(session.settings, Prompt("Once"), "m", "Once"), GenerateRequest)
    for _ in range(2):
        assert session.ask(Prompt("Once")).text
    assert [(body["prompt"], body["system"]) for body in sent(stand_in, "/api/generate")] == [("Once", "Be brief.")] * 2
    assert session.conversation.turns == ()


# Memory.


def test_turns_are_sent_again_with_the_next_prompt(session: Session, stand_in: FakeServer) -> None:
    """The model knows what was said."""
    first = session.ask(Prompt("One")).text
    assert session.ask(Prompt("Two")).text != first
    assert [message["content"] for message in sent(stand_in)[1]["messages"]] == ["One", first, "Two"]


def test_a_prompt_for_once_neither_reads_nor_keeps(session: Session, stand_in: FakeServer) -> None:
    """As if nothing had been said."""
    assert session.ask(Prompt("One")).text
    assert session.ask(Prompt("Two", once=True)).text
    assert [message["content"] for message in sent(stand_in)[1]["messages"]] == ["Two"]
    assert [turn.prompt.content for turn in session.conversation.turns] == ["One"]


def test_a_new_conversation_forgets(session: Session, stand_in: FakeServer) -> None:
    """And remembers from there on."""
    for prompt in (Prompt("One"), Prompt("Two", new=True), Prompt("Three")):
        assert session.ask(prompt).text
    assert [message["content"] for message in sent(stand_in)[2]["messages"]][::2] == ["Two", "Three"]


def test_a_cell_that_runs_again_does_not_see_its_former_answer(session: Session, stand_in: FakeServer) -> None:
    """Its turn is replaced."""
    assert session.ask(Prompt("One", place=Place("a", "1"))).text
    assert session.ask(Prompt("Once more", place=Place("a", "2"))).text
    assert [message["content"] for message in sent(stand_in)[1]["messages"]] == ["Once more"]
    assert [turn.prompt.content for turn in session.conversation.turns] == ["Once more"]


def test_a_failed_turn_changes_nothing(open_session: Open) -> None:
    """The next prompt goes out with the memory from before."""
    with FaultServer(fine()) as server:
        session = open_session(base_url=server.url, model="m")
        assert session.ask(Prompt("One", place=Place("a", "1"))).text == "Hello"
        before = session.conversation.turns
    assert failure(lambda: session.ask(Prompt("Two", place=Place("a", "2"))).text).code == "address-refused"
    assert session.conversation.turns == before


# Which model.


def test_the_only_fitting_model_need_not_be_named(open_session: Open, stand_in: FakeServer) -> None:
    """One that sees, where there is a picture."""
    session = open_session(base_url=stand_in.url)
    reply = session.ask(Prompt("What is it?", images=tuple(session.pictures_of(Image.new("RGB", (8, 8), "red")))))
    assert reply.model == "sandbox-vision"
    assert "red" in reply.text


def test_several_fitting_models_are_an_error(open_session: Open, stand_in: FakeServer) -> None:
    """Nothing is guessed, and nothing is sent to any of them."""
    error = failure(lambda: open_session(base_url=stand_in.url).ask(Prompt("Hi")))
    assert (type(error), error.code) == (ModelProblem, "model-ambiguous")
    assert sent(stand_in) == []


@pytest.mark.parametrize(("model", "code"), [("nope", "model-missing"), ("sandbox-embed", "model-wrong-type")])
def test_a_model_that_cannot_answer_is_refused_before_sending(
    session: Session, stand_in: FakeServer, model: str, code: str
) -> None:
    """It is missing, or of another kind."""
    error = failure(lambda: session.ask(Prompt("Hi", model=model)))
    assert (type(error), error.code) == (ModelProblem, code)
    assert sent(stand_in) == []


def test_a_blind_model_is_refused_a_picture_before_sending(session: Session, stand_in: FakeServer) -> None:
    """A server would answer as if there were none."""
    picture = tuple(session.pictures_of(Image.new("RGB", (8, 8), "red")))
    error = failure(lambda: session.ask(Prompt("What is it?", images=picture)))
    assert (type(error), error.code) == (ModelProblem, "model-not-able")
    assert "sandbox-vision" in error.remedy
    assert sent(stand_in) == []


@pytest.mark.release("0.24.0")  # which ignores pictures that a model cannot read
def test_the_form_may_know_better_whether_a_model_sees(session: Session, stand_in: FakeServer) -> None:
    """Yes: the picture goes out. No: it does not."""
    picture = tuple(session.pictures_of(Image.new("RGB", (8, 8), "red")))
    session.configure({"vision": "yes"})
    assert session.ask(Prompt("What is it?", images=picture)).text
    assert len(sent(stand_in)[0]["messages"][0]["images"]) == 1
    session.configure({"vision": "no", "model": "sandbox-vision"})
    assert isinstance(failure(lambda: session.ask(Prompt("What is it?", images=picture))), SettingError)
    assert session.ask(Prompt("Hi")).text


@pytest.mark.parametrize("text", ["", "  \n", "\t"])
def test_an_empty_prompt_is_refused(session: Session, stand_in: FakeServer, text: str) -> None:
    """Servers take it as a command to load the model."""
    error = failure(lambda: session.ask(Prompt(text)))
    assert (type(error), error.code) == (PromptProblem, "prompt-empty")
    assert failure(lambda: session.ask(Prompt("{{x}}"), {"x": text})).code == "prompt-empty"
    assert stand_in.requests == []


def test_an_unknown_name_is_refused_before_anything_is_asked(session: Session, stand_in: FakeServer) -> None:
    """In the system prompt as well."""
    assert failure(lambda: session.ask(Prompt("{{x}}"), {})).code == "name-unknown"
    assert failure(lambda: session.ask(Prompt("Hi", system="{{x}}"), {})).code == "system-name-unknown"
    assert sent(stand_in) == []


def test_an_old_server_is_refused_before_anything_is_sent(open_session: Open) -> None:
    """It would cut long prompts without a word; texts to embed as well."""
    with FaultServer(fine(version=whole({"version": "0.11.0"}))) as server:
        session = open_session(base_url=server.url, model="m")
        for act in (lambda: session.ask(Prompt("Hi")), lambda: session.embed(["a"])):
            error = failure(act)
            assert (type(error), error.code) == (RequestRefused, "server-too-old")
        assert not {"/api/chat", "/api/generate", "/api/embed"} & set(server.paths())


def test_something_else_on_the_port_is_named(open_session: Open) -> None:
    """Before a prompt goes to it."""
    with FaultServer(refusing(200, b"<html>", "text/html")) as server:
        assert failure(lambda: open_session(base_url=server.url, model="m").ask(Prompt("Hi"))).code == "not-ollama"
        assert not {"/api/chat", "/api/generate"} & set(server.paths())  # only what tells who answers


def test_a_reply_knows_the_smaller_of_two_contexts(session: Session) -> None:
    """What was asked for, and what the model was made for."""
    assert exchange_of(session.ask(Prompt("Hi", overrides={"context_length": 512}))).context.context_length == 512
    assert exchange_of(session.ask(Prompt("Hi", overrides={"context_length": 100_000}))).context.context_length == 8192


def test_a_reply_knows_whether_it_left_the_machine(open_session: Open) -> None:
    """By the address, or because the server passes it on."""
    with FaultServer(fine(show=whole({"remote_host": "https://ollama.com:443"})), fine()) as server:
        session = open_session(base_url=server.url, model="m")
        assert exchange_of(session.ask(Prompt("Hi"))).context.remote_host == "ollama.com"
    for name in ("gpt-oss:120b-cloud", "deepseek:cloud"):  # whatever the server says of it
        with FaultServer(fine()) as server:
            assert (
                exchange_of(open_session(base_url=server.url, model=name).ask(Prompt("Hi"))).context.remote_host == "ollama.com"
            )
    with FaultServer(fine()) as server:
        assert exchange_of(open_session(base_url=server.url, model="m").ask(Prompt("Hi"))).context.remote_host == ""


def test_a_reply_through_a_proxy_names_the_other_machine(open_session: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that answers, not the one in between."""
    with FaultServer(fine()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        session = open_session(base_url="http://gpu-box.test:11434", model="m")
        assert exchange_of(session.ask(Prompt("Hi"))).context.remote_host == "gpu-box.test"


# Embeddings.


@pytest.mark.parametrize(
    "values",
    [
        {"embedding_model": "sandbox-embed", "model": "sandbox-chat"},
        {"model": "sandbox-embed", "model_type": "embedding"},
        {"model": "sandbox-chat"},
        {},
    ],
)
def test_the_embedding_model_comes_from_the_form_or_is_the_only_one(
    open_session: Open, stand_in: FakeServer, values: dict[str, Any]
) -> None:
    """Its own field, or the model if that is its type."""
    assert open_session(base_url=stand_in.url, **values).embed(["a", "b"]).shape == (2, 256)
    assert sent(stand_in, "/api/embed")[0]["model"] == "sandbox-embed:latest"


def test_a_chat_model_does_not_embed(session: Session, stand_in: FakeServer) -> None:
    """Real servers return vectors of little worth."""
    assert failure(lambda: session.embed(["a"], "sandbox-chat")).code == "model-wrong-type"
    assert sent(stand_in, "/api/embed") == []


def test_rows_are_looked_at_before_the_server(session: Session, stand_in: FakeServer) -> None:
    """A wrong one costs no request."""
    assert failure(lambda: session.embed(["a", None])).code == "rows-not-text"
    assert stand_in.requests == []


@pytest.mark.parametrize("batch", [0, -1, "many", 1.5])
def test_a_batch_without_size_is_refused(session: Session, batch: Any) -> None:
    """It would never end."""
    assert isinstance(failure(lambda: session.embed(["a"], batch=batch)), SettingError)


# Where, and in which language.


def test_the_address_comes_from_the_notebook_then_the_environment(open_session: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """And then it is Ollama's own."""
    session = open_session()
    assert (session.typed_address(), session.address.url) == (("127.0.0.1:11434", "default"), "http://127.0.0.1:11434")
    monkeypatch.setenv("OLLAMA_HOST", " gpu-box ")
    assert (session.typed_address()[1], session.address.url) == ("environment", "http://gpu-box:11434")
    session.configure({"base_url": "https://there"})
    assert (session.typed_address()[1], session.address.url) == ("notebook", "https://there")
    monkeypatch.setenv("OLLAMA_HOST", "   ")
    session.configure({"base_url": ""})
    assert session.typed_address()[1] == "default"


def test_an_address_of_the_environment_that_is_none_is_an_error(open_session: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first use, not before."""
    monkeypatch.setenv("OLLAMA_HOST", "ftp://x")
    session = open_session(model="m")
    assert isinstance(failure(lambda: session.ask(Prompt("Hi"))), AddressError)


def test_one_client_is_kept_until_the_address_changes(open_session: Open) -> None:
    """And the models of the old server are forgotten with it."""
    with FaultServer(fine()) as one, FaultServer(fine(chat=whole({"error": "no"}, status=500))) as other:
        session = open_session(base_url=one.url, model="m")
        client = session.client
        assert session.client is client
        assert session.ask(Prompt("Hi")).text == "Hello"
        session.configure({"base_url": other.url})
        assert session.client is not client
        assert failure(lambda: session.ask(Prompt("Hi")).text).code == "request-refused"
        assert one.wait_until_left()


@pytest.mark.parametrize("change", ["http://you:b@127.0.0.1:1", "http://me:c@127.0.0.1:1"])
def test_another_name_or_password_makes_another_client(open_session: Open, change: str) -> None:
    """The old one would go on with the old name."""
    session = open_session(base_url="http://me:b@127.0.0.1:1")
    client = session.client
    session.configure({"base_url": change})
    assert session.client is not client


def test_the_key_of_the_environment_is_for_its_own_server(open_session: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other server never sees it."""
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-canary")
    with FaultServer(fine()) as server:
        assert open_session(base_url=server.url, model="m").ask(Prompt("Hi")).text == "Hello"
        assert not any("authorization" in request.headers for request in server.requests)


def test_the_key_goes_to_the_cloud_that_it_is_for(open_session: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over https alone, so that a proxy in between does not see it."""
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-canary\n")
    session = open_session(base_url="ollama.com")
    assert session.address.url == "https://ollama.com"
    assert session.client._http.headers["authorization"] == "Bearer sk-canary"
    monkeypatch.setenv("OLLAMA_API_KEY", "sk-ca\nnary")
    error = failure(lambda: session.client)
    assert isinstance(error, SettingError)
    assert "nary" not in str(error)


@pytest.mark.parametrize(
    ("chosen", "variables", "language"),
    [
        ("auto", {"LANG": "C"}, "en"),
        ("auto", {"LANG": "zh_CN.UTF-8"}, "zh"),
        ("auto", {"LANG": "en_GB.UTF-8", "LC_ALL": "zh_TW"}, "zh"),
        ("auto", {"LANG": "zh_CN", "LC_MESSAGES": "de_DE"}, "en"),
        ("en", {"LANG": "zh_CN"}, "en"),
        ("zh", {"LANG": "C"}, "zh"),
    ],
)
def test_the_language_is_chosen_or_the_systems(
    open_session: Open, monkeypatch: pytest.MonkeyPatch, chosen: str, variables: dict[str, str], language: str
) -> None:
    """English where there is no other."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert open_session(language=chosen).language == language


# Settings.


def test_settings_are_changed_together_or_not_at_all(open_session: Open) -> None:
    """A half-done change would be a third thing that nobody wanted."""
    session = open_session(model="old", context_length=512)
    for wrong in ({"context_length": "many"}, {"base_url": "ftp://x"}, {"modell": "x"}, {"temperature": 99}):
        failure(partial(session.configure, {"model": "new", "seed": 7, **wrong}))
        assert session.settings.changed() == {"model": "old", "context_length": 512}


def test_an_unknown_setting_is_an_error_that_lists_the_known_ones(open_session: Open) -> None:
    """Internal ones are none."""
    for name in ("modell", "session", "parent"):
        error = failure(partial(open_session().configure, {name: "x"}))
        assert (type(error), error.code) == (SettingError, "setting-unknown")
        assert "model, base_url" in error.how_we_know


def test_configure_tells_what_has_changed(open_session: Open) -> None:
    """Not what was set to what it was."""
    session = open_session(model="m")
    assert session.configure({"model": " m ", "seed": "7", "context_length": "4k"}) == ["seed"]


def test_the_settings_are_described_with_their_sources(open_session: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address in the form in which it is used."""
    monkeypatch.setenv("OLLAMA_HOST", "gpu-box")
    described = {name: (value, source) for name, value, source in open_session(model="m").described()}
    assert described["model"] == ("m", "notebook")
    assert described["base_url"] == ("http://gpu-box:11434", "environment")
    assert described["seed"] == ("", "default")


# The end.


def test_closing_ends_waits_and_what_the_session_owns(open_session: Open) -> None:
    """A thread that waits for an answer is freed at once."""
    found: list[BaseException] = []
    with FaultServer(fine(chat=[Hold()])) as server:
        session = open_session(base_url=server.url, model="m")
        ended: list[str] = []
        session.own(lambda: ended.append("stand-in"))
        reply = session.ask(Prompt("Hi"))

        def wait() -> None:
            try:
                _ = reply.text
            except BaseException as error:  # noqa: BLE001 - it is looked at in the thread of the test
                found.append(error)

        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        assert server.wait_for("/api/chat")
        session.close()
        waiter.join(5)
        assert [type(error) for error in found] == [Cancelled]
        assert ended == ["stand-in"]
        assert server.wait_until_left()


def test_a_reply_that_was_prepared_for_another_address_says_so(open_session: Open) -> None:
    """It is asked for at its first look only, and the connection is gone by then."""
    with FaultServer(fine()) as one, FaultServer(fine()) as other:
        session = open_session(base_url=one.url, model="m")
        reply = session.ask(Prompt("Hi"))
        session.configure({"base_url": other.url})
        assert session.ask(Prompt("Hi")).text == "Hello"
        assert failure(lambda: reply.text).code == "connection-broken"
        assert "/api/chat" not in one.paths()


def test_a_session_that_did_nothing_can_be_closed(open_session: Open) -> None:
    """It has no client yet."""
    session = open_session()
    session.close()
    assert session._client is None


def test_there_is_one_session_for_the_shared_settings() -> None:
    """Made at first use."""
    assert shared().session is None
    assert current() is current() is shared().session


def test_threads_that_begin_at_once_share_one_store(session: Session) -> None:
    """Two would each have a thread that writes the same file."""
    found: list[object] = []
    together = threading.Barrier(8)

    def begin() -> None:
        together.wait()
        found.append(session.store)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(store is found[0] for store in found)


def test_the_forms_keep_alive_goes_with_embeddings_unless_the_call_says_otherwise(
    open_session: Open, stand_in: FakeServer
) -> None:
    """And nothing goes where nobody has set it."""
    plain = open_session(base_url=stand_in.url)
    plain.embed(["a"], "sandbox-embed", store=False)
    here = open_session(base_url=stand_in.url, keep_alive="30m")
    here.embed(["b"], "sandbox-embed", store=False)
    here.embed(["c"], "sandbox-embed", store=False, keep_alive=0)
    assert [body.get("keep_alive") for body in sent(stand_in, "/api/embed")] == [None, "30m", 0]


@pytest.mark.parametrize("model", ["m", ""])
def test_a_job_that_must_stay_here_refuses_a_model_that_runs_elsewhere(open_session: Open, model: str) -> None:
    """Named, or chosen because it is the only one."""
    card = {"capabilities": ["embedding"], "model_info": {}, "remote_host": "https://ollama.com:443"}
    with FaultServer(fine(show=whole(card))) as server:
        here = open_session(base_url=server.url, local_only="yes")
        error = failure(lambda: here.embed(["a"], model, store=False))
        assert "/api/embed" not in server.paths()
    assert error.code == "local-only"
    assert "ollama.com" in str(error)


# What else a cell may wish.


def answering(show: dict[str, Any], **scripts: Any) -> list[Any]:
    """Return the script of a server whose model has this card."""
    return fine(show=whole(show), **scripts)


def test_a_level_that_the_model_does_not_know_is_sent_as_on(open_session: Open) -> None:
    """And the footer says so."""
    show = {"capabilities": ["completion", "thinking"], "template": "{{ if .Think }}x{{ end }}", "model_info": {}}
    with FaultServer(answering(show)) as server:
        reply = open_session(base_url=server.url, model="m").ask(Prompt("Hi", overrides={"think": "high"}))
        assert reply.text == "Hello"
        assert json.loads(server.requests[-1].body)["think"] is True
    assert answer_view(reply).warnings == ['m has no thinking levels; "high" was sent as "on"']


def test_logprobs_are_asked_for_and_kept(open_session: Open) -> None:
    """In order, over all lines."""
    likely = [
        {"token": "Hel", "logprob": -0.5, "bytes": [72], "top_logprobs": []},
        {"token": "lo", "logprob": -1.0, "bytes": [108]},
    ]
    lines = chunk("Hel", logprobs=likely[:1]) + chunk("lo", logprobs=likely[1:]) + chunk(done=True, done_reason="stop")
    with FaultServer(fine(chat=whole(lines, kind="application/x-ndjson"))) as server:
        reply = open_session(base_url=server.url, model="m").ask(Prompt("Hi", logprobs=2))
        assert reply.text == "Hello"
        body = json.loads(server.requests[-1].body)
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert reply.logprobs == likely
    assert answer_view(reply).warnings == []


def test_logprobs_that_do_not_come_are_missed(session: Session, open_session: Open, stand_in: FakeServer) -> None:
    """A server before 0.12.11 passes over the wish; one that nobody has is not sent."""
    with FaultServer(fine()) as server:
        reply = open_session(base_url=server.url, model="m").ask(Prompt("Hi", logprobs=0))
        assert reply.text
        assert "0.12.11" in answer_view(reply).warnings[0]
    assert session.ask(Prompt("Hi", logprobs=0)).text
    assert session.ask(Prompt("Hi")).text
    first, second = sent(stand_in)
    assert (first["logprobs"], "top_logprobs" in first, "logprobs" in second) == (True, False, False)


@pytest.mark.parametrize("count", [-1, 21, "many"])
def test_more_logprobs_than_a_server_tells_are_refused(session: Session, count: Any) -> None:
    """Before it is asked."""
    found = failure(lambda: session.ask(Prompt("Hi", logprobs=count)))
    assert isinstance(found, SettingError)
    assert found.remedy == "--logprobs=5"


def test_a_text_is_completed_without_memory(session: Session, stand_in: FakeServer) -> None:
    """Once for this prompt, whatever the form says; thoughts come apart there, too."""
    reply = session.ask(Prompt("Once upon", model="sandbox-think", generate=True, strict=True))
    assert reply.text
    assert reply.thinking
    (body,) = sent(stand_in, "/api/generate")
    assert (body["prompt"], body["shift"]) == ("Once upon", False)
    assert session.conversation.turns == ()


def test_a_gap_is_filled_by_a_model_that_can(open_session: Open) -> None:
    """The suffix goes out beside the prompt."""
    with FaultServer(answering({"capabilities": ["completion", "insert"], "model_info": {}})) as server:
        assert open_session(base_url=server.url, model="m").ask(Prompt("def f(", suffix="return x")).text == "Hello"
        body = json.loads(server.requests[-1].body)
        assert server.requests[-1].path == "/api/generate"
    assert (body["prompt"], body["suffix"]) == ("def f(", "return x")


def test_a_model_that_fills_no_gaps_is_refused_before_sending(session: Session, stand_in: FakeServer) -> None:
    """With those that can, if there are any."""
    error = failure(lambda: session.ask(Prompt("def f(", suffix="return x")))
    assert (error.code, "insert" in error.what) == ("model-not-able", True)
    assert sent(stand_in, "/api/generate") == []


@pytest.mark.finding("F1")
@pytest.mark.parametrize(
    ("parameters", "typed", "sent"),
    [
        ('stop                           "<|end|>"\ntemperature 0', ["END"], ["END", "<|end|>"]),
        ('stop "<|a|>"\nstop "say \\"b\\""', ["END", "<|a|>"], ["END", "<|a|>", 'say "b"']),
        ('stop "<|end|>"', [], None),
        ("", ["END"], ["END"]),
    ],
)
def test_the_stop_texts_of_the_modelfile_stay(
    open_session: Open, parameters: str, typed: list[str], sent: list[str] | None
) -> None:
    """A server that gets others forgets them; one that gets none keeps them."""
    with FaultServer(answering({"capabilities": ["completion"], "parameters": parameters})) as server:
        session = open_session(base_url=server.url, model="m")
        assert session.ask(Prompt("Hi", overrides={"stop": tuple(typed)} if typed else {})).text == "Hello"
        assert json.loads(server.requests[-1].body)["options"].get("stop") == sent
