"""The answers of the chat models of the stand-in server."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.fake_server.embeddings import tokenise
from ollama_magics.fake_server.generation import fit
from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.requests import Message, Options

HOSTILE = "<script>alert('x')</script> & \x85 \u2028 \u202e \x1b[31m  \n\n```<img src=x onerror=alert(1)>``` 🏳️‍🌈  \n"


@given(st.text())
def test_tokens_put_together_are_the_text(text: str) -> None:
    """Byte for byte, whatever the text."""
    assert "".join(tokenise(text)) == text


@given(
    st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text()), min_size=1),
    st.integers(8, 64),
    st.sampled_from(Release),
)
def test_a_cut_conversation_keeps_system_and_end(turns: list[tuple[str, str]], limit: int, release: Release) -> None:
    """Every system prompt stays, and the last message ends as it did."""
    messages = tuple(Message(role, content) for role, content in turns)
    kept = fit(messages, Options(limit, limit, 1, ()), release, truncate=True)
    assert [m for m in kept[:-1] if m.role == "system"] == [m for m in messages[:-1] if m.role == "system"]
    assert messages[-1].content.endswith(kept[-1].content)


def test_an_answer_has_turn_word_count_and_beginning(http: httpx.Client) -> None:
    """All that a test needs to see that a prompt arrived."""
    assert _ask(http, "What is a notebook?") == "This is turn 1. I read 4 words: “What is a notebook?”"
    assert _ask(http, "Hi") == "This is turn 1. I read 1 word: “Hi”"


def test_it_counts_turns_and_repeats_instructions(http: httpx.Client) -> None:
    """Earlier turns and the system prompt show in the answer."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is a notebook?"},
        {"role": "assistant", "content": "A book."},
        {"role": "user", "content": "And a cell?"},
    ]
    text = _chat(http, {"messages": messages})["message"]["content"]
    assert text == "This is turn 2. I read 3 words: “And a cell?” My instructions are: “Be brief.”"


def test_what_a_prompt_quotes_is_what_it_asks_for(http: httpx.Client) -> None:
    """Keys of a JSON answer, and texts of a call."""
    asked = {
        "model": "sandbox-chat",
        "stream": False,
        "format": "json",
        "prompt": "A joke as JSON with 'setup' and 'punchline' keys.",
    }
    assert json.loads(http.post("/api/generate", json=asked).json()["response"]).keys() == {"setup", "punchline"}
    name = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    tools = [{"type": "function", "function": {"name": "create", "parameters": name}}]
    prompt = [{"role": "user", "content": "Don't wait: create '你好啊集团' now, it's urgent"}]
    called = http.post("/api/chat", json={"model": "sandbox-tools", "stream": False, "messages": prompt, "tools": tools}).json()
    assert called["message"]["tool_calls"][0]["function"]["arguments"] == {"name": "你好啊集团"}


def test_a_long_prompt_is_quoted_by_its_beginning(http: httpx.Client) -> None:
    """Twelve words, then an ellipsis."""
    text = _ask(http, " ".join(f"w{number}" for number in range(40)))
    assert text.startswith("This is turn 1. I read 40 words: “w0 w1 ")
    assert text.endswith(" w11 …”")


def test_dropped_turns_are_not_counted(older: httpx.Client) -> None:
    """What did not fit the context was not read: the turn number shows it."""
    messages = [{"role": "user", "content": f"turn {number}"} for number in range(100)]
    answer = _chat(older, {"messages": messages, "options": {"num_ctx": 61}})
    assert answer["message"]["content"].startswith("This is turn 20. ")
    assert answer["prompt_eval_count"] == 61


@pytest.mark.parametrize("marker", ["repeat after me: ", "Please REPEAT AFTER ME: ", "Repeat after me:\n"])
def test_it_repeats_a_text_exactly(http: httpx.Client, marker: str) -> None:
    """One space after the colon belongs to the marker, everything behind it is the answer."""
    assert _ask(http, marker + HOSTILE) == HOSTILE


def test_a_repeated_text_streams_in_pieces(http: httpx.Client) -> None:
    """Also one without spaces; the lines hold it unchanged, with Go's escapes around its angles."""
    text = "<b>" + "x" * 100 + "</b>"
    answer = http.post("/api/chat", json=_request(f"repeat after me: {text}"))
    lines = [json.loads(line) for line in answer.content.splitlines()]
    assert len(lines) > 8
    assert "".join(line["message"]["content"] for line in lines) == text
    assert rb"\u003cb\u003e" in answer.content


