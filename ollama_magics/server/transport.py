"""An httpx transport whose waits an interrupt or a cancel flag can end, and what goes with every request."""

from __future__ import annotations

import ssl
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote, urlsplit

import httpcore
import httpx

from ollama_magics.errors import ConnectionProblem, SettingError
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret, revealed
from ollama_magics.server.address import Address, is_numeric
from ollama_magics.server.sockets import KeptConnectionClosedError, SlicedBackend


@dataclass(frozen=True)
class ConnectionOptions:
    """How to connect; for an empty value, the system's settings apply."""

    proxy: str | Secret = ""  # "none": no proxy
    ca_bundle: str = ""
    headers: Mapping[str, Secret] = field(default_factory=dict, repr=False)  # of every request
    local_only: bool = False  # nothing is sent to another machine

    def require_allowed(self, address: Address) -> None:
        """Raise SettingError (local-only) if the address is, or may be, on another machine and nothing may be sent there."""
        if not self.local_only or (address.is_loopback and (address.host == "localhost" or is_numeric(address.host))):
            return
        error = SettingError("local-only", what=address.host)
        if address.is_loopback:  # DNS answers for name.localhost, and may name any machine
            port = f":{address.port}"
            raise error.with_advice(
                Phrase("localhost_looked_up"), Phrase("use_localhost", url=f"{address.scheme}://localhost{port}")
            )
        raise error


SYSTEM_CONNECTION = ConnectionOptions()
_MOST_CONNECTIONS = 20  # of a client: a job sends 16 batches at a time while it reads an answer and checks the model
_MOST_COOKIES = 16 * 1024  # characters of all that a server makes us send with each request
MAX_PAGE = 64 * 1024  # bytes of an error, or of another program's page, that are read


class Recorder(Protocol):
    """Records the exchanges of clients, or with ``replays`` answers from a recording, so that nothing is connected."""

    @property
    def replays(self) -> bool:
        """Whether it answers instead of the server."""

    def transport(
        self, inner: httpx.BaseTransport, sleep: Callable[[float], None], secrets: Sequence[Secret], endpoint: str
    ) -> httpx.BaseTransport:
        """Return the transport of a client; ``secrets`` are never written, ``endpoint`` is host and port."""

    def close(self) -> None:
        """Write what is not written yet."""


class SlicedTransport(httpx.BaseTransport):
    """Sends requests over kept, sliced connections; lets the errors of httpcore through, which the client translates."""

    def __init__(
        self,
        address: Address,
        backend: SlicedBackend,
        connection: ConnectionOptions = SYSTEM_CONNECTION,
        certificates: ssl.SSLContext | None = None,
    ) -> None:
        is_https, bundle = address.scheme == "https", connection.ca_bundle
        try:
            if bundle and is_https and not certificates:
                folder = Path(bundle).is_dir()
                cafile, capath = (None, bundle) if folder else (bundle, None)
                certificates = ssl.create_default_context(cafile=cafile, capath=capath)
            self.certificates = certificates or (httpx.create_ssl_context() if is_https else None)
        except OSError as error:  # ssl.SSLError is one, too
            reason = Phrase("no_bundle" if bundle else "no_certificates", bundle=bundle, said=error.strerror or error)
            raise ConnectionProblem("proxy-settings-unusable", reason=reason) from None
        self._pool = _pool(address, backend, connection, self.certificates)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response as soon as its headers have come; the body streams."""
        url = httpcore_url(request.url)
        sent = httpcore.Request(
            request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
        )
        try:
            answer = self._pool.handle_request(sent)
        except KeptConnectionClosedError:  # sent once more, on another connection
            answer = self._pool.handle_request(sent)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer), extensions=answer.extensions)

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()


class Sender:
    """Sends the requests of a client over a transport, and keeps cookies.

    ``httpx.Client`` takes twice the time of the request itself for what a client of one server never needs: redirects, hooks,
    addresses merged anew and other transports.
    """

    def __init__(self, url: str, headers: httpx.Headers, transport: httpx.BaseTransport) -> None:
        self.headers, self.is_closed = headers, False
        self._url, self._transport = httpx.URL(url), transport
        self._urls: dict[str, httpx.URL] = {}  # by path
        self._cookies = httpx.Cookies()

    def send(self, method: str, path: str, content: bytes | None, timeouts: Mapping[str, float]) -> httpx.Response:
        """Return the response as soon as its headers have come, to be closed; ``timeouts`` are those of httpcore."""
        url = self._urls.get(path) or self._urls.setdefault(
            path, self._url.copy_with(raw_path=self._url.raw_path.rstrip(b"/") + path.encode())
        )
        extensions = {"timeout": dict(timeouts)}
        request = httpx.Request(
            method, url, headers=self.headers, cookies=self._cookies or None, content=content, extensions=extensions
        )
        response = self._transport.handle_request(request)
        if "set-cookie" in response.headers:
            response.request = request
            self._cookies.extract_cookies(response)
            held = [*self._cookies.jar]
            if sum(len(one.name) + len(one.value or "") for one in held) > _MOST_COOKIES:
                self._cookies.clear()  # they would fill memory, and requests that no server takes any more
        return response

    def close(self) -> None:
        """Close the connections."""
        self.is_closed = True
        self._transport.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


def httpcore_url(url: httpx.URL) -> httpcore.URL:
    """Return the URL in the form that httpcore takes."""
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def limit_rest(response: httpx.Response, seconds: float) -> None:
    """Let the rest of a response take at most so many seconds from now; without this, it is a part of its request's time."""
    if stream := response.extensions.get("network_stream"):  # a replayed response has none
        stream.limit_reads(seconds)


