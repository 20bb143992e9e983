"""Ending an answer: by closing, by the cancel flag, by an interrupt; and what the server notices."""

from __future__ import annotations

import _thread
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ollama_magics.errors import Cancelled
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server import wire
from ollama_magics.server.client import Client
from ollama_magics.server.wire import ChatRequest, EmbedRequest, Message
from tests.faults import LINES, FaultServer, Hold, Lines, Send, Serve, fine

Connect = Callable[..., Client]

REQUEST = ChatRequest(model="m", messages=(Message("user", "Hi"),))
WAITS: dict[str, Callable[[Client], Any]] = {
    "/api/chat": lambda client: list(client.chat(REQUEST)),
    "/api/embed": lambda client: client.embed(EmbedRequest(model="m", input=("a",)), wire.embeddings),
    "/api/version": Client.version,
}


def becomes(reached: Callable[[], bool]) -> bool:
    """Wait until something is so; return whether it came true within five seconds."""
    deadline = time.monotonic() + 5
    while not reached() and time.monotonic() < deadline:
        time.sleep(0.01)
    return reached()


def test_closing_the_answer_ends_the_servers_work(connect: Connect, stand_in: FakeServer) -> None:
    """A model that never stops is stopped by leaving."""
    stand_in.delay = 0.005
    endless = ChatRequest(model="sandbox-chat", messages=(Message("user", "never stop"),))
    pieces: Iterator[Any] = connect(stand_in.url).chat(endless)
    for _ in range(3):
        next(pieces)
    assert stand_in.open_streams == 1
    pieces.close()  # type: ignore[attr-defined]
    assert becomes(lambda: stand_in.open_streams == 0)


def test_leaving_closes_the_connection(connect: Connect) -> None:
    """It cannot be used again: the rest of the answer is still on its way."""
    with FaultServer(fine(chat=[Send(LINES), Lines(2), Hold()])) as server:
        pieces: Iterator[Any] = connect(server.url).chat(REQUEST)
        next(pieces)
        assert server.open == 1
        pieces.close()  # type: ignore[attr-defined]
        assert server.wait_until_left()


def outcome(act: Callable[[], object]) -> list[BaseException | None]:
    """Return a list that the error of an act, or None, will be put into by a thread that runs it."""
    found: list[BaseException | None] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:  # noqa: BLE001 - it is looked at in the thread of the test
            found.append(error)
        else:
            found.append(None)

    threading.Thread(target=run, daemon=True).start()
    return found


@pytest.mark.parametrize(("path", "wait"), WAITS.items(), ids=WAITS)
def test_the_cancel_flag_ends_a_wait_in_another_thread(connect: Connect, path: str, wait: Callable[[Client], Any]) -> None:
    """No limit of any request has to pass first, and the server is left."""
    cancelled = threading.Event()
    with FaultServer(fine(chat=[Hold()], embed=[Hold()], version=[Hold()])) as server:
        client = connect(server.url, cancelled=cancelled)
        found = outcome(lambda: wait(client))
        assert server.wait_for(path)
        assert found == []
        cancelled.set()
        assert becomes(lambda: len(found) == 1)
        assert isinstance(found[0], Cancelled)
        assert server.wait_until_left()


def test_the_cancel_flag_ends_a_stream_between_two_lines(connect: Connect) -> None:
    """A reader that waits for the next token is freed."""
    cancelled = threading.Event()
    with FaultServer(fine(chat=[Send(LINES), Lines(1), Hold()])) as server:
        pieces = connect(server.url, cancelled=cancelled).chat(REQUEST)
        next(pieces)
        found = outcome(lambda: next(pieces))
        cancelled.set()
        assert becomes(lambda: len(found) == 1)
        assert isinstance(found[0], Cancelled)


def test_nothing_is_sent_once_cancelled(connect: Connect) -> None:
    """A late worker does not start new work."""
    cancelled = threading.Event()
    with FaultServer(fine()) as server:
        client = connect(server.url, cancelled=cancelled)
        client.version()
        cancelled.set()
        with pytest.raises(Cancelled):
            client.version()
        assert len(server.requests) == 1


def test_an_interrupt_that_wakes_no_socket_ends_a_wait(connect: Connect) -> None:
    """As on Windows, where a signal does not end recv: only a wait in slices sees it."""
    with FaultServer([Serve({"/api/chat": [Hold()]})]) as server:
        client = connect(server.url)

        def press_stop() -> None:
            server.wait_for("/api/chat")
            _thread.interrupt_main()  # marks the interrupt and disturbs no system call

        presser = threading.Thread(target=press_stop, daemon=True)
        presser.start()
        with pytest.raises(KeyboardInterrupt):
            list(client.chat(REQUEST))
        presser.join()
        assert server.wait_until_left()
