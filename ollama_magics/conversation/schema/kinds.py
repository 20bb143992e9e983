"""A type of the notebook as what goes out as ``format``, and the answer as a value of that type."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from ollama_magics.conversation.schema import checking
from ollama_magics.conversation.schema.fitting import fit
from ollama_magics.errors import FormatProblem


class UnfitError(ValueError):
    """A text that is not of the type; its words say where and why."""


@dataclass(frozen=True)
class Schema:
    """What is sent as ``format``, and how the answer is read; ``listed``: its value is rows, which may be shown as they come."""

    sent: str | dict[str, Any]
    read: Callable[[str], Any]
    listed: bool = False

    def value(self, text: str) -> Any:
        """Return the text as a value of the type; raises UnfitError for a text that is not whole, or of another type."""
        try:
            return self.read(text)
        except Exception as error:  # noqa: BLE001 - a type of the notebook may raise anything as it is made
            raise UnfitError(" ".join(str(error).split())[:300]) from None

    def takes(self, text: str) -> bool:
        """Whether the text is a value of the type."""
        try:
            self.value(text)
        except UnfitError:
            return False
        return True


def of(kind: Any) -> Schema:
    """Return the schema of ``"json"``, a JSON schema (a dict), or a type; raises FormatProblem for what has none."""
    if kind is None or isinstance(kind, str):
        if kind == "json":
            return Schema("json", msgspec.json.decode)
        raise FormatProblem("OM-F04", kind=repr(kind)[:80])
    if isinstance(kind, dict):
        fitted = fit(kind)
        checking.require_sound(fitted)
        return Schema(fitted, checking.reader(kind), _is_listed(fitted))
    made, read = _types(kind)
    fitted = fit(made)
    return Schema(fitted, read, _is_listed(fitted))


def _types(kind: Any) -> tuple[dict[str, Any], Callable[[str], Any]]:
    if hasattr(kind, "model_json_schema") and (found := _pydantics(kind)):
        return found
    try:
        return msgspec.json.schema(kind), msgspec.json.Decoder(kind).decode
    except NameError as error:
        raise FormatProblem("OM-F02", kind=_called(kind), name=error.name or str(error)) from None
    except KeyError:
        # msgspec cannot name two classes alike: a cell that was run again has made its classes anew
        raise FormatProblem("OM-F03", kind=_called(kind)) from None
    except TypeError as error:
        if found := _pydantics(kind):
            return found
        raise FormatProblem("OM-F01", kind=_called(kind), reason=str(error).splitlines()[-1]) from None


def _pydantics(kind: Any) -> tuple[dict[str, Any], Callable[[str], Any]] | None:
    """Return schema and reader of a type with pydantic models in it; None where the notebook has no pydantic, or it has none."""
    if (pydantic := sys.modules.get("pydantic")) is None:
        return None
    try:
        adapter = pydantic.TypeAdapter(kind)
        return adapter.json_schema(), adapter.validate_json
    except (pydantic.errors.PydanticUserError, AttributeError, TypeError):  # the latter two where it is no type at all
        return None


def _is_listed(schema: dict[str, Any]) -> bool:
    """Whether the value is a list, or an object of which the only property is one."""
    properties = list(schema.get("properties", {}).values())
    only = properties[0] if len(properties) == 1 else {}
    return "array" in (schema.get("type"), only.get("type"))


def _called(kind: Any) -> str:
    return str(getattr(kind, "__name__", None) or kind)[:80] if isinstance(kind, type) else str(kind)[:80]
