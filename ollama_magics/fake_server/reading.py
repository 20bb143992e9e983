"""A request's body as typed fields, refused in the words of Go's decoder where a type is wrong."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ollama_magics.fake_server import refusals, syntax

_SPACE = b" \t\r\n"
_KINDS = {bool: "bool", int: "number", float: "number", str: "string", list: "array", dict: "object"}


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)  # NaN and Infinity, which Python would take for JSON


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


def document(data: bytes) -> Any:
    """Return the first JSON value of a body; what follows it is ignored, as Go does.

    Raises RefusalError for an empty body or one that is not JSON.
    """
    data = data.strip(_SPACE)
    if not data:
        raise refusals.bad_request("missing request body")
    try:
        return _DECODER.raw_decode(data.decode(errors="replace"))[0]
    except (ValueError, RecursionError):
        raise refusals.bad_request(syntax.complaint(data.decode("latin-1"))) from None


def kind(value: Any) -> str:
    """Return what Go calls this kind of JSON value."""
    return _KINDS[type(value)]


def whole_text(text: str) -> str:
    """Return the text with lone surrogates replaced, as Go does it while decoding."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Fields:
    """The members of a JSON object, found whatever their case; ``null`` counts as absent.

    ``place`` is where Go would say that they are, for instance ``ChatRequest`` or ``ChatRequest.messages``.
    """

    def __init__(self, values: dict[str, Any], place: str) -> None:
        self._values = {name.lower(): value for name, value in values.items() if value is not None}
        self._place = place

    def any(self, name: str) -> Any:
        """Return the value as it is; None where there is none."""
        return self._values.get(name)

    def text(self, name: str) -> str:
        """Return a string; "" where there is none."""
        return whole_text(str(self._typed(name, str, "string", "")))

    def flag(self, name: str, *, default: bool) -> bool:
        """Return a truth value."""
        return bool(self._typed(name, bool, "bool", default))

    def whole(self, name: str) -> int:
        """Return a whole number; 0 where there is none."""
        value = self._values.get(name, 0)
        if type(value) is int:
            return value
        named = f"number {value}" if type(value) is float else kind(value)
        raise refusals.wrong_type(named, f"{self._place}.{name}", "int")

    def mapping(self, name: str) -> dict[str, Any]:
        """Return an object; empty where there is none."""
        return dict(self._typed(name, dict, "map[string]interface {}", {}))

    def sequence(self, name: str, wanted: str, item: type, wanted_item: str) -> list[Any]:
        """Return a list whose items are of one Python type; ``wanted`` and ``wanted_item`` are their names in Go."""
        values = list(self._typed(name, list, wanted, []))
        for value in values:
            if not isinstance(value, item):
                raise refusals.wrong_type(kind(value), f"{self._place}.{name}", wanted_item)
        return values

    def _typed(self, name: str, wanted: type, wanted_in_go: str, default: Any) -> Any:
        value = self._values.get(name, default)
        if not isinstance(value, wanted):
            raise refusals.wrong_type(kind(value), f"{self._place}.{name}", wanted_in_go)
        return value


def fields(value: Any, struct: str) -> Fields:
    """Return the members of a request's document, where ``struct`` is its name in Go; ``null`` is an empty request."""
    if value is None:
        return Fields({}, struct)
    if not isinstance(value, dict):
        raise refusals.wrong_document(kind(value), struct)
    return Fields(value, struct)
