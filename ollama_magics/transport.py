"""The httpx transport whose waits an interrupt or a cancel flag can end, and which finds its own proxies."""

# Given a transport, httpx reads no proxy variables; and on Windows a blocking recv cannot be interrupted. Hence this one.

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import httpcore
import httpx

from ollama_magics.address import Address
from ollama_magics.errors import Cancelled, ConnectionProblem
from ollama_magics.secret import Secret, revealed
from ollama_magics.texts import Phrase

Resolve = Callable[..., list[tuple[Any, ...]]]  # what socket.getaddrinfo is; tests give their own
SLICE = 0.2  # seconds that one wait on a socket lasts at the most
_SOCKET_OPTIONS = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]


class _UnheardError(httpcore.ReadError):
    """The server closed a kept connection just as the next request went out, and cannot have begun to answer it."""


class _SlicedStream(httpcore.NetworkStream):
    """A connection whose reads wait in slices and look at the cancel flag between them."""

    def __init__(self, stream: httpcore.NetworkStream, cancelled: threading.Event) -> None:
        self._stream, self._cancelled = stream, cancelled
        self.limit = float("inf")  # seconds for each read, whatever the request allows
        self._heard = self._kept = False  # whether something came since the last write, and whether before it
        self._written = 0.0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = self._read(max_bytes, timeout)
        except httpcore.ReadError as error:
            raise (_UnheardError() if self._is_unheard() else error) from None
        if not data and self._is_unheard():
            raise _UnheardError
        self._heard = self._heard or bool(data)
        return data

    def _is_unheard(self) -> bool:
        return self._kept and not self._heard and time.monotonic() - self._written < SLICE

    def _read(self, max_bytes: int, timeout: float | None) -> bytes:
        deadline = time.monotonic() + min(self.limit, float("inf") if timeout is None else timeout)
        while True:
            _look_at(self._cancelled)
            left = deadline - time.monotonic()
            try:
                return self._stream.read(max_bytes, timeout=max(0.001, min(SLICE, left)))
            except httpcore.ReadTimeout:
                if left <= SLICE:
                    raise
            except httpcore.ReadError:
                _look_at(self._cancelled)  # then it was closed under this wait by the session, and not lost
                raise

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        _look_at(self._cancelled)
        self.limit = float("inf")  # a new request
        self._kept, self._heard, self._written = self._kept or self._heard, False, time.monotonic()
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(self, *args: Any, **options: Any) -> httpcore.NetworkStream:
        return _SlicedStream(self._stream.start_tls(*args, **options), self._cancelled)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class SlicedBackend(httpcore.NetworkBackend):
    """Opens sliced connections; a name is looked up in a thread, because a look-up knows no timeout."""

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
            _look_at(self._cancelled)
            try:
                stream = self._sockets.connect_tcp(address, port, timeout, local_address, options)
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
        _look_at(self._cancelled)

    def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        if _is_literal(host):
            return [host]
        answer: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()
        threading.Thread(target=_look_up, args=(self._resolve, host, port, answer), daemon=True, name="ollama-name").start()
        deadline = time.monotonic() + (timeout or 5)
        while time.monotonic() < deadline:
            _look_at(self._cancelled)
            try:
                found = answer.get(timeout=SLICE)
            except queue.Empty:
                continue
            if isinstance(found, OSError):
                failure = httpcore.ConnectError(str(found))
                failure.__context__ = found  # not "from found": the pool raises again "from None", which drops the cause
                raise failure
            return found
        raise httpcore.ConnectTimeout(f"the look-up of {host} took too long")


@dataclass(frozen=True)
class Way:
    """How a connection is made: an own proxy (``none``: no proxy) and own certificates; empty: as the system says.

    ``headers`` go with every request; their values may be secrets.
    """

    proxy: str | Secret = ""
    ca_bundle: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


SYSTEM_WAY = Way()


