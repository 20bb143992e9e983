"""Waits that last no longer than a slice, and the places in which they are cut."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import closing
from typing import Any

import httpcore
import pytest

from ollama_magics.errors import Cancelled
from ollama_magics.server.background import SLICE
from ollama_magics.server.sockets import SlicedBackend
from tests.faults import FaultServer, Hold, Send


class Silent(httpcore.NetworkStream):
    """A connection on which nothing arrives and which no signal wakes; it notes how long each wait was to last."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Wait in vain for at most ``max_bytes``."""
        assert timeout is not None
        assert max_bytes > 0
        self.waits.append(timeout)
        time.sleep(timeout)
        raise httpcore.ReadTimeout


class SilentSockets(httpcore.NetworkBackend):
    """Opens silent connections."""

    def __init__(self) -> None:
        self.stream = Silent()

    def connect_tcp(self, *_: Any, **__: Any) -> httpcore.NetworkStream:
        """Return the one connection."""
        return self.stream


@pytest.fixture
def backend() -> SlicedBackend:
    """Return a backend that nothing has cancelled."""
    return SlicedBackend(threading.Event())


def test_a_wait_is_cut_into_slices_that_add_up_to_its_limit(backend: SlicedBackend) -> None:
    """Between two of them an interrupt lands even where it wakes no socket."""
    sockets = SilentSockets()
    backend._sockets = sockets  # type: ignore[assignment]
    stream = backend.connect_tcp("127.0.0.1", 1)
    with pytest.raises(httpcore.ReadTimeout):
        stream.read(1024, timeout=2.5 * SLICE)
    assert max(sockets.stream.waits) <= SLICE
    assert len(sockets.stream.waits) == 3
    assert sum(sockets.stream.waits) <= 2.5 * SLICE + 0.01


def test_bytes_that_come_after_some_slices_are_read(backend: SlicedBackend) -> None:
    """Without any limit, too."""
    with FaultServer([Hold()]) as server:
        stream = backend.connect_tcp("127.0.0.1", server.port)
        writer = threading.Timer(1.2 * SLICE, lambda: server._connections[0].send(b"HTTP/1.1 late"))
        writer.start()
        assert stream.read(1024, timeout=None) == b"HTTP/1.1 late"
        writer.join()
        stream.close()


def test_the_cancel_flag_is_seen_before_each_step() -> None:
    """Reading, writing and sleeping alike."""
    cancelled = threading.Event()
    backend = SlicedBackend(cancelled)
    with FaultServer([Send(b"there"), Hold()]) as server:
        stream = backend.connect_tcp("127.0.0.1", server.port)
        cancelled.set()
        for act in (lambda: stream.read(1), lambda: stream.write(b"x"), lambda: backend.sleep(60)):
            with pytest.raises(Cancelled):
                act()
        stream.close()


def test_a_cancelled_name_look_up_is_left_alone() -> None:
    """It knows no limit itself."""
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(Cancelled):
        SlicedBackend(cancelled).connect_tcp("localhost", 1)


def test_a_trial_connection_is_closed_again(backend: SlicedBackend) -> None:
    """The check asks nothing on it."""
    with FaultServer([Hold()]) as server:
        assert backend.try_connect("127.0.0.1", server.port, 1) == f"127.0.0.1:{server.port}"
        assert server.wait_until_left()
        assert server.requests == []


def test_head_and_body_of_a_request_go_out_in_one_piece(backend: SlicedBackend) -> None:
    """One system call less for each request; a head without a body goes out before an answer is read."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stream = backend.connect_tcp("127.0.0.1", listener.getsockname()[1])
        other, _ = listener.accept()
        with closing(stream), other:
            other.settimeout(5)
            head = b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n"
            stream.write(head)
            assert select.select([other], [], [], 0.05)[0] == []
            stream.write(b"{}")
            assert other.recv(1000) == head + b"{}"
            other.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            stream.write(b"GET / HTTP/1.1\r\n\r\n")
            assert stream.read(1000, timeout=5).startswith(b"HTTP/1.1 200")
            assert other.recv(1000) == b"GET / HTTP/1.1\r\n\r\n"


def test_small_writes_do_not_wait_for_each_other(backend: SlicedBackend) -> None:
    """And a dead other side is noticed in the end."""
    with FaultServer([Hold()]) as server:
        stream = backend.connect_tcp("127.0.0.1", server.port)
        connected = stream.get_extra_info("socket")
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        stream.close()
