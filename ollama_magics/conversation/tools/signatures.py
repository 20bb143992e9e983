"""A function of the notebook as a tool: its signature as a JSON schema, and arguments converted to what it wants."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Union

import msgspec

from ollama_magics.conversation.schema import fitting, kinds
from ollama_magics.conversation.tools import docstrings
from ollama_magics.errors import FormatProblem, ToolProblem
from ollama_magics.messages import Phrase

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_GUESSED = (bool, int, float, str)  # the type of a default that stands for a missing hint


@dataclass(frozen=True)
class Tool:
    """A function that may be called; ``sent`` is what the model is told of it."""

    name: str
    function: Callable[..., Any]
    sent: dict[str, Any]
    _fields: type[msgspec.Struct]

    def arguments(self, written: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the model wrote as values of the types in the signature; raises msgspec.ValidationError.

        ``"2"`` is taken for a number only where no text is wanted; nothing unknown is let through.
        """
        try:
            found = msgspec.convert(written, self._fields)
        except msgspec.ValidationError:
            found = msgspec.convert(written, self._fields, strict=False)
        values = {name: getattr(found, name) for name in self._fields.__struct_fields__}
        return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def offered(functions: Any) -> tuple[Tool, ...]:
    """Return the functions, or lists of them, as tools; raises ToolProblem for one that cannot be called by argument names."""
    found: dict[str, Tool] = {}
    for function in _each(functions):
        tool = _tool(function)
        if found.setdefault(tool.name, tool).function is not function:
            raise _refused(function, Phrase("tool_twice"))
    return tuple(found.values())


def _each(functions: Any) -> Iterator[Any]:
    if isinstance(functions, Iterable) and not isinstance(functions, (str, bytes, Mapping)) and not callable(functions):
        for inner in functions:
            yield from _each(inner)
    else:
        yield functions


def _tool(function: Any) -> Tool:
    _check_kind(function)
    signature = _signature(function)
    name = function.__name__
    fields = msgspec.defstruct(
        name, [_field(function, given) for given in signature.parameters.values()], kw_only=True, forbid_unknown_fields=True
    )
    try:
        made = fitting.inlined(kinds.of(fields).sent)
    except FormatProblem as error:
        raise _refused(function, Phrase("tool_types", what=error.what, seen=error.how_we_know)) from None
    told = {"name": name, "description": docstrings.summary(_docstring(function)), "parameters": _described(function, made)}
    return Tool(name, function, {"type": "function", "function": told}, fields)


def _check_kind(function: Any) -> None:
    if isinstance(function, type):
        raise _refused(function, Phrase("tool_class"))
    if not callable(function) or not hasattr(function, "__name__"):
        raise _refused(function, Phrase("tool_nameless"))
    if not function.__name__.isidentifier():
        raise _refused(function, Phrase("tool_lambda"))
    unwrapped = inspect.unwrap(function)
    if inspect.iscoroutinefunction(unwrapped) or inspect.isasyncgenfunction(unwrapped) or inspect.isgeneratorfunction(unwrapped):
        raise _refused(function, Phrase("tool_asynchronous"))


def _signature(function: Any) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except ValueError:
        raise _refused(function, Phrase("tool_built_in")) from None
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise _refused(function, Phrase("tool_hints", said=error)) from None


def _field(function: Any, given: inspect.Parameter) -> tuple[Any, ...]:
    if given.kind not in _NAMED:
        raise _refused(function, Phrase("tool_by_place", name=given))
    hint = _hint(function, given)
    if given.default is None:
        hint = Union[hint, None]  # noqa: UP007 - as below
    # a default is left to the function: what the model does not write is not passed
    may_be_left_out: Any = Union[hint, msgspec.UnsetType]  # noqa: UP007 - a hint need not know the sign |
    return (given.name, hint) if given.default is given.empty else (given.name, may_be_left_out, msgspec.UNSET)


def _hint(function: Any, given: inspect.Parameter) -> Any:
    if given.annotation is not given.empty:
        return given.annotation
    if type(given.default) in _GUESSED:
        return type(given.default)
    raise _refused(function, Phrase("tool_no_hint", name=given.name))


def _described(function: Any, made: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the parameters with what the docstring says of each; only what the server passes on is kept."""
    said, properties = docstrings.parameters(_docstring(function)), dict(made.get("properties", {}))
    for name in said.keys() & properties.keys():
        properties[name] = {**properties[name], "description": said[name]}
    return {"type": "object", "properties": properties, "required": made.get("required", [])}


def _docstring(function: Any) -> str:
    return inspect.getdoc(function) or ""


def _refused(function: Any, reason: Phrase) -> ToolProblem:
    name = getattr(function, "__name__", None) or repr(function)
    return ToolProblem("OM-K01", function=str(name)[:80], reason=reason)
