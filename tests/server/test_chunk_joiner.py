"""Chunks that came in one read are joined, and no byte of a body is changed, wherever the reads cut it."""

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.server.sockets import ChunkJoiner

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"


def framed(chunks: list[bytes], end: bytes = b"0\r\n\r\n") -> bytes:
    """Return a response with these chunks."""
    return HEAD + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + end


def read(reads: list[bytes]) -> tuple[bytes, int, bool]:
    """Return the body that h11 takes out of these reads, in how many pieces, and whether it ended."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    connection.send(h11.EndOfMessage())
    body, pieces = b"", 0
    for data in reads:
        connection.receive_data(data)
        while (event := connection.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.EndOfMessage):
                return body, pieces, True
            if isinstance(event, h11.Data):
                body, pieces = body + event.data, pieces + 1
    return body, pieces, False


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """Return the data in the pieces that these places make."""
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[a:b] for a, b in pairwise(edges) if a < b]


def joined(reads: list[bytes]) -> list[bytes]:
    """Return what a joiner makes of reads; it may give nothing only where more must come first."""
    joiner = ChunkJoiner()
    return [found for data in reads if (found := joiner.feed(data))]


@given(
    st.lists(st.binary(min_size=1, max_size=40) | st.just(b"\r\n5\r\n"), max_size=12), st.lists(st.integers(0, 900), max_size=8)
)
def test_the_body_is_the_same_wherever_the_reads_end(chunks: list[bytes], places: list[int]) -> None:
    """Also where a chunk looks like the edge of chunks, and its end, its size or its line end is cut."""
    assert read(joined(cut(framed(chunks), places)))[::2] == (b"".join(chunks), True)


@given(st.lists(st.integers(0, 400), max_size=6), st.integers(0, 4))
def test_the_body_is_the_same_behind_interim_answers(places: list[int], count: int) -> None:
    """A gateway may send some while the model is loaded."""
    interim = b"HTTP/1.1 102 Processing\r\nX-Seen: 1\r\n\r\n" * count
    tokens = [b"a", b"bc", b"d"]
    assert read_whole(joined(cut(interim + framed(tokens), places))) == b"abcd"
    assert read_whole(joined([interim, framed(tokens)])) == b"abcd"


def read_whole(reads: list[bytes]) -> bytes:
    """Return the body of a response whose end came."""
    body, _, has_ended = read(reads)
    assert has_ended
    return body


def test_a_read_of_many_chunks_costs_one_step() -> None:
    """A thousand tokens in one read are one piece; one token is passed on at once, and so is a part of a large chunk."""
    tokens = [b'{"message":{"content":" token"}}\n'] * 1000
    assert read(joined([framed(tokens)])) == (b"".join(tokens), 1, True)
    assert joined([HEAD, b"5\r\nhello\r\n", b"ff\r\nwor", b"ld"]) == [HEAD, b"5\r\nhello\r\n", b"ff\r\nwor", b"ld"]


@pytest.mark.parametrize(
    "response",
    [
        framed([b"one", b"two"], b"0;last=1\r\nX-Trailer: 1\r\n\r\n"),
        HEAD + b"3;name=value\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
        HEAD + b"3  \r\none\r\n03\r\ntwo\r\n0\r\n\r\n",
        HEAD.replace(b"200 OK", b"404 Not Found") + b"6\r\nonetwo\r\n0\r\n\r\n",
        HEAD.replace(b"encoding: c", b"Encoding:C") + b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + framed([b"one", b"two"]),
    ],
    ids=["trailer", "extension", "spaces", "an error", "another spelling", "an interim response"],
)
def test_other_forms_are_read_as_h11_reads_them(response: bytes) -> None:
    """Whatever is not in the usual form is left to h11, byte by byte too."""
    for reads in ([response], [response[i : i + 1] for i in range(len(response))]):
        assert read(joined(reads))[::2] == (b"onetwo", True)


@pytest.mark.parametrize("rest", [b"3\r\ntwoX\r\n0\r\n\r\n", b"-3\r\ntwo\r\n", b"3_0\r\ntwo\r\n", b"zz\r\n", b"f" * 30 + b"\r\n"])
def test_a_broken_body_is_still_an_error(rest: bytes) -> None:
    """The bytes that h11 refuses reach it."""
    with pytest.raises(h11.RemoteProtocolError):
        read(joined([HEAD + b"3\r\none\r\n" + rest]))


def test_a_body_with_a_length_is_left_alone() -> None:
    """Even if it looks like chunks, or a value of a header like the header of chunks."""
    head = b"HTTP/1.1 200 OK\r\nX-A: transfer-encoding: chunked\r\nContent-Length: 16\r\n\r\n"
    assert read(joined([head + b"3\r\none\r\n3\r\ntwo\r\n"])) == (b"3\r\none\r\n3\r\ntwo\r\n", 1, True)
