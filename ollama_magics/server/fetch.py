"""An address that the person typed -> the bytes behind it, fetched from public machines only, within limits, without secrets."""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

import httpcore
import httpx

from ollama_magics.errors import PictureProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.http_errors import quote
from ollama_magics.server.sockets import Resolve, SlicedBackend

# A picture's address is typed by the person and still leads where its owner wants: to the cloud's metadata service, to a
# router, to Ollama itself. So names are resolved here, every address is judged, and the connection goes to the judged address.


Network = IPv4Network | IPv6Network
_TRANSLATED = IPv6Network("64:ff9b::/96")  # an IPv4 address behind a translator (RFC 6052)
_MOST_REDIRECTS, _LAST_PORT = 5, 65535
_REDIRECTS = {301, 302, 303, 307, 308}
_HEADERS = [(b"User-Agent", b"ollama-magics"), (b"Accept", b"image/*"), (b"Accept-Encoding", b"identity")]


@dataclass(frozen=True)
class Limits:
    """Bytes of a picture, seconds for all of it, and ``networks`` that are allowed besides the public ones."""

    size: int = 32 * 1024 * 1024
    seconds: float = 30
    connecting: float = 5
    networks: Sequence[Network] = ()
    resolve: Resolve = field(default=socket.getaddrinfo, repr=False)


def fetch(url: str, cancelled: threading.Event, limits: Limits | None = None) -> bytes:
    """Return what lies behind an http or https address; raises PictureProblem. Setting ``cancelled`` ends it within 0.2 s."""
    return _Fetch(url, limits or Limits(), cancelled).run()


class _Public(SlicedBackend):
    """Connects to machines of the public internet only, and to the very address that was judged."""

    def __init__(self, cancelled: threading.Event, limits: Limits, refuse: Callable[..., Exception]) -> None:
        super().__init__(cancelled, limits.resolve)
        self._networks, self._refuse = limits.networks, refuse

    def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        found = super()._addresses(host, port, timeout)
        for address in found:
            if not _is_public(address) and not any(ip_address(address) in network for network in self._networks):
                raise self._refuse("not_public", host=host, address=address)
        return found


class _Fetch:
    def __init__(self, url: str, limits: Limits, cancelled: threading.Event) -> None:
        self._url, self._limits = url, limits
        self._deadline = time.monotonic() + limits.seconds
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl.create_default_context(), network_backend=_Public(cancelled, limits, self._refusal), max_connections=1
        )

    def run(self) -> bytes:
        """Return the bytes."""
        try:
            with self._pool:
                return self._followed(self._url)
        except httpcore.TimeoutException:
            raise self._refusal("fetch_slow", seconds=f"{self._limits.seconds:g}") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol) as error:
            raise self._refusal("said", said=quote(str(error.__context__ or error))) from None

    def _followed(self, typed: str) -> bytes:
        url = self._read(typed)
        for _ in range(_MOST_REDIRECTS + 1):
            with self._pool.stream("GET", _place(url), headers=_HEADERS, extensions={"timeout": self._timeouts()}) as answer:
                if answer.status not in _REDIRECTS:
                    return self._body(answer)
                url = self._read(_header(answer, b"location"), url)
        raise self._refusal("fetch_redirects", count=_MOST_REDIRECTS)

    def _read(self, typed: str, before: httpx.URL | None = None) -> httpx.URL:
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
        """Return the limits of what comes next; raises PictureProblem where the time is over."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout
        return {"connect": min(self._limits.connecting, left), "read": left, "write": left, "pool": left}

    def _refusal(self, key: str, **facts: object) -> PictureProblem:
        return PictureProblem("picture-not-fetched", source=shown(self._url), reason=Phrase(key, **facts))


def _is_public(text: str) -> bool:
    address = ip_address(text)
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None,))[0]
        if inner or address in _TRANSLATED:
            return False
    return address.is_global and not address.is_multicast


def _place(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _header(answer: httpcore.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in answer.headers if key.lower() == name), "")


def shown(url: str) -> str:
    """Return an address as it may be shown: without name and password, and without its query, in which keys stand."""
    return quote(re.sub(r"//[^/?#]*@", "//", url).partition("?")[0])
