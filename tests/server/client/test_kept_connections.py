"""A kept connection that the server closes just as the next request goes out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from ollama_magics.errors import ConnectionProblem
from ollama_magics.server.client import Client
from ollama_magics.server.wire import ChatRequest, Message
from tests.faults import Close, FaultServer, Receive, Reset, Send, Step, Wait, fine, whole

Connect = Callable[..., Client]

REQUEST = ChatRequest(model="m", messages=(Message("user", "Hi"),))
ONE_ANSWER: tuple[Step, ...] = (Receive(), *whole({"version": "0.24.0"}), Receive())


def asked_twice(connect: Connect, server: FaultServer) -> str:
    """Return the answer to a chat that follows another question."""
    client = connect(server.url)
    client.version()
    return "".join(chunk.text for chunk in client.chat(REQUEST))


@pytest.mark.parametrize("end", [Close(), Reset()], ids=["closed", "reset"])
def test_a_request_on_a_closed_kept_connection_is_sent_once_more(connect: Connect, end: Step) -> None:
    """On another connection; nobody has to run the cell again."""
    with FaultServer([*ONE_ANSWER, end], fine()) as server:
        assert asked_twice(connect, server) == "Hello"
        assert server.paths() == ["/api/version", "/api/chat", "/api/chat"]
        assert server.requests[1].body == server.requests[2].body


def test_it_is_not_sent_a_third_time(connect: Connect) -> None:
    """Who closes every connection does not want it."""
    with FaultServer([*ONE_ANSWER, Close()], [Receive(), Close()]) as server:
        with pytest.raises(ConnectionProblem) as caught:
            asked_twice(connect, server)
        assert caught.value.code == "connection-broken"
        assert server.paths() == ["/api/version", "/api/chat", "/api/chat"]


@pytest.mark.parametrize(
    "rest",
    [[Wait(0.5), Close()], [Send(b"HTTP/1.1 200 OK\r\nContent-"), Close()]],
    ids=["after a while", "after some bytes"],
)
def test_a_request_that_may_have_arrived_is_sent_once(connect: Connect, rest: Sequence[Step]) -> None:
    """The server has begun to work on it."""
    with FaultServer([*ONE_ANSWER, *rest], fine()) as server:
        with pytest.raises(ConnectionProblem):
            asked_twice(connect, server)
        assert server.paths() == ["/api/version", "/api/chat"]


def test_a_new_connection_that_is_closed_is_an_error_at_once(connect: Connect) -> None:
    """Then it was no matter of age."""
    with FaultServer([Receive(), Close()], fine()) as server:
        with pytest.raises(ConnectionProblem):
            connect(server.url).version()
        assert server.paths() == ["/api/version"]
