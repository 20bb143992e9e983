"""Sockets whose every wait is cut into slices that an interrupt or a cancel flag can end."""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from ipaddress import ip_address
from operator import methodcaller
from typing import Any

import httpcore

from ollama_magics.errors import Cancelled
from ollama_magics.server.background import SLICE, BackgroundCall

# On Windows a blocking recv, connect or name look-up cannot be interrupted.


def raise_if_cancelled(cancelled: threading.Event) -> None:
    """Raise Cancelled where the flag is set."""
    if cancelled.is_set():
        raise Cancelled


Resolve = Callable[..., list[tuple[Any, ...]]]  # the signature of socket.getaddrinfo; tests pass their own
_SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
_WRITE_SIZE = 8192  # bytes for each send: any socket that is writable takes so many
_MAX_READ_SIZE = 128 * 1024  # bytes for each read while more of them wait than were requested
_FOREVER = float("inf")
_HTTP = b"HTTP/"  # how an answer begins
_END_OF_HEAD = b"\r\n\r\n"


class KeptConnectionClosedError(httpcore.ReadError):
    """The server closed a kept connection just as the next request went out, and cannot have begun to answer it."""


_CHUNKED = re.compile(rb"HTTP/1\.1 200 [^\n]*\r\n(?:[^\n]*\n)*?transfer-encoding: chunked\r\n", re.IGNORECASE)
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})\r\n")
_START_OF_SIZE = re.compile(rb"[0-9a-fA-F]{0,15}\r?")
_MAX_HEAD = 100_000  # bytes of the head of a response; h11 refuses longer ones
_INTERIM = re.compile(rb"HTTP/1\.[01] 1(?!01)[0-9]{2}\b")  # begins a head that another one follows
_MOST_INTERIM = 1000  # of these before an answer; httpcore reads any number of them


class ChunkJoiner:
    """Joins the chunks of a response that came in one read, since to h11 each costs as much as thousands of bytes.

    A chunk is one token. What the end of a read cuts, and whatever is not in the usual form, stays as it came.
    """

    def __init__(self) -> None:
        self._head: bytes | None = b""  # of the response, until it has ended
        self._is_chunked = False
        self._interim = 0  # heads before that of the response
        self._left = 0  # bytes until the end of a chunk that began in an earlier read
        self._size = b""  # the start of a line with the size of a chunk, whose rest is still to come

    def feed(self, data: bytes) -> bytes:
        """Return what was read, with its chunks joined; nothing where more must be read first."""
        if self._head is not None:
            begin = self._end_head(data)
        else:
            begin = min(self._left, len(data))
            self._left -= begin
        if not self._is_chunked or begin == len(data):
            return data
        return data[:begin] + self._join(self._size + data[begin:])

    def _end_head(self, data: bytes) -> int:
        """Return where the body begins in the data; raises RemoteProtocolError where interim heads do not end."""
        head, begin = self._head + data if self._head else data, 0
        while (end := head.find(_END_OF_HEAD, begin) + 4) >= 4 and _INTERIM.match(head, begin):
            begin, self._interim = end, self._interim + 1
        if self._interim > _MOST_INTERIM:
            raise httpcore.RemoteProtocolError(f"more than {_MOST_INTERIM} interim answers, and none after them")
        if end < 4:
            self._head = head[begin:] if len(head) - begin < _MAX_HEAD else None
            return len(data)
        self._head, self._is_chunked = None, bool(_CHUNKED.match(head, begin, end - 2))
        return end - (len(head) - len(data))

    def _join(self, data: bytes) -> bytes:
        whole: list[bytes] = []
        position, end = 0, len(data)
        while found := _CHUNK_SIZE.match(data, position):
            size, begin = int(found[1], 16), found.end()
            stop = begin + size
            if not size or data[stop : stop + 2] != b"\r\n":
                break
            whole.append(data[begin:stop])
            position = stop + 2

        rest, self._size = data[position:], b""
        if found:  # the last chunk, one of which more is to come, or one that is broken
            self._left = max(0, stop + 2 - end)
            self._is_chunked = size > 0 and self._left > 0
        elif _START_OF_SIZE.fullmatch(rest):
            self._size, rest = rest, b""
        else:
            self._is_chunked = False
        joined = b"".join(whole)
        return b"%x\r\n%b\r\n%b" % (len(joined), joined, rest) if whole else rest


