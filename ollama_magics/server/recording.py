"""Record exchanges with a server to a file, and replay them from it."""

from __future__ import annotations

import builtins
import os
import re
import sys
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpcore
import httpx
import msgspec

from ollama_magics.errors import RecordingProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.recorded_exchange import INTERRUPTED, LEFT, Exchange, asked, heard, nearest, spoken

_VERSION = 1
_ABOUT = "Exchanges with an Ollama server, recorded by ollama_magics. Prompts and answers stand here in clear."
_HEAD = f'{{\n"about": "{_ABOUT}",\n"version": {_VERSION},\n"exchanges": [\n'.encode()
_TAIL = b"\n]\n}\n"
_LARGE = 8 * 1024 * 1024  # bytes, from which on a file is written anew when it has grown by a tenth
_LINE_START = re.compile(rb"^(?=.)", re.MULTILINE)


class _File(msgspec.Struct):
    version: int
    exchanges: list[Exchange]
    about: str = ""


def read(path: Path) -> list[Exchange]:
    """Return the exchanges of a file; raises RecordingProblem where there is none, or another kind of file."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise RecordingProblem("recording-unreadable", path=path, reason=Phrase("said", said=error.strerror)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingProblem("recording-unreadable", path=path, reason=Phrase("no_recording", said=error)) from None
    if found.version != _VERSION:
        raise RecordingProblem("recording-unreadable", path=path, reason=Phrase("newer_recording", version=found.version))
    return found.exchanges


class Written:
    """A file that is begun anew; one that is there must be a recording, or empty. Raises RecordingProblem."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._exchanges: list[bytes] = []
        self._size = self._waiting = 0  # bytes that are written, and that are not yet
        try:
            if path.exists() and path.stat().st_size:
                read(path)
            self._write()
        except OSError as error:
            raise RecordingProblem("recording-unwritable", path=path, reason=Phrase("said", said=error.strerror)) from None

    def add(self, exchange: Exchange) -> None:
        """Put an exchange at the end; raises OSError. One of a file that is large by now may be written with the next one."""
        self._exchanges.append(_pretty(exchange))
        self._waiting += len(self._exchanges[-1])
        if self._size < _LARGE or 10 * self._waiting > self._size:
            self._write()

    def close(self) -> None:
        """Write what is not written yet; raises OSError."""
        if self._waiting:
            self._write()

    def _write(self) -> None:
        # The whole file, and then its name: one that is written to in place would be found torn after a crash.
        path = self.path.resolve()
        part = path.with_name(f"{path.name}.part")
        with part.open("wb") as file:
            file.write(_HEAD)
            file.write(b",\n".join(self._exchanges))
            file.write(_TAIL)
        part.replace(path)
        self._size, self._waiting = self._size + self._waiting, 0


def _pretty(exchange: Exchange) -> bytes:
    # A line of an answer is one line of the file: a stream is read from top to bottom.
    fields = [_field(name, value) for name, value in msgspec.to_builtins(exchange).items() if name != "answer"]
    lines = b",\n".join(b"    " + msgspec.json.encode(line) for line in exchange.answer)
    if lines:
        fields.append(b'  "answer": [\n' + lines + b"\n  ]")
    return b"{\n" + b",\n".join(fields) + b"\n}"


def _field(name: str, value: Any) -> bytes:
    pretty: bytes = msgspec.json.format(msgspec.json.encode(value), indent=2)
    return b'  "' + name.encode() + b'": ' + _LINE_START.sub(b"  ", pretty).lstrip()


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


Sleep = Callable[[float], None]
# What is asked as often as it happens to be needed: of these the last answer holds from then on.
_LASTING = {"/api/ps", "/api/show", "/api/tags", "/api/version"}


class Recorder(ABC):
    """A file of exchanges; ``replays`` says whether it answers instead of the server."""

    replays = False

    @abstractmethod
    def over(self, beneath: httpx.BaseTransport, sleep: Sleep, hidden: Sequence[str], place: str) -> httpx.BaseTransport:
        """Return the transport for a client; ``sleep`` waits as long as its session is open, ``hidden`` is never written.

        ``place`` is the host and port of its server.
        """

    @abstractmethod
    def close(self) -> None:
        """End it."""


def open_recording(path: str) -> Recorder:
    """Return a recording to the file, which is begun anew; with OLLAMA_MAGICS_REPLAY=1 its replay. Raises RecordingProblem."""
    file = Path(path).expanduser()
    if os.environ.get("OLLAMA_MAGICS_REPLAY", "") in ("", "0"):
        return _Recording(Written(file))
    return _Replay(file, read(file), hurried=os.environ.get("OLLAMA_MAGICS_STREAM") == "off")


class _Recording(Recorder):
    def __init__(self, file: Written) -> None:
        self._file, self._lock = file, threading.Lock()
        self._problem = ""

    def over(self, beneath: httpx.BaseTransport, sleep: Sleep, hidden: Sequence[str], place: str) -> httpx.BaseTransport:  # noqa: ARG002
        return Recorded(beneath, self.keep, self.require_whole, hidden, place)

    def require_whole(self) -> None:
        """Raise RecordingProblem where an exchange could not be written: what is asked now would be of no use."""
        if self._problem:
            raise RecordingProblem("recording-unwritable", path=self._file.path, reason=Phrase("said", said=self._problem))

    def keep(self, exchange: Exchange) -> None:
        """Write an exchange; a file that cannot be written must not cost the answer, so that the next request tells it."""
        with self._lock:
            try:
                self._file.add(exchange)
            except OSError as error:
                self._problem = error.strerror or str(error)

    def close(self) -> None:
        """Write what is not written yet; the session ends, and nobody is left to be told of a failure."""
        with self._lock, suppress(OSError):
            self._file.close()


class _Replay(Recorder):
    replays = True

    def __init__(self, path: Path, exchanges: Sequence[Exchange], *, hurried: bool) -> None:
        self._path, self._exchanges, self._hurried = path, exchanges, hurried
        self._lock = threading.Lock()
        self._left: dict[str, list[Exchange]] = {}
        for exchange in reversed(exchanges):
            self._left.setdefault(exchange.key, []).append(exchange)

    def over(self, beneath: httpx.BaseTransport, sleep: Sleep, hidden: Sequence[str], place: str) -> httpx.BaseTransport:  # noqa: ARG002
        return Replayed(beneath, self.answer, None if self._hurried else sleep, hidden)

    def close(self) -> None:
        """Nothing is open."""

    def answer(self, wanted: Exchange) -> Exchange:
        """Return the next recorded exchange of an equal request; raises RecordingProblem where there is none left."""
        with self._lock:
            left = self._left.get(wanted.key)
            if not left and wanted.path == "/api/ps":  # asked when a wait is long, which may be now and not then
                return Exchange(wanted.method, wanted.path, status=200, type="application/json", answer=[(0, {"models": []})])
            if not left:
                why = nearest(wanted, self._exchanges)
                raise RecordingProblem("recording-no-match", method=wanted.method, route=wanted.path, path=self._path, reason=why)
            return left[0] if len(left) == 1 and wanted.path in _LASTING else left.pop()
