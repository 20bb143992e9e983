"""Sockets whose every wait is cut into slices that an interrupt or a cancel flag can end."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import ip_address
from typing import Any

import httpcore

from ollama_magics.background import SLICE, BackgroundCall
from ollama_magics.errors import Cancelled

# On Windows a blocking recv, connect or name look-up cannot be interrupted.


def look_at(cancelled: threading.Event) -> None:
    """Raise Cancelled where the flag is up."""
    if cancelled.is_set():
        raise Cancelled


def until_writable(sock: socket.socket, deadline: float, cancelled: threading.Event) -> None:
    """Return when something can be sent, or at the deadline; raises Cancelled."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        while not selector.select(SLICE) and time.monotonic() < deadline:
            look_at(cancelled)


Resolve = Callable[..., list[tuple[Any, ...]]]  # what socket.getaddrinfo is; tests give their own
_SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
_PIECE = 8192  # bytes that are sent at a time: so many find room wherever there is any
_MOST_READ = 128 * 1024  # bytes that are read at a time while more of them wait than were asked for
_FOREVER = float("inf")


class UnheardError(httpcore.ReadError):
    """The server closed a kept connection just as the next request went out, and cannot have begun to answer it."""


class _SlicedStream(httpcore.NetworkStream):
    """A connection that waits in slices and looks at the cancel flag between them."""

    def __init__(self, stream: httpcore.NetworkStream, cancelled: threading.Event) -> None:
        self._stream, self._cancelled = stream, cancelled
        self.limit = _FOREVER  # seconds for each read, whatever the request allows
        self._heard = self._kept = False  # whether something came since the last write, and whether before it
        self._written = 0.0
        self._room = 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = self._read(max_bytes, timeout)
        except httpcore.ReadError as error:
            raise (UnheardError() if self._is_unheard() else error) from None
        if not data and self._is_unheard():
            raise UnheardError
        self._heard = self._heard or bool(data)
        return data

    def _is_unheard(self) -> bool:
        return self._kept and not self._heard and time.monotonic() - self._written < SLICE

    def _read(self, max_bytes: int, timeout: float | None) -> bytes:
        deadline = time.monotonic() + min(self.limit, _seconds(timeout))
        while True:
            look_at(self._cancelled)
            left = deadline - time.monotonic()
            try:
                return self._read_on(max_bytes, max(0.001, min(SLICE, left)))
            except httpcore.ReadTimeout:
                if left <= SLICE:
                    raise
            except httpcore.ReadError:
                look_at(self._cancelled)  # then it was closed under this wait by the session, and not lost
                raise

    def _read_on(self, max_bytes: int, timeout: float) -> bytes:
        # HTTP/1.1 takes any number of bytes, and each step costs as much as copying many: vectors come by the megabyte. More
        # than twice 64 kB leaves the cache and is slower again. Words come one by one, and get no more memory than asked for.
        size = max(max_bytes, self._room)
        data = self._stream.read(size, timeout=timeout)
        self._room = min(2 * size, _MOST_READ) if len(data) == size else 0
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        look_at(self._cancelled)
        self.limit = _FOREVER  # a new request
        self._kept, self._heard, self._written = self._kept or self._heard, False, time.monotonic()
        sock, deadline = self._stream.get_extra_info("socket"), self._written + _seconds(timeout)
        for start in range(0, len(buffer), _PIECE):
            until_writable(sock, deadline, self._cancelled)
            self._stream.write(buffer[start : start + _PIECE], timeout and max(0.001, deadline - time.monotonic()))

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        call = BackgroundCall(lambda: self._stream.start_tls(ssl_context, server_hostname, timeout), _close)
        return _SlicedStream(call.wait(partial(look_at, self._cancelled)), self._cancelled)

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
        for address in self._addresses(host, port, timeout):
            try:
                stream = self._connected(address, port, timeout, local_address, options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = failure or error
            else:
                return _SlicedStream(stream, self._cancelled)
        raise failure or httpcore.ConnectError(f"{host} has no address")

    def reach(self, host: str, port: int, timeout: float) -> str:
        """Return the address and port that accepted a connection, which is closed again."""
        stream = self.connect_tcp(host, port, timeout)
        address = stream.get_extra_info("server_addr")
        stream.close()
        return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"

    def sleep(self, seconds: float) -> None:
        """Wait, unless cancelled."""
        self._cancelled.wait(seconds)
        look_at(self._cancelled)

    def _connected(self, *where: Any) -> httpcore.NetworkStream:
        # it keeps its own time
        call = BackgroundCall(lambda: self._sockets.connect_tcp(*where), _close)
        return call.wait(partial(look_at, self._cancelled))

    def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        if _is_literal(host):
            return [host]
        try:
            call = BackgroundCall(lambda: _look_up(self._resolve, host, port))
            return call.wait(partial(look_at, self._cancelled), timeout or 5)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"the look-up of {host} took too long") from None
        except OSError as error:
            failure = httpcore.ConnectError(str(error))
            failure.__context__ = error  # not "from error": the pool raises again "from None", which drops the cause
        raise failure


def _close(stream: httpcore.NetworkStream) -> None:
    stream.close()


def _seconds(timeout: float | None) -> float:
    return _FOREVER if timeout is None else timeout


def _is_literal(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _look_up(resolve: Resolve, host: str, port: int) -> list[str]:
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:
        raise socket.gaierror(socket.EAI_NONAME, str(error)) from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
