"""A request that is not in a recording -> the one that comes nearest, and what differs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

from ollama_magics.messages import Joined, Phrase
from ollama_magics.server.recording.exchange import Exchange

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
