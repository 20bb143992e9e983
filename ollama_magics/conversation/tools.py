"""Functions of the notebook that a model may call: their schemas, and how a call is checked and run."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

import msgspec

from ollama_magics.conversation import json_schema, schema
from ollama_magics.errors import FormatProblem, ToolProblem
from ollama_magics.messages import Phrase

_LONGEST = 1000  # characters of a description
_RULE = re.compile(r"-{3,}\s*$")
_GOOGLE = re.compile(r"(Args|Arguments|Parameters|Returns?|Raises|Yields|Examples?|Notes?)\s*:\s*$")
_SPHINX = re.compile(r":(?P<field>\w+)(?:\s+[^:]*?(?P<name>\w+))?\s*:\s*(?P<text>.*)$")
_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)$")
_NUMPY_ENTRY = re.compile(r"(?P<name>\w+)\s*(?::.*)?$")
_OF_PARAMETERS = {"Args", "Arguments", "Parameters"}


def summary(docstring: str) -> str:
    """Return what stands before the first section, in one line."""
    lines = docstring.splitlines()
    end = next((i for i, line in enumerate(lines) if _begins_section(lines, i) or _SPHINX.match(line.strip())), len(lines))
    return _joined(lines[:end])


def parameters(docstring: str) -> dict[str, str]:
    """Return the description of each parameter that has one."""
    lines = docstring.splitlines()
    found = _sphinx(lines)
    for i, line in enumerate(lines):
        if _begins_section(lines, i) and line.strip().rstrip(": ") in _OF_PARAMETERS:
            is_numpy = _is_ruled(lines, i)
            found |= _entries(_section(lines, i + 1 + is_numpy), _NUMPY_ENTRY if is_numpy else _ENTRY)
    return {name: text for name, text in found.items() if text}


def _begins_section(lines: list[str], i: int) -> bool:
    return bool(_GOOGLE.match(lines[i])) or _is_ruled(lines, i)


def _is_ruled(lines: list[str], i: int) -> bool:
    return bool(lines[i].strip()) and i + 1 < len(lines) and bool(_RULE.match(lines[i + 1]))


def _section(lines: list[str], start: int) -> list[str]:
    end = next((i for i in range(start, len(lines)) if _begins_section(lines, i)), len(lines))
    return lines[start:end]


def _entries(lines: list[str], pattern: re.Pattern[str]) -> dict[str, str]:
    """Return the entries of a section: what is indented deeper than the first line goes on with the entry before it."""
    found: dict[str, list[str]] = {}
    width = next((_indent(line) for line in lines if line.strip()), 0)
    name = ""
    for line in lines:
        match = pattern.match(line.strip()) if _indent(line) == width else None
        if match:
            name = match["name"]
            found[name] = [match.groupdict().get("text") or ""]
        elif name and _indent(line) > width:
            found[name].append(line)
        elif line.strip():
            break
    return {name: _joined(words) for name, words in found.items()}


def _sphinx(lines: list[str]) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if match := _SPHINX.match(line.strip()):
            name = match["name"] or "" if match["field"] in ("param", "parameter", "arg", "argument") else ""
            found |= {name: [match["text"]]} if name else {}
        elif name and line.startswith(" "):
            found[name].append(line)
    return {name: _joined(words) for name, words in found.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _joined(lines: Iterable[str]) -> str:
    return " ".join(" ".join(lines).split())[:_LONGEST]


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
        made = json_schema.inlined(schema.of(fields).sent)
    except FormatProblem as error:
        raise _refused(function, Phrase("tool_types", what=error.what, seen=error.how_we_know)) from None
    told = {"name": name, "description": summary(_docstring(function)), "parameters": _described(function, made)}
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
    said, properties = parameters(_docstring(function)), dict(made.get("properties", {}))
    for name in said.keys() & properties.keys():
        properties[name] = {**properties[name], "description": said[name]}
    return {"type": "object", "properties": properties, "required": made.get("required", [])}


def _docstring(function: Any) -> str:
    return inspect.getdoc(function) or ""


def _refused(function: Any, reason: Phrase) -> ToolProblem:
    name = getattr(function, "__name__", None) or repr(function)
    return ToolProblem("tool-unsupported", function=str(name)[:80], reason=reason)


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


MOST_CALLS = 8  # in one round


class Toolbox:
    """Runs what the model calls, if ``confirm`` says yes to the call; names are looked up here and nowhere else."""

    def __init__(self, tools: Sequence[Tool], confirm: Callable[[Call], bool] | None) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._confirm = confirm

    @property
    def sent(self) -> tuple[dict[str, Any], ...]:
        """What the model is told of the functions."""
        return tuple(tool.sent for tool in self._tools.values())

    def run(self, calls: Sequence[Call]) -> None:
        """Give each call its result or error, one after another; raises ToolProblem where nobody can be asked, or for too many.

        An interrupt goes through; the call that it ended says so.
        """
        if len(calls) > MOST_CALLS:
            raise ToolProblem("tool-calls-too-many", count=len(calls), most=MOST_CALLS)
        for call in calls:
            if call.error is None:
                self._run(call)

    def _run(self, call: Call) -> None:
        tool = self._tools.get(call.name)
        if tool is None:
            call.error = f"there is no function {call.name!r}; there are: {', '.join(self._tools)}"
            return
        try:
            values = tool.arguments(call.arguments)
        except (msgspec.ValidationError, RecursionError) as error:
            call.error = f"wrong arguments: {error}"
            return
        if self._is_allowed(call):
            _invoke(tool, values, call)
        else:
            call.error = "the person did not allow this call"

    def _is_allowed(self, call: Call) -> bool:
        try:
            return bool((self._confirm or _ask_nobody)(call))
        except ToolProblem:
            call.error = "nobody could be asked"
            raise
        except KeyboardInterrupt:
            call.error = "interrupted"
            raise


def _ask_nobody(call: Call) -> bool:
    raise ToolProblem("tool-unconfirmed", call=str(call))


def _invoke(tool: Tool, values: dict[str, Any], call: Call) -> None:
    try:
        call.result = told(_required(tool, tool.function(**values)))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a function of the notebook raises goes to the model
        call.error = told_error(error)
    except KeyboardInterrupt:
        call.error = "interrupted"
        raise


def _required(tool: Tool, result: Any) -> Any:
    """Return the result; raises TypeError where it would have to be awaited."""
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    message = f"{tool.name} gave something to be awaited, which nobody does here"
    raise TypeError(message)
