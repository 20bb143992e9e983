"""Run the stand-in server: accept connections, read requests and write responses."""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, islice
from socketserver import BaseRequestHandler, TCPServer
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from ollama_magics.fake_server import requests, responses, routes
from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.responses import ApiError, Events, Lines, Response
from ollama_magics.fake_server.routes import Endpoints

LOOPBACK = "127.0.0.1"
_POLL_INTERVAL = 0.05  # seconds after which the accepting thread notices that it has to end
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
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name in ("", "localhost", socket.gethostname().lower()) or name.endswith(_LOCAL_ENDS)
    return address.is_loopback or address.is_unspecified or any(address in network for network in _PRIVATE)


def origin_allowed(origin: str, host: str) -> bool:
    """Return whether a web page of that origin may read the answers; a request without origin is not from a web page."""
    return not origin or _ORIGINS.fullmatch(origin) is not None or origin.partition("://")[2] == host


class Listener(ThreadingHTTPServer):
    """The listening socket and the connections it has taken."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = sys.platform != "win32"  # there it would let two servers share a port

    def __init__(self, host: str, port: int, owner: FakeServer, handler: type[BaseRequestHandler]) -> None:
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError("the stand-in serves this machine only")
        self.owner = owner
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
                with suppress(OSError):  # the client may have closed it already
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


_LONGEST_PLAIN = 2048  # bytes; Go sends a longer body in chunks, without a Content-Length
_LAST_CHUNK = b"0\r\n\r\n"
_CHUNKED = ("Transfer-Encoding", "chunked")


class ClientGoneError(Exception):
    """The client has closed the connection."""


class Exchange(BaseHTTPRequestHandler):
    """The handling of one connection, kept alive over many requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Listener
    connection: socket.socket

    def handle(self) -> None:
        """Answer requests until the connection is closed."""
        try:
            super().handle()
        except (ConnectionError, ClientGoneError):
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is http.server's
        """Log nothing: the terminal belongs to the user."""

    def answer(self) -> None:
        """Read one request and send its answer."""
        try:
            data = self._read_body()
        except ValueError:  # a length that is no number
            self.close_connection = True
            self._send(Response(b"400 Bad Request", HTTPStatus.BAD_REQUEST, responses.PLAIN_TYPE))
            return
        response = self._respond(data)
        if isinstance(response, Response):
            self._send(response)
        else:
            self._send_stream(response if isinstance(response, Events) else responses.ndjson(response))

    # the names are http.server's
    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer  # noqa: N815

    def _respond(self, data: bytes) -> Response | Lines | Events:
        target = self.requestline.split()[1]  # http.server folds slashes at the beginning of self.path
        host = self.headers.get("Host", "")
        if not host_allowed(host) or not origin_allowed(self.headers.get("Origin", ""), host):
            return Response(b"", HTTPStatus.FORBIDDEN, "")

        owner, route, document = self.server.owner, routes.find(self.command, target), None
        as_error = route.error if isinstance(route, routes.Route) else responses.error_response
        try:
            if isinstance(route, routes.Route) and route.struct:
                document = requests.document(data)
        except ApiError as error:
            return as_error(error.of(owner.release))
        finally:
            owner.requests.append(Request(self.command, target, document if isinstance(document, dict) else None))

        if isinstance(route, Response):
            return route
        fault = owner.endpoints.script.fault(target, document)
        if fault and fault.status:
            return as_error(ApiError(fault.error, fault.status))
        try:
            fields = requests.fields(document, route.struct) if route.struct else requests.raw_body(data)
            response = route.endpoint(owner.endpoints, fields, self.pause)
        except ApiError as error:
            return as_error(error.of(owner.release))
        return _cut(response, fault.lines) if fault else response

    def pause(self) -> None:
        """Wait as long as a token takes; raises ClientGoneError as soon as the client has left."""
        seconds = self.server.owner.delay
        try:
            self.connection.settimeout(seconds)
            if not self.connection.recv(1, socket.MSG_PEEK):
                raise ClientGoneError
            self.server.stopping.wait(seconds)  # the next request is there already
        except (TimeoutError, BlockingIOError):
            return
        except OSError:
            raise ClientGoneError from None
        finally:
            self.connection.settimeout(None)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, response: Response) -> None:
        chunked = len(response.body) > _LONGEST_PLAIN
        length = _CHUNKED if chunked else ("Content-Length", str(len(response.body)))
        body = _chunk(response.body) + _LAST_CHUNK if chunked else response.body
        head = self._head(response.status, response.content_type, length, *response.headers)
        self.wfile.write(head + (b"" if self.command == "HEAD" else body))

    def _send_stream(self, response: Events) -> None:
        with closing(response.lines) as lines:
            try:
                first = next(lines, None)
            except ApiError as raised:
                error = response.error(raised.of(self.server.owner.release))
                head = self._head(error.status, error.content_type, _CHUNKED)
                self.wfile.write(head + _chunk(error.body) + _LAST_CHUNK)
                return
            unsent = self._head(HTTPStatus.OK, response.content_type, _CHUNKED)
            try:
                for line in chain([] if first is None else [first], lines):
                    self.wfile.write(unsent + _chunk(response.encode(line)))
                    unsent = b""
            except ApiError as error:  # after the first line the status is 200
                self.wfile.write(_chunk(response.encode({"error": error.text})))
        self.wfile.write(unsent + _LAST_CHUNK)

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


