"""Record exchanges with a server to a file, and replay them from it."""

from __future__ import annotations

import builtins
import os
import re
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import httpcore
import httpx
import msgspec

from ollama_magics.errors import RecordingProblem
from ollama_magics.files import UnusableFileError, read_regular, require_regular
from ollama_magics.messages import Phrase
from ollama_magics.secret import Secret
from ollama_magics.server.recorded_exchange import (
    ABANDONED,
    INTERRUPTED,
    Exchange,
    answer_lines,
    encode_line,
    nearest,
    new_exchange,
)
from ollama_magics.server.redaction import LONG_SECRET, Redaction
from ollama_magics.server.transport import Recorder

Sleep = Callable[[float], None]
_Clock = Callable[[], int]
_VERSION = 1
_ABOUT = "Exchanges with an Ollama server, recorded by ollama_magics. It holds prompts and answers in plain text."
_HEAD = f'{{\n"about": "{_ABOUT}",\n"version": {_VERSION},\n"exchanges": [\n'.encode()
_TAIL = b"\n]\n}\n"
_LARGEST = 2**30  # bytes of a file that is read
_LARGE = 8 * 1024 * 1024  # bytes; a larger file is rewritten only when it has grown by a tenth
_LINE_START = re.compile(rb"^(?=.)", re.MULTILINE)


class _FileContent(msgspec.Struct):
    version: int
    exchanges: list[Exchange]
    about: str = ""


