"""The options of a prompt on a real Ollama, each once, and what becomes of a conversation that is too long for it."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

import ollama_magics as om
from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.reply import Reply, answer_view, exchange_of
from ollama_magics.conversation.turns import Place, Turn
from ollama_magics.errors import AnswerCut, Interrupted, ModelProblem, PromptTooLong
from ollama_magics.server.wire import Message
from ollama_magics.session.session import current
from tests.real.runner import cpu_seconds, runner_of

PARROT = "Hello there . I am a tiny model .."


@pytest.fixture(autouse=True)
def _here(real_url: str) -> None:
    om.configure(base_url=real_url, model="parrot", context_length=512, max_tokens=512, temperature=0, first_token_timeout=60)


def filled(*, tokens: int = 0, turns: int = 40) -> Conversation:
    """Return a conversation of short turns, each of about 30 tokens of the tiny models."""
    found = Conversation()
    for number in range(turns):
        prompt, answer = Message("user", f"turn {number:02}"), Message("assistant", "Hello there .")
        found.keep(Turn(prompt, answer, Place(), complete=True, model="parrot", tokens=tokens))
    return found


# The prompt.


def test_the_rendered_prompt_is_what_the_model_gets() -> None:
    """The text itself, without a template, has as many tokens and gets the same answer; nothing is asked for the rendering."""
    before = [{"role": "user", "content": "One"}, {"role": "assistant", "content": "Two"}]
    chat = Conversation(before)
    reply = om.chat("Hi {{there}}", system="Be kind.", conversation=chat)
    rendered = reply.rendered_prompt()
    sent = [{"role": "system", "content": "Be kind."}, *before, {"role": "user", "content": "Hi {{there}}"}]
    direct = {"model": "parrot", "messages": sent}
    told = httpx.post(
        f"{current().address.url}/api/chat", json=direct | {"_debug_render_only": True}, timeout=60, trust_env=False
    )
    assert rendered.text == told.json()["_debug_info"]["rendered_template"]
    assert rendered.is_rendered
    assert (reply.complete, len(chat.turns)) == (False, 1)
    raw = {"model": "parrot", "prompt": rendered.text, "raw": True, "stream": False, "options": dict(reply.request.options)}
    answer = httpx.post(f"{current().address.url}/api/generate", json=raw, timeout=60, trust_env=False).json()
    assert (answer["prompt_eval_count"], answer["response"]) == (reply.text and reply.stats.prompt_tokens, reply.text)


# Options.


def test_each_option_is_taken_by_the_server() -> None:
    """Together; a value of the wrong type would be a 500."""
    options = {"num_thread": 2, "min_p": "0.05", "repeat_penalty": 1, "num_keep": 4, "use_mmap": "true", "presence_penalty": 0}
    reply = om.chat("Hi", top_p=0.9, top_k=40, seed=7, keep_alive="5m", options=options)
    assert reply.text.strip() == PARROT


def test_a_stop_text_ends_the_answer() -> None:
    """Before it."""
    assert om.chat("Hi", stop=["I am"]).text.strip() == "Hello there ."
    assert om.chat("Hi", options={"stop": ["tiny"]}).text.strip() == "Hello there . I am a"


def test_the_same_seed_gives_the_same_answer() -> None:
    """Where chance decides."""
    one, other = (om.chat("Hi", temperature=5, seed=3, max_tokens=12).text for _ in range(2))
    assert one == other


def test_logprobs_come_for_each_token() -> None:
    """With as many alternatives as were asked for."""
    reply = om.chat("Hi", logprobs=2, max_tokens=4)
    assert reply.text.split() == ["Hello", "there", ".", "I"]
    assert [one["token"].strip() for one in reply.logprobs] == reply.text.split()
    assert all(len(one["top_logprobs"]) == 2 for one in reply.logprobs)
    assert "logprobs" not in " ".join(answer_view(reply).warnings)
    assert om.chat("Hi", logprobs=0, generate=True, max_tokens=2).text


def test_a_text_is_completed() -> None:
    """By the endpoint for it; thoughts come apart."""
    assert om.chat("Hi", generate=True).text.strip() == PARROT
    reply = om.chat("Hi", model="thinker", generate=True)
    assert (reply.text.strip(), reply.thinking.strip()) == (PARROT, "Hmm")


def test_a_model_that_fills_no_gaps_is_refused() -> None:
    """Before the server would refuse it."""
    with pytest.raises(ModelProblem) as caught:
        om.chat("Hi", suffix="there")
    assert caught.value.code == "model-not-able"


def test_thinking_can_be_switched_and_a_level_is_told_to_mean_nothing() -> None:
    """The template of this model knows on and off only."""
    off = om.chat("Hi", model="thinker", think="off")
    assert (off.text.strip(), off.thinking) == (PARROT, "")
    high = om.chat("Hi", model="thinker", think="high")
    assert (high.text.strip(), high.thinking.strip()) == (PARROT, "Hmm")
    assert "has no thinking levels" in answer_view(high).warnings[0]


def test_thoughts_that_use_up_the_budget_say_so() -> None:
    """The server calls it an ordinary answer."""
    reply = om.chat("Hi", model="thinker", max_tokens=1)
    assert (reply.text, reply.done_reason) == ("", "length")
    assert answer_view(reply).warnings == ["max tokens were used up by thoughts: raise with max_tokens="]


# Conversations.


def test_the_server_counts_what_we_remember() -> None:
    """The turns together have the tokens of the last prompt and its answer."""
    talk = Conversation()
    for text in ("Hello there", "I am a model", "red and green"):
        reply = om.chat(text, conversation=talk)
        assert reply.text
    assert sum(turn.tokens for turn in talk.turns) == reply.stats.prompt_tokens + reply.stats.tokens


def test_a_long_conversation_is_cut_by_us_and_says_so() -> None:
    """The server has nothing to refuse, and the answer is whole."""
    reply = om.chat("Hi", conversation=filled(tokens=36), max_tokens=64)
    assert reply.text.strip() == PARROT
    assert 20 < reply.left_out < 40
    assert answer_view(reply).warnings == [f"the start of the conversation was left out to fit the context ({reply.left_out})"]
    assert reply.stats.prompt_tokens + 64 <= 512


def test_a_conversation_that_the_server_refuses_is_shortened() -> None:
    """Where the turns are larger than was known; this server gives no numbers."""
    talk = filled(tokens=1)
    reply = om.chat("Hi", conversation=talk)
    assert reply.text.strip() == PARROT
    assert 20 <= reply.left_out <= 40
    assert len(talk.turns) == 41


def test_a_strict_prompt_is_refused_instead() -> None:
    """By us where we know it, else by the server."""
    for tokens, code in ((36, "conversation-too-long"), (1, "prompt-too-long")):
        with pytest.raises(PromptTooLong) as caught:
            _ = om.chat("Hi", conversation=filled(tokens=tokens), strict=True).text
        assert caught.value.code == code


def test_a_strict_answer_ends_with_the_context_and_is_an_error() -> None:
    """The server stops there, and the text is kept."""
    reply = om.chat("Hi", model="endless", strict=True, context_length=128, max_tokens=600)
    with pytest.raises(AnswerCut) as caught:
        _ = reply.text
    assert caught.value.code == "context-full"
    assert (reply.complete, reply.shifted) == (False, False)
    assert 110 < len(reply.text.split()) <= 256  # newer servers round the context up


def test_a_cut_answer_goes_on() -> None:
    """What the model says then is up to its template; this one begins a new message."""
    talk = Conversation()
    begun = om.chat("Hi", model="endless", conversation=talk, max_tokens=4).text
    reply = om.chat("", go_on=True, conversation=talk, max_tokens=4)
    assert reply.text == begun + " and on and on"
    assert reply.model == "endless"
    (turn,) = talk.turns
    assert turn.answer.content == reply.text
    assert om.chat("Hi", conversation=talk).text.strip() == PARROT


# The stop button.


def pressed(reply: Reply, when: Callable[[], bool]) -> float:
    """Press the stop button as soon as something is so; return the seconds from there to the end of the reply."""
    at: list[float] = []

    def press() -> None:
        deadline = time.monotonic() + 30
        while not when() and time.monotonic() < deadline:
            time.sleep(0.005)
        at.append(time.monotonic())
        _thread.interrupt_main()

    presser = threading.Thread(target=press, daemon=True)
    presser.start()
    with pytest.raises(Interrupted):
        _ = reply.text
    presser.join()
    return time.monotonic() - at[0]


def idle(url: str, model: str) -> bool:
    """Return whether the process that computes for the model comes to rest: no more than 0.05 s in half a second.

    A prompt that it is reading may be read to its end first; where the load was given up, there is none.
    """
    try:
        pid = runner_of(url, model, seconds=2)
    except LookupError:
        return True
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        before = cpu_seconds(pid)
        time.sleep(0.5)
        if cpu_seconds(pid) - before <= 0.05:
            return True
    return False


PHASES: dict[str, tuple[str, dict[str, Any], Callable[[Reply, float], bool]]] = {
    "loading": ("Hi", {"context_length": 1024}, lambda _, begun: time.monotonic() - begun > 0.05),
    "reading the prompt": ("word " * 300, {"context_length": 2048}, lambda _, begun: time.monotonic() - begun > 0.6),
    "streaming": ("Hi", {}, lambda reply, _: exchange_of(reply).partial_text.count("on") > 3),
    "at the first word": ("Hi", {}, lambda reply, _: bool(exchange_of(reply).partial_text)),
}


@pytest.mark.parametrize(("prompt", "options", "when"), PHASES.values(), ids=PHASES)
def test_an_endless_answer_is_stopped_in_every_phase(
    real_url: str, prompt: str, options: dict[str, Any], when: Callable[[Reply, float], bool]
) -> None:
    """Within a second (and one more for a machine that does much else); then the server rests, and answers again."""
    reply = om.chat(prompt, model="endless", max_tokens=-1, **options)
    begun = time.monotonic()
    assert pressed(reply, lambda: when(reply, begun)) < 1 + 1
    assert not reply.complete
    assert idle(real_url, "endless")
    assert current().client.version()
    assert om.chat("Hi", model="endless", max_tokens=2).text.split() == ["and", "on"]
