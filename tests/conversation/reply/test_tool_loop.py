"""A turn in which the model calls functions: what is sent again, what is kept, and when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.exchange import ReplyContext
from ollama_magics.conversation.replies import Replies
from ollama_magics.conversation.reply import Reply, answer_view
from ollama_magics.conversation.tool_definitions import make_tools
from ollama_magics.conversation.tools import Toolbox, ToolCall
from ollama_magics.errors import Interrupted, PromptTooLong, ToolProblem
from ollama_magics.render.answer import answer_output
from ollama_magics.server.wire import ChatRequest, Chunk, Message, chunk
from tests import faults

ADD = {"id": "call_1", "function": {"index": 0, "name": "add", "arguments": {"a": 2, "b": 3}}}
LAST: dict[str, Any] = {"done": True, "done_reason": "stop"}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def piece(text: str = "", **fields: Any) -> Chunk:
    """Return one piece of an answer."""
    return chunk(faults.chunk(text, **fields))


def calling(*calls: dict[str, Any], text: str = "", thinking: str = "") -> tuple[Chunk, ...]:
    """Return an answer that ends in calls."""
    return piece(message={"content": text, "thinking": thinking, "tool_calls": list(calls)}), piece(**LAST)


class Model:
    """Gives one prepared answer after another, the last of them again and again; ``requests`` are what it was asked."""

    def __init__(self, *answers: tuple[Chunk, ...]) -> None:
        self._answers = answers
        self.requests: list[ChatRequest] = []

    def chat(self, request: ChatRequest) -> Iterator[Chunk]:
        """Give the next."""
        self.requests.append(request)
        yield from self._answers[min(len(self.requests), len(self._answers)) - 1]


def reply_of(model: Model, *, function: Any = add, confirm: Any = lambda _: True, **context: Any) -> Reply:
    """Return a reply of the model, which may call the function."""
    toolbox = Toolbox(make_tools(function), confirm)
    request = ChatRequest(model="m", messages=(Message("user", "2 + 3?"),), tools=toolbox.definitions)
    return Reply(request, model.chat, ReplyContext(toolbox=toolbox, **context))


def shown(reply: Reply) -> dict[str, str]:
    """Return what a notebook shows of a reply."""
    return answer_output(answer_view(reply))[0]


ANSWER = (piece("It is"), piece(" 5."), piece(**LAST))


def test_a_call_is_run_and_its_result_sent_back() -> None:
    """Behind the call as the model wrote it, with its thoughts; the text is what it says then."""
    model = Model(calling(ADD, text="Let me see.", thinking="Hm"), ANSWER)
    reply = reply_of(model)
    assert reply.text == "It is 5."
    assert reply.tool_calls == [ToolCall("add", {"a": 2, "b": 3}, "5", id="call_1")]
    _, second = model.requests
    sent = {"id": "call_1", "function": {"name": "add", "arguments": {"a": 2, "b": 3}}}
    assert second.messages == (
        Message("user", "2 + 3?"),
        Message("assistant", "Let me see.", thinking="Hm", tool_calls=(sent,)),
        Message("tool", "5", tool_name="add", tool_call_id="call_1"),
    )
    assert second.tools == model.requests[0].tools
    assert (reply.complete, reply.thinking) == (True, "Hm")


def test_the_messages_hold_the_calls_and_their_results() -> None:
    """As dicts that other programs read."""
    reply = reply_of(Model(calling(ADD), ANSWER))
    assert reply.text
    assert [message["role"] for message in reply.messages] == ["user", "assistant", "tool", "assistant"]
    assert reply.messages[1]["tool_calls"][0]["function"] == {"name": "add", "arguments": {"a": 2, "b": 3}}
    assert reply.messages[2] == {"role": "tool", "content": "5", "tool_name": "add"}


def test_memory_keeps_the_whole_exchange() -> None:
    """So that a later turn is consistent with it."""
    memory = Conversation()
    assert reply_of(Model(calling(ADD), ANSWER), conversation=memory).text
    assert [message.role for message in memory.messages] == ["user", "assistant", "tool", "assistant"]


def test_two_calls_at_once_are_answered_in_their_order() -> None:
    """Each result names its function; an unknown name is answered too, and the model may try again."""
    other = {"function": {"name": "subtract", "arguments": {}}}
    model = Model(calling(other, ADD), ANSWER)
    assert reply_of(model).text == "It is 5."
    results = [(message.tool_name, message.content) for message in model.requests[1].messages if message.role == "tool"]
    assert results == [("subtract", "error: there is no function 'subtract'; there are: add"), ("add", "5")]


def test_a_model_that_never_stops_calling_is_stopped() -> None:
    """After eight rounds, with all that was done."""
    model = Model(calling(ADD))
    reply = reply_of(model)
    with pytest.raises(ToolProblem) as caught:
        _ = reply.text
    assert (caught.value.code, caught.value.partial) == ("tool-rounds-too-many", reply)
    assert len(model.requests) == 9
    assert [call.result for call in reply.tool_calls] == ["5"] * 8 + [None]
    assert not reply.complete


def test_calls_without_functions_are_not_run_and_not_answered() -> None:
    """A server that writes them unasked gets no second request."""
    model = Model(calling(ADD))
    reply = Reply(ChatRequest(model="m", messages=(Message("user", "Hi"),)), model.chat)
    assert (reply.text, len(model.requests), reply.tool_calls[0].result) == ("", 1, None)


def test_an_interrupt_inside_of_a_function_keeps_what_there_is() -> None:
    """The text before it, the call, and the turn, marked as cut."""

    def stop(a: int, b: int) -> None:
        """Be stopped."""
        raise KeyboardInterrupt(a, b)

    stop.__name__ = "add"
    memory = Conversation()
    reply = reply_of(Model(calling(ADD, text="Let me see."), ANSWER), function=stop, conversation=memory)
    with pytest.raises(Interrupted) as caught:
        _ = reply.text
    assert caught.value.partial is reply
    assert [call.error for call in reply.tool_calls] == ["interrupted"]
    assert "Let me see." in shown(reply)["text/html"]
    assert [turn.complete for turn in memory.turns] == [False]
    assert memory.messages == ()


def test_no_way_to_ask_for_permission_is_an_error_that_keeps_the_reply() -> None:
    """The call stands in it, and says that it did not run."""
    reply = reply_of(Model(calling(ADD), ANSWER), confirm=None)
    with pytest.raises(ToolProblem) as caught:
        _ = reply.text
    assert (caught.value.code, caught.value.partial) == ("tool-unconfirmed", reply)
    assert reply.tool_calls[0].error == "nobody could be asked"


def test_the_calls_are_shown_where_they_happened() -> None:
    """As cards between the texts, escaped; in a terminal as lines."""

    def echo(text: str) -> str:
        """Say it again."""
        return text

    hostile = "<img src=x onerror=alert(1)>\x1b[31m"
    call = {"function": {"name": "echo", "arguments": {"text": hostile}}}
    reply = reply_of(Model(calling(call, text="Before."), (piece("After."), piece(**LAST))), function=echo)
    assert reply.text == "After."
    found = shown(reply)
    page = found["text/html"]
    assert page.index("Before.") < page.index("echo(text=") < page.index("After.")
    assert "<img" not in page
    assert "\x1b" not in page + found["text/plain"]
    first, call_line, last = found["text/plain"].splitlines()
    assert call_line.startswith("echo(text='<img src=x onerror=alert(1)>\\x1b[31m') → <img")
    assert (first, last) == ("Before.", "After.")


def test_a_call_that_has_not_come_back_is_shown_as_waiting() -> None:
    """While the user is asked, the card is there already."""
    seen: list[str] = []

    def confirm(_: ToolCall) -> bool:
        seen.append(shown(reply)["text/html"])
        return True

    reply = reply_of(Model(calling(ADD), ANSWER), confirm=confirm)
    assert reply.text
    assert "add(a=2, b=3)" in seen[0]
    assert "…" in seen[0]


def test_a_refusal_as_too_long_leaves_out_turns_in_any_round() -> None:
    """The results may be what makes it too long; what was called is kept."""
    model = Model(calling(ADD), ANSWER)
    refusals = iter([PromptTooLong("prompt-too-long", tokens=50, limit=40, model="m", said="too long")])

    def send(request: ChatRequest) -> Iterator[Chunk]:
        if request.messages[-1].role == "tool" and (error := next(refusals, None)):
            raise error
        yield from model.chat(request)

    toolbox = Toolbox(make_tools(add), lambda _: True)
    old = (Message("user", "old"), Message("assistant", "older"))
    request = ChatRequest(model="m", messages=(*old, Message("user", "2 + 3?")), tools=toolbox.definitions)
    reply = Reply(request, send, ReplyContext(toolbox=toolbox, history=(20,)))
    assert (reply.text, reply.left_out) == ("It is 5.", 1)
    assert [message.role for message in model.requests[-1].messages] == ["user", "assistant", "tool"]
    assert [call.result for call in reply.tool_calls] == ["5"]


def test_a_turn_with_calls_counts_the_tokens_of_all_its_messages() -> None:
    """The last count of the server covers them; thoughts are not sent again, nor counted."""
    memory = Conversation()
    counted = LAST | {"prompt_eval_count": 90, "eval_count": 7}
    assert reply_of(
        Model(calling(ADD, thinking="Hm " * 50), (piece("5"), piece(**counted))), conversation=memory, fixed_tokens=10
    ).text
    assert [turn.tokens for turn in memory.turns] == [90 + 7 - 10]


def test_calls_are_kept_when_a_cut_answer_is_continued() -> None:
    """The turn is one: prompt, calls, results, and both halves of the answer."""
    memory = Conversation()
    cut = (piece("It is"), piece(**(LAST | {"done_reason": "length"})))
    assert reply_of(Model(calling(ADD), cut), conversation=memory).text == "It is"
    [turn] = memory.turns
    request = ChatRequest(model="m", messages=(turn.prompt, *turn.between, turn.answer))
    reply = Reply(request, Model((piece(" 5."), piece(**LAST))).chat, ReplyContext(conversation=memory, continues=turn))
    assert reply.text == "It is 5."
    assert [message.role for message in memory.messages] == ["user", "assistant", "tool", "assistant"]


def test_an_empty_chunk_comes_when_calls_have_been_run() -> None:
    """So that the result can be shown before the model has read it."""
    reply = reply_of(Model(calling(ADD), ANSWER))
    results = [reply.tool_calls[0].result for chunk in reply.chunks() if chunk == Chunk()]
    assert results == ["5"]


FIGURES: tuple[dict[str, Any], ...] = (
    {"prompt_eval_count": 100, "eval_count": 20, "eval_duration": 2 * 10**9, "load_duration": 5 * 10**9},
    {"prompt_eval_count": 130, "eval_count": 30, "eval_duration": 10**9, "load_duration": 10**6},
    {"prompt_eval_count": 170, "eval_count": 10, "eval_duration": 10**9},
)


@pytest.mark.finding("A10")
def test_figures_are_totals_of_all_rounds() -> None:
    """Tokens, prompts, loading and the rate, also in columns and frames; the context is that of the last round."""
    rounds = [(piece(message={"content": "", "tool_calls": [ADD]}), piece(**LAST, **figures)) for figures in FIGURES[:2]]
    answers = (*rounds, (piece("5"), piece(**LAST, **FIGURES[2])))
    reply = reply_of(Model(*answers), context_length=4096)
    assert reply.text == "5"
    stats = reply.stats
    assert (stats.prompt_tokens, stats.tokens, stats.writing_seconds, stats.tokens_per_second) == (400, 60, 4.0, 15.0)
    assert stats.load_seconds == pytest.approx(5.001)
    assert 0 < stats.first_token_seconds <= stats.seconds
    assert answer_view(reply, times=False).figures == ["m", "60 tokens", "context 180 of 4\u202f096"]
    assert "15 tok/s" in answer_view(reply).figures

    replies = Replies(["m"], lambda _: reply_of(Model(*answers), context_length=4096), "en")
    assert list(replies.stream())
    assert replies.frame[["tokens", "tokens_per_second"]].to_numpy().tolist() == [[60, 15.0]]


@pytest.mark.finding("A10")
def test_a_continued_answer_has_the_figures_of_all_its_parts() -> None:
    """As its text has; what the server did not count is not made up."""
    memory = Conversation()
    first = reply_of(Model((piece("One two"), piece(**{**LAST, "done_reason": "length"}, **FIGURES[0]))), conversation=memory)
    assert first.text == "One two"
    request = ChatRequest(model="m", messages=(Message("user", "2 + 3?"), Message("assistant", "One two")))
    model = Model((piece(" three"), piece(**LAST, **FIGURES[1])))
    whole = Reply(request, model.chat, ReplyContext(conversation=memory, continues=memory.turns[0], context_length=4096))
    assert (whole.text, "".join(whole)) == ("One two three",) * 2
    assert (whole.stats.tokens, whole.stats.writing_seconds, whole.stats.prompt_tokens) == (50, 3.0, 230)
    assert whole.stats.seconds > first.stats.seconds
    assert "context 160 of 4\u202f096" in answer_view(whole).figures
    assert [turn.stats.tokens for turn in memory.turns] == [50]