def start_of(response: httpx.Response) -> bytes:
    """Return the start of a body that is read to say what it is."""
    body = bytearray()
    for part in response.iter_raw():
        body += part
        if len(body) > MAX_PAGE:
            break
    return bytes(body)


def proxy_for(address: Address, connection: ConnectionOptions = SYSTEM_CONNECTION) -> str | None:
    """Return the proxy that the options, the environment or the system set for the address; none for this machine itself."""
    if address.is_loopback or connection.proxy == "none":
        return None
    if connection.proxy:
        return revealed(connection.proxy)
    proxies = urllib.request.getproxies()  # httpx reads no proxy variables where it is given a transport
    if urllib.request.proxy_bypass(f"{address.host}:{address.port}"):
        return None
    return proxies.get(address.scheme) or proxies.get("all")


def split_proxy(proxy: str) -> SplitResult:
    """Return the parts of the address of a proxy; raises ConnectionProblem where it cannot be used."""
    try:
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        if url.scheme in ("http", "https") and url.hostname and url.port != 0:  # .port raises for an invalid one
            return url
    except ValueError:
        pass
    raise ConnectionProblem("proxy-settings-unusable", reason=Phrase("no_proxy_address", proxy=without_password(proxy)))


def without_password(proxy: str) -> str:
    """Return the address of a proxy as it may be shown."""
    return proxy.rpartition("@")[2]


def _pool(
    address: Address, backend: SlicedBackend, connection: ConnectionOptions, certificates: ssl.SSLContext | None
) -> httpcore.ConnectionPool:
    options: dict[str, Any] = {"network_backend": backend, "max_connections": _MOST_CONNECTIONS, "keepalive_expiry": 300}
    options["ssl_context"] = certificates
    proxy = proxy_for(address, connection)
    if not proxy:
        return httpcore.ConnectionPool(**options)

    url = split_proxy(proxy)
    auth = (unquote(url.username), unquote(url.password or "")) if url.username else None
    return httpcore.HTTPProxy(f"{url.scheme}://{without_password(url.netloc)}", proxy_auth=auth, **options)


# What goes with every request besides its body


def request_headers(address: Address, key: Secret, others: Mapping[str, Secret]) -> httpx.Headers:
    """Return the headers of a client; raises SettingError for a key that HTTP does not allow."""
    if not (key.reveal().isascii() and key.reveal().isprintable()):
        key_name, reason, example = Phrase("the_key"), Phrase("broken_key"), Phrase("set_again")
        raise SettingError("setting-invalid", value=key_name, setting="OLLAMA_API_KEY", reason=reason, example=example)
    headers = httpx.Headers({"Accept": "*/*", "Connection": "keep-alive", "User-Agent": "ollama-magics"})
    headers.update({name: value.reveal() for name, value in others.items()})
    headers.update({"Accept-Encoding": "identity", "Content-Type": "application/json"})
    headers.update({"Authorization": f"Bearer {key.reveal()}"} if key else {})
    if user := basic_auth(address):
        headers["Authorization"] = f"Basic {b64encode(':'.join(user).encode()).decode()}"
    return headers


def basic_auth(address: Address) -> tuple[str, str] | None:
    """Return the user name and password of an address, or None."""
    if not (address.username or address.password):
        return None
    return address.username or "", address.password.reveal() if address.password else ""


def secrets_of(address: Address, key: Secret, connection: ConnectionOptions) -> Iterator[Secret]:
    """Yield the secrets of a client, which must not be shown even where a server repeats them."""
    yield key
    if address.password:
        yield address.password
    yield from connection.headers.values()
    yield Secret(unquote(revealed(connection.proxy).rpartition("@")[0].rpartition(":")[2]))
