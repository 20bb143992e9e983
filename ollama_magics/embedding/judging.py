"""What keeps a value from being a text that can be embedded, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

MOST_NAMED = 10
_MISSING = {"NAType": "missing (NA)", "NaTType": "missing (NaT)"}  # of pandas, by name: nobody imports it for this
_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which UTF-8 cannot write


def flaw(value: Any) -> str:
    """Return why the value is no text, such as ``is None``, or an empty text where it is one."""
    if not isinstance(value, str):
        return f"is {_shown(value)}"
    if not value or value.isspace():
        return "is empty"
    if not value.isascii() and _SURROGATE.search(value):
        return "is no valid Unicode (a lone surrogate)"
    return ""


def _shown(value: Any) -> str:
    if value is None or isinstance(value, (int, float)):
        return repr(value)[:40]
    kind = type(value).__name__
    return _MISSING.get(kind, f"a {kind}")


def flaws(values: Sequence[Any]) -> dict[int, str]:
    """Return the flaw of each value that has one, by position."""
    return {row: found for row, value in enumerate(values) if (found := flaw(value))}


def named(found: Mapping[int, str], most: int = MOST_NAMED) -> str:
    """Return ``Row 3 is None, row 7 is empty and 12 more.``."""
    rows = sorted(found)
    shown = ", ".join(f"row {row} {found[row]}" for row in rows[:most])
    rest = f" and {len(rows) - most} more" if len(rows) > most else ""
    return f"{shown[:1].upper()}{shown[1:]}{rest}."
