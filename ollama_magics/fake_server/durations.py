"""How long a model shall stay, from the forms that ``keep_alive`` may take to seconds."""

from __future__ import annotations

import re
from typing import Any

from ollama_magics.fake_server.refusals import RefusalError, bad_request

FOREVER = float(2**63) / 1e9  # seconds: the longest duration that Go can hold, about 292 years

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+\.?\d*|\.\d+)([^.\d]*)")
_GO_NAMES = {bool: "bool", list: "[]interface {}", dict: "map[string]interface {}"}


def keep_alive(value: Any) -> float | None:
    """Return seconds (0: unload at once; FOREVER for anything negative), or None where nothing was said.

    Raises RefusalError for a text without units and for other types.
    """
    if value is None:
        return None
    if isinstance(value, bool | list | dict):
        raise bad_request(f"Unsupported type: '{_GO_NAMES[type(value)]}'")
    seconds = _duration(value) if isinstance(value, str) else float(value)
    return FOREVER if seconds < 0 else min(seconds, FOREVER)


def _duration(text: str) -> float:
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    total, at = 0.0, 0
    while at < len(rest) or not rest:
        part = _PART.match(rest, at)
        if part is None:
            raise bad_request(f'time: invalid duration "{text}"')
        number, unit = part.groups()
        if unit not in _SECONDS:
            raise _bad_unit(unit, text)
        total += float(number) * _SECONDS[unit]
        at = part.end()
    return sign * total


def _bad_unit(unit: str, text: str) -> RefusalError:
    wrong = f'unknown unit "{unit}"' if unit else "missing unit"
    return bad_request(f'time: {wrong} in duration "{text}"')
