"""Accept connections, read requests and write responses."""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from socketserver import BaseRequestHandler, TCPServer
from typing import Any
from urllib.parse import urlsplit

from ollama_magics.fake_server import go_json, requests, responses, routes
from ollama_magics.fake_server.responses import RefusalError, Stream, Whole
from ollama_magics.fake_server.routes import Endpoints

_LOCAL_ENDS = (".localhost", ".local", ".internal")
_PRIVATE = [ipaddress.ip_network(network) for network in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")]
_ORIGINS = re.compile(
    r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0)(?::\d+)?|(?:app|file|tauri|vscode-webview|vscode-file)://.*"
)


def host_allowed(host: str) -> bool:
    """Return whether the Host header names this machine or a private network."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    address = _address(name)
    if address is not None:
        return address.is_loopback or address.is_unspecified or any(address in network for network in _PRIVATE)
    return name in ("", "localhost", socket.gethostname().lower()) or name.endswith(_LOCAL_ENDS)


def origin_allowed(origin: str, host: str) -> bool:
    """Return whether a web page of that origin may read the answers; no origin is not a web page."""
    return not origin or _ORIGINS.fullmatch(origin) is not None or origin.partition("://")[2] == host


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


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


_LONGEST_PLAIN = 2048  # bytes; Go sends a longer body in chunks, without a Content-Length
_NDJSON = "application/x-ndjson"
_CHUNKED = ("Transfer-Encoding", "chunked")
_BARE_JSON = "application/json"  # of an error in place of a stream: without the charset


class ListenerGoneError(Exception):
    """Nobody listens to the answer any more."""


class Exchange(BaseHTTPRequestHandler):
    """The handling of one connection, kept alive over many requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener
    connection: socket.socket

    def handle(self) -> None:
        """Answer requests until one side leaves."""
        try:
            super().handle()
        except (ConnectionError, ListenerGoneError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Say nothing: the terminal belongs to who runs the server."""

    def answer(self) -> None:
        """Read one request and send its answer."""
        try:
            data = self._body()
        except ValueError:  # a length that is no number
            self.close_connection = True
            self._send(Whole(b"400 Bad Request", HTTPStatus.BAD_REQUEST, responses.PLAIN_TYPE))
            return
        answer = self._decide(data)
        if isinstance(answer, Whole):
            self._send(answer)
        else:
            self._send_stream(answer)

    # the names are http.server's
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

    def _decide(self, data: bytes) -> Whole | Stream:
        target = self.requestline.split()[1]  # http.server folds slashes at the beginning of self.path
        host = self.headers.get("Host", "")
        if not host_allowed(host) or not origin_allowed(self.headers.get("Origin", ""), host):
            return Whole(b"", HTTPStatus.FORBIDDEN, "")
        route = routes.find(self.command, target)
        try:
            document = requests.document(data) if self.command == "POST" and isinstance(route, routes.Route) else None
        except RefusalError as refusal:
            self.server.state.requests.append((self.command, target, None))
            return responses.refused(refusal)
        self.server.state.requests.append((self.command, target, document if isinstance(document, dict) else None))
        return route if isinstance(route, Whole) else self._run(route, document)

    def _run(self, route: routes.Route, document: Any) -> Whole | Stream:
        try:
            fields = requests.fields(document, route.struct)
            return route.endpoint(self.server.state.endpoints, fields, self.pause)
        except RefusalError as refusal:
            return responses.refused(refusal)

    def pause(self) -> None:
        """Wait as long as a token takes.

        Raises ListenerGoneError as soon as the client has left.
        """
        seconds = self.server.state.delay
        try:
            self.connection.settimeout(seconds)
            if not self.connection.recv(1, socket.MSG_PEEK):
                raise ListenerGoneError
            self.server.stopping.wait(seconds)  # the next request is there already
        except (TimeoutError, BlockingIOError):
            return
        except OSError:
            raise ListenerGoneError from None
        finally:
            self.connection.settimeout(None)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return b"".join(iter(self._chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def _send(self, answer: Whole) -> None:
        chunked = len(answer.body) > _LONGEST_PLAIN
        length = _CHUNKED if chunked else ("Content-Length", str(len(answer.body)))
        body = go_json.chunk(answer.body) + go_json.LAST_CHUNK if chunked else answer.body
        head = self._head(answer.status, answer.content_type, length, *answer.headers)
        self.wfile.write(head + (b"" if self.command == "HEAD" else body))

    def _send_stream(self, answer: Stream) -> None:
        with closing(answer.lines) as lines:
            try:
                first = next(lines, None)
            except RefusalError as refusal:
                head = self._head(refusal.status, _BARE_JSON, _CHUNKED)
                self.wfile.write(head + go_json.chunk(responses.refused(refusal).body) + go_json.LAST_CHUNK)
                return
            unsent = self._head(HTTPStatus.OK, _NDJSON, _CHUNKED)
            for line in chain([] if first is None else [first], lines):
                self.wfile.write(unsent + go_json.chunk(go_json.json_bytes(line) + b"\n"))
                unsent = b""
        self.wfile.write(unsent + go_json.LAST_CHUNK)

    def _head(self, status: int, content_type: str, *headers: tuple[str, str]) -> bytes:
        """Return status line and headers, to be sent together with what follows them."""
        origin = self.headers.get("Origin", "") if status != HTTPStatus.FORBIDDEN else ""
        named = [
            ("Access-Control-Allow-Origin", origin),
            ("Vary", "Origin" if origin else ""),
            ("Content-Type", content_type),
            ("Date", self.date_time_string()),
            ("Connection", "close" if self.close_connection else ""),
            *headers,
        ]
        lines = [f"{name}: {value}\r\n" for name, value in named if value]
        return f"HTTP/1.1 {status:d} {HTTPStatus(status).phrase}\r\n{''.join(lines)}\r\n".encode("latin-1")
