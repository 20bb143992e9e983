"""One server: a method for each endpoint, over one kept connection pool."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import httpcore
import httpx

from ollama_magics.errors import AnswerCut, ConnectionProblem, EmbeddingProblem, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.server import wire
from ollama_magics.server.address import Address
from ollama_magics.server.headers import basic, headers, secrets, without
from ollama_magics.server.http_errors import Refusal, checked, quote, refuse_error
from ollama_magics.server.sockets import Resolve, SlicedBackend
from ollama_magics.server.transport import (
    SYSTEM_CONNECTION,
    ConnectionOptions,
    Recording,
    SlicedTransport,
    hurry,
    proxy_for,
    without_password,
)
from ollama_magics.server.transport_errors import translated
from ollama_magics.server.wire import Body, Lines


@dataclass(frozen=True)
class Timeouts:
    """Seconds to connect (at most 2 on this machine), to the first byte of an answer, and between two of its parts."""

    connect: float = 5
    first_token: float = 600
    idle: float = 120
    metadata: float = 10

    def for_request(self, address: Address, first: float) -> httpx.Timeout:
        """Return the limits up to the first byte of an answer."""
        return httpx.Timeout(connect=self.connecting(address), read=first, write=max(60, self.idle), pool=self.connect)

    def connecting(self, address: Address) -> float:
        """Return the limit for a connection."""
        return min(self.connect, 2) if address.is_loopback else self.connect


_Found = TypeVar("_Found")
_Read = Callable[[Body], _Found]
_MEGABYTE = 2**20
_LONGEST_ANSWER = 16 * _MEGABYTE  # without vectors; a vector has far less than a megabyte
_LONGEST_REFUSAL = 64 * 1024  # bytes of an error page that are read
_HTTP_FAILURES = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError)


@dataclass(frozen=True)
class Page:
    """What a server shows: ``body`` is cut after 64 kB."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """Speaks to one Ollama server.

    Every failure is one of our errors. ``cancelled`` ends all waits of this client within 0.2 s (transport.Cancelled).
    ``tape`` listens to every exchange, or gives it back instead of the server.
    """

    def __init__(  # noqa: PLR0913 - each its own matter, by name
        self,
        address: Address,
        timeouts: Timeouts | None = None,
        *,
        key: str = "",
        way: ConnectionOptions = SYSTEM_CONNECTION,
        cancelled: threading.Event | None = None,
        resolve: Resolve = socket.getaddrinfo,
        certificates: ssl.SSLContext | None = None,
        tape: Recording | None = None,
    ) -> None:
        self.address = address
        self._way, self._key, self._tape = way, key, tape
        self._timeouts = timeouts or Timeouts()
        self._cancelled = cancelled or threading.Event()
        self._backend = SlicedBackend(self._cancelled, resolve)
        self._transport = SlicedTransport(address, self._backend, way, certificates)
        self._secrets, place = tuple(secrets(address, key, way)), f"{address.host}:{address.port}"
        self._http = httpx.Client(
            base_url=address.url,
            transport=self._transport if tape is None else tape.over(self._transport, self._backend.sleep, self._secrets, place),
            trust_env=False,
            follow_redirects=False,
            headers=headers(key, way.headers),
            auth=basic(address),
        )

    def sibling(self, cancelled: threading.Event, limits: Timeouts | None = None) -> Client:
        """Return a client of the same server with connections, a cancel flag and, if given, limits of its own."""
        times, known = limits or self._timeouts, self._transport.certificates  # which are read once
        also: dict[str, Any] = {"certificates": known, "tape": self._tape}
        return Client(self.address, times, key=self._key, way=self._way, cancelled=cancelled, **also)

    @property
    def is_cancelled(self) -> bool:
        """Whether its session is closing."""
        return self._cancelled.is_set()

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def reach(self) -> str:
        """Return the address and port that accepted a connection, or the proxy in between, of which nothing is asked."""
        if proxy := proxy_for(self.address, self._way):
            return f"proxy {without_password(proxy)}"
        if self._tape and self._tape.replays:
            return f"{self.address.host}:{self.address.port}"
        with self._translated(self._timeouts.metadata):
            return self._backend.reach(self.address.host, self.address.port, self._timeouts.connecting(self.address))

    def shake_hands(self) -> str:
        """Return the version of TLS that the server speaks, its certificate checked; nothing is asked of it."""
        with self._translated(limit := self._timeouts.metadata):
            stream = self._backend.connect_tcp(self.address.host, self.address.port, self._timeouts.connecting(self.address))
            try:
                secured = stream.start_tls(self._transport.certificates or ssl.create_default_context(), self.address.host, limit)
                return str(secured.get_extra_info("ssl_object").version())
            finally:
                stream.close()

    def peek(self, path: str) -> Page:
        """Return what the server shows under a path, whatever it is: for telling who it is."""
        with self._translated(limit := self._timeouts.metadata):
            times = self._timeouts.for_request(self.address, limit)
            response = self._http.send(self._http.build_request("GET", path.lstrip("/"), timeout=times), stream=True)
        try:
            return Page(response.status_code, dict(response.headers), self._start_of(response))
        finally:
            response.close()

    def version(self) -> str:
        """Return the version of the server, such as ``0.24.0``; raises ConnectionProblem where it is not Ollama."""
        return self._metadata("GET", "/api/version", wire.version)

    def installed(self) -> list[wire.InstalledModel]:
        """Return the models on the server, newest first."""
        return self._metadata("GET", "/api/tags", wire.installed)

    def digest(self, model: str) -> str:
        """Return the digest of an installed model as it is now, or an empty text where the server does not list it."""
        name = wire.full_name(model)
        return next((found.digest for found in self.installed() if wire.full_name(found.name) == name), "")

    def loaded(self) -> list[wire.LoadedModel]:
        """Return the models that are in the server's memory."""
        return self._metadata("GET", "/api/ps", wire.loaded)

    def card(self, model: str) -> wire.ModelCard:
        """Return what the server knows about a model; raises ModelProblem where it is not installed."""
        return self._metadata("POST", "/api/show", wire.card, {"model": model})

    def chat(self, request: wire.ChatRequest | wire.GenerateRequest) -> Iterator[wire.Chunk]:
        """Yield the answer as it comes, last the chunk that says done; closing the iterator ends the server's work.

        Raises RequestRefused and its relatives before the first chunk, AnswerCut for an answer that is not whole.
        """
        path, times = f"/api/{'chat' if isinstance(request, wire.ChatRequest) else 'generate'}", self._timeouts
        with self._sent("POST", path, request, times.first_token) as response:
            response.request.extensions["timeout"]["read"] = times.first_token if wire.is_held_back(request) else times.idle
            yield from self._chunks(response, request)

    def lines(self, path: str, request: Any) -> Iterator[bytes]:
        """Yield the lines of another streamed answer as they come; closing the iterator ends the server's work."""
        with self._sent("POST", path, request, self._timeouts.first_token) as response:
            yield from self._lines(response)

    def embed(
        self,
        request: wire.EmbedRequest,
        read: _Read[_Found],
        kept: bytearray | None = None,
        turn: AbstractContextManager[object] | None = None,
    ) -> _Found:
        """Return what ``read`` makes of the answer: wire.embeddings, or something faster.

        ``kept`` takes the bodies of one request after another; ``turn`` is entered when the answer begins, and
        held while its body is received and read.
        """
        memory = bytearray() if kept is None else kept
        most = _LONGEST_ANSWER + _MEGABYTE * len(request.input)
        sent = self._sent("POST", "/api/embed", request, self._timeouts.first_token)
        # the view is released in any case: one that an error holds on to would keep the memory from growing for the next body
        with sent as response, turn or nullcontext(), self._body(response, memory, most) as body:
            try:
                return read(body)
            except (RequestRefused, EmbeddingProblem):
                refuse_error(bytes(body[:_LONGEST_REFUSAL]), self._secrets)
                raise

    def _metadata(self, method: str, path: str, read: _Read[_Found], request: Any = None) -> _Found:
        with self._sent(method, path, request, self._timeouts.metadata) as response:
            try:
                return read(self._body(response, bytearray(), _LONGEST_ANSWER))
            except RequestRefused as error:
                raise self._stranger(error) from None

    def _stranger(self, error: RequestRefused) -> ConnectionProblem:
        return ConnectionProblem("not-ollama", url=self.address.url, reason=error.facts["reason"])

    @contextmanager
    def _sent(self, method: str, path: str, request: Any, first: float) -> Iterator[httpx.Response]:
        content = None if request is None else wire.encode(request)
        if self._http.is_closed:
            raise ConnectionProblem("connection-broken", url=self.address.url, reason=Phrase("closed_here"))
        with self._translated(first):
            times = self._timeouts.for_request(self.address, first)
            asked = self._http.build_request(method, path.lstrip("/"), content=content, timeout=times)
            response = self._http.send(asked, stream=True)
        try:
            self._welcome(response, _model_of(request))
            yield response
        finally:
            response.close()

    def _welcome(self, response: httpx.Response, model: str) -> None:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise RequestRefused("answer-unreadable", status=response.status_code, reason=Phrase("encoded", name=quote(encoding)))
        if response.status_code == httpx.codes.OK:
            return
        response.request.extensions["timeout"]["read"] = self._timeouts.metadata
        with self._translated(self._timeouts.metadata):
            body = without(self._start_of(response), self._secrets)
        told = {name: without(value.encode(), self._secrets).decode() for name, value in response.headers.items()}
        url, host, proxy = self.address.url, self.address.host, without_password(proxy_for(self.address, self._way) or "")
        raise Refusal(response.status_code, told, body, url, host, model, proxy).as_error()

    def _start_of(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for part in response.iter_raw():
            body += part
            if len(body) > _LONGEST_REFUSAL:
                break
        return bytes(body)

    def _body(self, response: httpx.Response, kept: bytearray, most: int) -> memoryview:
        end = 0
        with self._translated(self._timeouts.first_token):
            for part in response.iter_raw():
                if end + len(part) > most:
                    raise RequestRefused("answer-unreadable", status=200, reason=Phrase("endless", most=most // _MEGABYTE))
                if end + len(part) > len(kept):
                    kept.extend(bytes(max(len(part), len(kept) // 8)))
                kept[end : end + len(part)] = part
                end += len(part)
        return memoryview(kept)[:end]

    def _chunks(self, response: httpx.Response, request: Any) -> Iterator[wire.Chunk]:
        started = False
        try:
            lines = self._lines(response)
            for line in lines:
                chunk = checked(wire.chunk(line), self._secrets, started=started)
                started = True
                yield chunk
                if chunk.done:
                    _read_end(response, lines)
                    return
        except RequestRefused as error:
            if not started:
                raise
            raise AnswerCut("stream-unreadable", reason=error.facts["reason"]) from None
        raise AnswerCut("stream-incomplete" if request.stream else "model-stuck")

    def _lines(self, response: httpx.Response) -> Iterator[bytes]:
        lines = Lines()
        try:
            for part in response.iter_raw():
                yield from lines.feed(part)
        except httpcore.ReadTimeout as error:
            waited = f"{response.request.extensions['timeout']['read']:g}"
            raise AnswerCut("stream-stalled", seconds=waited, debug=repr(error)) from None
        except _HTTP_FAILURES as error:
            raise AnswerCut("stream-incomplete", debug=repr(error)) from None
        yield from lines.rest()

    @contextmanager
    def _translated(self, limit: float) -> Iterator[None]:
        """Turn the errors of httpx and httpcore into ours: the one border between the two families."""
        try:
            yield
        except (*_HTTP_FAILURES, httpcore.UnsupportedProtocol, httpx.HTTPError, httpx.InvalidURL) as error:
            connecting = isinstance(error, httpcore.ConnectTimeout)
            limit = self._timeouts.connecting(self.address) if connecting else limit
            raise translated(error, self.address, limit, proxy_for(self.address, self._way)) from None


def _model_of(request: Any) -> str:
    return str(request.get("model", "") if isinstance(request, dict) else getattr(request, "model", ""))


def _read_end(response: httpx.Response, lines: Iterator[bytes]) -> None:
    # The end of the body follows the last line at once; read, it leaves the connection fit for the next request.
    hurry(response)
    with suppress(AnswerCut, RequestRefused):
        next(lines, None)
