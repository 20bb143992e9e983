"""Offer functions of the notebook to a model, check the calls that it makes, and run them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import msgspec

from ollama_magics.conversation import schema
from ollama_magics.errors import FormatProblem, ToolProblem
from ollama_magics.messages import Phrase

_MAX_DESCRIPTION = 1000  # characters
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_INFERRED = (bool, int, float, str)  # types of a default that stand for a missing hint


@dataclass(frozen=True)
class Tool:
    """A function that a model may call; ``definition`` is its entry in the ``tools`` field of the request."""

    name: str
    function: Callable[..., Any]
    definition: dict[str, Any]
    _fields: type[msgspec.Struct]

    def convert(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call as values of the types in the signature; raises msgspec.ValidationError."""
        try:
            found = msgspec.convert(arguments, self._fields)
        except msgspec.ValidationError:  # "2" becomes a number only where the hint takes no text
            found = msgspec.convert(arguments, self._fields, strict=False)
        values = {name: getattr(found, name) for name in self._fields.__struct_fields__}
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
    if inspect.iscoroutinefunction(unwrapped) or inspect.isasyncgenfunction(unwrapped) or inspect.isgeneratorfunction(unwrapped):
        raise _unsupported(function, Phrase("tool_asynchronous"))
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
        inlined = schema.inline_references(schema.make_schema(fields).format)
    except FormatProblem as error:
        raise _unsupported(function, Phrase("tool_types", what=error.what, seen=error.how_we_know)) from None

    # only these three keys of the schema reach the model's template
    description, described = parse_docstring(inspect.getdoc(function) or "")
    properties = dict(inlined.get("properties", {}))
    for key in described.keys() & properties.keys():
        properties[key] = {**properties[key], "description": described[key]}
    parameters = {"type": "object", "properties": properties, "required": inlined.get("required", [])}
    definition = {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}
    return Tool(name, function, definition, fields)


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


MAX_CALLS = 8  # in one round
_MAX_ARGUMENTS = 64 * 1024  # bytes of the arguments of one call, as JSON
_MAX_SHOWN = 2000  # characters of a call in a question or on a card
_MAX_RESULT = 8000  # characters that go back to the model
_MAX_ERROR = 1000
_PASSWORDS = re.compile(r"(?<=://)[^/@\s]+(?=@)|(?i:(?<=bearer )\S+)")
_DATA = (dict, list, tuple, set, frozenset, bool, type(None), msgspec.Struct)


@dataclass
class ToolCall:
    """One call that a model makes: ``name`` and ``arguments``, and then the ``result`` or ``error`` that was sent back."""

    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: str | None = None
    id: str = ""

    @classmethod
    def from_wire(cls, data: dict[str, Any]) -> ToolCall:
        """Return the call that an entry of ``tool_calls`` holds; its ``error`` is set where the arguments cannot be used."""
        function = data.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = str(function.get("name", ""))[:200], function.get("arguments", {})
        call = cls(name, {}, id=str(data.get("id") or "")[:200])
        if not isinstance(arguments, dict):
            call.error = "the arguments are not a JSON object"
        elif len(msgspec.json.encode(arguments)) > _MAX_ARGUMENTS:
            call.error = f"the arguments are larger than {_MAX_ARGUMENTS // 1024} kB"
        else:
            call.arguments = arguments
        return call

    def to_wire(self) -> dict[str, Any]:
        """Return the call as the next request repeats it."""
        return {**({"id": self.id} if self.id else {}), "function": {"name": self.name, "arguments": self.arguments}}

    @property
    def has_ended(self) -> bool:
        """Whether there is a result or an error."""
        return self.result is not None or self.error is not None

    @property
    def outcome(self) -> str:
        """The text that the model gets: the result, or the error."""
        return f"error: {self.error}" if self.error is not None else self.result or ""

    def __str__(self) -> str:
        # repr() escapes control characters and marks of direction: what is shown is what would run
        name = self.name if self.name.isidentifier() else repr(self.name)
        arguments = (f"{key if key.isidentifier() else repr(key)}={value!r}" for key, value in self.arguments.items())
        return _cut(f"{name}({', '.join(arguments)})", _MAX_SHOWN)


class Toolbox:
    """Runs the calls of a model after ``confirm`` has allowed each; only the functions given here can be called."""

    def __init__(self, tools: Sequence[Tool], confirm: Callable[[ToolCall], bool] | None) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._confirm = confirm

    @property
    def definitions(self) -> tuple[dict[str, Any], ...]:
        """The ``tools`` field of the request."""
        return tuple(tool.definition for tool in self._tools.values())

    def run(self, calls: Sequence[ToolCall]) -> None:
        """Run the calls one after another, and put the result or error into each; raises ToolProblem."""
        if len(calls) > MAX_CALLS:
            raise ToolProblem("tool-calls-too-many", count=len(calls), most=MAX_CALLS)
        for call in calls:
            if call.error is None:
                self._run(call)

    def _run(self, call: ToolCall) -> None:
        tool = self._tools.get(call.name)
        if tool is None:
            call.error = f"there is no function {call.name!r}; there are: {', '.join(self._tools)}"
            return
        try:
            values = tool.convert(call.arguments)
        except (msgspec.ValidationError, RecursionError) as error:
            call.error = f"wrong arguments: {error}"
            return

        try:
            if self._confirm is None:
                raise ToolProblem("tool-unconfirmed", call=str(call))  # noqa: TRY301 - the call gets its error below
            if self._confirm(call):
                _invoke(tool, values, call)
            else:
                call.error = "the user did not allow this call"
        except ToolProblem:
            call.error = "nobody could be asked"
            raise
        except KeyboardInterrupt:
            call.error = "interrupted"
            raise


def _invoke(tool: Tool, values: dict[str, Any], call: ToolCall) -> None:
    """Put the result of the function into the call, or its exception as type and message."""
    try:
        result = tool.function(**values)
        if inspect.isawaitable(result):
            if inspect.iscoroutine(result):
                result.close()
            call.error = f"TypeError: {tool.name} returned something to be awaited, which is not supported"
        else:
            if not isinstance(result, str):
                is_data = isinstance(result, _DATA) or hasattr(result, "__dataclass_fields__")
                result = msgspec.json.encode(result, enc_hook=_to_list_or_text).decode() if is_data else str(result)
            call.result = _cut(_encodable(result), _MAX_RESULT)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a function of the notebook raises goes to the model
        words = _PASSWORDS.sub("…", _encodable(str(error)))
        call.error = _cut(f"{type(error).__name__}: {words}" if words else type(error).__name__, _MAX_ERROR)


def _to_list_or_text(value: Any) -> Any:
    to_list = getattr(value, "tolist", None)  # of NumPy's arrays and single numbers
    return to_list() if to_list else str(value)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}\n(cut: {length} of {len(text)} characters)"
