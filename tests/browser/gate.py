"""A door in front of a server that can be shut, so that a test decides when an answer goes on."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class Gate:
    """Passes bytes both ways while it is open; connections are taken, and wait, while it is shut."""

    def __init__(self, server: str) -> None:
        self._server = (urlsplit(server).hostname, urlsplit(server).port)
        self._open = threading.Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]

    @property
    def host(self) -> str:
        """The address without a scheme."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def open(self) -> None:
        """Let everything pass, also what has waited."""
        self._open.set()

    def shut(self) -> None:
        """Hold back whatever comes from now on."""
        self._open.clear()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.open()
        for end in self._sockets:
            _end(end)

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                near, far = self._listener.accept()[0], socket.create_connection(self._server)
                self._sockets += [near, far]
                threading.Thread(target=self._pass, args=(near, far), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):  # one of them has gone, or the test is over
            while data := source.recv(65536):
                self._open.wait()
                target.sendall(data)
        _end(source)
        _end(target)


def _end(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
