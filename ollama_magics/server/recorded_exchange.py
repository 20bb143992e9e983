"""One recorded exchange with a server, and the recorded one that is nearest to a request."""

from __future__ import annotations

import difflib
import hashlib
import json
import zlib
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from ollama_magics.messages import Joined, Phrase

INTERRUPTED = "interrupted"
LEFT = "left"
# What no room of ours reads: paths of the server, moments that would differ in each recording, by far the most bytes.
_LEFT_OUT = {"created_at", "license", "modelfile", "modified_at", "parent_model", "tensors"}
_INSIDE = {"details", "models"}  # where else such things stand
_PNG, _PNG_HEADER = b"\x89PNG\r\n\x1a\n", 33  # bytes up to the end of the first chunk, which holds size and kind
_ERROR = b'"error"'
_BULLETS = b"\xe2\x80\xa2" * 5
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Exchange(msgspec.Struct, omit_defaults=True):
    """``answer`` holds (milliseconds since the request, line); a line is a JSON object, or text where it was none.

    ``ended`` is empty for a whole answer: else ``interrupted`` (by the person), ``left`` (by who read it), or the names of
    what went wrong on the way.
    """

    method: str
    path: str
    request: Any = None
    status: int = 0
    type: str = ""
    answer: list[tuple[int, Any]] = []
    ended: str = ""

    @property
    def key(self) -> str:
        """The same text for equal requests."""
        return f"{self.method} {self.path} {_CANONICAL.encode(self.request)}"


def asked(method: str, path: str, body: bytes, hidden: Iterable[bytes]) -> Exchange:
    """Return the exchange of a request, not answered yet; the address, and what stands before ``/api`` in it, do not count."""
    shown = "/api/" + path.rpartition("/api/")[2] if "/api/" in path else path
    content = _decoded(_without(body, hidden)) if body else None
    return Exchange(method, shown, _without_pictures(content))


def heard(
    parts: Sequence[tuple[int, bytes]], hidden: Collection[bytes], hidden_in_errors: Collection[bytes]
) -> list[tuple[int, Any]]:
    """Return the lines of an answer that came in these parts, each with the time at which its last byte came.

    What is hidden in errors is so in each line that is one: also in the middle of an answer it likes to name the address.
    """
    lines: list[tuple[int, Any]] = []
    rest = b""
    for moment, part in parts:
        *whole, rest = (rest + part).split(b"\n")
        lines += [(moment, line) for line in whole]
    if rest:
        lines.append((parts[-1][0], rest))
    kept = ((moment, _without(line, hidden_in_errors if _ERROR in line else hidden)) for moment, line in lines)
    return [(moment, _lean(_decoded(line))) for moment, line in kept]


def spoken(line: Any) -> bytes:
    """Return a recorded line as the server sent it, but for spaces."""
    return line.encode() if isinstance(line, str) else msgspec.json.encode(line)


def _lean(value: Any) -> Any:
    if isinstance(value, list):
        return [_lean(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {name: _lean(part) if name in _INSIDE else part for name, part in value.items() if name not in _LEFT_OUT}


def _decoded(line: bytes) -> Any:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return line.decode("utf-8", "replace")
    return found if isinstance(found, (dict, list)) else line.decode()  # a bare text stays what it was, with its quotes


def _without(line: bytes, hidden: Iterable[bytes]) -> bytes:
    for secret in hidden:
        line = line.replace(secret, _BULLETS)
    return line


def _without_pictures(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_pictures(part) for part in value]
    if not isinstance(value, dict):
        return value
    return {
        name: [_hashed(picture) for picture in part] if name == "images" and isinstance(part, list) else _without_pictures(part)
        for name, part in value.items()
    }


def _hashed(picture: Any) -> str:
    try:
        data = b64decode(str(picture), validate=True)
    except (NoBase64, ValueError):
        data = str(picture).encode()
    return f"sha256:{hashlib.sha256(_unpacked(data)).hexdigest()}"


def _unpacked(data: bytes) -> bytes:
    """Return a PNG without its compression, which differs between builds of zlib while the picture is the same."""
    if not data.startswith(_PNG):
        return data
    chunks, position = b"", len(_PNG)
    while position + 8 <= len(data):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] == b"IDAT":
            chunks += data[position + 8 : end]
        position = end + 4  # the checksum
    try:
        return data[len(_PNG) : _PNG_HEADER] + zlib.decompress(chunks)
    except zlib.error:
        return data


_MOST = 3  # differences that are told
_LONGEST = 40  # characters of a value
_MOST_COMPARED = 2000  # characters of two texts whose likeness is measured
_NOTHING: Any = object()  # where one of the two has no value


def nearest(wanted: Exchange, recorded: Sequence[Exchange]) -> Phrase:
    """Return in words which recorded request comes nearest and what differs, or that none is of its kind."""
    kin = [(place, one) for place, one in enumerate(recorded, 1) if (one.method, one.path) == (wanted.method, wanted.path)]
    if not kin:
        return Phrase("no_such_request", method=wanted.method, path=wanted.path, count=len(recorded))
    place, found = min(kin, key=lambda one: _distance(one[1].request, wanted.request))
    if found.key == wanted.key:
        times = sum(one.key == wanted.key for _, one in kin)
        return Phrase("asked_too_often", count=times)
    told = [Phrase("differs", place=at, there=there, here=here) for at, there, here in _told(found.request, wanted.request)]
    return Phrase("nearest_request", number=place, count=len(recorded), differences=Joined(told, "; "))


def _distance(there: Any, here: Any) -> float:
    return sum(1 - _likeness(one, other) for _, one, other in _differences(there, here))


def _likeness(one: Any, other: Any) -> float:
    if not (isinstance(one, str) and isinstance(other, str)):
        return 0
    return difflib.SequenceMatcher(None, one[:_MOST_COMPARED], other[:_MOST_COMPARED]).ratio()


def _told(there: Any, here: Any) -> Iterator[tuple[str, str, str]]:
    differences = list(_differences(there, here))
    for at, one, other in differences[:_MOST]:
        yield (at, *_shown(one, other))
    if len(differences) > _MOST:
        yield "…", "…", "…"


def _shown(one: Any, other: Any) -> tuple[str, str]:
    if isinstance(one, str) and isinstance(other, str):
        same = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        start = max(0, same - _LONGEST // 2)
        return _cut(one, start), _cut(other, start)
    return _cut(one), _cut(other)


def _cut(value: Any, start: int = 0) -> str:
    if value is _NOTHING:
        return "–"
    text: str = value if isinstance(value, str) else str(value)
    end = start + _LONGEST
    shown = repr(text[start:end]) if value is text else text[start:end]
    return ("…" if start else "") + shown + ("…" if len(text) > end else "")


def _differences(there: Any, here: Any) -> list[tuple[str, Any, Any]]:
    """Return (place, value there, value here) for each value that differs, in the order of the request."""
    old, new = dict(_leaves(there, "")), dict(_leaves(here, ""))
    places = dict.fromkeys((*old, *new))
    pairs = ((at, old.get(at, _NOTHING), new.get(at, _NOTHING)) for at in places)
    return [(at, one, other) for at, one, other in pairs if one != other or type(one) is not type(other)]


def _leaves(value: Any, at: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{at}.{name}" if at else name)
    elif isinstance(value, list) and value:
        for place, part in enumerate(value):
            yield from _leaves(part, f"{at}[{place}]")
    else:
        yield at, value
