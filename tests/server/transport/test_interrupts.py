"""The stop button where it wakes no system call, as on Windows: only what waits in slices, or aside, sees it."""

from __future__ import annotations

import _thread
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpcore
import pytest

from ollama_magics.errors import Cancelled
from ollama_magics.server.background import SLICE
from ollama_magics.server.sockets import SlicedBackend
from tests.faults import FaultServer, Hold, Receive, Wait, whole

PATIENCE = 20.0  # seconds that each wait would last without an interrupt
MARGIN = 1.0  # seconds for a machine that does much else


class SlowSockets(httpcore.NetworkBackend):
    """Connects after a while, whatever happens; the connection then counts how often it is closed."""

    def __init__(self) -> None:
        self.going_on, self.closed = threading.Event(), threading.Event()

    def connect_tcp(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Wait until told to go on."""
        self.going_on.wait(PATIENCE)
        stream = httpcore.NetworkStream()
        stream.close = self.closed.set  # type: ignore[method-assign]
        return stream


@pytest.fixture
def backend() -> SlicedBackend:
    """Return a backend that nothing has cancelled."""
    return SlicedBackend(threading.Event())


def seconds_to_stop(act: Callable[[], object]) -> float:
    """Press the stop button, without any signal, while something waits; return how long it took to end."""
    pressed: list[float] = []

    def press() -> None:
        time.sleep(0.3)
        pressed.append(time.monotonic())
        _thread.interrupt_main()  # marks the interrupt and disturbs no system call

    presser = threading.Thread(target=press, daemon=True)
    presser.start()
    with pytest.raises(KeyboardInterrupt):
        act()
    presser.join()
    return time.monotonic() - pressed[0]


def test_an_interrupted_wait_for_a_connection_closes_it(backend: SlicedBackend) -> None:
    """It comes when nobody wants it any more, and is closed."""
    sockets = SlowSockets()
    backend._sockets = sockets  # type: ignore[assignment]
    assert seconds_to_stop(lambda: backend.connect_tcp("127.0.0.1", 1)) < SLICE + MARGIN
    assert not sockets.closed.is_set()
    sockets.going_on.set()
    assert sockets.closed.wait(5)


def test_a_wait_for_a_name_ends() -> None:
    """A look-up knows no limit itself."""
    going_on = threading.Event()

    def resolve(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        going_on.wait(PATIENCE)
        return []

    backend = SlicedBackend(threading.Event(), resolve)
    assert seconds_to_stop(lambda: backend.connect_tcp("a.example", 1, timeout=PATIENCE)) < SLICE + MARGIN
    going_on.set()


@pytest.fixture
def unread(backend: SlicedBackend) -> Iterator[httpcore.NetworkStream]:
    """Give a connection to somebody who reads nothing and says nothing."""
    with FaultServer([Wait(PATIENCE)]) as server:
        stream = backend.connect_tcp("127.0.0.1", server.port)
        yield stream
        stream.close()


def test_an_interrupt_ends_sending_to_a_peer_that_does_not_read(unread: httpcore.NetworkStream) -> None:
    """As soon as the buffers between are full."""
    assert seconds_to_stop(lambda: unread.write(bytes(64 * 1024 * 1024), timeout=PATIENCE)) < SLICE + MARGIN


def test_sending_to_a_peer_that_does_not_read_times_out(unread: httpcore.NetworkStream) -> None:
    """After the time that was allowed, all pieces together."""
    begun = time.monotonic()
    with pytest.raises(httpcore.WriteTimeout):
        unread.write(bytes(64 * 1024 * 1024), timeout=0.6)
    assert 0.5 < time.monotonic() - begun < 0.6 + SLICE + MARGIN


def test_a_handshake_that_is_not_answered_ends(unread: httpcore.NetworkStream) -> None:
    """TLS waits for the other side, too."""
    context = ssl.create_default_context()
    assert seconds_to_stop(lambda: unread.start_tls(context, "localhost", PATIENCE)) < SLICE + MARGIN


def test_a_long_text_arrives_whole(backend: SlicedBackend) -> None:
    """Though it is sent in pieces."""
    body = bytes(range(256)) * 20_000
    with FaultServer([Receive(), *whole({}), Hold()]) as server:
        stream = backend.connect_tcp("127.0.0.1", server.port)
        stream.write(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body, timeout=PATIENCE)
        assert stream.read(9, timeout=PATIENCE) == b"HTTP/1.1 "
        assert server.requests[0].body == body
        stream.close()


def test_a_cancelled_wait_for_a_connection_is_left_alone() -> None:
    """By the session that closes."""
    cancelled = threading.Event()
    backend = SlicedBackend(cancelled)
    backend._sockets = sockets = SlowSockets()  # type: ignore[assignment]
    threading.Timer(0.3, cancelled.set).start()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        backend.connect_tcp("127.0.0.1", 1)
    assert time.monotonic() - begun < 0.3 + SLICE + MARGIN
    sockets.going_on.set()
