"""One accepted connection as a script sees it, and not what the script does with it."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass, field

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # linger for no time: the kernel answers with RST instead of FIN


class EndError(Exception):
    """The script of a connection is over, or the other side is gone."""


@dataclass(frozen=True)
class Request:
    """A request as it arrived; header names are in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The target without scheme, host and query, which a proxy receives too."""
        rest = self.target.partition("://")[2]
        return ("/" + rest.partition("/")[2] if rest else self.target).partition("?")[0]


@dataclass
class Connection:
    """A socket with the rest of what was read from it.

    ``received`` gets every request of the server, and ``changed`` tells of it.
    """

    socket: socket.socket
    received: list[Request]
    changed: threading.Condition
    ending: threading.Event
    rest: bytearray = field(default_factory=bytearray)

    def receive(self) -> Request:
        """Return one whole request and remember it; EndError where the other side hangs up."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        named = (line.partition(":") for line in lines[1:] if line)
        headers = {name.lower(): value.strip() for name, _, value in named}
        request = Request(method, target, headers, self._take(int(headers.get("content-length", 0))))
        with self.changed:
            self.received.append(request)
            self.changed.notify_all()
        return request

    def send(self, data: bytes) -> None:
        """Send; EndError where the other side is gone."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise EndError from error

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Let TLS begin; EndError where the other side does not want it."""
        try:
            self.socket = context.wrap_socket(self.socket, server_side=True)
        except OSError as error:
            raise EndError from error

    def wait_for_hang_up(self) -> None:
        """Wait until the other side or the server closes, whatever still arrives."""
        while self._more():
            pass

    def reset(self) -> None:
        """Make the close that follows a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def hang_up(self) -> None:
        """End the connection from another thread."""
        with suppress(OSError):  # the other side may have been faster
            self.socket.shutdown(socket.SHUT_RDWR)

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.rest:
            if not self._more():
                raise EndError
        return self._take(self.rest.index(mark) + len(mark))

    def _take(self, count: int) -> bytes:
        while len(self.rest) < count:
            if not self._more():
                raise EndError
        taken = bytes(self.rest[:count])
        del self.rest[:count]
        return taken

    def _more(self) -> bool:
        try:
            data = self.socket.recv(65536)
        except OSError:
            return False
        self.rest += data
        return bool(data)
