"""What goes out of a conversation: the turns that fit, the cut answer that goes on, the system prompt that was typed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.reply import Reply, answer_view, exchange_of
from ollama_magics.conversation.turns import Place, Turn
from ollama_magics.errors import AnswerCut, Interrupted, OllamaMagicsError, PromptProblem, PromptTooLong
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server.wire import Message
from ollama_magics.session.session import Session
from tests.faults import LINES, Close, FaultServer, Send, Serve, chunk, fine, whole

from .conftest import Open


def sent(server: FakeServer | FaultServer) -> list[list[tuple[str, str]]]:
    """Return the messages of each chat, as (role, content)."""
    if isinstance(server, FaultServer):
        bodies = [json.loads(request.body) for request in server.requests if request.path == "/api/chat"]
    else:
        bodies = [body for _, path, body in server.requests if path == "/api/chat" and body]
    return [[(message["role"], message["content"]) for message in body["messages"]] for body in bodies]


def remembered(session: Session, *turns: Turn, name: str = "") -> Conversation:
    """Return a conversation of the session with these turns."""
    found = session.conversations.setdefault(name, Conversation())
    for one in turns:
        found.keep(one)
    return found


def turn(number: int, tokens: int = 0, *, words: int = 20) -> Turn:
    """Return a whole turn of the stand-in's model, whose words are its tokens."""
    text = "word " * (words // 2)
    prompt, answer = Message("user", f"{number} {text}"), Message("assistant", text)
    return Turn(prompt, answer, Place(), complete=True, model="sandbox-chat", tokens=tokens)


def said(text: str, **last: Any) -> list[Any]:
    """Return the script of a whole answer."""
    figures: dict[str, Any] = {"done_reason": "stop", "prompt_eval_count": 10, "eval_count": 5} | last
    return whole(chunk(text) + chunk(done=True, **figures), kind="application/x-ndjson")


def cut_off(text: str) -> list[Any]:
    """Return the script of an answer that ends without its last line."""
    return [Send(LINES + chunk(text)), Close()]


def answering(*chats: list[Any]) -> list[list[Any]]:
    """Return scripts for connections of which each answers the next chat, and then closes."""
    healthy = fine()[0].scripts  # type: ignore[attr-defined]
    return [[Serve(_Each(healthy, chats))]]


class _Each(dict[str, Any]):
    def __init__(self, healthy: Any, chats: tuple[list[Any], ...]) -> None:
        super().__init__()
        self._healthy, self._chats = healthy, list(chats)

    def __missing__(self, path: str) -> Any:
        return self._chats.pop(0) if path == "/api/chat" else self._healthy[path]


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    return caught.value


# Conversations by name.


def test_conversations_of_different_names_know_nothing_of_each_other(session: Session, stand_in: FakeServer) -> None:
    """Nor of the one without a name."""
    for prompt in (Prompt("One"), Prompt("Two", chat="a"), Prompt("Three", chat="b"), Prompt("Four", chat="a")):
        assert session.ask(prompt).text
    assert [len(messages) for messages in sent(stand_in)] == [1, 1, 1, 3]
    assert [one.prompt.content for one in session.conversation_named("a").turns] == ["Two", "Four"]
    assert [one.prompt.content for one in session.conversation.turns] == ["One"]


def test_a_conversation_may_be_an_object(session: Session) -> None:
    """For functions that keep one of their own."""
    own = Conversation()
    assert session.ask(Prompt("One", chat=own)).text
    assert [one.prompt.content for one in own.turns] == ["One"]
    assert session.conversation.turns == ()


def test_a_system_prompt_belongs_to_its_conversation(session: Session, stand_in: FakeServer) -> None:
    """It holds for the turns that follow, until another is typed or the conversation starts afresh."""
    for prompt in (
        Prompt("One", chat="a", system="Be kind."),
        Prompt("Two", chat="a"),
        Prompt("Three"),
        Prompt("Four", chat="a", system=""),
        Prompt("Five", chat="a", system="Be brief."),
        Prompt("Six", chat="a", new=True),
    ):
        assert session.ask(prompt).text
    heads = [messages[0] for messages in sent(stand_in)]
    assert [content if role == "system" else "" for role, content in heads] == ["Be kind.", "Be kind.", "", "", "Be brief.", ""]


def test_a_system_prompt_goes_with_the_turn_it_was_typed_with(session: Session, stand_in: FakeServer) -> None:
    """The cell runs again without it: it is as if it had never been typed."""
    assert session.ask(Prompt("One", place=Place("a", "1"), system="Be kind.")).text
    assert session.ask(Prompt("One", place=Place("a", "2"))).text
    assert [role for role, _ in sent(stand_in)[1]] == ["user"]


def test_an_unknown_conversation_is_answered_with_the_nearest_name(session: Session) -> None:
    """Nothing is made by asking for it."""
    remembered(session, name="poetry")
    error = failure(lambda: session.conversation_named("poetri"))
    assert (error.code, "poetry" in error.how_we_know) == ("conversation-unknown", True)
    assert list(session.conversations) == ["", "poetry"]


# The budget.


def test_turns_that_fit_all_go_out(session: Session, stand_in: FakeServer) -> None:
    """Nothing is left out, and nothing is said."""
    remembered(session, *(turn(number, 23) for number in range(3)))
    reply = session.ask(Prompt("And now?", overrides={"context_length": 512}))
    assert reply.text
    assert (reply.left_out, len(sent(stand_in)[0])) == (0, 7)
    assert answer_view(reply).warnings == []


def test_the_oldest_turns_are_left_out_before_anything_is_sent(session: Session, stand_in: FakeServer) -> None:
    """As they are counted already; it costs no refusal, and the footer says so."""
    remembered(session, *(turn(number, 23) for number in range(40)))
    reply = session.ask(Prompt("And now?", overrides={"context_length": 512, "max_tokens": 64}))
    assert reply.text
    (messages,) = sent(stand_in)
    assert reply.left_out == 40 - (len(messages) - 1) // 2
    assert messages[0][1].startswith(f"{reply.left_out} ")
    assert 512 - 64 - 23 - 20 < 23 * (40 - reply.left_out) <= 512 - 64
    assert answer_view(reply).warnings == [f"the start of the conversation was left out to fit the context ({reply.left_out})"]
    assert len(session.conversation.turns) == 41


def test_the_system_prompt_is_never_left_out(session: Session, stand_in: FakeServer) -> None:
    """Whatever else is."""
    remembered(session, *(turn(number, 23) for number in range(40)))
    assert session.ask(Prompt("And now?", system="Be kind.", overrides={"context_length": 128})).text
    assert sent(stand_in)[0][0] == ("system", "Be kind.")


def test_each_turn_is_counted_as_the_server_did(session: Session, stand_in: FakeServer) -> None:
    """Together they are what the server counted for the last prompt and answer."""
    for text in ("One", "Two and three", "Four five six seven"):
        reply = session.ask(Prompt(text))
        assert reply.text
        last = reply.stats
    assert sum(one.tokens for one in session.conversation.turns) == last.prompt_tokens + last.tokens
    assert all(one.tokens for one in session.conversation.turns)
    assert len(sent(stand_in)) == 3


def test_a_refusal_makes_room_until_the_server_is_content(session: Session, stand_in: FakeServer) -> None:
    """Turns whose size was estimated too small: the server says no, and is asked again with fewer."""
    remembered(session, *(turn(number, 1, words=40) for number in range(20)))
    reply = session.ask(Prompt("And now?", overrides={"context_length": 256, "max_tokens": 16}))
    assert reply.text
    sizes = [len(messages) for messages in sent(stand_in)]
    assert sizes[0] == 41
    assert sizes == sorted(sizes, reverse=True)
    assert 2 <= len(sizes) <= 5
    assert reply.left_out == 20 - (sizes[-1] - 1) // 2
    assert len(reply.messages) == sizes[-1] + 1
    assert session.conversation.turns[-1].tokens < 60


def test_a_server_that_gives_its_numbers_is_asked_only_once_more(open_session: Open) -> None:
    """Servers from 0.30 on say how much is too much."""
    numbers = {"code": 400, "message": "request (130 tokens) exceeds the available context size (100 tokens)"}
    output = {"error": {**numbers, "type": "exceed_context_size_error", "n_prompt_tokens": 130, "n_ctx": 100}}
    refusal = whole({"error": json.dumps(output)}, status=400)
    with FaultServer(*answering(refusal, said("Hi"))) as server:
        session = open_session(base_url=server.url, model="sandbox-chat")
        remembered(session, *(turn(number, 10, words=2) for number in range(10)))
        assert session.ask(Prompt("And now?")).text == "Hi"
        assert [(len(messages) - 1) // 2 for messages in sent(server)] == [10, 7]


@pytest.mark.parametrize(
    ("tokens", "limit"),
    [pytest.param(None, 128, marks=pytest.mark.release("0.24.0")), pytest.param(503, 256, marks=pytest.mark.release("0.34.4"))],
)
def test_a_prompt_that_is_too_long_by_itself_is_an_error(
    session: Session, stand_in: FakeServer, tokens: int | None, limit: int
) -> None:
    """All turns were left out before, and memory is as it was; newer servers count the tokens."""
    memory = remembered(session, *(turn(number, 23) for number in range(3)))
    error = failure(lambda: session.ask(Prompt("word " * 500, overrides={"context_length": 128})).text)
    assert isinstance(error, PromptTooLong)
    assert (error.code, error.tokens, error.limit) == ("prompt-too-long", tokens, limit)
    assert f"the context {limit}" in error.how_we_know.replace(" has", "")
    assert len(sent(stand_in)[-1]) == 1
    assert len(memory.turns) == 3


def test_a_strict_prompt_leaves_nothing_out(session: Session, stand_in: FakeServer) -> None:
    """It is refused before it is sent, with the numbers."""
    remembered(session, *(turn(number, 23) for number in range(40)))
    error = failure(lambda: session.ask(Prompt("And now?", strict=True, overrides={"context_length": 512})))
    assert isinstance(error, PromptTooLong)
    assert (error.code, error.limit) == ("conversation-too-long", 512)
    assert error.tokens is not None
    assert 920 <= error.tokens <= 940
    assert sent(stand_in) == []


def test_a_strict_prompt_that_the_server_refuses_is_not_shortened(session: Session, stand_in: FakeServer) -> None:
    """Where the estimate let it through."""
    remembered(session, *(turn(number, 1, words=40) for number in range(20)))
    error = failure(lambda: session.ask(Prompt("And now?", strict=True, overrides={"context_length": 256})).text)
    assert error.code == "prompt-too-long"
    assert len(sent(stand_in)) == 1


def test_a_strict_answer_that_fills_the_context_is_refused_with_its_text(open_session: Open) -> None:
    """The server was told not to forget, so it stopped; the turn stays as a cut one."""
    full = said("and on and on", done_reason="length", prompt_eval_count=7, eval_count=2042)
    with FaultServer(*answering(full)) as server:
        session = open_session(base_url=server.url, model="m")
        reply = session.ask(Prompt("Hi", strict=True, overrides={"context_length": 2048}))
        with pytest.raises(AnswerCut) as caught:
            _ = reply.text
        assert (caught.value.code, caught.value.partial) == ("context-full", reply)
        assert (reply.text, reply.complete, reply.shifted) == ("and on and on", False, False)
        assert json.loads(server.requests[-1].body)["shift"] is False
        assert [one.complete for one in session.conversation.turns] == [False]


def test_a_strict_answer_with_room_left_is_an_answer(session: Session, stand_in: FakeServer) -> None:
    """And only a strict one says anything about shifting."""
    assert session.ask(Prompt("Hi", strict=True)).complete is False
    assert session.ask(Prompt("Hi", strict=True)).text
    assert session.ask(Prompt("Hi")).text
    bodies = [body for _, path, body in stand_in.requests if path == "/api/chat" and body]
    assert [body.get("shift") for body in bodies] == [False, None]


# Going on.


def test_an_answer_that_broke_off_goes_on(open_session: Open) -> None:
    """The beginning is sent as the last message; the reply and the memory hold the whole."""
    with FaultServer(*answering(cut_off("Once upon")), *answering(said(" a time"), said("Yes"))) as server:
        session = open_session(base_url=server.url, model="m")
        assert failure(lambda: session.ask(Prompt("Tell!", place=Place("a", "1"))).text).code == "stream-incomplete"
        reply = session.ask(Prompt("", go_on=True, place=Place("b", "2")))
        assert reply.text == "Once upon a time"
        assert sent(server)[1] == [("user", "Tell!"), ("assistant", "Once upon")]
        assert [message["content"] for message in reply.messages] == ["Tell!", "Once upon a time"]
        (one,) = session.conversation.turns
        assert (one.answer.content, one.complete, one.place) == ("Once upon a time", True, Place("a", "1"))
        assert session.ask(Prompt("And?", place=Place("c", "3"))).text == "Yes"
        assert sent(server)[2][:2] == [("user", "Tell!"), ("assistant", "Once upon a time")]


def test_an_answer_cut_at_its_bound_goes_on_as_often_as_wished(session: Session) -> None:
    """Each time the turn grows."""
    first = session.ask(Prompt("never stop", overrides={"max_tokens": 4})).text
    second = session.ask(Prompt("", go_on=True, overrides={"max_tokens": 4}))
    assert second.text == first + first
    assert session.ask(Prompt("never stop", go_on=True, overrides={"max_tokens": 2})).text.startswith(second.text)
    assert len(session.conversation.turns) == 1


def test_a_cell_that_gets_the_option_goes_on_with_its_own_answer(session: Session) -> None:
    """Its prompt may stand there as before, and its next run replaces the turn."""
    assert session.ask(Prompt("never stop", place=Place("a", "1"), overrides={"max_tokens": 4})).text
    reply = session.ask(Prompt("never stop", go_on=True, place=Place("a", "2"), overrides={"max_tokens": 4}))
    assert reply.text.split() == ["and", "on"] * 4
    assert (exchange_of(reply).dropped, [one.place.run for one in session.conversation.turns]) == (0, ["2"])


def _read_and_stop(reply: Reply) -> None:
    for number, _ in enumerate(reply):
        if number == 5:
            raise KeyboardInterrupt


def test_an_interrupted_answer_goes_on(session: Session) -> None:
    """With what came before the stop button."""
    reply = session.ask(Prompt("never stop", overrides={"max_tokens": 20}))
    with pytest.raises(Interrupted), reply:
        _read_and_stop(reply)
    begun = reply.text
    assert session.ask(Prompt("", go_on=True, overrides={"max_tokens": 4})).text.startswith(begun)


def test_an_answer_that_goes_on_in_vain_leaves_the_memory_as_it_was(open_session: Open) -> None:
    """It can be tried again."""
    refusal = whole({"error": "server busy"}, status=503)
    with FaultServer(*answering(cut_off("Once upon")), *answering(refusal, said(" a time"))) as server:
        session = open_session(base_url=server.url, model="m")
        assert failure(lambda: session.ask(Prompt("Tell!")).text).code == "stream-incomplete"
        before = session.conversation.turns
        assert failure(lambda: session.ask(Prompt("", go_on=True)).text).code == "server-busy"
        assert session.conversation.turns == before
        assert session.ask(Prompt("", go_on=True)).text == "Once upon a time"


def test_the_model_of_the_cut_answer_goes_on(session: Session, stand_in: FakeServer) -> None:
    """Whatever the form says; and it does not think again."""
    assert session.ask(Prompt("never stop", model="sandbox-think", overrides={"max_tokens": 20})).text
    assert session.ask(Prompt("", go_on=True, overrides={"max_tokens": 4})).text
    body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
    assert (body["model"], body["think"]) == ("sandbox-think:latest", False)


def test_there_must_be_an_answer_to_go_on_with(session: Session) -> None:
    """Not a whole one, not none, and no new prompt."""
    assert failure(lambda: session.ask(Prompt("", go_on=True))).code == "nothing-to-continue"
    assert session.ask(Prompt("Hi")).text
    assert failure(lambda: session.ask(Prompt("", go_on=True))).code == "nothing-to-continue"
    assert session.ask(Prompt("never stop", overrides={"max_tokens": 4})).text
    error = failure(lambda: session.ask(Prompt("Something else", go_on=True)))
    assert (type(error), error.code) == (PromptProblem, "continue-with-prompt")
    assert failure(lambda: session.ask(Prompt("", go_on=True, once=True))).code == "nothing-to-continue"


def test_an_answer_that_ended_in_its_thoughts_is_not_sent_again(session: Session, stand_in: FakeServer) -> None:
    """It has no text; going on asks once more."""
    reply = session.ask(Prompt("Hi", model="sandbox-think", overrides={"max_tokens": 3}))
    assert (reply.text, bool(reply.thinking), reply.done_reason) == ("", True, "length")
    assert session.ask(Prompt("And?")).text
    assert sent(stand_in)[1] == [("user", "And?")]
    session.conversation.clear()
    assert session.ask(Prompt("Hi", model="sandbox-think", overrides={"max_tokens": 3})).text == ""
    assert session.ask(Prompt("", go_on=True)).text.startswith("This is turn 1")
