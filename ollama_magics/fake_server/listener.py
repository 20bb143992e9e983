"""A listening socket on the loopback address with one thread for each connection, all of which it can end."""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from socketserver import BaseRequestHandler, TCPServer
from typing import Any

from ollama_magics.fake_server.endpoints import Endpoints


@dataclass
class State:
    """What a server is and has seen, whether it listens or not; `StandIn` describes the fields."""

    delay: float
    requests: list[tuple[str, str, dict[str, Any] | None]] = field(default_factory=list)
    endpoints: Endpoints = field(default_factory=Endpoints)


class Listener(ThreadingHTTPServer):
    """The listening socket and the connections it has taken."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = sys.platform != "win32"  # there it would let two servers share a port

    def __init__(self, host: str, port: int, state: State, handler: type[BaseRequestHandler]) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError("the stand-in serves this machine only")
        self.state = state
        self.stopping = threading.Event()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._ended: list[threading.Thread] = []
        self._lock = threading.Lock()
        super().__init__((host, port), handler)

    def server_bind(self) -> None:
        """Bind without asking a name server for the name of this machine, as HTTPServer would."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a new connection its own thread."""
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        with self._lock:
            self._connections[request] = thread
            self._ended = [ended for ended in self._ended if ended.is_alive()]
        thread.start()

    def shutdown_request(self, request: Any) -> None:
        """Close a connection that has ended."""
        with self._lock:
            self._ended.append(self._connections.pop(request))
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End every connection, also in the middle of an answer, and wait for its thread."""
        self.stopping.set()
        with self._lock:
            threads = [*self._connections.values(), *self._ended]
            for connection in self._connections:
                _hang_up(connection)
        for thread in threads:
            thread.join()


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # the other side may have been faster
        connection.shutdown(socket.SHUT_RDWR)