def read(path: Path) -> list[Exchange]:
    """Return the exchanges of a file; raises RecordingProblem where it cannot be read, or is no recording."""
    try:
        found = msgspec.json.decode(read_regular(path, _LARGEST), type=_FileContent)
    except FileNotFoundError:
        raise RecordingProblem("recording-missing", path=path, folder=path.absolute().parent) from None
    except OSError as error:
        raise RecordingProblem("recording-unreadable", path=path, reason=_reason(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingProblem("recording-unreadable", path=path, reason=Phrase("no_recording", said=error)) from None
    if found.version != _VERSION:
        raise RecordingProblem("recording-unreadable", path=path, reason=Phrase("newer_recording", version=found.version))
    return found.exchanges


def _reason(error: OSError) -> Phrase:
    return error.reason if isinstance(error, UnusableFileError) else Phrase("said", said=error.strerror)


class RecordingFile(Recorder):
    """A recorder to a file, which may replace a recording or an empty file; raises RecordingProblem."""

    replays = False

    def __init__(self, path: Path) -> None:
        self.path, self._lock = path, threading.Lock()
        self._exchanges: list[bytes] = []
        self._size = self._unwritten = 0  # bytes
        self._problem = ""
        try:
            if path.exists():
                require_regular(path)  # anything else must not be replaced
                if path.stat().st_size:
                    read(path)  # nor what is no recording
            self._write()
        except RecordingProblem as problem:
            raise RecordingProblem("recording-unwritable", path=path, reason=problem.facts["reason"]) from None
        except OSError as error:
            raise RecordingProblem("recording-unwritable", path=path, reason=_reason(error)) from None

    def transport(
        self,
        inner: httpx.BaseTransport,
        sleep: Sleep,  # noqa: ARG002
        secrets: Sequence[Secret],
        endpoint: str,
    ) -> httpx.BaseTransport:
        """Return a transport that records what the inner one sends."""
        return _RecordingTransport(inner, self, secrets, endpoint)

    def raise_if_failed(self) -> None:
        """Raise RecordingProblem where an exchange could not be written, since the recording is incomplete."""
        if self._problem:
            raise RecordingProblem("recording-unwritable", path=self.path, reason=Phrase("said", said=self._problem))

    def add(self, exchange: Exchange) -> None:
        """Append an exchange, in a large file perhaps together with a later one; the next request reports a failure."""
        with self._lock:
            self._exchanges.append(_encoded(exchange))
            self._unwritten += len(self._exchanges[-1])
            if self._size < _LARGE or 10 * self._unwritten > self._size:
                try:
                    self._write()
                except OSError as error:
                    self._problem = error.strerror or str(error)

    def close(self) -> None:
        """Write what is not written yet; a failure cannot be reported any more, since the session ends."""
        with self._lock, suppress(OSError):
            if self._unwritten:
                self._write()

    def _write(self) -> None:
        # Written to another file and renamed: a crash cannot leave a part of a file.
        path = self.path.resolve()
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-", suffix=".part")  # with 0600
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(_HEAD)
                file.write(b",\n".join(self._exchanges))
                file.write(_TAIL)
            with suppress(FileNotFoundError):
                part.chmod(stat.S_IMODE(path.stat().st_mode))
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        self._size, self._unwritten = self._size + self._unwritten, 0


def _encoded(exchange: Exchange) -> bytes:
    # Each line of an answer is one line of the file, so that a stream can be read from top to bottom.
    fields = []
    for name, value in msgspec.to_builtins(exchange).items():
        if name != "answer":
            indented = msgspec.json.format(msgspec.json.encode(value), indent=2)
            fields.append(b'  "' + name.encode() + b'": ' + _LINE_START.sub(b"  ", indented).lstrip())
    lines = b",\n".join(b"    " + msgspec.json.encode(line) for line in exchange.answer)
    if lines:
        fields.append(b'  "answer": [\n' + lines + b"\n  ]")
    return b"{\n" + b",\n".join(fields) + b"\n}"


class _RecordingTransport(httpx.BaseTransport):
    """Sends requests with another transport, and records each exchange, without secrets, once its answer has ended."""

    def __init__(self, inner: httpx.BaseTransport, recorder: RecordingFile, secrets: Sequence[Secret], endpoint: str) -> None:
        self._inner, self._recorder = inner, recorder
        self._redaction = Redaction(secrets, LONG_SECRET)
        # only errors are cleared of short secrets, and of host and port
        self._redaction_of_errors = Redaction((*secrets, Secret(endpoint)), 1)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the answer of the inner transport, whose stream is recorded."""
        self._recorder.raise_if_failed()
        exchange = new_exchange(request.method, request.url.path, request.read(), self._redaction)
        clock = _clock()
        try:
            answer = self._inner.handle_request(request)
        except BaseException as error:
            exchange.ended = _error_names(error)
            self._recorder.add(exchange)
            raise
        exchange.status, exchange.type = answer.status_code, answer.headers.get("content-type", "")

        def finish(parts: Sequence[tuple[int, bytes]], ended: str) -> None:
            is_error = exchange.status != httpx.codes.OK  # a gateway may name the address in an error
            redaction = self._redaction_of_errors if is_error else self._redaction
            exchange.answer, exchange.ended = answer_lines(parts, redaction, self._redaction_of_errors), ended
            self._recorder.add(exchange)

        stream = _RecordedStream(answer, clock, finish)
        return httpx.Response(answer.status_code, headers=answer.headers, stream=stream, extensions=answer.extensions)

    def close(self) -> None:
        """Close the inner transport."""
        self._inner.close()


class _RecordedStream(httpx.SyncByteStream):
    def __init__(self, answer: httpx.Response, clock: _Clock, finish: Callable[[Sequence[tuple[int, bytes]], str], None]) -> None:
        self._answer, self._clock, self._finish = answer, clock, finish
        self._parts: list[tuple[int, bytes]] = []
        self._has_ended = False

    def __iter__(self) -> Iterator[bytes]:
        try:
            for part in self._answer.iter_raw():
                self._parts.append((self._clock(), part))
                yield part
        except GeneratorExit:
            raise  # close() follows
        except BaseException as error:
            self._end(_error_names(error))
            raise
        self._end("")

    def close(self) -> None:
        self._answer.close()
        self._end(INTERRUPTED if _is_interrupt(sys.exception()) else ABANDONED)

    def _end(self, how: str) -> None:
        if not self._has_ended:
            self._has_ended = True
            self._finish(self._parts, how)


class _ReplayTransport(httpx.BaseTransport):
    """Answers from a recording; with ``sleep`` about as fast as the server, else at once."""

    def __init__(self, inner: httpx.BaseTransport, replay: _FileReplay, sleep: Sleep | None, secrets: Sequence[Secret]) -> None:
        self._inner, self._replay, self._sleep = inner, replay, sleep
        self._redaction = Redaction(secrets, LONG_SECRET)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the recorded answer, or raise the recorded error."""
        exchange = self._replay.answer(new_exchange(request.method, request.url.path, request.read(), self._redaction))
        if not exchange.status:
            _raise_recorded(exchange.ended)
            raise httpcore.RemoteProtocolError("as recorded")
        headers = {"content-type": exchange.type} if exchange.type else {}
        return httpx.Response(exchange.status, headers=headers, stream=_ReplayedStream(exchange, self._sleep))

    def close(self) -> None:
        """Close the inner transport, which has opened nothing."""
        self._inner.close()


class _ReplayedStream(httpx.SyncByteStream):
    def __init__(self, exchange: Exchange, sleep: Sleep | None) -> None:
        self._exchange, self._sleep, self._clock = exchange, sleep, _clock()

    def __iter__(self) -> Iterator[bytes]:
        for moment, line in self._exchange.answer:
            if self._sleep and (early := moment - self._clock()) > 0:
                self._sleep(early / 1000)
            yield encode_line(line) + b"\n"
        if self._exchange.ended:
            _raise_recorded(self._exchange.ended)


def _clock() -> _Clock:
    start = time.monotonic()
    return lambda: round(1000 * (time.monotonic() - start))


def _error_names(error: BaseException) -> str:
    """Return the names of the error that ended an answer, and of the system error that caused it, if any."""
    if _is_interrupt(error):
        return INTERRUPTED
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return " ".join(type(one).__name__ for one in (error, cause) if one is not None)


def _is_interrupt(error: BaseException | None) -> bool:
    # closing a stream raises an error in it, whose context is the interrupt
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _raise_recorded(ended: str) -> None:
    """Raise the error that ended a recorded answer; an interrupt only in the main thread, where the user could interrupt it."""
    if ended == INTERRUPTED and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt
    name, _, cause = ended.partition(" ")
    kind = getattr(httpcore, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        system = getattr(builtins, cause, None)
        failure = kind("as recorded")
        failure.__context__ = system() if isinstance(system, type) and issubclass(system, OSError) else None
        raise failure


# Requests that are sent as often as they happen to be needed: their last answer is repeated.
_REPEATABLE = {"/api/ps", "/api/show", "/api/tags", "/api/version"}


def open_recording(path: str) -> Recorder:
    """Return a recorder to a new file, or with OLLAMA_MAGICS_REPLAY=1 its replay; raises RecordingProblem."""
    if not path.strip():
        raise RecordingProblem("recording-unwritable", path=repr(path), reason=Phrase("no_file_name"))
    file = Path(path).expanduser()
    if os.environ.get("OLLAMA_MAGICS_REPLAY", "") in ("", "0"):
        return RecordingFile(file)
    return _FileReplay(file, read(file), is_fast=os.environ.get("OLLAMA_MAGICS_STREAM") == "off")


class _FileReplay(Recorder):
    replays = True

    def __init__(self, path: Path, exchanges: Sequence[Exchange], *, is_fast: bool) -> None:
        self._path, self._exchanges, self._is_fast = path, exchanges, is_fast
        self._lock = threading.Lock()
        self._left: dict[str, list[Exchange]] = {}
        self._lacks_turns = False  # whether a request had no recording, so that later ones of its conversation lack its turn
        for exchange in reversed(exchanges):
            self._left.setdefault(exchange.key, []).append(exchange)

    def transport(
        self,
        inner: httpx.BaseTransport,
        sleep: Sleep,
        secrets: Sequence[Secret],
        endpoint: str,  # noqa: ARG002
    ) -> httpx.BaseTransport:
        return _ReplayTransport(inner, self, None if self._is_fast else sleep, secrets)

    def close(self) -> None:
        """Nothing is open."""

    def answer(self, request: Exchange) -> Exchange:
        """Return the next recorded exchange of an equal request; raises RecordingProblem where none is left."""
        with self._lock:
            left = self._left.get(request.key)
            if not left and request.path == "/api/ps":  # sent when a wait is long, which may be so only now
                return Exchange(request.method, request.path, status=200, type="application/json", answer=[(0, {"models": []})])
            if not left and self._lacks_turns:
                left = self._with_other_turns(request)
            if not left:
                alike = [one.without_turns() for one in (request, *self._exchanges)] if self._lacks_turns else None
                reason = nearest(alike[0], alike[1:]) if alike else nearest(request, self._exchanges)
                self._lacks_turns = True
                raise RecordingProblem(
                    "recording-no-match", method=request.method, route=request.path, path=self._path, reason=reason
                )
            return left[0] if len(left) == 1 and request.path in _REPEATABLE else left.pop()

    def _with_other_turns(self, request: Exchange) -> list[Exchange] | None:
        """Return recorded exchanges that differ from the request in nothing but its earlier turns, or None."""
        key = request.without_turns().key
        return next((left for left in self._left.values() if left and left[-1].without_turns().key == key), None)
