"""The limit of any client: a socket that reads the bytes of the responses and does nothing with them."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

END = b"\r\n0\r\n\r\n"  # of a chunked response; JSON has no line breaks, so nothing else looks like it
_TAIL = len(END) - 1


class Connection:
    """One kept connection to the fast server."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.netloc
        self._socket = socket.create_connection((parts.hostname, parts.port or 80))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = memoryview(bytearray(1 << 20))

    def send(self, path: str, body: bytes) -> None:
        """Send a request."""
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body)

    def read(self) -> int:
        """Read one chunked response to its end and return its number of bytes."""
        received, tail = 0, b""
        while not tail.endswith(END):
            count = self._socket.recv_into(self._buffer)
            if not count:
                message = "the server closed the connection"
                raise ConnectionError(message)
            received += count
            tail = tail[-_TAIL:] + bytes(self._buffer[max(0, count - len(END)) : count])
        return received

    def lines(self) -> Iterator[list[bytes]]:
        """Read one chunked response to its end and yield the lines of JSON in each read; each of them is a chunk."""
        rest = tail = b""
        while not tail.endswith(END):
            data = self._socket.recv(1 << 16)
            tail = tail[-_TAIL:] + data[-len(END) :]
            *lines, rest = (rest + data).split(b"\n")
            yield [line for line in lines if line.startswith(b"{")]


def read_all(connections: Iterable[Connection], path: str, bodies: Iterable[bytes]) -> int:
    """Send all with one request in flight on each connection; return the number of bytes received."""
    free, busy = deque(connections), deque[Connection]()
    received = 0
    for body in bodies:
        if not free:
            received += busy[0].read()
            free.append(busy.popleft())
        connection = free.popleft()
        connection.send(path, body)
        busy.append(connection)
    return received + sum(connection.read() for connection in busy)
