"""Check the calls that a model makes of functions of the notebook, and run them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.tool_arguments import read_arguments
from ollama_magics.conversation.tool_definitions import Tool
from ollama_magics.conversation.tool_results import ResultWriter
from ollama_magics.errors import OllamaMagicsError, ToolProblem
from ollama_magics.jobs.event_loop import Awaits

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture

MAX_CALLS = 8  # in one round
ALL_CALLS = "all"  # allows a call, and the further ones of the same function in this turn
_MAX_ARGUMENTS = 64 * 1024  # bytes of the arguments of one call, as JSON
_MAX_SHOWN = 4000  # characters of all arguments in a question or on a card
_MAX_VALUE, _MIN_VALUE = 400, 60  # characters of one argument; where each would get fewer, the call is refused
_MAX_ERROR = 1000
_PARAMETER = (  # of a query, whose value may be a secret
    r"(?:[\w-]*[-_])?(?:api|access|auth|private|secret|session|client|refresh|id|app|x)?"
    r"(?:key|token|secret|passwords?|passwd|pwd|pass|credentials?|signature|sig|auth|authorization|code)"
)
_PASSWORDS = re.compile(
    r"(?<=://)[^/@\s]+(?=@)|(?i:(?:(?<=bearer )|(?<=basic ))[^\s'\",]+)"
    rf"|(?i:(?<=[?&;])({_PARAMETER}=)[^&;\s'\"#]+)"
)
# What repr() shows as it is although it looks like nothing: fillers, joiners and variation selectors.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


@dataclass
class ToolCall:
    """One call that a model makes: ``name`` and ``arguments``, and then the ``result`` or ``error`` that was sent back.

    ``images`` are the pictures that went back with the result, ``notes`` say what of it did not.
    """

    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: str | None = None
    id: str = ""
    images: tuple[Picture, ...] = ()
    notes: tuple[Note, ...] = field(default=(), repr=False)
    written: Any = field(default=None, repr=False, compare=False)  # the arguments before they were read

    @classmethod
    def from_wire(cls, data: dict[str, Any]) -> ToolCall:
        """Return the call that an entry of ``tool_calls`` holds; its ``error`` is set where the arguments are too large."""
        function = data.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = str(function.get("name", ""))[:200], function.get("arguments", {})
        call = cls(name, {}, id=str(data.get("id") or "")[:200])
        if len(msgspec.json.encode(arguments)) > _MAX_ARGUMENTS:
            call.error = f"the arguments are larger than {_MAX_ARGUMENTS // 1024} kB"
        else:
            call.arguments, call.written = (arguments if isinstance(arguments, dict) else {}), arguments
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
        most = max(_MIN_VALUE, min(_MAX_VALUE, _MAX_SHOWN // max(1, len(self.arguments))))
        arguments = (f"{_shown_name(key)}={_shown_value(value, most)}" for key, value in self.arguments.items())
        return f"{_shown_name(self.name)}({', '.join(arguments)})"


class Toolbox:
    """Runs the calls of a model after ``confirm`` has allowed each; only the functions given here can be called.

    Where it returns ALL_CALLS, further calls of the same function in this turn are allowed, too. The model gets pictures if it
    ``sees``; if ``strict``, a result that does not reach it whole is an error. ``awaits`` returns the result of what an
    asynchronous function returned; without it that is an error.
    """

    def __init__(
        self,
        tools: Sequence[Tool],
        confirm: Callable[[ToolCall], Any] | None,
        *,
        sees: bool = False,
        strict: bool = False,
        awaits: Awaits | None = None,
    ) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._confirm, self._sees, self._strict, self._awaits = confirm, sees, strict, awaits
        self._allowed: set[str] = set()  # the functions whose calls are all allowed
        self._declined: set[tuple[str, bytes]] = set()  # name and arguments of calls that are not asked for again

    def adapted(self, *, sees: bool, strict: bool, awaits: Awaits) -> Toolbox:
        """Return the same for another model or prompt, in which each function is asked for again."""
        return Toolbox(tuple(self._tools.values()), self._confirm, sees=sees, strict=strict, awaits=awaits)

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
            call.arguments = read_arguments(call.written, tool.definition["function"]["parameters"])
            values = tool.convert(call.arguments)
            if len(values) * _MIN_VALUE > _MAX_SHOWN:
                raise ValueError(f"{len(values)} are too many to be shown to the user")  # noqa: TRY301 - as any other wrong one
        except (ValueError, RecursionError) as error:
            call.error = f"wrong arguments: {error}"
            return

        try:
            if self._is_allowed(call):
                self._invoke(tool, values, call)
            else:
                call.error = "the user did not allow this call"
        except ToolProblem:
            call.error = "nobody could be asked"
            raise
        except KeyboardInterrupt:
            call.error = "interrupted"
            raise

    def _is_allowed(self, call: ToolCall) -> bool:
        if call.name in self._allowed:
            return True
        if self._confirm is None:
            raise ToolProblem("tool-unconfirmed", call=str(call))
        asked = call.name, msgspec.json.encode(call.arguments, order="deterministic")
        if asked in self._declined:
            return False
        answer = self._result(self._confirm(call))
        if answer == ALL_CALLS:
            self._allowed.add(call.name)
        if not answer:
            self._declined.add(asked)
        return bool(answer)

    def _result(self, returned: Any) -> Any:
        """Return what a function of the user returned; if that is to be awaited, its result."""
        if not inspect.isawaitable(returned):
            return returned
        if self._awaits is None:
            if inspect.iscoroutine(returned):
                returned.close()
            raise TypeError("it returned something to be awaited, which is not supported here")
        return self._awaits(returned)

    def _invoke(self, tool: Tool, values: dict[str, Any], call: ToolCall) -> None:
        """Put the result of the function into the call, or its exception as type and message."""
        try:
            returned = self._result(tool.function(**values))
            result = ResultWriter(tool.name, sees=self._sees).result(returned)
        except OllamaMagicsError as error:
            call.error = _cut(_encodable(f"{error.what} {error.how_we_know}"), _MAX_ERROR)
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a function of the notebook raises goes to the model
            words = _words_of(error)
            call.error = _cut(f"{type(error).__name__}: {words}" if words else type(error).__name__, _MAX_ERROR)
        else:
            losses = [str(note.phrase) for note in result.notes if note.loses]
            if self._strict and losses:
                call.error = f"the result cannot be passed on whole: {'; '.join(losses)}"
            else:
                call.result, call.images, call.notes = result.text, result.pictures, result.notes


def _words_of(error: BaseException) -> str:
    """Return the message of an exception without passwords; an empty text where it has none that can be read."""
    try:
        return _PASSWORDS.sub(lambda found: f"{found[1] or ''}…", _encodable(str(error)))
    except Exception:  # noqa: BLE001 - __str__ is code of the notebook too
        return ""


# repr() escapes control characters and marks of direction: what is shown is what would run.


def _shown_name(name: str) -> str:
    return name if name.isascii() and name.isidentifier() else _shown_value(name, _MIN_VALUE)


def _shown_value(value: Any, most: int) -> str:
    """Return a value as Python writes it; of a long one the middle is left out, and its length is named."""
    text = value if isinstance(value, str) else repr(value)
    shown = repr if isinstance(value, str) else str
    if len(text) > most:
        head, tail = shown(text[: most // 2]), shown(text[-most // 2 :])
        left_out = f"{head} … {len(text) - most // 2 * 2} of {len(text)} characters are not shown … {tail}"
        return _escaped(left_out)
    return _escaped(shown(text))


def _escaped(text: str) -> str:
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}\n(cut: {length} of {len(text)} characters)"
