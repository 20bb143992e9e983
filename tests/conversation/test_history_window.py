"""Which earlier turns fit into the context together with a prompt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.conversation import history_window
from ollama_magics.conversation.history_window import was_cut
from ollama_magics.conversation.turns import Place, Turn
from ollama_magics.errors import PromptTooLong
from ollama_magics.server.wire import ChatRequest, GenerateRequest, Message

SIZES = st.lists(st.integers(1, 500), max_size=30)


def turn(prompt: str, answer: str, tokens: int = 0, model: str = "m") -> Turn:
    """Return a whole turn that a model has counted."""
    return Turn(Message("user", prompt), Message("assistant", answer), Place(), complete=True, model=model, tokens=tokens)


def too_long(tokens: int | None = None, limit: int | None = None) -> PromptTooLong:
    """Return the refusal of a server."""
    return PromptTooLong("prompt-too-long", tokens=tokens, limit=limit, model="m", said="too long")


def test_a_turn_has_the_tokens_that_its_model_counted() -> None:
    """For another model, which has other tokens, they are estimated."""
    counted = turn("word " * 40, "word " * 40, tokens=90)
    assert history_window.ruler_of("m", [counted]).turn(counted) == 90
    assert history_window.ruler_of("other", [counted]).turn(counted) == 108


def test_new_texts_are_estimated_by_what_earlier_ones_needed() -> None:
    """A model that reads byte by byte needs four times the usual; without earlier turns the usual number is used."""
    text = "some words of English " * 10
    assert history_window.ruler_of("m", []).text(text) == 55
    needed = 4 * 2 * 55 + 8
    assert history_window.ruler_of("m", [turn(text, text, tokens=needed)]).text(text) == 220


def test_chinese_characters_are_about_a_token_each() -> None:
    """Not a quarter of one."""
    assert history_window.ruler_of("m", []).text("数据科学") == 4


def test_pictures_take_tokens_too() -> None:
    """Of a message with two of them."""
    message = Message("user", "", ("aGk=", "aGk="))
    assert history_window.ruler_of("m", []).messages([message]) > 500


@pytest.mark.parametrize(
    ("sizes", "limit", "count"),
    [((), 0, 0), ((), -5, 0), ((10, 10), 20, 0), ((10, 10), 19, 1), ((10, 10), 9, 2), ((5, 10, 5), 15, 1), ((10, 10), -1, 2)],
)
def test_the_oldest_turns_are_left_out_first(sizes: tuple[int, ...], limit: int, count: int) -> None:
    """As few as possible."""
    assert history_window.left_out(sizes, limit) == count


@given(SIZES, st.integers(-100, 10_000))
def test_what_is_left_fits_and_one_more_would_not(sizes: list[int], limit: int) -> None:
    """For any sizes."""
    count = history_window.left_out(sizes, limit)
    assert not sizes[count:] or sum(sizes[count:]) <= limit
    assert count == 0 or sum(sizes[count - 1 :]) > limit


def test_tokens_are_kept_free_for_the_answer() -> None:
    """As many as the max tokens, but at most a quarter of the context."""
    assert history_window.free_for_answer(4096, 100) == 100
    assert history_window.free_for_answer(4096, 4096) == 1024
    assert history_window.free_for_answer(4096, -1) == 1024


def test_a_refusal_with_numbers_says_how_much_is_too_much() -> None:
    """30 tokens are three turns of ten."""
    assert history_window.fewer((10,) * 8, too_long(130, 100), 1) == 3
    assert history_window.fewer((10,) * 8, too_long(101, 100), 1) == 1


@given(SIZES.filter(bool))
def test_refusals_without_numbers_end_after_four(sizes: list[int]) -> None:
    """Each takes some, the fourth all that is left."""
    left = list(sizes)
    for refusals in range(1, 5):
        if left:
            count = history_window.fewer(left, too_long(), refusals)
            assert 1 <= count <= len(left)
            del left[:count]
    assert left == []


def test_a_request_loses_whole_turns_and_never_the_system_prompt() -> None:
    """A turn is all from the message of a user to the next one, results of tools included."""
    roles = ("system", "user", "assistant", "tool", "assistant", "user", "assistant", "user")
    request = ChatRequest(model="m", messages=tuple(Message(role, str(place)) for place, role in enumerate(roles)))
    assert history_window.without_oldest(request, 0) == request
    assert [message.content for message in history_window.without_oldest(request, 1).messages] == ["0", "5", "6", "7"]
    assert [message.content for message in history_window.without_oldest(request, 2).messages] == ["0", "7"]


CALLS = ({"function": {"name": "add", "arguments": {"a": 2, "b": 3}}},)


def test_calls_and_functions_take_tokens_too() -> None:
    """What stands between a prompt and its answer goes out again, and the descriptions of the functions with each request."""
    plain = turn("word " * 40, "word " * 40)
    between = (Message("assistant", "", tool_calls=CALLS), Message("tool", "word " * 40, tool_name="add"))
    ruler = history_window.ruler_of("m", [])
    assert ruler.turn(replace(plain, between=between)) > 1.5 * ruler.turn(plain)
    assert ruler.functions(ChatRequest(model="m", messages=())) == 0
    assert ruler.functions(ChatRequest(model="m", messages=(), tools=CALLS)) > 10


def test_a_turn_with_calls_is_left_out_as_a_whole() -> None:
    """A result without its call would confuse the model."""
    called = (Message("user", "1"), Message("assistant", "", tool_calls=CALLS), Message("tool", "5"), Message("assistant", "5"))
    request = ChatRequest(model="m", messages=(Message("system", "s"), *called, Message("user", "2")))
    assert [message.content for message in history_window.without_oldest(request, 1).messages] == ["s", "2"]


@pytest.mark.parametrize(
    ("text", "counted", "context", "expected"),
    [
        ("Some words that are sent. " * 200, 259, 512, True),  # of more than 1000 tokens
        ("".join(map(chr, range(0x4E00, 0x4E00 + 5000))), 512, 512, True),
        ("Some words that are sent. " * 80, 510, 512, False),
        ("-" * 9000 + "=-" * 9000 + " " * 9000, 259, 512, False),  # one token holds up to 128 of these
        ("Some words that are sent. " * 200, 5, 512, False),  # a count that no cut leaves
        ("Some words that are sent. " * 200, 259, 0, False),
    ],
)
def test_a_prompt_that_was_cut_is_known_by_its_count(text: str, counted: int, context: int, *, expected: bool) -> None:
    """Of half of the context or more, for a text that cannot have so few tokens."""
    chat = ChatRequest(model="m", messages=(Message("user", text),))
    assert was_cut(chat, counted, context) is expected
    assert was_cut(GenerateRequest(model="m", prompt=text), counted, context) is expected