def _cut(response: Response | Lines | Events, lines: int) -> Lines | Events:
    """Return the first lines of an answer, after which the connection is closed."""

    def first(whole: Lines | None) -> Lines:
        if whole is not None:
            with closing(whole):
                yield from islice(whole, lines)
        raise ClientGoneError

    if isinstance(response, Events):
        return replace(response, lines=first(response.lines))
    return first(None if isinstance(response, Response) else response)


def _chunk(data: bytes) -> bytes:
    """Return one piece of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


class Request(NamedTuple):
    """A request as it came: method, path, and the JSON object of its body, if there is one."""

    method: str
    path: str
    body: dict[str, Any] | None


_MODEL_PATHS = "chat|generate|embed|completions"  # of requests that run a model


class FakeServer:
    """A server that behaves like Ollama and answers by fixed rules, or as it is told, on 127.0.0.1 only.

    Parameters: ``port`` is the port, 0 for a free one. ``delay`` is the number of seconds before each token and each
    batch of embeddings; it may be changed at any time. ``version`` is the Ollama whose answers it gives, "0.34.4" or
    "0.24.0"; ValueError for others. ``requests`` holds ``method``, ``path`` and ``body`` (JSON object or None) of every
    request in order of arrival. ``start`` raises OSError if the port is taken.

    Example::

        with FakeServer(delay=0) as server:
            server.answer("Paris", when="capital of France")
            om.configure(base_url=server.url, model="sandbox-chat")
    """

    def __init__(self, port: int = 0, *, delay: float = 0.02, version: str = Release.NEWEST.value) -> None:
        self.port, self.delay, self.release = port, delay, Release(version)
        self.requests: list[Request] = []
        self.endpoints = Endpoints(self.release)
        self._listener: Listener | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address, without a slash at the end; it stays the same when the server is stopped."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def open_streams(self) -> int:
        """The number of answers that are being generated right now."""
        return self.endpoints.open_streams

    def install(self, name: str, *capabilities: str) -> Self:
        """Add a model, by default one that completes texts; others are "vision", "audio", "tools", "thinking" and "embedding".

        Example: ``server.install("llama3.2", "completion", "tools")``
        """
        self.endpoints.installed.add(name, capabilities or ("completion",))
        return self

    def answer(
        self,
        text: str = "",
        *,
        when: str = "",
        thinking: str = "",
        calls: Sequence[dict[str, Any]] = (),
        times: int | None = None,
    ) -> Self:
        """Answer with a text, thoughts, or calls of functions, if the last prompt fits; the rule added last comes first.

        ``when`` is a regular expression that is searched in the prompt, in any case; "" fits all. ``calls`` are dicts with
        ``name`` and ``arguments``. After ``times`` answers the rule is used up; None: never.

        Example: ``server.answer("Paris", when="capital of france")``
        """
        self.endpoints.script.add_answer(text, when, thinking, calls, times)
        return self

    def fail(
        self,
        status: int = 500,
        error: str = "model runner has unexpectedly stopped",
        *,
        when: str = "",
        path: str = _MODEL_PATHS,
        times: int | None = 1,
    ) -> Self:
        """Refuse the next ``times`` requests (None: all) with a status and an error.

        ``when`` is a regular expression that is searched in the prompt or the texts to embed, ``path`` one that is searched
        in the path; by default requests fail that run a model.
        """
        self.endpoints.script.add_fault(status, error, 0, when, path, times)
        return self

    def cut(self, after: int = 1, *, when: str = "", path: str = _MODEL_PATHS, times: int | None = 1) -> Self:
        """Close the connection after so many lines of the next ``times`` answers; the rest is as for ``fail``."""
        self.endpoints.script.add_fault(0, "", after, when, path, times)
        return self

    def refuse(self) -> Self:
        """Refuse connections, and close those that are open, until ``start`` is called; the address stays the same."""
        self.stop()
        return self

    def start(self) -> Self:
        """Listen, and return itself; OSError if the port is taken."""
        if self._listener is None:
            self._listener = Listener(LOOPBACK, self.port, self, Exchange)
            self.port = self._listener.server_address[1]
            self._thread = threading.Thread(target=self._listener.serve_forever, args=(_POLL_INTERVAL,), daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Close the port and every connection; all threads have ended when this returns."""
        listener, self._listener = self._listener, None
        if listener is None or self._thread is None:
            return
        listener.shutdown()
        self._thread.join()
        listener.server_close()
        listener.close_connections()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
