"""A value that keeps to a JSON schema, without any model having thought about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain, count, cycle
from math import inf
from typing import Any

from ollama_magics.fake_server import refusals

_DEEPEST = 6
_ITEMS = 2  # of a list, where the schema leaves it open
_FORMATS = {
    "date": "2026-01-05",
    "date-time": "2026-01-05T09:00:00Z",
    "time": "09:00:00Z",
    "duration": "PT5M",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "12345678-1234-4234-8234-123456789abc",
}


def instance(schema: dict[str, Any], words: list[str], numbers: Iterable[int] = ()) -> Any:
    """Return a value that the schema allows, its texts taken from ``words`` and its keys in the order of the schema.

    Numbers come from ``numbers``, then they are counted.

    Raises RefusalError where Ollama cannot make a grammar of the schema.
    """
    return _Instances(schema, words, numbers).value(schema, 0)


class _Instances:
    """The words and numbers still to be used, and where to look up a ``$ref``."""

    def __init__(self, root: dict[str, Any], words: list[str], numbers: Iterable[int]) -> None:
        self._root = root
        self._words = cycle(words or ["nothing"])
        self._numbers = chain(numbers, count(1))

    def value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            raise refusals.bad_schema()
        if not schema.keys() & {"type", "properties", "const", "enum", "$ref", "anyOf", "oneOf", "allOf"} and "not" in schema:
            raise refusals.bad_schema()
        for keyword in ("const", "enum", "$ref", "anyOf", "oneOf", "allOf"):
            if keyword in schema:
                return self._combined(keyword, schema, depth)
        return self._typed(schema, depth)

    def _combined(self, keyword: str, schema: dict[str, Any], depth: int) -> Any:
        inner = schema[keyword]
        if keyword == "const":
            return inner
        if keyword == "$ref":
            return self._referred(inner, depth)
        if not isinstance(inner, list) or not inner:
            raise refusals.bad_schema()
        if keyword == "enum":
            return inner[0]
        if keyword == "allOf":
            return self.value({key: value for part in inner for key, value in part.items()}, depth)
        return self.value(_null_of(inner) if depth >= _DEEPEST else inner[0], depth)

    def _referred(self, reference: Any, depth: int) -> Any:
        # A root that is a reference switches the grammar off below it: seen on 0.24.0.
        if "$ref" in self._root and depth > 0:
            return {"prompt": next(self._words)}
        target: Any = self._root
        for key in str(reference).removeprefix("#").strip("/").split("/"):
            target = target.get(key) if isinstance(target, dict) and key else target
        if target is None or not str(reference).startswith("#") or depth > 2 * _DEEPEST:
            raise refusals.bad_schema()
        return self.value(target, depth + 1 if target is not self._root else depth)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        name = schema.get("type", "object" if "properties" in schema or not depth else "string")
        makers: dict[str, Callable[[], Any]] = {
            "object": lambda: self._object(schema, depth),
            "array": lambda: self._array(schema, depth),
            "string": lambda: self._string(schema),
            "integer": lambda: self._integer(schema),
            "number": lambda: self._number(schema),
            "boolean": lambda: True,
            "null": lambda: None,
        }
        names = name if isinstance(name, list) and name else [name]
        if not all(isinstance(one, str) and one in makers for one in names):
            raise refusals.bad_schema()
        return makers[names[0]]()

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        members = schema.get("properties", {})
        required = schema.get("required", [])
        names = [name for name in members if name in required or depth < _DEEPEST]
        more = schema.get("additionalProperties")
        if not members and isinstance(more, dict):
            return {next(self._words): self.value(more, depth + 1)}
        return {name: self.value(members[name], depth + 1) for name in names}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        items = schema.get("items")
        if items is False:  # a tuple of fixed length, which Ollama cannot make a grammar of
            raise refusals.bad_schema()
        first = [self.value(item, depth + 1) for item in schema.get("prefixItems", [])]
        least = schema.get("minItems", 0)
        wanted = max(least, min(_ITEMS if depth < _DEEPEST else 0, schema.get("maxItems", _ITEMS)))
        if items is None:
            return first
        return first + [self.value(items, depth + 1) for _ in range(wanted - len(first))]

    def _string(self, schema: dict[str, Any]) -> str:
        pattern = schema.get("pattern", "^$")
        if not (pattern.startswith("^") and pattern.endswith("$")):
            raise refusals.bad_schema()
        text = _FORMATS.get(schema.get("format", "")) or next(self._words)
        return text.ljust(schema.get("minLength", 0), ".")[: schema.get("maxLength")]

    def _integer(self, schema: dict[str, Any]) -> int:
        least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        most = schema.get("maximum", schema.get("exclusiveMaximum", inf) - 1)
        return int(min(max(next(self._numbers), least), most))

    def _number(self, schema: dict[str, Any]) -> float:
        least = schema.get("minimum", schema.get("exclusiveMinimum"))
        most = schema.get("maximum", schema.get("exclusiveMaximum"))
        if least is not None and most is not None:
            return float((least + most) / 2)
        return float(self._integer(schema))


def _null_of(choices: list[Any]) -> Any:
    """Return the choice that ends a recursion, if there is one."""
    return next((choice for choice in choices if choice == {"type": "null"}), choices[0])
