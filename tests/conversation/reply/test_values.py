"""The object in a reply: when there is one, and what is shown while it is written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest

from ollama_magics.conversation import schema
from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.exchange import ReplyContext
from ollama_magics.conversation.reply import Reply, answer_view, exchange_of
from ollama_magics.errors import AnswerCut, FormatProblem
from ollama_magics.render.answer import answer_output, body_html
from ollama_magics.server.wire import ChatRequest, Message, chunk
from tests import faults

TWO = '[{"name": "Ada", "age": 36}, {"name": "<b>Bob", "age": 41}]'


@dataclass
class Person:
    """Somebody."""

    name: str
    age: int


def reply_of(text: str, kind: Any = list[Person], reason: str = "stop", **context: Any) -> Reply:
    """Return a reply that will get this text, a character at a time."""
    pieces = [chunk(faults.chunk(character)) for character in text]
    end = chunk(faults.chunk("", done=True, done_reason=reason, eval_count=7))
    expected = None if kind is None else schema.make_schema(kind)
    request = ChatRequest(model="m", messages=(Message("user", "Hi"),))
    return Reply(request, lambda _: iter([*pieces, end]), ReplyContext(schema=expected, **context))


def test_the_value_is_an_object_of_the_type() -> None:
    """And the frame has a row for each element."""
    reply = reply_of(TWO)
    assert reply.value == [Person("Ada", 36), Person("<b>Bob", 41)]
    assert reply.frame.to_dict("list") == {"name": ["Ada", "<b>Bob"], "age": [36, 41]}


def test_an_object_that_is_cut_is_an_error_that_keeps_the_text() -> None:
    """Never half an object; the turn is kept as cut."""
    memory = Conversation()
    reply = reply_of(TWO, reason="length", conversation=memory)
    with pytest.raises(AnswerCut) as caught:
        _ = reply.value
    assert (caught.value.code, caught.value.partial) == ("object-cut", reply)
    assert (exchange_of(reply).partial_text, reply.complete) == (TWO, False)
    assert [turn.complete for turn in memory.turns] == [False]
    with pytest.raises(FormatProblem, match="object-missing"):
        _ = reply.value


@pytest.mark.finding("B6")
@pytest.mark.parametrize("text", [TWO[:-1], "[1]", "I cannot do that."])
def test_a_whole_answer_that_is_no_such_object_is_not_called_cut(text: str) -> None:
    """The error keeps the reply, and comes again with each look at the value; the turn is whole."""
    memory = Conversation()
    reply = reply_of(text, conversation=memory)
    for _ in range(2):
        with pytest.raises(FormatProblem, match="object-invalid") as caught:
            _ = reply.value
    assert (reply.text, reply.complete) == (text, True)
    assert [turn.complete for turn in memory.turns] == [True]
    with pytest.raises(FormatProblem) as caught:
        list(reply_of(text))
    assert caught.value.partial.text == text


@pytest.mark.finding("B6")
def test_an_object_in_the_thoughts_is_said_to_be_there() -> None:
    """A model that thinks may forget to repeat it."""
    thoughts = chunk(faults.chunk(message={"role": "assistant", "content": "", "thinking": TWO}))
    end = chunk(faults.chunk(done=True, done_reason="stop"))
    context = ReplyContext(schema=schema.make_schema(list[Person]))
    reply = Reply(ChatRequest(model="m", messages=(Message("user", "Hi"),)), lambda _: iter([thoughts, end]), context)
    with pytest.raises(FormatProblem, match="in the thoughts"):
        _ = reply.value


def test_a_reply_without_a_format_has_no_value() -> None:
    """It says how to get one."""
    reply = reply_of("Hello", None)
    for name in ("value", "frame"):
        with pytest.raises(FormatProblem) as caught:
            getattr(reply, name)
        assert caught.value.code == "object-missing"
    assert reply.text == "Hello"


def test_the_table_grows_as_rows_come() -> None:
    """A row is there when it is whole, and stays; everything is escaped."""
    reply = reply_of(TWO)
    counts = []
    for _ in reply.chunks():
        page = body_html(answer_view(reply, streaming=True), "")
        assert "<b>" not in page
        counts.append(page.count("<tr") - 1 if "<table" in page else 0)
    assert sorted(counts) == counts
    assert set(counts) == {0, 1, 2}
    assert "&lt;b&gt;Bob" in answer_output(answer_view(reply))[0]["text/html"]


def test_a_single_object_is_shown_as_json_in_lines() -> None:
    """Coloured in a notebook, plain in a terminal; while it is written, as it is."""
    reply = reply_of('{"name": "<script>", "age": 36}', Person)
    seen = [body_html(answer_view(reply), "") for _ in reply.chunks()]
    assert "<pre" in seen[5]
    shown = answer_output(answer_view(reply))[0]
    assert shown["text/plain"] == '{\n  "name": "<script>",\n  "age": 36\n}'
    assert "<script" not in shown["text/html"]
    assert "&lt;script&gt;" in shown["text/html"]


def test_an_invalid_answer_is_shown_as_it_came() -> None:
    """As code, not as Markdown."""
    reply = reply_of("**no** json", Person)
    with pytest.raises(FormatProblem):
        _ = reply.text
    page = answer_output(answer_view(reply))[0]["text/html"]
    assert "**no** json" in re.sub("<[^>]*>", "", page)
    assert "<strong>" not in page
