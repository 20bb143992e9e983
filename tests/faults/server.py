"""The listening socket, with one thread for each connection, and no idea of what is said on them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from tests.faults.connection import Connection, EndError, Request
from tests.faults.steps import Step

__all__ = ["FaultServer", "Request"]


class FaultServer:
    """Runs a script on every connection: the first script on the first one and so on, the last on all that follow.

    ``accepted`` is the number of connections so far, ``open`` those that are not closed yet, ``requests`` what arrived.
    """

    def __init__(self, *scripts: Sequence[Step], port: int = 0) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.requests: list[Request] = []
        self.accepted = self.open = 0
        self.changed = threading.Condition()
        self._ending = threading.Event()
        self._connections: list[Connection] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def paths(self) -> list[str]:
        """Return the paths that were asked for, in order."""
        return [request.path for request in self.requests]

    def wait_for(self, path: str, seconds: float = 5) -> bool:
        """Wait until the path was asked for; return whether that came true in time."""
        with self.changed:
            return self.changed.wait_for(lambda: path in self.paths(), seconds)

    def wait_until_left(self, seconds: float = 5) -> bool:
        """Wait until no connection is open; return whether that came true in time."""
        with self.changed:
            return self.changed.wait_for(lambda: self.open == 0, seconds)

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        with suppress(OSError):  # not every system lets a listening socket be shut down
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()  # first: a connection that it was just accepting would be waited for in vain
        for connection in self._connections:
            connection.hang_up()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(accepted, self.requests, self.changed, self._ending)
            script = self._scripts[min(self.accepted, len(self._scripts) - 1)]
            self._count(1)
            self._connections.append(connection)
            self._threads.append(threading.Thread(target=self._run, args=(connection, script), daemon=True))
            self._threads[-1].start()

    def _run(self, connection: Connection, script: Sequence[Step]) -> None:
        try:
            with suppress(EndError):
                for step in script:
                    step.run(connection)
        finally:
            connection.socket.close()  # perhaps another one than at first, with TLS
            self._count(-1)

    def _count(self, change: int) -> None:
        with self.changed:
            self.accepted += change > 0
            self.open += change
            self.changed.notify_all()
