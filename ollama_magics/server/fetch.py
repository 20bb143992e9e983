"""Download a picture from a public machine, within limits and without secrets."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import httpcore
import httpx

from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.failures import quote
from ollama_magics.server.sockets import Resolve, SlicedBackend
from ollama_magics.server.transport import httpcore_url

# The owner of an address decides where it leads: perhaps to a cloud's metadata service, to a router, or to Ollama itself. So
# names are resolved here, every IP address is checked, and the connection goes to the checked IP address.

Network = IPv4Network | IPv6Network
# Not public, whatever the Python in use knows of them.
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "192.0.0.0/24",  # IETF protocol assignments (RFC 6890), with the metadata service of Oracle
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # the platform service of Azure
        "100.64.0.0/10",  # carriers; the metadata service of Alibaba
        "64:ff9b::/96",  # an IPv4 address behind a translator (RFC 6052)
        "64:ff9b:1::/48",  # the same, for local use (RFC 8215)
        "::ffff:0:0:0/96",  # the same, by stateless translation (RFC 2765)
        "::/96",  # IPv4-compatible addresses (RFC 4291)
        "100::/64",  # discarded
        "2001::/23",  # IETF protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fc00::/7",  # local
        "fec0::/10",  # site-local (RFC 3879)
    )
)
_MAX_REDIRECTS, _LAST_PORT = 5, 65535
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = [(b"User-Agent", b"ollama-magics"), (b"Accept", b"image/*"), (b"Accept-Encoding", b"identity")]


@dataclass(frozen=True)
class Limits:
    """The limits of a download."""

    size: int = 32 * 1024 * 1024  # bytes
    seconds: float = 30  # for the whole download
    connect: float = 5  # seconds for a connection
    networks: Sequence[Network] = ()  # that are allowed besides the public ones
    resolve: Resolve = field(default=socket.getaddrinfo, repr=False)


def fetch(url: str, cancelled: threading.Event, limits: Limits | None = None) -> bytes:
    """Return the content of an http or https address; raises PictureProblem. Setting ``cancelled`` ends it within 0.2 s."""
    return _Download(url, limits or Limits(), cancelled).run()


class _PublicBackend(SlicedBackend):
    """Connects to public machines only, by the IP address that was checked."""

    def __init__(self, cancelled: threading.Event, limits: Limits, refuse: Callable[..., Exception]) -> None:
        super().__init__(cancelled, limits.resolve)
        self._networks, self._refuse = limits.networks, refuse

    def addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        """Return the IP addresses of a host; raises PictureProblem where one is not public."""
        found = super().addresses(host, port, timeout)
        for text in found:
            address = ip_address(text)
            is_public = address.is_global and not address.is_multicast and not any(address in network for network in _NOT_PUBLIC)
            if isinstance(address, IPv6Address):
                is_public = is_public and not address.ipv4_mapped
            if not is_public and not any(address in network for network in self._networks):
                raise self._refuse("not_public", host=host, address=text)
        return found


class _Download:
    def __init__(self, url: str, limits: Limits, cancelled: threading.Event) -> None:
        self._url, self._limits = url, limits
        self._deadline = time.monotonic() + limits.seconds
        backend = _PublicBackend(cancelled, limits, self._refusal)
        certificates = ssl.create_default_context()
        self._pool = httpcore.ConnectionPool(ssl_context=certificates, network_backend=backend, max_connections=1)

    def run(self) -> bytes:
        """Return the content, after at most so many redirects."""
        try:
            with self._pool:
                url = self._parse(self._url)
                for _ in range(_MAX_REDIRECTS + 1):
                    extensions = {"timeout": self._timeouts()}
                    with self._pool.stream("GET", httpcore_url(url), headers=_HEADERS, extensions=extensions) as answer:
                        if answer.status not in _REDIRECTS:
                            return self._body(answer)
                        url = self._parse(_header(answer, b"location"), url)
                raise self._refusal("fetch_redirects", count=_MAX_REDIRECTS)
        except httpcore.TimeoutException:
            raise self._refusal("fetch_slow", seconds=f"{self._limits.seconds:g}") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            raise self._refusal("said", said=quote(str(error.__context__ or error))) from None

    def _parse(self, typed: str, before: httpx.URL | None = None) -> httpx.URL:
        """Return the URL, which may be relative to the one before; raises PictureProblem for another kind of URL."""
        try:
            url = before.join(typed) if before else httpx.URL(typed)
        except httpx.InvalidURL as error:
            raise self._refusal("said", said=quote(str(error))) from None
        port = 80 if url.port is None else url.port
        if url.scheme not in ("http", "https") or not url.host or not 0 < port <= _LAST_PORT:
            raise self._refusal("fetch_no_page", address=quote(str(url)))
        if url.userinfo:
            raise self._refusal("fetch_secret")
        return url

    def _body(self, answer: httpcore.Response) -> bytes:
        if answer.status != httpx.codes.OK or _header(answer, b"content-encoding") not in ("", "identity"):
            raise self._refusal("fetch_status", status=answer.status)
        declared = _header(answer, b"content-length")
        body = bytearray()
        if not (declared.isdecimal() and int(declared) > self._limits.size):
            for part in answer.iter_stream():
                body += part
                self._timeouts()
                if len(body) > self._limits.size:
                    break
            else:
                return bytes(body)
        raise self._refusal("fetch_large", size=f"{self._limits.size / 1024 / 1024:g}")

    def _timeouts(self) -> dict[str, float]:
        """Return the timeouts of the next step; raises ReadTimeout where the time is over."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return {"connect": min(self._limits.connect, left), "read": left, "write": left, "pool": left}

    def _refusal(self, key: str, **facts: object) -> PictureProblem:
        return PictureProblem("picture-not-fetched", source=shown(self._url), reason=Phrase(key, **facts))


def _header(answer: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in answer.headers if key.lower() == name), "")


def shown(url: str) -> str:
    """Return an address as it may be shown: without user name, password and query, which may hold keys."""
    return quote(re.sub(r"//[^/?#]*@", "//", url).partition("?")[0])