def test_a_next_line_character_is_sent_raw(http: httpx.Client) -> None:
    """U+0085 is not escaped, U+2028 is: what breaks a careless reader of lines."""
    answer = http.post("/api/chat", json=_request("repeat after me: a\x85b\u2028c"))
    assert "\x85".encode() in answer.content
    assert rb"\u2028" in answer.content


def test_nothing_to_repeat_is_an_empty_answer(http: httpx.Client) -> None:
    """It is done, and has one token: its end."""
    answer = _chat(http, _request("repeat after me:"))
    assert (answer["message"]["content"], answer["eval_count"]) == ("", 1)


def test_an_endless_answer_ends_at_its_longest(http: httpx.Client) -> None:
    """Until the budget is spent."""
    answer = _chat(http, _request("never stop") | {"options": {"num_predict": 5}})
    assert (answer["message"]["content"], answer["done_reason"]) == (" and on and on and", "length")


def test_a_stop_text_may_span_tokens(http: httpx.Client) -> None:
    """No piece of it is let through, and a mere beginning of it is not lost."""
    request = _request("repeat after me: one two th three four") | {"options": {"stop": ["three fo"]}}
    streamed = http.post("/api/chat", json=request)
    pieces = [json.loads(line)["message"]["content"] for line in streamed.content.splitlines()]
    assert "".join(pieces) == "one two th "


@pytest.mark.parametrize("word", ["table", "code", "Markdown"])
def test_it_can_show_off(http: httpx.Client, word: str) -> None:
    """A heading, a table of the words, and Python that runs."""
    text = _ask(http, f"Write some {word} about <cats> & dogs")
    assert text.startswith("## ")
    assert "| Word | Letters |\n|---|---:|\n| Write | 5 |\n" in text
    program = text.partition("```python\n")[2].partition("```")[0]
    names: dict[str, Any] = {"print": lambda *_: None}
    exec(program, names)  # noqa: S102 - its own text
    assert names["letters"]["cats"] == 4


def test_json_is_about_the_prompt(http: httpx.Client) -> None:
    """A small object, also for an empty schema."""
    forms: tuple[Any, ...] = ("json", {})
    for form in forms:
        text = _chat(http, _request("Describe a cat") | {"format": form})["message"]["content"]
        assert json.loads(text) == {"prompt": "Describe a cat", "words": 3, "turn": 1}


def test_marked_prompts_win_over_a_format(http: httpx.Client) -> None:
    """So that a test can have a model that does not keep to its schema."""
    text = _chat(http, _request("repeat after me: {not json") | {"format": "json"})["message"]["content"]
    assert text == "{not json"


def test_generate_says_what_chat_says(http: httpx.Client) -> None:
    """With the system prompt as a member of its own."""
    request = {"model": "sandbox-chat", "prompt": "Hi there", "system": "Be kind.", "stream": False}
    text = http.post("/api/generate", json=request).json()["response"]
    assert text == "This is turn 1. I read 2 words: “Hi there” My instructions are: “Be kind.”"


def test_thoughts_are_about_the_prompt(http: httpx.Client) -> None:
    """And the answer is the one of the model that does not think."""
    message = _chat(http, _request("What is it?") | {"model": "sandbox-think"})["message"]
    assert message["thinking"] == "The prompt has 3 words. I should say what I read."
    assert message["content"] == _ask(http, "What is it?")


def test_the_same_prompt_gets_the_same_answer(http: httpx.Client) -> None:
    """No answer is random."""
    assert _ask(http, "Write a table") == _ask(http, "Write a table")


def _request(prompt: str) -> dict[str, Any]:
    return {"model": "sandbox-chat", "messages": [{"role": "user", "content": prompt}]}


def _chat(http: httpx.Client, request: dict[str, Any]) -> dict[str, Any]:
    return dict(http.post("/api/chat", json={"model": "sandbox-chat", "stream": False} | request).json())


def _ask(http: httpx.Client, prompt: str) -> str:
    return str(_chat(http, _request(prompt))["message"]["content"])
