"""What a token of a long answer costs from the line of the server to the loop of a user: counted, not timed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

from ollama_magics.conversation.reply import Reply
from ollama_magics.server import wire
from ollama_magics.server.wire import ChatRequest, Chunk, Message

TOKENS = 3000
MOST_CALLS, MOST_BLOCKS = 20, 1.5  # for each token: 16 calls and one text when this was written
LINE = b'{"model": "m", "message": {"role": "assistant", "content": " tok%d"}, "done": false}'
LAST = b'{"model": "m", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "stop"}'


def chunks(_: object) -> Iterator[Chunk]:
    """Decode a line only when it is read, as the client does."""
    for number in range(TOKENS):
        yield wire.chunk(LINE % number, has_more=True)
    yield wire.chunk(LAST)


def reply() -> Reply:
    """Return one that has not been asked for yet."""
    return Reply(ChatRequest(model="m", messages=(Message("user", "hi"),)), chunks)


def test_a_token_takes_few_calls() -> None:
    """Each layer adds some for every token, so that one more generator or copy is seen here."""
    calls, pieces = [0], reply()

    def count(frame: FrameType, event: str, argument: Any) -> None:  # noqa: ARG001 - the signature of a profiler
        calls[0] += event == "call"  # functions in Python, and generators that go on; those in C differ between versions

    former = sys.getprofile()
    sys.setprofile(count)
    try:
        length = sum(map(len, pieces))
    finally:
        sys.setprofile(former)
    assert length == sum(len(f" tok{number}") for number in range(TOKENS))
    assert calls[0] / TOKENS <= MOST_CALLS


def test_a_token_leaves_its_text_and_nothing_else() -> None:
    """An answer of a million tokens keeps no object of each line."""
    for _ in reply():  # whatever is made once
        pass
    whole = reply()
    before = sys.getallocatedblocks()
    for _ in whole:
        pass
    assert (sys.getallocatedblocks() - before) / TOKENS <= MOST_BLOCKS
    assert len(whole) > TOKENS