class _SlicedStream(httpcore.NetworkStream):
    """A connection that waits in slices and checks the cancel flag between them."""

    def __init__(self, stream: httpcore.NetworkStream, cancelled: threading.Event) -> None:
        self._stream, self._cancelled = stream, cancelled
        self._joiner = ChunkJoiner()
        self._has_answer = self._is_reused = False  # whether anything was read since the last write, and before it
        self._written_at = time.monotonic()
        self._head = b""  # of a request, to be sent with its body in one piece
        self._deadline: float | None = None  # of all reads until the next request; else each has its timeout from the last write
        self._read_size = 0

    def limit_reads(self, seconds: float) -> None:
        """Let all reads until the next request end within so many seconds from now, whatever timeouts they have."""
        self._deadline = time.monotonic() + seconds

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._head:  # a request without a body
            self.write(b"")
        try:
            while not (joined := self._joiner.feed(data := self._read_in_slices(max_bytes, timeout))) and data:
                pass
        except httpcore.ReadError as error:
            raise (KeptConnectionClosedError() if self._is_closed_unanswered() else error) from None
        if not data and self._is_closed_unanswered():
            raise KeptConnectionClosedError
        if data and not self._has_answer and not data.startswith(_HTTP[: len(data)]):
            # httpcore waits for the end of the headers, and does not say what came instead
            raise httpcore.RemoteProtocolError(f"illegal status line: {bytearray(data[:80])!r}")
        self._has_answer = self._has_answer or bool(data)
        return joined

    def _is_closed_unanswered(self) -> bool:
        return self._is_reused and not self._has_answer and time.monotonic() - self._written_at < SLICE

    def _read_in_slices(self, max_bytes: int, timeout: float | None) -> bytes:
        # HTTP/1.1 takes any number of bytes, and each step costs as much as copying many: vectors come by the megabyte. More
        # than twice 64 kB leaves the cache and is slower again. Words come one by one, and get no larger buffer than requested.
        size = max(max_bytes, self._read_size)
        # The time is that of the whole answer: the timeout of a read alone would let a server send byte after byte for hours.
        deadline = self._written_at + _seconds(timeout) if self._deadline is None else self._deadline
        while True:
            raise_if_cancelled(self._cancelled)
            if (left := deadline - time.monotonic()) <= 0:
                raise httpcore.ReadTimeout
            try:
                data = self._stream.read(size, timeout=max(0.001, min(SLICE, left)))
            except httpcore.ReadTimeout:
                if left <= SLICE:
                    raise
            except httpcore.ReadError:
                raise_if_cancelled(self._cancelled)  # the session closed the connection during this wait
                raise
            else:
                self._read_size = min(2 * size, _MAX_READ_SIZE) if len(data) == size else 0
                return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        raise_if_cancelled(self._cancelled)
        if not self._head and buffer.endswith(_END_OF_HEAD):  # the body follows, or a read
            self._head = buffer
            return
        buffer, self._head = self._head + buffer, b""
        if not buffer:
            return
        self._deadline, self._joiner = None, ChunkJoiner()  # a new request
        self._is_reused, self._has_answer = self._is_reused or self._has_answer, False
        self._written_at = time.monotonic()
        sock, deadline = self._stream.get_extra_info("socket"), self._written_at + _seconds(timeout)
        for start in range(0, len(buffer), _WRITE_SIZE):
            while not _is_writable(sock) and time.monotonic() < deadline:
                raise_if_cancelled(self._cancelled)
            self._stream.write(buffer[start : start + _WRITE_SIZE], timeout and max(0.001, deadline - time.monotonic()))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        call = BackgroundCall(lambda: self._stream.start_tls(ssl_context, server_hostname, timeout), methodcaller("close"))
        try:
            secured = call.wait(partial(raise_if_cancelled, self._cancelled), _seconds(timeout))
        except TimeoutError:
            raise httpcore.ConnectTimeout("the TLS handshake took too long") from None
        return _SlicedStream(secured, self._cancelled)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class SlicedBackend(httpcore.NetworkBackend):
    """Opens sliced connections."""

    def __init__(self, cancelled: threading.Event, resolve: Resolve = socket.getaddrinfo) -> None:
        self._cancelled, self._resolve = cancelled, resolve
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Return a connection to the first address of the host that accepts; raises httpcore.ConnectError."""
        options = [*_SOCKET_OPTIONS, *(socket_options or ())]
        failure: Exception | None = None
        for address in self.addresses(host, port, timeout):
            try:
                numeric: Any = address.encode()  # bytes: for a text Python loads what names that are not ASCII need
                connect = partial(self._sockets.connect_tcp, numeric, port, timeout, local_address, options)
                stream = BackgroundCall(connect, methodcaller("close")).wait(partial(raise_if_cancelled, self._cancelled))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = failure or error
            else:
                return _SlicedStream(stream, self._cancelled)
        raise failure or httpcore.ConnectError(f"{host} has no address")

    def try_connect(self, host: str, port: int, timeout: float) -> str:
        """Return the address and port that accepted a connection, which is closed again."""
        stream = self.connect_tcp(host, port, timeout)
        address = stream.get_extra_info("server_addr")
        stream.close()
        return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"

    def sleep(self, seconds: float) -> None:
        """Wait, unless cancelled."""
        self._cancelled.wait(seconds)
        raise_if_cancelled(self._cancelled)

    def addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        """Return the IP addresses of a host; raises httpcore.ConnectError or ConnectTimeout."""

        def look_up() -> list[str]:
            try:
                entries = self._resolve(host, port, type=socket.SOCK_STREAM)
            except UnicodeError as error:
                raise socket.gaierror(socket.EAI_NONAME, str(error)) from None
            return list(dict.fromkeys(str(entry[4][0]) for entry in entries))

        with suppress(ValueError):
            ip_address(host)
            return [host]
        try:
            return BackgroundCall(look_up).wait(partial(raise_if_cancelled, self._cancelled), timeout or 5)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"the look-up of {host} took too long") from None
        except OSError as error:
            failure = httpcore.ConnectError(str(error))
            failure.__context__ = error  # not "from error": the pool raises again "from None", which drops the cause
        raise failure


def _seconds(timeout: float | None) -> float:
    return _FOREVER if timeout is None else timeout


def _is_writable(sock: Any) -> bool:
    """Return whether the socket takes bytes; waits at most a slice for it."""
    if hasattr(select, "poll"):  # takes any number of the file; a selector would first build its own tables
        poll = select.poll()
        poll.register(sock, select.POLLOUT)
        return bool(poll.poll(SLICE * 1000))
    return bool(select.select([], [sock], [sock], SLICE)[1])  # Windows, which has no limit there
