"""One call of a function as the model wrote it, and what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

_LARGEST = 64 * 1024  # bytes of the arguments of one call, as JSON
_LONGEST_SHOWN = 2000  # characters of a call in a question or on a card
_LONGEST_RESULT = 8000  # characters that go back to the model
_LONGEST_ERROR = 1000
_SECRET = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?i:(?<=bearer )\S+)")
_DATA = (dict, list, tuple, set, frozenset, bool, type(None), msgspec.Struct)


@dataclass
class Call:
    """What the model wants to run: ``name`` and ``arguments``; then its ``result`` or ``error``, as the model was told."""

    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: str | None = None
    id: str = ""

    @classmethod
    def of(cls, written: dict[str, Any]) -> Call:
        """Return the call in a line of the server, with an error in it where it cannot be one."""
        function = written.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = str(function.get("name", ""))[:200], function.get("arguments", {})
        call = cls(name, {}, id=str(written.get("id") or "")[:200])
        if not isinstance(arguments, dict):
            call.error = "the arguments are not a JSON object"
        elif len(msgspec.json.encode(arguments)) > _LARGEST:
            call.error = f"the arguments are larger than {_LARGEST // 1024} kB"
        else:
            call.arguments = arguments
        return call

    @property
    def sent(self) -> dict[str, Any]:
        """The call as it is repeated to the server."""
        return {**({"id": self.id} if self.id else {}), "function": {"name": self.name, "arguments": self.arguments}}

    @property
    def has_ended(self) -> bool:
        """Whether there is a result or an error."""
        return self.result is not None or self.error is not None

    @property
    def outcome(self) -> str:
        """What the model is told: the result, or the error."""
        return f"error: {self.error}" if self.error is not None else self.result or ""

    def __str__(self) -> str:
        # repr() writes controls and marks of direction as escapes: what is shown is what would run
        name = self.name if self.name.isidentifier() else repr(self.name)
        given = (f"{key if key.isidentifier() else repr(key)}={value!r}" for key, value in self.arguments.items())
        return _bounded(f"{name}({', '.join(given)})", _LONGEST_SHOWN)


def told(result: Any) -> str:
    """Return the text that stands for what a function returned: JSON for data, else its own text; a cut one says so."""
    if isinstance(result, str):
        text = result
    elif isinstance(result, _DATA) or hasattr(result, "__dataclass_fields__"):
        text = msgspec.json.encode(result, enc_hook=_plain).decode()
    else:
        text = str(result)
    return _bounded(_whole(text), _LONGEST_RESULT)


def told_error(error: BaseException) -> str:
    """Return type and message of an exception without its traceback, and without a password or token that stands in it."""
    words = _SECRET.sub("…", _whole(str(error)))
    return _bounded(f"{type(error).__name__}: {words}" if words else type(error).__name__, _LONGEST_ERROR)


def _plain(value: Any) -> Any:
    as_list = getattr(value, "tolist", None)  # of NumPy's arrays and single numbers
    return as_list() if as_list else str(value)


def _whole(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _bounded(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n(cut: {most} of {len(text)} characters)"
