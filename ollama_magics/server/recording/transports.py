"""The two transports of httpx: one that lets another ask and listens, one that answers from a file and asks nobody."""

from __future__ import annotations

import builtins
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import httpcore
import httpx

from ollama_magics.server.recording.exchange import INTERRUPTED, LEFT, Exchange, asked, heard, spoken

_Clock = Callable[[], int]
_LONG_SECRET = 12  # characters


class Recorded(httpx.BaseTransport):
    """Lets the transport beneath it ask, and keeps each exchange once its answer has ended, however it ended.

    ``hidden`` are secrets that are written nowhere, short ones and ``place``, host and port, in no answer that refuses.
    """

    def __init__(
        self,
        beneath: httpx.BaseTransport,
        keep: Callable[[Exchange], None],
        require_whole: Callable[[], None],
        hidden: Sequence[str],
        place: str,
    ) -> None:
        self._beneath, self._keep, self._require_whole = beneath, keep, require_whole
        self._hidden, self._named = _telling(hidden), [text.encode() for text in (*hidden, place) if text]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer of the transport beneath, listened to."""
        self._require_whole()
        exchange = asked(request.method, request.url.path, request.read(), self._hidden)
        clock = _clock()
        try:
            answer = self._beneath.handle_request(request)
        except BaseException as error:
            exchange.ended = _ended(error)
            self._keep(exchange)
            raise
        exchange.status, exchange.type = answer.status_code, answer.headers.get("content-type", "")
        listening = _Listening(answer, clock, lambda parts, ended: self._finish(exchange, parts, ended))
        return httpx.Response(answer.status_code, headers=answer.headers, stream=listening, extensions=answer.extensions)

    def close(self) -> None:
        """Close the transport beneath."""
        self._beneath.close()

    def _finish(self, exchange: Exchange, parts: Sequence[tuple[int, bytes]], ended: str) -> None:
        refused = exchange.status != httpx.codes.OK  # what stands between us and Ollama likes to name the address
        hidden = self._named if refused else self._hidden
        exchange.answer, exchange.ended = heard(parts, hidden, self._named), ended
        self._keep(exchange)


class _Listening(httpx.SyncByteStream):
    def __init__(self, answer: httpx.Response, clock: _Clock, finish: Callable[[Sequence[tuple[int, bytes]], str], None]) -> None:
        self._answer, self._clock, self._finish = answer, clock, finish
        self._parts: list[tuple[int, bytes]] = []
        self._is_over = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._answer.iter_raw():
                self._parts.append((self._clock(), part))
                yield part
        except GeneratorExit:
            raise  # close() follows
        except BaseException as error:
            self._end(_ended(error))
            raise
        self._end("")

    def close(self) -> None:
        self._answer.close()
        self._end(INTERRUPTED if _is_interrupt(sys.exception()) else LEFT)

    def _end(self, how: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._finish(self._parts, how)


class Replayed(httpx.BaseTransport):
    """Answers from a recording; without ``sleep`` at once, else with about the pauses of the server."""

    def __init__(
        self,
        beneath: httpx.BaseTransport,
        answer: Callable[[Exchange], Exchange],
        sleep: Callable[[float], None] | None,
        hidden: Sequence[str],
    ) -> None:
        self._beneath, self._answer, self._sleep = beneath, answer, sleep
        self._hidden = _telling(hidden)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the recorded answer; raises what the server's own raised."""
        exchange = self._answer(asked(request.method, request.url.path, request.read(), self._hidden))
        if not exchange.status:
            _end_as(exchange.ended)
            raise httpcore.RemoteProtocolError("as recorded")
        headers = {"content-type": exchange.type} if exchange.type else {}
        return httpx.Response(exchange.status, headers=headers, stream=_Telling(exchange, self._sleep))

    def close(self) -> None:
        """Close the transport beneath, which has opened nothing."""
        self._beneath.close()


class _Telling(httpx.SyncByteStream):
    def __init__(self, exchange: Exchange, sleep: Callable[[float], None] | None) -> None:
        self._exchange, self._sleep, self._clock = exchange, sleep, _clock()

    def __iter__(self) -> Iterator[bytes]:
        for moment, line in self._exchange.answer:
            if self._sleep and (early := moment - self._clock()) > 0:
                self._sleep(early / 1000)
            yield spoken(line) + b"\n"
        if self._exchange.ended:
            _end_as(self._exchange.ended)


def _telling(hidden: Sequence[str]) -> list[bytes]:
    """Return the secrets that no ordinary word is: a password "model" must not take that word out of every answer."""
    return [text.encode() for text in hidden if len(text) >= _LONG_SECRET]


def _clock() -> _Clock:
    start = time.monotonic()
    return lambda: round(1000 * (time.monotonic() - start))


def _ended(error: BaseException) -> str:
    """Return the names of what ended an answer: the error, and what the system said beneath it, if anything."""
    if _is_interrupt(error):
        return INTERRUPTED
    beneath: BaseException | None = error
    while beneath is not None and not isinstance(beneath, OSError):
        beneath = beneath.__cause__ or beneath.__context__
    return " ".join(type(one).__name__ for one in (error, beneath) if one is not None)


def _is_interrupt(error: BaseException | None) -> bool:
    # closing a stream raises in it, with what was under way as the context
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _end_as(ended: str) -> None:
    """Raise what ended the recorded answer; an interrupt only where a person could have stopped it: in the main thread."""
    if ended == INTERRUPTED and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt
    name, _, beneath = ended.partition(" ")
    kind = getattr(httpcore, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        system = getattr(builtins, beneath, None)
        failure = kind("as recorded")
        failure.__context__ = system() if isinstance(system, type) and issubclass(system, OSError) else None
        raise failure
