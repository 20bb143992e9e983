"""What keeps a value from being a text that can be embedded, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ollama_magics.messages import Joined, Phrase

MOST_NAMED = 10
EMPTY, HALVED = Phrase("row_empty"), Phrase("row_surrogate")
_MISSING = {"NAType": "row_na", "NaTType": "row_nat"}  # of pandas, by name: nobody imports it for this
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which UTF-8 cannot write


def flaw(value: Any) -> Phrase | None:
    """Return why the value is no text, such as ``is None``, or None where it is one."""
    if not isinstance(value, str):
        return _kind(value)
    if not value or value.isspace():
        return EMPTY
    if not value.isascii() and _SURROGATE.search(value):
        return HALVED
    return None


def _kind(value: Any) -> Phrase:
    if value is None or isinstance(value, (int, float)):
        return _known("row_is", repr(value)[:40])
    kind = type(value).__name__
    return Phrase(_MISSING[kind]) if kind in _MISSING else _known("row_is_a", kind)


@lru_cache(maxsize=64)  # a column of a million numbers that are missing has one phrase for all
def _known(key: str, what: str) -> Phrase:
    return Phrase(key, what=what)


def flaws(values: Sequence[Any]) -> dict[int, Phrase]:
    """Return the flaw of each value that has one, by position."""
    return {row: found for row, value in enumerate(values) if (found := flaw(value))}


def named(found: Mapping[int, Phrase], most: int = MOST_NAMED) -> Phrase:
    """Return ``Row 3 is None, row 7 is empty and 12 more.``."""
    first, *others = sorted(found)
    shown = [Phrase("first_row", row=first, flaw=found[first])]
    shown += [Phrase("next_row", row=row, flaw=found[row]) for row in others[: most - 1]]
    rest = Phrase("more_rows", count=len(found) - most) if len(found) > most else ""
    return Phrase("rows_named", rows=Joined(shown, Phrase("comma")), rest=rest)
