"""How a stream of bytes becomes lines."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.errors import RequestRefused
from ollama_magics.server import wire
from ollama_magics.server.wire import Lines

# Everything that str.splitlines cuts at, raw as Go's encoder writes some of them, beside the one real end of a line.
PIECES = st.lists(st.sampled_from([b"\n", b"\n", b"\r", b"\r\n", b" ", b"a", "\u0085".encode(), "\u2028".encode(), b"\x0b\x1c"]))


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    """Return the lines of a stream that arrives in the parts between the given positions."""
    ends = sorted({position % (len(stream) + 1) for position in at} | {0, len(stream)})
    lines = Lines()
    found = [line for start, end in pairwise(ends) for line in lines.feed(stream[start:end])]
    return found + list(lines.rest())


@given(PIECES.map(b"".join), st.lists(st.integers(min_value=0, max_value=200)))
def test_lines_are_cut_at_newlines_only_wherever_the_stream_is_split(stream: bytes, at: list[int]) -> None:
    """U+0085, U+2028 and carriage returns stay inside; blank lines do not count; the last line needs no end."""
    assert cut(stream, at) == [line for line in stream.split(b"\n") if line.strip()]


def test_a_line_is_given_as_soon_as_it_is_complete() -> None:
    """The first token is not held back until the second one comes."""
    lines = Lines()
    assert list(lines.feed(b'{"a":1}\n{"b"')) == [b'{"a":1}']
    assert list(lines.feed(b":2}")) == []
    assert list(lines.rest()) == [b'{"b":2}']
    assert list(lines.rest()) == []


@pytest.mark.finding("E10")
def test_a_line_without_an_end_is_copied_once() -> None:
    """Its pieces are joined when it ends, so that a flood takes time in proportion to its length."""
    lines, piece = Lines(), b"x" * 65_536
    tracemalloc.start()
    try:
        for _ in range(400):
            assert lines.feed(piece) == []
        assert tracemalloc.get_traced_memory()[1] < 100 * len(piece)  # no piece was copied
    finally:
        tracemalloc.stop()
    assert lines.feed(b"\nnext\n") == [piece * 400, b"next"]


def test_a_line_that_is_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hostile server cannot fill the memory with one line."""
    monkeypatch.setattr(wire, "MAX_LINE", 1000)
    lines = Lines()
    assert list(lines.feed(b"x" * 1000)) == []
    with pytest.raises(RequestRefused) as caught:
        list(lines.feed(b"x"))
    assert caught.value.code == "answer-unreadable"
