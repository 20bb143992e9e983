"""The limit: a socket that takes in the bytes of the answers and does nothing with them."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable
from urllib.parse import urlsplit

END = b"\r\n0\r\n\r\n"  # of a chunked answer; JSON holds no bare line break, so that nothing else looks like it
_TAIL = len(END) - 1


class Connection:
    """One kept connection to the fast server."""

    def __init__(self, url: str) -> None:
        place = urlsplit(url)
        self._host = place.netloc
        self._socket = socket.create_connection((place.hostname, place.port or 80))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(1 << 20))

    def ask(self, path: str, body: bytes) -> None:
        """Send a request."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)

    def take(self) -> int:
        """Read one chunked answer to its end and return its bytes."""
        taken, tail = 0, b""
        while not tail.endswith(END):
            count = self._socket.recv_into(self._buffer)
            if not count:
                message = "the server closed the connection"
                raise ConnectionError(message)
            taken += count
            tail = tail[-_TAIL:] + bytes(self._buffer[max(0, count - len(END)) : count])
        return taken


def take_all(connections: Iterable[Connection], path: str, bodies: Iterable[bytes]) -> int:
    """Ask for all with one request in flight on each connection; return the bytes of the answers."""
    free, busy = deque(connections), deque[Connection]()
    taken = 0
    for body in bodies:
        if not free:
            taken += busy[0].take()
            free.append(busy.popleft())
        connection = free.popleft()
        connection.ask(path, body)
        busy.append(connection)
    return taken + sum(connection.take() for connection in busy)
