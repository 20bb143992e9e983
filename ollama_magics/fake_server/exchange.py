"""One connection: requests come in as bytes and answers leave as bytes, and nothing is decided about them."""

from __future__ import annotations

import socket
from contextlib import closing
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from itertools import chain
from typing import Any

from ollama_magics.fake_server import admission, framing, reading, replies, routes
from ollama_magics.fake_server.listener import Listener
from ollama_magics.fake_server.refusals import RefusalError
from ollama_magics.fake_server.replies import Stream, Whole

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
            self._send(Whole(b"400 Bad Request", HTTPStatus.BAD_REQUEST, replies.PLAIN_TYPE))
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
        if not admission.host_allowed(host) or not admission.origin_allowed(self.headers.get("Origin", ""), host):
            return Whole(b"", HTTPStatus.FORBIDDEN, "")
        route = routes.find(self.command, target)
        try:
            document = reading.document(data) if self.command == "POST" and isinstance(route, routes.Route) else None
        except RefusalError as refusal:
            self.server.state.requests.append((self.command, target, None))
            return replies.refused(refusal)
        self.server.state.requests.append((self.command, target, document if isinstance(document, dict) else None))
        return route if isinstance(route, Whole) else self._run(route, document)

    def _run(self, route: routes.Route, document: Any) -> Whole | Stream:
        try:
            fields = reading.fields(document, route.struct)
            return route.endpoint(self.server.state.endpoints, fields, self.pause)
        except RefusalError as refusal:
            return replies.refused(refusal)

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
        body = framing.chunk(answer.body) + framing.LAST_CHUNK if chunked else answer.body
        head = self._head(answer.status, answer.content_type, length, *answer.headers)
        self.wfile.write(head + (b"" if self.command == "HEAD" else body))

    def _send_stream(self, answer: Stream) -> None:
        with closing(answer.lines) as lines:
            try:
                first = next(lines, None)
            except RefusalError as refusal:
                head = self._head(refusal.status, _BARE_JSON, _CHUNKED)
                self.wfile.write(head + framing.chunk(replies.refused(refusal).body) + framing.LAST_CHUNK)
                return
            unsent = self._head(HTTPStatus.OK, _NDJSON, _CHUNKED)
            for line in chain([] if first is None else [first], lines):
                self.wfile.write(unsent + framing.chunk(framing.json_bytes(line) + b"\n"))
                unsent = b""
        self.wfile.write(unsent + framing.LAST_CHUNK)

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
