"""What ends an answer, what happens to a prompt that is too long, and where thoughts are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Server

Refusal = Callable[[httpx.Response], tuple[int, str]]
Lines = Callable[[httpx.Response], list[dict[str, Any]]]
LONG = "word " * 3000
SMALL = {"num_ctx": 512, "temperature": 0}


def test_the_budget_cuts_an_answer(server: Server, lines: Lines) -> None:
    """Three tokens, the beginning of the whole answer, and the reason is "length"."""
    cut = server.chat(options=SMALL | {"num_predict": 3}).json()
    assert (cut["done"], cut["done_reason"], cut["eval_count"]) == (True, "length", 3)
    assert server.chat().json()["message"]["content"].startswith(cut["message"]["content"])
    streamed = lines(server.chat(stream=True, options=SMALL | {"num_predict": 3}))
    assert [line["done"] for line in streamed] == [False, False, False, True]
    assert streamed[-1]["done_reason"] == "length"


@pytest.mark.parametrize("budget", [0, -1, -2])
def test_no_positive_budget_is_none(server: Server, budget: int) -> None:
    """Zero does not mean an empty answer."""
    answer = server.chat(options=SMALL | {"num_predict": budget}).json()
    assert answer["done_reason"] == "stop"
    assert answer["message"] == server.chat().json()["message"]


def test_an_endless_answer_ends_at_ten_contexts(server: Server) -> None:
    """Where no budget is given, with shifting."""
    answer = _endless(server, options={"num_ctx": 64, "temperature": 0})
    assert (answer["done_reason"], answer["eval_count"]) == ("length", 640)


def test_without_shifting_an_answer_ends_with_the_context(server: Server) -> None:
    """Prompt and answer fill it; that is a "length" like any other."""
    answer = _endless(server, options={"num_ctx": 64, "temperature": 0}, shift=False)
    assert answer["done_reason"] == "length"
    assert answer["prompt_eval_count"] + answer["eval_count"] == server.fact("tokens that num_ctx 64 holds, unshifted")


def test_a_stop_text_ends_an_answer(server: Server, lines: Lines) -> None:
    """It is not part of it, though its tokens count, and neither shape lets a piece of it through."""
    whole = server.chat().json()["message"]["content"]
    before, stop, after = whole[:8], whole[8:12], whole[12:]
    assert after
    options = SMALL | {"stop": [stop]}
    answer = server.chat(options=options).json()
    assert (answer["message"]["content"], answer["done_reason"]) == (before, "stop")
    streamed = lines(server.chat(stream=True, options=options))
    assert "".join(line["message"]["content"] for line in streamed) == before


@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_too_long_is_refused_on_request(server: Server, *, stream: bool) -> None:
    """``"truncate": false`` makes it an error, for chat and generate, streamed or not."""
    for ask in (server.chat, server.generate):
        server.check("a prompt that is too long", ask(LONG, truncate=False, stream=stream))


def test_a_prompt_too_long_is_cut_silently(server: Server) -> None:
    """By default only the count shows it: it is the whole context, or half of it."""
    for answer in (server.chat(LONG), server.generate(LONG)):
        assert answer.status_code == 200
        assert answer.json()["done_reason"] == "stop"
        assert answer.json()["prompt_eval_count"] == server.fact("tokens read of a prompt that is cut to 512")


def test_old_turns_are_dropped_silently(server: Server) -> None:
    """Two hundred turns are answered as if all had been read, and fewer tokens than the context are."""
    turns = [{"role": "user" if number % 2 else "assistant", "content": f"turn {number}"} for number in range(600)]
    answer = server.converse(turns)
    assert answer.json()["done_reason"] == "stop"
    assert 400 < answer.json()["prompt_eval_count"] <= 512


def test_old_turns_are_not_dropped_on_request(server: Server) -> None:
    """The same turns are an error with ``"truncate": false``."""
    turns = [{"role": "user" if number % 2 else "assistant", "content": f"turn {number}"} for number in range(600)]
    server.check("a prompt that is too long", server.converse(turns, truncate=False))


def test_more_prompt_is_more_tokens(server: Server) -> None:
    """The count covers system prompt and earlier turns."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    counts = [
        server.converse(messages[1:]).json()["prompt_eval_count"],
        server.converse(messages).json()["prompt_eval_count"],
        server.converse([*messages, *messages]).json()["prompt_eval_count"],
    ]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize("message", [{"role": "alien", "content": "x"}, {"content": "x"}, {"role": "user"}])
def test_odd_messages_are_answered(server: Server, message: dict[str, Any]) -> None:
    """An unknown role, no role, no content."""
    assert server.converse([message]).json()["done_reason"] == "stop"


def test_thinking_comes_before_the_answer(server: Server, lines: Lines) -> None:
    """By default, each line with one of the two, and none of them empty."""
    *parts, last = lines(server.chat(model=server.think_model, stream=True))
    thoughts = [bool(line["message"].get("thinking")) for line in parts]
    assert thoughts == sorted(thoughts, reverse=True)
    assert set(thoughts) == {True, False}
    assert all(line["message"]["content"] == "" for line, thinks in zip(parts, thoughts, strict=True) if thinks)
    assert list(parts[0]["message"]) == ["role", "content", "thinking"]
    assert last["eval_count"] > len(parts) + 1  # the tags around the thoughts are tokens, too


def test_generate_has_empty_lines_around_thinking(server: Server, lines: Lines) -> None:
    """The tags around them, which chat leaves out."""
    parts = lines(server.generate(model=server.think_model, stream=True))
    assert [line["response"] for line in parts if "thinking" in line] == [""] * sum("thinking" in line for line in parts)
    assert sum(line["response"] == "" and "thinking" not in line for line in parts[:-1]) == 2


@pytest.mark.parametrize("think", [True, None, "high"])
def test_whole_answers_hold_thinking_and_text(server: Server, think: Any) -> None:
    """Both put together, and a level is as good as ``true``."""
    message = server.chat(model=server.think_model, think=think).json()["message"]
    assert list(message) == ["role", "content", "thinking"]
    assert message["content"]
    assert message["thinking"]


def test_thinking_can_be_left_out(server: Server) -> None:
    """``"think": false`` gives the text alone."""
    message = server.chat(model=server.think_model, think=False).json()["message"]
    assert list(message) == ["role", "content"]


def test_a_budget_may_end_during_thinking(server: Server) -> None:
    """Then the content is empty, the reason "length", and nothing else tells."""
    answer = server.chat(model=server.think_model, options=SMALL | {"num_predict": 2}).json()
    assert (answer["message"]["content"], answer["done_reason"]) == ("", "length")
    assert answer["message"]["thinking"]


@pytest.mark.parametrize(
    ("asked", "name"), [(64, "context length loaded for num_ctx 64"), (1, "context length loaded for num_ctx 1")]
)
def test_what_is_loaded_is_listed(server: Server, asked: int, name: str) -> None:
    """Without what is added to fill blocks."""
    server.chat(options={"num_ctx": asked, "num_predict": 1})
    assert server.loaded()[f"{server.chat_model}:latest"]["context_length"] == server.fact(name)


def test_an_option_that_is_gone_is_refused(server: Server) -> None:
    """By newer servers."""
    server.check("typical_p", server.chat(options=SMALL | {"typical_p": 0.9}))


def _endless(server: Server, **fields: Any) -> dict[str, Any]:
    return dict(server.chat(server.endless_prompt, model=server.endless_model, **fields).json())
