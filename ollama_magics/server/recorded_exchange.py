"""One recorded exchange with a server, and the comparison of a request with recorded ones."""

from __future__ import annotations

import difflib
import hashlib
import json
import zlib
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from ollama_magics.messages import Joined, Phrase
from ollama_magics.server.model_card import full_name
from ollama_magics.server.redaction import Redaction
from ollama_magics.server.wire import is_shallow

INTERRUPTED, ABANDONED = "interrupted", "left"
# Fields that no module reads: paths on the server, times that would differ in each recording, and most of the bytes.
_OMITTED = {"created_at", "license", "modelfile", "modified_at", "parent_model", "tensors"}
_NESTED = {"details", "models"}  # fields that hold such fields
_PNG, _PNG_HEADER = b"\x89PNG\r\n\x1a\n", 33  # signature, and bytes up to the end of the first chunk (size and colour type)
_ERROR = b'"error"'
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Exchange(msgspec.Struct, omit_defaults=True):
    """A request with its answer."""

    method: str
    path: str
    request: Any = None
    status: int = 0
    type: str = ""
    answer: list[tuple[int, Any]] = []  # (milliseconds since the request, line); a line is a JSON object or array, or text
    ended: str = ""  # "" for a whole answer, "interrupted" by the user, "left" by the reader, or the names of the errors

    @property
    def key(self) -> str:
        """A text that is the same for equal requests; ``m`` and ``m:latest`` are the same model."""
        request = self.request
        if isinstance(request, dict) and isinstance(model := request.get("model"), str):
            request = {**request, "model": full_name(model)}
        return f"{self.method} {self.path} {_CANONICAL.encode(request)}"

    def without_turns(self) -> Exchange:
        """Return the exchange without the earlier turns of a chat: system prompt, last prompt and what follows it stay."""
        messages = self.request.get("messages") if isinstance(self.request, dict) else None
        if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
            return self
        last = max((place for place, message in enumerate(messages) if message.get("role") == "user"), default=0)
        kept = [*(message for message in messages[:last] if message.get("role") == "system"), *messages[last:]]
        return msgspec.structs.replace(self, request={**self.request, "messages": kept})


def new_exchange(method: str, path: str, body: bytes, redaction: Redaction) -> Exchange:
    """Return the exchange of a request without an answer; only the part of the path from ``/api`` on is kept."""
    api_path = "/api/" + path.rpartition("/api/")[2] if "/api/" in path else path
    content = redaction.lines([_without_pictures(_decoded(body))])[0] if body else None
    return Exchange(method, api_path, content)


def answer_lines(parts: Sequence[tuple[int, bytes]], redaction: Redaction, of_errors: Redaction) -> list[tuple[int, Any]]:
    """Return the lines of an answer, each with the time of its last byte; a line with an error may also name the address."""
    lines: list[tuple[int, Any]] = []
    rest = b""
    for moment, part in parts:
        *whole, rest = (rest + part).split(b"\n")
        lines += [(moment, line) for line in whole]
    if rest:
        lines.append((parts[-1][0], rest))
    decoded = redaction.lines([_without_omitted(_decoded(line)) for _, line in lines])
    return [
        (moment, of_errors.lines([value])[0] if _ERROR in line else value)
        for (moment, line), value in zip(lines, decoded, strict=True)
    ]


def encode_line(line: Any) -> bytes:
    """Return a recorded line as the server sent it, except for spaces."""
    return line.encode() if isinstance(line, str) else msgspec.json.encode(line)


def _without_omitted(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_omitted(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {name: _without_omitted(part) if name in _NESTED else part for name, part in value.items() if name not in _OMITTED}


def _decoded(line: bytes) -> Any:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return line.decode("utf-8", "replace")
    return found if isinstance(found, (dict, list)) and is_shallow(found) else line.decode()  # a JSON text keeps its quotes


def _without_pictures(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_pictures(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: [_picture_hash(one) for one in part] if name == "images" and isinstance(part, list) else _without_pictures(part)
        for name, part in value.items()
    }


def _picture_hash(picture: Any) -> str:
    """Return the hash of a picture; of a PNG without its compression, which differs between builds of zlib."""
    try:
        data = b64decode(str(picture), validate=True)
    except (NoBase64, ValueError):
        data = str(picture).encode()
    if data.startswith(_PNG):
        pixels, position = b"", len(_PNG)
        while position + 8 <= len(data):
            end = position + 8 + int.from_bytes(data[position : position + 4], "big")
            if data[position + 4 : position + 8] == b"IDAT":
                pixels += data[position + 8 : end]
            position = end + 4  # the checksum
        with suppress(zlib.error):
            data = data[len(_PNG) : _PNG_HEADER] + zlib.decompress(pixels)
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


_MAX_DIFFERENCES = 3  # that are reported
_MAX_VALUE = 40  # characters of a reported value
_MAX_COMPARED = 2000  # characters of two texts whose similarity is measured
_ABSENT: Any = object()  # the value of a field that one of two requests has not


def nearest(request: Exchange, recorded: Sequence[Exchange]) -> Phrase:
    """Return in words which recorded request is closest and what differs, or that none has its method and path.

    Earlier turns are compared as they are given; see ``Exchange.without_turns``.
    """

    def distance(numbered: tuple[int, Exchange]) -> float:
        total = 0.0
        for _, old, new in _differences(numbered[1].request, request.request):
            total += 1
            if isinstance(old, str) and isinstance(new, str):
                total -= difflib.SequenceMatcher(None, old[:_MAX_COMPARED], new[:_MAX_COMPARED]).ratio()
        return total

    same_path = [
        (number, one) for number, one in enumerate(recorded, 1) if (one.method, one.path) == (request.method, request.path)
    ]
    if not same_path:
        return Phrase("no_such_request", method=request.method, path=request.path, count=len(recorded))
    number, found = min(same_path, key=distance)
    if found.key == request.key:
        return Phrase("asked_too_often", count=sum(one.key == request.key for _, one in same_path))
    differences = _differences(found.request, request.request)
    phrases = []
    for place, old, new in differences[:_MAX_DIFFERENCES]:
        start = 0  # a long text is cut around the first character that differs
        if isinstance(old, str) and isinstance(new, str):
            common = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
            start = max(0, common - _MAX_VALUE // 2)
        phrases.append(Phrase("differs", place=place, there=_cut(old, start), here=_cut(new, start)))
    if len(differences) > _MAX_DIFFERENCES:
        phrases.append(Phrase("differs", place="…", there="…", here="…"))
    return Phrase("nearest_request", number=number, count=len(recorded), differences=Joined(phrases, "; "))


def _cut(value: Any, start: int) -> str:
    if value is _ABSENT:
        return "–"
    text: str = value if isinstance(value, str) else str(value)
    end = start + _MAX_VALUE
    shown = repr(text[start:end]) if value is text else text[start:end]
    return ("…" if start else "") + shown + ("…" if len(text) > end else "")


def _differences(recorded: Any, request: Any) -> list[tuple[str, Any, Any]]:
    """Return (place, recorded value, value of the request) for each value that differs, in the order of the fields."""
    old, new = dict(_leaves(recorded, "")), dict(_leaves(request, ""))
    places = dict.fromkeys((*old, *new))
    pairs = ((place, old.get(place, _ABSENT), new.get(place, _ABSENT)) for place in places)
    return [(place, one, other) for place, one, other in pairs if one != other or type(one) is not type(other)]


def _leaves(value: Any, place: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{place}.{name}" if place else name)
    elif isinstance(value, list) and value:
        for index, part in enumerate(value):
            yield from _leaves(part, f"{place}[{index}]")
    else:
        yield place, value
