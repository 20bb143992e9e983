"""Make the definition of a function of the notebook that a model may call, and convert the arguments of a call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated, Any, Union

import msgspec
from msgspec import Struct

from ollama_magics.conversation.schema import Schema, make_schema
from ollama_magics.conversation.server_schema import inline_references
from ollama_magics.errors import FormatProblem, ToolProblem
from ollama_magics.messages import Phrase

_MAX_DESCRIPTION = 1000  # characters
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_INFERRED = (bool, int, float, str)  # types of a default that stand for a missing hint


class Tool(Struct, frozen=True):
    """A function that a model may call; ``definition`` is its entry in the ``tools`` field of the request."""

    name: str
    function: Callable[..., Any]
    definition: dict[str, Any]
    _arguments: Schema

    def convert(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call as values of the types in the signature; raises SchemaMismatchError."""
        found = self._arguments.convert(arguments)
        values = {name: getattr(found, name) for name in found.__struct_fields__}
        return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def make_tools(functions: Any) -> tuple[Tool, ...]:
    """Return a tool for a function, or for each in a list of functions and lists; raises ToolProblem (tool-unsupported)."""
    found: dict[str, Tool] = {}
    for function in _flatten(functions):
        tool = _make_tool(function)
        if found.setdefault(tool.name, tool).function is not function:
            raise _unsupported(function, Phrase("tool_twice"))
    return tuple(found.values())


def _flatten(functions: Any) -> Iterator[Any]:
    if isinstance(functions, Iterable) and not isinstance(functions, (str, bytes, Mapping)) and not callable(functions):
        for inner in functions:
            yield from _flatten(inner)
    else:
        yield functions


def _make_tool(function: Any) -> Tool:
    if isinstance(function, type):
        raise _unsupported(function, Phrase("tool_class"))
    if not callable(function) or not hasattr(function, "__name__"):
        raise _unsupported(function, Phrase("tool_nameless"))
    if not function.__name__.isidentifier():
        raise _unsupported(function, Phrase("tool_lambda"))
    unwrapped = inspect.unwrap(function)
    if inspect.isasyncgenfunction(unwrapped) or inspect.isgeneratorfunction(unwrapped):
        raise _unsupported(function, Phrase("tool_generator"))
    try:
        signature = inspect.signature(function, eval_str=True)
    except ValueError:
        raise _unsupported(function, Phrase("tool_built_in")) from None
    except (NameError, TypeError, SyntaxError, AttributeError) as error:
        raise _unsupported(function, Phrase("tool_hints", said=error)) from None

    name = function.__name__
    members = [_struct_field(function, parameter) for parameter in signature.parameters.values()]
    fields = msgspec.defstruct(name, members, kw_only=True, forbid_unknown_fields=True)
    try:
        schema = make_schema(fields, strict=False)  # small models write "2"
        inlined = inline_references(schema.format)
    except FormatProblem as error:
        raise _unsupported(function, Phrase("tool_types", what=error.what, seen=error.how_we_know)) from None

    # only these three keys of the schema reach the model's template
    description, described = parse_docstring(inspect.getdoc(function) or "")
    properties = dict(inlined.get("properties", {}))
    for key in described.keys() & properties.keys():
        properties[key] = {**properties[key], "description": described[key]}
    parameters = {"type": "object", "properties": properties, "required": inlined.get("required", [])}
    definition = {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
    return Tool(name, function, definition, schema)


def parse_docstring(docstring: str) -> tuple[str, dict[str, str]]:
    """Return the description of a function, and of each of its parameters: Google, NumPy or Sphinx style, each in one line."""
    import docstring_parser  # noqa: PLC0415 - 14 ms, which only a prompt with functions pays

    try:
        parsed = docstring_parser.parse(docstring)
    except (docstring_parser.ParseError, IndexError):  # IndexError: a line that begins with a colon, in Google style
        return _one_line(docstring), {}
    described = {parameter.arg_name.lstrip("*"): _one_line(parameter.description or "") for parameter in parsed.params}
    return _one_line(parsed.description or ""), {name: text for name, text in described.items() if text}


def _one_line(text: str) -> str:
    return " ".join(text.split())[:_MAX_DESCRIPTION]


def _struct_field(function: Any, parameter: inspect.Parameter) -> tuple[Any, ...]:
    if parameter.kind not in _BY_NAME:
        raise _unsupported(function, Phrase("tool_by_place", name=parameter))
    name, default, hint = parameter.name, parameter.default, parameter.annotation
    if hint is parameter.empty:
        hint = type(default)
        if hint not in _INFERRED:
            raise _unsupported(function, Phrase("tool_no_hint", name=parameter))
    if hasattr(default, "is_required") and hasattr(
        default, "get_default"
    ):  # pydantic's Field, which is no value for the function
        hint = Annotated[hint, default]
        return (name, hint) if default.is_required() else (name, hint, default.get_default(call_default_factory=True))
    if default is parameter.empty:
        return name, hint
    if default is None:
        hint = Union[hint, None]  # noqa: UP007 - as below
    # what the model leaves out is not passed: the function has the default
    optional: Any = Union[hint, msgspec.UnsetType]  # noqa: UP007 - not every hint has the operator |
    return name, optional, msgspec.UNSET


def _unsupported(function: Any, reason: Phrase) -> ToolProblem:
    name = getattr(function, "__name__", None) or repr(function)
    return ToolProblem("tool-unsupported", function=str(name)[:80], reason=reason)
