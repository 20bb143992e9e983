"""The file of a recording: pretty JSON that is whole after every exchange, whatever ends the kernel."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import msgspec

from ollama_magics.errors import RecordingProblem
from ollama_magics.recording.exchange import Exchange
from ollama_magics.texts import Phrase

_VERSION = 1
_ABOUT = "Exchanges with an Ollama server, recorded by ollama_magics. Prompts and answers stand here in clear."
_HEAD = f'{{\n"about": "{_ABOUT}",\n"version": {_VERSION},\n"exchanges": [\n'.encode()
_TAIL = b"\n]\n}\n"
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
        try:
            if path.exists() and path.stat().st_size:
                read(path)
            self._file = path.open("wb", buffering=0)
            self._file.write(_HEAD + _TAIL)
        except OSError as error:
            raise RecordingProblem("OM-Y03", path=path, reason=Phrase("said", said=error.strerror)) from None
        self._is_empty = True

    def add(self, exchange: Exchange) -> None:
        """Write one exchange over the end of the file, and the end again; raises OSError.

        In one call of the system, which neither an interrupt nor the end of this process divides.
        """
        self._file.seek(-len(_TAIL), os.SEEK_END)
        between = b"" if self._is_empty else b",\n"
        left = memoryview(between + _pretty(exchange) + _TAIL)
        while left:
            left = left[self._file.write(left) :]
        self._is_empty = False

    def close(self) -> None:
        """Close the file, which needs no more to be whole."""
        self._file.close()


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
