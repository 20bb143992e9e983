"""The file of a recording: pretty JSON that is whole after every exchange, whatever ends the kernel."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from ollama_magics.errors import RecordingProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.recording.exchange import Exchange

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
        raise RecordingProblem("OM-Y02", path=path, reason=Phrase("said", said=error.strerror)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordingProblem("OM-Y02", path=path, reason=Phrase("no_recording", said=error)) from None
    if found.version != _VERSION:
        raise RecordingProblem("OM-Y02", path=path, reason=Phrase("newer_recording", version=found.version))
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
            raise RecordingProblem("OM-Y03", path=path, reason=Phrase("said", said=error.strerror)) from None

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
