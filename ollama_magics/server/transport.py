"""An httpx transport whose waits an interrupt or a cancel flag can end."""

from __future__ import annotations

import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import httpcore
import httpx

from ollama_magics.background import SLICE
from ollama_magics.errors import ConnectionProblem
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret, revealed
from ollama_magics.server.address import Address
from ollama_magics.server.sockets import SlicedBackend, UnheardError

# Given a transport, httpx reads no proxy variables. Hence this one does.


@dataclass(frozen=True)
class ConnectionOptions:
    """How a connection is made: an own proxy (``none``: no proxy) and own certificates; empty: as the system says.

    ``headers`` go with every request; their values may be secrets.
    """

    proxy: str | Secret = ""
    ca_bundle: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


SYSTEM_CONNECTION = ConnectionOptions()


class Recording(Protocol):
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
        self,
        address: Address,
        backend: SlicedBackend,
        way: ConnectionOptions = SYSTEM_CONNECTION,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        self.certificates = certificates or (_certificates(way.ca_bundle) if address.scheme == "https" else None)
        self._pool = _pool(address, backend, way, self.certificates)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer as soon as its headers are there; the body streams.

        A request that meets a kept connection just as the server closes it goes out once more, on another one.
        """
        try:
            answer = self._pool.handle_request(_plain(request))
        except UnheardError:
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


def proxy_for(address: Address, way: ConnectionOptions = SYSTEM_CONNECTION) -> str | None:
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


def _pool(
    address: Address, backend: SlicedBackend, way: ConnectionOptions, certificates: ssl.SSLContext | None
) -> httpcore.ConnectionPool:
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
        raise ConnectionProblem(
            "proxy-settings-unusable", reason=Phrase(key, bundle=bundle, said=error.strerror or error)
        ) from None


def _proxy_url(proxy: str) -> SplitResult:
    try:
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0  # .port refuses what is none
    except ValueError:
        usable = False
    if not usable:
        reason = Phrase("no_proxy_address", proxy=without_password(proxy))
        raise ConnectionProblem("proxy-settings-unusable", reason=reason)
    return url
