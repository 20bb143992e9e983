"""A reply as a stream, as data, and as what a notebook shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.exchange import ReplyContext
from ollama_magics.conversation.image_sources import collect
from ollama_magics.conversation.replies import Replies, column_view
from ollama_magics.conversation.reply import Reply, answer_view, exchange_of
from ollama_magics.conversation.tools import ToolCall
from ollama_magics.conversation.turns import Place, Turn
from ollama_magics.errors import AnswerCut, Interrupted, RequestRefused
from ollama_magics.render.answer import answer_output
from ollama_magics.render.shown_once import hide_while
from ollama_magics.server.wire import ChatRequest, Chunk, GenerateRequest, Message, chunk
from tests import faults


def figures(reply: Reply, *, times: bool = True) -> list[str]:
    """Return the figures under the answer."""
    return list(answer_view(reply, times=times).figures)


def warnings(reply: Reply) -> list[str]:
    """Return the warnings under the answer."""
    return list(answer_view(reply).warnings)


def bundle(reply: Reply, *, times: bool = True) -> dict[str, str]:
    """Return what a notebook shows of a reply."""
    return answer_output(answer_view(reply, times=times))[0]


REQUEST = ChatRequest(model="m", messages=(Message("user", "Hi"),), options={"num_predict": 7})
LAST: dict[str, Any] = {"done": True, "done_reason": "stop", "eval_count": 1500, "eval_duration": 10**9, "prompt_eval_count": 20}


class Server:
    """Gives prepared chunks, like the chat method of a client; an error among them is raised.

    ``requests`` counts the requests, ``closed`` is set when the answer is closed.
    """

    def __init__(self, *pieces: Chunk | BaseException) -> None:
        self.pieces = pieces
        self.requests = 0
        self.closed = False

    def chat(self, _: Any) -> Iterator[Chunk]:
        """Give them."""
        self.requests += 1
        try:
            for piece in self.pieces:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            self.closed = True


def piece(text: str = "", **fields: Any) -> Chunk:
    """Return one piece of an answer."""
    return chunk(faults.chunk(text, **fields))


def reply_of(*pieces: Chunk | BaseException, **context: Any) -> Reply:
    """Return a reply that will get these pieces."""
    return Reply(REQUEST, Server(*pieces).chat, ReplyContext(**context))


def finished(*pieces: Chunk | BaseException, **context: Any) -> Reply:
    """Return a reply that has got them."""
    reply = reply_of(*pieces, **context)
    assert reply.text is not None
    return reply


def stop_after_one_piece(reply: Reply, error: BaseException) -> None:
    """Read one piece, as a display does, and raise the error there."""
    with reply:
        for _ in reply.chunks():
            raise error


HELLO = (piece("Hel"), piece("lo"), piece(**LAST))


PUBLIC = [
    *(
        "chunks",
        "close",
        "complete",
        "done_reason",
        "frame",
        "images",
        "left_out",
        "logprobs",
        "messages",
        "model",
        "notes",
        "rendered_prompt",
        "request",
        "shifted",
    ),
    *("stats", "stored", "text", "thinking", "tool_calls", "value"),
]


def test_a_reply_offers_what_a_user_needs_and_nothing_else() -> None:
    """Completion in a notebook lists these names; each has a docstring."""
    assert [name for name in dir(reply_of()) if not name.startswith("_")] == PUBLIC
    assert all(getattr(Reply, name).__doc__ for name in PUBLIC)


def test_several_replies_offer_what_a_user_needs_and_nothing_else() -> None:
    """A sequence with the models, their errors, and all of them as one table."""
    replies = Replies(["a", "b"], lambda _: reply_of(), "en")
    public = ["close", "count", "errors", "frame", "index", "models", "stream", "text"]
    assert [name for name in dir(replies) if not name.startswith("_")] == public


# The stream.


def test_no_request_is_sent_before_the_text_is_read() -> None:
    """A new reply has sent nothing; its text sends one request."""
    server = Server(*HELLO)
    reply = Reply(REQUEST, server.chat)
    assert (exchange_of(reply).partial_text, reply.complete, server.requests) == ("", False, 0)
    assert "not asked yet" in repr(reply)
    assert (reply.text, reply.text, str(reply)) == ("Hello",) * 3
    assert (server.requests, server.closed, reply.complete) == (1, True, True)


ASKING = {
    "text": ("Hel", "Hello"),
    "thinking": ("Hm", "Hm"),
    "tool_calls": (0, 1),
    "messages": (["Hi", "Hel"], ["Hi", "Hello"]),
    "logprobs": ([], [{"token": "lo"}]),
    "stats": (0, 1500),
    "done_reason": ("", "stop"),
    "shifted": (False, True),
    "stored": ("", "2026-11-22"),
}
OF_ATTRIBUTE = {
    "messages": lambda found: [one["content"] for one in found],
    "stats": lambda found: found.tokens,
    "tool_calls": len,
}


@pytest.mark.parametrize(("name", "early", "late"), [(name, *found) for name, found in ASKING.items()])
def test_what_the_answer_decides_asks_for_it_as_text_does(name: str, early: Any, late: Any) -> None:
    """Once; while the answer is read it is what there is so far. Nothing else asks."""
    call = {"function": {"name": "f", "arguments": {}}}
    pieces = (
        piece(message={"content": "Hel", "thinking": "Hm"}),
        piece(message={"content": "lo", "tool_calls": [call]}, logprobs=[{"token": "lo"}]),
        piece(**LAST),
    )
    server = Server(*pieces)
    reply = Reply(REQUEST, server.chat, ReplyContext(context_length=100, stored=lambda: "2026-11-22" if server.closed else ""))
    look = OF_ATTRIBUTE.get(name, lambda found: found)
    for other in set(PUBLIC) - set(ASKING) - {"value", "frame"}:
        getattr(reply, other)
    assert (server.requests, "not asked" in repr(reply)) == (0, True)
    assert (look(getattr(reply, name)), server.requests, reply.complete) == (late, 1, True)
    getattr(reply, name)
    assert server.requests == 1

    server = Server(*pieces)
    reply = Reply(REQUEST, server.chat, ReplyContext(context_length=100, stored=lambda: "2026-11-22" if server.closed else ""))
    next(reply.chunks())
    assert (look(getattr(reply, name)), reply.complete) == (early, False)


@pytest.mark.finding("B12")
def test_a_reply_yields_its_text_in_pieces_and_is_read_once() -> None:
    """Every loop begins at the start of the text; the server is asked once."""
    server = Server(piece("Hel"), piece(message={"content": "", "thinking": "Hm"}), piece("lo"), piece(**LAST))
    reply = Reply(REQUEST, server.chat)
    for one in reply:
        assert one == exchange_of(reply).partial_text == "Hel"
        break
    assert [list(reply), list(reply), "".join(reply)] == [["Hel", "lo"], ["Hel", "lo"], "Hello"]
    assert (server.requests, reply.text, reply.thinking) == (1, "Hello", "Hm")
    assert list(reply.chunks()) == []


@pytest.mark.finding("B12")
def test_chunks_are_what_the_server_sent_and_come_once() -> None:
    """A second loop goes on where the first stopped."""
    reply = reply_of(*HELLO)
    assert next(reply.chunks()) is HELLO[0]
    assert list(reply.chunks()) == list(HELLO[1:])
    assert list(reply.chunks()) == []


@pytest.mark.finding("B12")
def test_a_reply_behaves_like_its_text() -> None:
    """Each of them asks once; only bool() asks nothing, and is true for an empty answer, too."""
    assert ["ell" in reply_of(*HELLO), "x" in reply_of(*HELLO), len(reply_of(*HELLO)), str(reply_of(*HELLO))] == [
        True, False, 5, "Hello",
    ]  # fmt: skip
    assert f"{reply_of(*HELLO):>7}|{reply_of(*HELLO):.2}|{reply_of(*HELLO)}" == "  Hello|He|Hello"
    server = Server(piece(**LAST))
    reply = Reply(REQUEST, server.chat)
    assert (bool(reply), server.requests) == (True, 0)
    assert (len(reply), list(reply), bool(reply), server.requests) == (0, [], True, 1)


@pytest.mark.finding("B12")
@pytest.mark.parametrize("error", [AnswerCut("stream-incomplete"), RequestRefused("request-refused", status=500, said="x")])
def test_after_an_error_the_pieces_so_far_are_there(error: Exception) -> None:
    """The error is raised where the stream ends, once; the connection is closed."""
    server = Server(piece("Hel"), piece("lo"), error)
    reply = Reply(REQUEST, server.chat)
    pieces = iter(reply)
    assert [next(pieces), next(pieces)] == ["Hel", "lo"]
    with pytest.raises(type(error)):
        next(pieces)
    assert (list(reply), reply.text, server.closed) == (["Hel", "lo"], "Hello", True)
    assert (reply.complete, server.requests) == (False, 1)


def test_text_while_streaming_is_what_has_come() -> None:
    """Inside of a loop it reads nothing ahead."""
    reply = reply_of(*HELLO)
    assert [reply.text for _ in reply.chunks()] == ["Hel", "Hello", "Hello"]


def test_figures_of_the_server_become_stats() -> None:
    """Nanoseconds become seconds, counts a rate."""
    stats = finished(piece("a"), piece(**LAST, load_duration=5 * 10**8)).stats
    assert (stats.prompt_tokens, stats.tokens) == (20, 1500)
    assert (stats.load_seconds, stats.tokens_per_second) == (0.5, 1500)
    assert 0 <= stats.first_token_seconds <= stats.seconds


def test_missing_figures_are_zero() -> None:
    """An answer that only loads the model has none, and nothing divides by them."""
    reply = finished(piece(done=True, done_reason="load"))
    assert (reply.text, reply.done_reason, reply.stats.tokens_per_second) == ("", "load", 0)
    assert figures(reply, times=False) == ["m"]


def test_thoughts_and_tool_calls_are_kept_apart_from_the_text() -> None:
    """Each has its own attribute."""
    call = {"function": {"name": "add", "arguments": {"a": 2}}}
    thinking = piece(message={"content": "", "thinking": "Hm"})
    calling = piece(message={"content": "", "tool_calls": [call]})
    reply = finished(thinking, calling, piece("5"), piece(**LAST))
    assert (reply.thinking, reply.text, reply.tool_calls) == ("Hm", "5", [ToolCall("add", {"a": 2})])


def test_messages_are_all_of_the_request_and_the_answer() -> None:
    """As dicts with role and content."""
    assert finished(*HELLO).messages == [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    completed = Reply(GenerateRequest(model="m", prompt="Once"), Server(*HELLO).chat)
    assert completed.text == "Hello"
    assert completed.messages == [{"role": "user", "content": "Once"}, {"role": "assistant", "content": "Hello"}]


# What goes wrong.


def test_a_cut_answer_keeps_the_text_so_far() -> None:
    """The error says how many characters there are."""
    reply = reply_of(piece("Hel"), AnswerCut("stream-incomplete"))
    with pytest.raises(AnswerCut) as caught:
        _ = reply.text
    assert caught.value.partial is reply
    assert (exchange_of(reply).partial_text, reply.complete) == ("Hel", False)
    assert "after 3 characters" in caught.value.how_we_know
    assert "not complete" in repr(reply)


def test_an_interrupt_in_a_with_block_keeps_the_text_so_far() -> None:
    """It is no Exception, so that ``except Exception`` does not catch it."""
    server = Server(piece("Hel"), piece("lo"))
    reply = Reply(REQUEST, server.chat)
    with pytest.raises(Interrupted) as caught:
        stop_after_one_piece(reply, KeyboardInterrupt())
    assert caught.value.partial is reply
    assert (exchange_of(reply).partial_text, server.closed) == ("Hel", True)
    assert not issubclass(Interrupted, Exception)


def test_an_interrupt_while_waiting_is_the_same_error() -> None:
    """The turn is kept as cut."""
    memory = Conversation()
    reply = reply_of(piece("Hel"), KeyboardInterrupt(), conversation=memory)
    with pytest.raises(Interrupted):
        _ = reply.text
    assert [(turn.answer.content, turn.complete) for turn in memory.turns] == [("Hel", False)]


def test_other_errors_leave_a_with_block_unchanged() -> None:
    """The connection is closed all the same."""
    server = Server(*HELLO)
    reply = Reply(REQUEST, server.chat)
    with pytest.raises(ZeroDivisionError):
        stop_after_one_piece(reply, ZeroDivisionError())
    assert server.closed


def test_closing_twice_or_before_the_request_does_nothing() -> None:
    """A with block may end before anything was sent."""
    server = Server(*HELLO)
    reply = Reply(REQUEST, server.chat)
    reply.close()
    assert reply.text == "Hello"
    reply.close()
    assert (server.requests, reply.complete) == (1, True)


# Memory.


def test_a_whole_answer_is_kept_as_a_turn() -> None:
    """With the prompt that was sent, and the tokens that the server counted."""
    memory, here = Conversation(), Place("a", "1")
    finished(*HELLO, conversation=memory, place=here)
    answer = Message("assistant", "Hello")
    assert memory.turns == (Turn(REQUEST.messages[-1], answer, here, complete=True, model="m", tokens=1520),)


def test_a_cut_answer_is_kept_as_cut_and_once() -> None:
    """It is not sent again."""
    memory = Conversation()
    reply = reply_of(piece("Hel"), AnswerCut("stream-incomplete"), conversation=memory)
    with pytest.raises(AnswerCut), reply:
        list(reply.chunks())
    reply.close()
    assert [turn.complete for turn in memory.turns] == [False]
    assert memory.messages == ()


@pytest.mark.parametrize(
    "error", [RequestRefused("request-refused", status=500, said="x"), AnswerCut("stream-incomplete"), KeyboardInterrupt()]
)
def test_an_answer_that_never_began_changes_no_memory(error: BaseException) -> None:
    """The old turn of the cell stays, with what followed."""
    memory = Conversation()
    finished(*HELLO, conversation=memory, place=Place("a", "1"))
    finished(*HELLO, conversation=memory, place=Place("b", "2"))
    before = memory.turns
    with pytest.raises((RequestRefused, AnswerCut, Interrupted)):
        _ = reply_of(error, conversation=memory, place=Place("a", "3")).text
    assert memory.turns == before


# What is shown.


def picture(width: int, height: int) -> Any:
    """Return a checked picture of that size, before it is shrunk."""
    (found,) = collect(Image.new("RGB", (width, height)), name="x")
    return found


def test_the_figures_under_an_answer() -> None:
    """Small facts, thousands grouped, times left out where outputs are compared."""
    reply = finished(*HELLO, context_length=4096, remote_host="gpu-box")
    assert figures(reply, times=False) == ["m", "1\u202f500 tokens", "context 1\u202f520 of 4\u202f096", "sent to gpu-box"]
    total, first = f"{reply.stats.seconds:.1f} s", f"first after {reply.stats.first_token_seconds:.1f} s"
    assert figures(reply)[2:5] == ["1500 tok/s", total, first]


def test_the_figures_while_an_answer_is_read() -> None:
    """About how many tokens have come, and how fast; those of the server take their place."""
    pieces = (*(piece(f"{number} ") for number in range(1400)), piece(**LAST))
    reply, seen = reply_of(*pieces), list[list[str]]()
    for _ in reply.chunks():
        seen.append(list(answer_view(reply, streaming=True).figures))
    assert seen[0] == ["m", "about 1 tokens"]
    assert seen[-2][:2] == ["m", "about 1\u202f400 tokens"]
    assert re.fullmatch(r"\d+ tok/s", seen[-2][2])
    assert seen[-1] == ["m", "about 1\u202f500 tokens", "1500 tok/s"]


def test_unknown_figures_are_left_out() -> None:
    """A zero would be wrong."""
    assert figures(finished(piece("a"), piece(done=True), context_length=4096), times=False) == ["m"]


def test_a_shrunk_picture_is_reported() -> None:
    """With both sizes."""
    small, large = picture(10, 10), picture(4000, 3000)
    assert figures(finished(*HELLO, images=(small,)), times=False) == ["m", "1\u202f500 tokens"]
    shown = figures(finished(*HELLO, images=(small, large), notes=large.notes), times=False)
    assert shown[2].startswith("picture shrunk from 4000 × 3000 to ")


WARNED: dict[str, tuple[tuple[Chunk, ...], str]] = {
    "cut": ((piece("a"), piece(done=True, done_reason="length")), "cut at max tokens (7)"),
    "only thoughts": (
        (piece(message={"content": "", "thinking": "Hm"}), piece(done=True, done_reason="length")),
        "max tokens were used up by thoughts",
    ),
    "shifted": ((piece("a"), piece(**{**LAST, "eval_count": 100})), "the answer exceeded the context"),
}


@pytest.mark.parametrize(("pieces", "warning"), WARNED.values(), ids=WARNED)
def test_a_warning_says_why_an_answer_is_not_whole(pieces: tuple[Chunk, ...], warning: str) -> None:
    """In one sentence, and no other."""
    (found,) = warnings(finished(*pieces, context_length=119))
    assert found.startswith(warning)


def test_an_answer_within_the_context_is_not_shifted() -> None:
    """The last token may fill it; without a known context nothing is claimed."""
    assert not finished(piece("a"), piece(**LAST), context_length=1520).shifted
    assert finished(piece("a"), piece(**LAST), context_length=1519).shifted
    assert not finished(piece("a"), piece(**LAST)).shifted
    assert warnings(finished(*HELLO)) == []


def test_an_incomplete_answer_says_so() -> None:
    """Once the stream is closed, not while it runs."""
    reply = reply_of(piece("Hel"), piece("lo"))
    next(reply.chunks())
    assert warnings(reply) == []
    reply.close()
    assert warnings(reply) == ["the answer is not complete"]


def test_dropped_turns_are_reported() -> None:
    """A cell that runs again drops the turns after it."""
    memory = Conversation()
    finished(*HELLO, conversation=memory, place=Place("a", "1"))
    finished(*HELLO, conversation=memory, place=Place("b", "2"))
    (warning,) = warnings(finished(*HELLO, conversation=memory, place=Place("a", "3")))
    assert "later turns of the conversation were removed (1)" in warning


def test_a_finished_answer_shows_itself_in_two_forms() -> None:
    """As safe HTML with its figures, and as plain text."""
    shown = bundle(finished(piece("**bold** <script>alert(1)</script>\x1b[31m"), piece(**LAST)))
    assert set(shown) == {"text/html", "text/plain"}
    assert "<strong>bold</strong>" in shown["text/html"]
    assert "<script" not in shown["text/html"]
    assert "1\u202f500 tokens" in shown["text/html"]
    assert "tok/s" in shown["text/html"]
    assert "\x1b" not in shown["text/plain"]


RATES = {
    "usual": (1500, 10**9, 1500.0),
    "one token": (1, 1000, 0.0),
    "a handful": (4, 10**9, 0.0),
    "no time": (1500, 1000, 0.0),
    "a slow one": (5, 10**10, 0.5),
    "none": (1500, 0, 0.0),
}


@pytest.mark.finding("F3")
@pytest.mark.parametrize(("tokens", "nanoseconds", "rate"), RATES.values(), ids=RATES)
def test_a_rate_needs_tokens_and_time(tokens: int, nanoseconds: int, rate: float) -> None:
    """Else there is none: in the stats, under the answer, in columns and in a frame."""
    last = piece(**{**LAST, "eval_count": tokens, "eval_duration": nanoseconds})
    reply = finished(piece("a"), last)
    assert reply.stats.tokens_per_second == rate
    replies = Replies(["m"], lambda _: reply_of(piece("a"), last), "en")
    list(replies.stream())
    shown = [*figures(reply), *column_view(replies, 0).figures]
    assert sum("tok/s" in figure for figure in shown) == (2 if rate else 0)
    (framed,) = replies.frame.tokens_per_second
    assert framed == pytest.approx(rate or float("nan"), nan_ok=True)


def test_figures_without_times_are_the_same_in_every_run() -> None:
    """For notebooks whose outputs are compared."""
    first, second = (bundle(finished(*HELLO), times=False) for _ in range(2))
    assert first == second
    assert "tok/s" not in first["text/html"]


def test_thoughts_are_shown_folded_before_the_answer() -> None:
    """Escaped, like everything a model says."""
    reply = finished(piece(message={"content": "", "thinking": "<b>Hm"}), piece("5"), piece(**LAST))
    page = bundle(reply)["text/html"]
    assert "<details" in page
    assert "&lt;b&gt;Hm" in page
    assert page.index("Hm") < page.index(">5<")


def test_a_reply_that_its_cell_painted_is_not_shown_twice() -> None:
    """IPython's protocol: an error means, show it in the ordinary way."""
    reply = finished(*HELLO)
    hide_while(reply, lambda: True)
    assert reply._ipython_display_() is None  # type: ignore[func-returns-value]
    hide_while(reply, None)
    with pytest.raises(NotImplementedError):
        reply._ipython_display_()


def test_a_reply_is_shown_in_the_language_of_the_settings() -> None:
    """Phrases without a translation stay English; unknown ones are no error."""
    reply = finished(*HELLO, language="zh")
    assert figures(reply, times=False)[0] == "m"
    assert len(figures(reply, times=False)) == 2
