"""The client of one server: a method for each endpoint, over one kept connection pool."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from typing import Any, NoReturn, TypeVar

import httpcore
import httpx
from msgspec import Struct

from ollama_magics.errors import AnswerCut, ConnectionProblem, EmbeddingProblem, OllamaMagicsError, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.secret import NO_SECRET, Secret
from ollama_magics.server import wire
from ollama_magics.server.address import Address
from ollama_magics.server.answer_budget import AnswerBudget, unreadable_if_endless
from ollama_magics.server.background import SLICE
from ollama_magics.server.failures import FailureKind, Refusal, classify, error_object, quote
from ollama_magics.server.library_logs import keep_out
from ollama_magics.server.model_card import InstalledModel, LoadedModel, ModelCard, Recommendation, full_name
from ollama_magics.server.redaction import Redaction
from ollama_magics.server.sockets import Resolve, SlicedBackend
from ollama_magics.server.transport import (
    MAX_PAGE,
    SYSTEM_CONNECTION,
    ConnectionOptions,
    Recorder,
    Sender,
    SlicedTransport,
    basic_auth,
    limit_rest,
    proxy_for,
    request_headers,
    secrets_of,
    split_proxy,
    start_of,
    without_password,
)
from ollama_magics.server.transport_errors import translated
from ollama_magics.server.wire import Body, Lines


class Timeouts(Struct, frozen=True):
    """Limits in seconds."""

    connect: float = 5  # on this machine at most 2
    first_token: float = 600  # to the first byte of an answer
    idle: float = 120  # between two parts of an answer
    metadata: float = 10  # for the answer to a small request, such as the list of models

    def for_request(self, address: Address, first: float) -> dict[str, float]:
        """Return the limits up to the first byte of an answer, as httpcore names them."""
        return {"connect": self.connecting(address), "read": first, "write": max(60, self.idle), "pool": self.connect}

    def connecting(self, address: Address) -> float:
        """Return the limit for a connection."""
        return min(self.connect, 2) if address.is_loopback else self.connect


_Decoded = TypeVar("_Decoded")
_Decode = Callable[[Body], _Decoded]
_REPEATED = 20  # equal pieces at the end of an answer: servers before 0.30 stop a model after 30, without a word
_SHORTEST_REDACTED = 4  # characters of a secret; to replace shorter ones would garble the text and hide nothing
_HTTP_FAILURES = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.ProxyError)


class Page(Struct, frozen=True):
    """The response to a GET request; ``body`` is cut after 64 kB."""

    status: int
    headers: dict[str, str]
    body: bytes


@contextmanager
def _schema_in_advice(request: wire.ChatRequest | wire.GenerateRequest) -> Iterator[None]:
    """Name the schema of a request in the advice of an error, if the runner of the model ended: it may have been the cause."""
    try:
        yield
    except RequestRefused as error:
        if error.code == "model-failed" and isinstance(request.format, dict):
            error.with_advice(remedy=Phrase("schema_may_crash"))
        raise


class Client:
    """Sends requests to one Ollama server; every failure is an OllamaMagicsError, and ``cancelled`` ends any wait in 0.2 s."""

    def __init__(  # noqa: PLR0913 - the options of a connection, by name
        self,
        address: Address,
        timeouts: Timeouts | None = None,
        *,
        key: Secret = NO_SECRET,
        connection: ConnectionOptions = SYSTEM_CONNECTION,
        cancelled: threading.Event | None = None,
        resolve: Resolve = socket.getaddrinfo,
        certificates: ssl.SSLContext | None = None,
        recorder: Recorder | None = None,
        names: dict[str, str] | None = None,
    ) -> None:
        connection.require_allowed(address)
        self.address = address
        self._names = {} if names is None else names  # of the models that the server listed: by full name that of requests
        self._connection, self._key, self._recorder = connection, key, recorder
        self.is_recorded = recorder is not None  # or replayed
        self._timeouts, self._cancelled = timeouts or Timeouts(), cancelled or threading.Event()
        self._backend = SlicedBackend(self._cancelled, resolve)
        self.secrets = secrets = tuple(secrets_of(address, key, connection))
        self._redaction = Redaction(secrets, _SHORTEST_REDACTED)
        keep_out(self._redaction)
        self._lock, self._sending, self._is_left = threading.Lock(), 0, False
        self._transport = transport = SlicedTransport(address, self._backend, connection, certificates)
        endpoint = f"{address.host}:{address.port}"
        self._http = Sender(
            address.url,
            request_headers(address, key, connection.headers),
            recorder.transport(transport, self._backend.sleep, secrets, endpoint) if recorder else transport,
        )

    def sibling(self, cancelled: threading.Event, timeouts: Timeouts | None = None) -> Client:
        """Return a client of the same server with its own connections and cancel flag and, if given, its own limits."""
        return Client(
            self.address,
            timeouts or self._timeouts,
            key=self._key,
            connection=self._connection,
            cancelled=cancelled,
            certificates=self._transport.certificates,  # which are read once
            recorder=self._recorder,
            names=self._names,
        )

    @property
    def proxy(self) -> str:
        """The proxy in use, without its password, or an empty text."""
        return without_password(proxy_for(self.address, self._connection) or "")

    @property
    def is_cancelled(self) -> bool:
        """Whether the cancel flag is set."""
        return self._cancelled.is_set()

    def cleaned(self, said: str) -> str:
        """Return the start of a text of the server as it may be shown: in one line, without secrets."""
        return quote(self._redaction.text(said[:MAX_PAGE]))

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def close_when_idle(self) -> None:
        """Close all connections as soon as the requests of other threads have ended; none is sent after them."""
        with self._lock:
            self._is_left = True
            is_idle = not self._sending
        if is_idle:
            self.close()

    def try_connect(self) -> str:
        """Return the address and port that accepted a connection: of the proxy if there is one, else of the server."""
        if self._recorder and self._recorder.replays:
            return f"{self.address.host}:{self.address.port}"
        host, port = self.address.host, self.address.port
        if proxy := proxy_for(self.address, self._connection):
            url = split_proxy(proxy)
            host, port = str(url.hostname), url.port or (443 if url.scheme == "https" else 80)
        with self._translated(self._timeouts.metadata):
            accepted = self._backend.try_connect(host, port, self._timeouts.connecting(self.address))
        return f"proxy {self.proxy}" if self.proxy else accepted

    def tls_version(self) -> str:
        """Return the version of TLS that the server speaks, after checking its certificate; no request is sent."""
        with self._translated(limit := self._timeouts.metadata):
            stream = self._backend.connect_tcp(self.address.host, self.address.port, self._timeouts.connecting(self.address))
            with closing(stream):
                context = self._transport.certificates or ssl.create_default_context()
                with closing(stream.start_tls(context, self.address.host, limit)) as secured:
                    return str(secured.get_extra_info("ssl_object").version())

    def get_page(self, path: str) -> Page:
        """Return the response to a GET request, whatever it is, so that another server can be identified."""
        with self._translated(limit := self._timeouts.metadata):
            timeouts = self._timeouts.for_request(self.address, limit)
            with closing(self._http.send("GET", path, None, timeouts)) as response:
                headers = {name: self._redaction.text(value) for name, value in response.headers.items()}
                return Page(response.status_code, headers, self._redaction.body(start_of(response)))

    def version(self) -> str:
        """Return the version of the server, such as ``0.24.0``; raises ConnectionProblem where it is not Ollama."""
        return self._metadata("GET", "/api/version", wire.version)

    def installed(self) -> list[InstalledModel]:
        """Return the models on the server, newest first; from then on requests use the names that the server lists."""
        models = self._metadata("GET", "/api/tags", wire.installed)
        for model in models:
            self._names.setdefault(full_name(model.name), model.request_name)
            self._names[full_name(model.request_name)] = model.request_name
        return models

    def recommendations(self) -> list[Recommendation]:
        """Return the models that the server recommends to download; servers before 0.22 recommend none."""
        return self._metadata("GET", "/api/experimental/model-recommendations", wire.recommendations)

    def digest(self, model: str) -> str:
        """Return the digest of an installed model as it is now, or an empty text where the server does not list it."""
        name = full_name(model)
        return next((found.digest for found in self.installed() if name in found.full_names), "")

    def loaded(self) -> list[LoadedModel]:
        """Return the models that are in the server's memory."""
        return self._metadata("GET", "/api/ps", wire.loaded)

    def card(self, model: str) -> ModelCard:
        """Return what the server knows about a model; raises ModelProblem where it is not installed."""
        return self._metadata("POST", "/api/show", wire.card, {"model": model})

    def unload(self, model: str) -> None:
        """Remove a model from the server's memory, also one that does not generate."""
        self._metadata("POST", "/api/generate", lambda _: None, {"model": model, "keep_alive": 0})

    def delete(self, model: str) -> None:
        """Delete a model from the server's disk; raises ModelProblem where it is not installed."""
        self._metadata("DELETE", "/api/delete", lambda _: None, {"model": model})

    def chat(self, request: wire.ChatRequest | wire.GenerateRequest) -> Iterator[wire.Chunk]:
        """Yield the chunks of the answer; closing the iterator stops the server. Raises AnswerCut for an incomplete answer."""
        path, limits = f"/api/{'chat' if isinstance(request, wire.ChatRequest) else 'generate'}", self._timeouts
        started, last, equal = False, "", 0
        with _schema_in_advice(request), self._sent("POST", path, request, limits.first_token) as response:
            budget = AnswerBudget.of_answer(request, limits.first_token)
            reads = self._lines(response, limits.first_token if wire.is_buffered(request) else limits.idle, budget)
            try:
                for lines in reads:
                    for line in lines:
                        if (chunk := wire.chunk(line, has_more=line is not lines[-1])).error is not None:
                            self._raise_error(chunk.error, started=started)
                        budget.take(chunk)
                        started, piece = True, (chunk.text or chunk.thinking).strip()
                        last, equal = piece, equal + 1 if piece == last else 1
                        yield chunk
                        if chunk.done:
                            # The end of the body follows at once. Once it is read, the connection can be used again.
                            budget.end_within(SLICE)
                            with suppress(AnswerCut, RequestRefused):
                                any(reads)
                            return
            except RequestRefused as error:
                if not started:
                    raise
                raise AnswerCut("stream-unreadable", reason=error.facts["reason"]) from None
        if (started and not request.stream) or equal > _REPEATED:
            raise AnswerCut("model-stuck", seen=Phrase("stuck_repeats" if request.stream else "stuck_not_done"))
        raise AnswerCut("stream-incomplete")

    def lines(self, path: str, request: Any) -> Iterator[bytes]:
        """Yield the lines of a download as they come; closing the iterator stops the server."""
        with self._sent("POST", path, request, self._timeouts.first_token) as response:
            budget = AnswerBudget.of_pull()
            for lines in self._lines(response, self._timeouts.first_token, budget):
                budget.take_lines(len(lines))
                yield from lines

    def embed(
        self,
        request: wire.EmbedRequest,
        decode: _Decode[_Decoded],
        buffer: bytearray | None = None,
        turn: AbstractContextManager[object] | None = None,
    ) -> _Decoded:
        """Return the decoded answer; ``buffer`` is reused for its body, ``turn`` is held while it is received and decoded."""
        memory = bytearray() if buffer is None else buffer
        budget = AnswerBudget.of_body(len(request.input))
        sent = self._sent("POST", "/api/embed", request, self._timeouts.first_token)
        # the view is released in any case: while an error holds it, the buffer cannot grow for the next body
        with sent as response, turn or nullcontext(), self._body(response, memory, budget, self._timeouts.first_token) as body:
            try:
                return decode(body)
            except (RequestRefused, EmbeddingProblem):
                chunk = None
                with suppress(RequestRefused):  # it is neither vectors nor an error
                    chunk = wire.chunk(bytes(body[:MAX_PAGE]))
                if chunk and chunk.error is not None:
                    self._raise_error(chunk.error, started=False)
                raise

    def _metadata(self, method: str, path: str, decode: _Decode[_Decoded], request: Any = None) -> _Decoded:
        with self._sent(method, path, request, self._timeouts.metadata) as response:
            try:
                body: Body = self._body(response, bytearray(), AnswerBudget.of_body())
                return decode(self._redaction.body(bytes(body)) if self._redaction else body)
            except RequestRefused as error:
                raise ConnectionProblem("not-ollama", url=self.address.url, reason=error.facts["reason"]) from None

    @contextmanager
    def _sent(self, method: str, path: str, request: Any, first: float) -> Iterator[httpx.Response]:
        model = str(request.get("model", "") if isinstance(request, dict) else getattr(request, "model", ""))
        if listed := self._names.get(full_name(model)):
            request = wire.with_model(request, listed)
        content = None if request is None else wire.encode(request)
        with self._in_use(), self._translated(first):
            timeouts = self._timeouts.for_request(self.address, first)
            with closing(self._http.send(method, path, content, timeouts)) as response:
                self._raise_for_status(response, model)
                yield response

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """Count a request that is sent; its errors hold no secret, in whatever spelling the server repeats it."""
        with self._lock:
            self._sending += 1
        try:
            if self._http.is_closed:
                raise ConnectionProblem("connection-broken", url=self.address.url, reason=Phrase("closed_here"))
            yield
        except OllamaMagicsError as error:
            error.redact(self._redaction.text)
            raise
        finally:
            with self._lock:
                self._sending -= 1
                is_last = self._is_left and not self._sending
            if is_last:
                self.close()

    def _raise_for_status(self, response: httpx.Response, model: str) -> None:
        encoding = response.headers.get("content-encoding", "identity")
        if encoding != "identity":
            raise RequestRefused("answer-unreadable", status=response.status_code, reason=Phrase("encoded", name=quote(encoding)))
        if response.status_code == httpx.codes.OK:
            return
        limit_rest(response, self._timeouts.metadata)
        with self._translated(self._timeouts.metadata):
            body = self._redaction.body(start_of(response))
        headers = {name: self._redaction.text(value) for name, value in response.headers.items()}
        url, host = self.address.url, self.address.host
        has_key = bool(self._key or basic_auth(self.address) or self._connection.headers)
        raise Refusal(response.status_code, headers, body, url, host, model, self.proxy, has_key).as_error()

    def _raise_error(self, sent: Any, *, started: bool) -> NoReturn:
        """Raise the error that the server sent: RequestRefused if it is the first thing that came, else AnswerCut."""
        said = self.cleaned(str(error_object({"error": sent}).get("message") or sent))
        if classify(200, said) is FailureKind.STUCK:
            raise AnswerCut("model-stuck", seen=Phrase("server_said", said=said))
        raise AnswerCut("stream-error", said=said) if started else RequestRefused("request-refused", status=200, said=said)

    def _body(self, response: httpx.Response, buffer: bytearray, budget: AnswerBudget, seconds: float = 0) -> memoryview:
        # a view of the buffer, which grows where it is too small; with seconds, the body has a time of its own
        end = 0
        if seconds:
            limit_rest(response, seconds)
        with self._translated(seconds or self._timeouts.metadata), unreadable_if_endless():
            for part in response.iter_raw():
                budget.take_bytes(len(part))
                if end + len(part) > len(buffer):
                    buffer.extend(bytes(max(len(part), len(buffer) // 8)))
                buffer[end : end + len(part)] = part
                end += len(part)
        return memoryview(buffer)[:end]

    def _lines(self, response: httpx.Response, seconds: float, budget: AnswerBudget) -> Iterator[list[bytes]]:
        """Yield the lines of each read: at full speed these are hundreds, and a generator for each would cost more than they.

        Each line may take that many seconds, from when it is waited for.
        """
        lines = Lines()

        def limit() -> None:
            limit_rest(response, min(seconds, budget.seconds_left()))

        try:
            limit()
            for part in response.iter_raw():
                budget.take_bytes(len(part))
                if whole := lines.feed(part):
                    yield whole
                    limit()
        except httpcore.ReadTimeout as error:
            budget.seconds_left()
            raise AnswerCut("stream-stalled", seconds=f"{seconds:g}", debug=repr(error)) from None
        except _HTTP_FAILURES as error:
            raise AnswerCut("stream-incomplete", debug=repr(error)) from None
        yield lines.rest()

    @contextmanager
    def _translated(self, limit: float) -> Iterator[None]:
        """Turn the errors of httpx and httpcore into those of this package."""
        try:
            yield
        except (*_HTTP_FAILURES, httpcore.UnsupportedProtocol, httpx.HTTPError, httpx.InvalidURL) as error:
            connecting = isinstance(error, httpcore.ConnectTimeout)
            limit = self._timeouts.connecting(self.address) if connecting else limit
            raise translated(error, self.address, limit, self.proxy) from None