class Tape(Protocol):
    """What listens to a client's exchanges, or with ``replays`` gives them back, so that nothing may be connected."""

    @property
    def replays(self) -> bool:
        """Whether it answers instead of the server."""

    def over(
        self, beneath: httpx.BaseTransport, sleep: Callable[[float], None], hidden: Sequence[str], place: str
    ) -> httpx.BaseTransport:
        """Return the transport to ask; ``hidden`` are secrets, ``place`` is the host and port."""


class SlicedTransport(httpx.BaseTransport):
    """Sends requests over kept, sliced connections; lets the errors of httpcore through, which the client translates."""

    def __init__(
        self, address: Address, backend: SlicedBackend, way: Way = SYSTEM_WAY, certificates: ssl.SSLContext | None = None
    ) -> None:
        self.certificates = certificates or (_certificates(way.ca_bundle) if address.scheme == "https" else None)
        self._pool = _pool(address, backend, way, self.certificates)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer as soon as its headers are there; the body streams.

        A request that meets a kept connection just as the server closes it goes out once more, on another one.
        """
        try:
            answer = self._pool.handle_request(_plain(request))
        except _UnheardError:
            answer = self._pool.handle_request(_plain(request))
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


def _plain(request: httpx.Request) -> httpcore.Request:
    url = request.url
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    content, extensions = request.stream, request.extensions
    return httpcore.Request(request.method, target, headers=request.headers.raw, content=content, extensions=extensions)


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


def hurry(response: httpx.Response) -> None:
    """Let what is left of this answer take no more than a slice."""
    if stream := response.extensions.get("network_stream"):  # a replayed answer has none, and hurries by itself
        stream.limit = SLICE


def proxy_for(address: Address, way: Way = SYSTEM_WAY) -> str | None:
    """Return the proxy that the way, the environment or the system names for the address; none for this machine itself."""
    if address.is_loopback or way.proxy == "none":
        return None
    if way.proxy:
        return revealed(way.proxy)
    proxies = urllib.request.getproxies()
    if urllib.request.proxy_bypass(f"{address.host}:{address.port}"):
        return None
    return proxies.get(address.scheme) or proxies.get("all")


def without_password(proxy: str) -> str:
    """Return the address of a proxy as it may be shown."""
    return proxy.rpartition("@")[2]


def _pool(address: Address, backend: SlicedBackend, way: Way, certificates: ssl.SSLContext | None) -> httpcore.ConnectionPool:
    options: dict[str, Any] = {"network_backend": backend, "max_connections": 16, "keepalive_expiry": 300}
    options["ssl_context"] = certificates
    proxy = proxy_for(address, way)
    if not proxy:
        return httpcore.ConnectionPool(**options)
    url = _proxy_url(proxy)
    auth = (unquote(url.username), unquote(url.password or "")) if url.username else None
    return httpcore.HTTPProxy(f"{url.scheme}://{without_password(url.netloc)}", proxy_auth=auth, **options)


def _certificates(bundle: str) -> ssl.SSLContext:
    try:
        if bundle:
            folder = Path(bundle).is_dir()
            return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)
        return httpx.create_ssl_context()
    except OSError as error:  # ssl.SSLError is one, too
        key = "no_bundle" if bundle else "no_certificates"
        raise ConnectionProblem("OM-D22", reason=Phrase(key, bundle=bundle, said=error.strerror or error)) from None


def _proxy_url(proxy: str) -> SplitResult:
    try:
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0  # .port refuses what is none
    except ValueError:
        usable = False
    if not usable:
        reason = Phrase("no_proxy_address", proxy=without_password(proxy))
        raise ConnectionProblem("OM-D22", reason=reason)
    return url


def _look_at(cancelled: threading.Event) -> None:
    if cancelled.is_set():
        raise Cancelled


def _is_literal(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _look_up(resolve: Resolve, host: str, port: int, answer: queue.SimpleQueue[list[str] | OSError]) -> None:
    try:
        found = resolve(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        answer.put(error)
    except UnicodeError as error:
        answer.put(socket.gaierror(socket.EAI_NONAME, str(error)))
    else:
        answer.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))
