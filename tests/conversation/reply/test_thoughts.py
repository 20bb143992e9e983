"""Thoughts that a model writes into its text are thoughts, however the text is cut, and text that speaks of tags is text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.exchange import ReplyContext
from ollama_magics.conversation.reply import Reply, answer_view, exchange_of
from ollama_magics.conversation.thoughts import ThoughtSplitter
from ollama_magics.errors import Interrupted
from ollama_magics.render.markdown import first_code

from .test_reply import LAST, REQUEST, Server, finished, piece

# text of the model: the thoughts and the answer in it
SPLIT = {
    "<think>a\nb</think>\n\nParis": ("a\nb", "Paris"),
    "\n <thinking>a</thinking>Paris": ("a", "Paris"),
    "<THINK> a </Think> Paris": ("a", "Paris"),
    "<thought>a</thought>\nParis": ("a", "Paris"),
    "<reasoning>a</reasoning>\nParis": ("a", "Paris"),
    "<seed:think>a</seed:think>Paris": ("a", "Paris"),
    "[THINK]a[/THINK]Paris": ("a", "Paris"),
    "◁think▷a◁/think▷Paris": ("a", "Paris"),
    "<think>\n\n</think>\n\nParis": ("", "Paris"),
    "<think>a <b> x < y </thinking> </think>Paris": ("a <b> x < y </thinking>", "Paris"),
    "<think>```\ncode\n```</think>\n```\nx\n```": ("```\ncode\n```", "```\nx\n```"),
    "a\n<think>b</think>\nc\n<think>d</think>e": ("b\n\nd", "a\nc\ne"),
    # the opening tag was part of the prompt
    "a\n\nb\n</think>\n\nParis": ("a\n\nb", "Paris"),
    "let me see</think>Paris": ("let me see", "Paris"),
    "</think>\n\nParis": ("", "Paris"),
    "a\n```\nx = '</think>'\n```\nb</think>c": ("a\n```\nx = '</think>'\n```\nb", "c"),
    # not closed
    "<think>a\nb": ("a\nb", ""),
    "<think>": ("", ""),
    "a\n<think>b </thi": ("b </thi", "a\n"),
    # texts that speak of tags, or only look like it
    "Put `<think>` before it.": ("", "Put `<think>` before it."),
    "`<think>`\nand `</think>`": ("", "`<think>`\nand `</think>`"),
    "Write <think>a</think> like this": ("", "Write <think>a</think> like this"),
    "```xml\n<think>a</think>\n```\nb": ("", "```xml\n<think>a</think>\n```\nb"),
    "- ~~~\n  <think>a</think>\n  ~~~\n- b": ("", "- ~~~\n  <think>a</think>\n  ~~~\n- b"),
    "x:\n\n    <think>a</think>\n": ("", "x:\n\n    <think>a</think>\n"),
    '{"html": "a</think>b"}': ("", '{"html": "a</think>b"}'),
    "It ends with “</think>”": ("", "It ends with “</think>”"),
    "<think>a</think>b\n</think>\nc": ("a", "b\n</think>\nc"),
    "x <y> <thin": ("", "x <y> <thin"),
    "\n  a": ("", "\n  a"),
    "\n\n": ("", "\n\n"),
    "\n  `<think>` a": ("", "\n  `<think>` a"),
    "": ("", ""),
}


def split(pieces: list[str]) -> tuple[str, str]:
    """Return the thoughts and the answer, read in these pieces."""
    splitter = ThoughtSplitter()
    thoughts = text = ""
    for one in (*map(splitter.feed, pieces), splitter.end()):
        thoughts, text = (thoughts + text if one.is_late else thoughts), ("" if one.is_late else text)
        thoughts, text = thoughts + one.thoughts, text + one.text
    return thoughts, text


@pytest.mark.finding("B7")
@pytest.mark.parametrize(("written", "expected"), SPLIT.items())
def test_thoughts_in_the_text_are_thoughts(written: str, expected: tuple[str, str]) -> None:
    """Whole, character by character, and cut anywhere."""
    for pieces in ([written], list(written), *([written[:cut], written[cut:]] for cut in range(len(written)))):
        thoughts, text = split(pieces)
        assert (thoughts.rstrip(), text) == expected, pieces


@given(st.lists(st.sampled_from([*SPLIT, "<think>", "</think>", "\n", "```\n", "`", " ", "a", "<", "[THINK]"])).map("".join))
def test_every_text_is_the_same_in_pieces(text: str) -> None:
    """And nothing but tags and white space is lost."""

    def letters(shown: str) -> str:
        return re.sub(r"\s|[<\[◁]/?(?:seed:)?(?:think|thinking|thought|reasoning)[>\]▷]", "", shown, flags=re.IGNORECASE)

    thoughts, answer = split([text])
    in_pieces = split(list(text))
    assert (letters(in_pieces[0]), in_pieces[1]) == (letters(thoughts), answer)
    assert sorted(letters(thoughts + answer)) == sorted(letters(text))


def test_the_answer_comes_while_it_is_written() -> None:
    """Only what may become a tag is held back."""
    splitter = ThoughtSplitter()
    shown = [splitter.feed(one).text for one in ("Hel", "lo <", "b> ", "a </th", "ink", "x")]
    assert shown == ["Hel", "lo ", "<b> ", "a ", "", "</thinkx"]


@pytest.mark.finding("B7")
@pytest.mark.parametrize("opener", ["<think>", ""])
def test_reply_code_object_and_memory_agree(opener: str) -> None:
    """None of them takes code or text from the thoughts."""
    conversation = Conversation()
    thoughts, answer = "Maybe\n```python\nwrong()\n```\n", "So\n```python\nright()\n```"
    reply = finished(*map(piece, [*opener, *thoughts, "</think>", "\n\n", *answer]), piece(**LAST), conversation=conversation)
    assert (reply.thinking, reply.text, str(reply)) == (thoughts.rstrip(), answer, answer)
    assert "".join(reply).endswith(answer)
    assert first_code(reply.text) == "right()\n"
    assert conversation.turns[-1].answer.content == answer
    view = answer_view(reply)
    assert (view.text, view.thinking) == (answer, thoughts.rstrip())


@pytest.mark.finding("B7")
def test_the_tags_that_stream_in_are_shown_unfolded_until_the_answer_begins() -> None:
    """As thoughts that a server separates itself."""
    reply = Reply(
        REQUEST, Server(*map(piece, ["<thi", "nk>Let", " me see", "</think>", "\n\nParis"]), piece(**LAST)).chat, ReplyContext()
    )
    seen = [(view.is_thinking, view.thinking, view.text) for _ in reply.chunks() if (view := answer_view(reply, streaming=True))]
    assert seen[1:4] == [(True, "Let", ""), (True, "Let me see", ""), (True, "Let me see", "")]
    assert seen[4] == (False, "Let me see", "Paris")


def test_a_cut_answer_keeps_what_was_held_back() -> None:
    """The beginning of a tag that never came is text."""
    reply = Reply(REQUEST, Server(piece("a <thi"), KeyboardInterrupt()).chat, ReplyContext())
    with pytest.raises(Interrupted):
        list(reply)
    assert (reply.text, reply.complete) == ("a <thi", False)


@pytest.mark.parametrize("text", ["<think>", "<", "\n", " ", "`", "</think>", "<think>a", "a</think>\n"])
def test_a_hostile_text_takes_linear_steps(text: str) -> None:
    """In one piece and in many."""

    def steps(count: int, cut: Callable[[str], list[str]]) -> int:
        import sys  # noqa: PLC0415 - only here

        seen = 0

        def count_line(*_: object) -> Any:
            nonlocal seen
            seen += 1
            return count_line

        pieces = cut(text * count)
        sys.settrace(count_line)
        try:
            split(pieces)
        finally:
            sys.settrace(None)
        return seen

    for cut in (lambda whole: [whole], list):
        assert steps(400, cut) < 3 * steps(200, cut) + 200


def test_what_is_new_in_a_text_that_turned_out_to_be_thoughts() -> None:
    """A screen that writes one piece after another misses no piece of the answer, and gets none twice."""
    reply = Reply(REQUEST, Server(*map(piece, ["a", " b", "</think>c", "d"]), piece(**LAST)).chat, ReplyContext())
    seen, known = list[str](), 0
    for _ in reply.chunks():
        new, known = exchange_of(reply).tool_loop.now.pieces_after(known)
        seen.append("".join(new))
    assert (seen, reply.thinking) == (["a", " b", "c", "d", ""], "a b")
