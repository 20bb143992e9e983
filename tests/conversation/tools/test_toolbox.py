"""Calls of functions: which of them run, what goes back to the model, and what a hostile model gets."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.conversation.tool_definitions import make_tools
from ollama_magics.conversation.tools import Toolbox, ToolCall
from ollama_magics.errors import ToolProblem


class Recorder:
    """A function that records each of its calls."""

    def __init__(self, result: Any = None, error: BaseException | None = None) -> None:
        self.calls: list[Any] = []
        self._result, self._error = result, error

    def add(self, a: int, b: int) -> Any:
        """Add two numbers."""
        self.calls.append((a, b))
        if self._error:
            raise self._error
        return a + b if self._result is None else self._result


def written_call(name: str = "add", arguments: Any = None) -> dict[str, Any]:
    """Return a call as a server writes it."""
    given = {"a": 2, "b": 3} if arguments is None else arguments
    return {"id": "call_1", "function": {"index": 0, "name": name, "arguments": given}}


def run(recorder: Recorder, *, allowed: bool = True) -> ToolCall:
    """Return a call after a toolbox with that one function has run it."""
    call = ToolCall.from_wire(written_call())
    Toolbox(make_tools(recorder.add), lambda _: allowed).run([call])
    return call


def test_a_call_runs_after_a_yes() -> None:
    """With what the model wrote, and the result as text."""
    recorder = Recorder()
    call = run(recorder)
    assert recorder.calls == [(2, 3)]
    assert (call.result, call.error, call.outcome, str(call)) == ("5", None, "5", "add(a=2, b=3)")


def test_a_call_does_not_run_after_a_no() -> None:
    """The model gets that as the error."""
    recorder = Recorder()
    call = run(recorder, allowed=False)
    assert recorder.calls == []
    assert call.outcome == "error: the user did not allow this call"


def test_an_equal_call_is_not_asked_for_again_after_a_no() -> None:
    """In the same turn; one with other arguments is, and in another turn all are."""
    recorder, asked = Recorder(), list[ToolCall]()
    toolbox = Toolbox(make_tools(recorder.add), asked.append)
    calls = [ToolCall.from_wire(written_call(arguments=one)) for one in ({"a": 2, "b": 3}, {"b": 3, "a": 2}, {"a": 2, "b": 4})]
    toolbox.run(calls)
    assert (len(asked), {call.error for call in calls}) == (2, {"the user did not allow this call"})
    toolbox.adapted(sees=False, strict=False, awaits=lambda one: one).run([ToolCall.from_wire(written_call())])
    assert (len(asked), recorder.calls) == (3, [])


def test_nothing_runs_where_nobody_can_be_asked() -> None:
    """The error names the call and the way to allow it."""
    recorder = Recorder()
    with pytest.raises(ToolProblem) as caught:
        Toolbox(make_tools(recorder.add), None).run([ToolCall.from_wire(written_call())])
    assert caught.value.code == "tool-unconfirmed"
    assert "add(a=2, b=3)" in caught.value.what
    assert "--yes" in caught.value.remedy
    assert recorder.calls == []


HOSTILE: list[dict[str, Any]] = [
    written_call("eval", {"source": "1"}),
    written_call("__import__", {"name": "os"}),
    written_call("add.__globals__"),
    written_call("../../etc/passwd"),
    written_call("ran"),
    written_call(""),
    written_call("ADD"),
    written_call(arguments={"a": 2}),
    written_call(arguments={"a": 2, "b": 3, "c": 4}),
    written_call(arguments={"a": 2, "b": "__import__('os')"}),
    written_call(arguments={"a": [2], "b": 3}),
    written_call(arguments={"self": None, "a": 2, "b": 3}),
    written_call(arguments={"a": 2, "b": "3" * 10_000_000}),
    written_call(arguments='{"a": 2, "b": 3'),
    written_call(arguments=[2, 3]),
    {"function": "add"},
    {"function": {"name": {"x": 1}}},
    {},
]


def test_an_all_holds_for_one_function_in_one_turn() -> None:
    """Other functions, and the same one for another prompt, are asked for again; anything else but "all" is for one call."""
    questions: list[str] = []

    def greet(name: str) -> str:
        return f"hello {name}"

    def confirm(one: ToolCall) -> bool | str:
        questions.append(str(one))
        return "all" if one.name == "add" else "yes"

    def run_in(box: Toolbox, called: str, **arguments: object) -> str | None:
        call = ToolCall.from_wire(written_call(called, arguments))
        box.run([call])
        return call.result

    box = Toolbox(make_tools([Recorder().add, greet]), confirm)
    assert [run_in(box, "add", a=1, b=2), run_in(box, "greet", name="Ada")] == ["3", "hello Ada"]
    assert [run_in(box, "add", a=3, b=4), run_in(box, "greet", name="Bob")] == ["7", "hello Bob"]
    assert questions == ["add(a=1, b=2)", "greet(name='Ada')", "greet(name='Bob')"]
    run_in(box.adapted(sees=False, strict=False, awaits=str), "add", a=5, b=6)
    assert questions[-1] == "add(a=5, b=6)"


@pytest.mark.parametrize("written", HOSTILE, ids=lambda written: str(written)[:60])
def test_an_unknown_name_or_a_wrong_argument_runs_nothing_and_asks_nobody(written: dict[str, Any]) -> None:
    """Names are looked up among the functions of the cell only; the error goes back to the model, and is short."""
    recorder, call = Recorder(), ToolCall.from_wire(written)
    questions: list[ToolCall] = []

    def confirm(one: ToolCall) -> bool:
        questions.append(one)
        return True

    Toolbox(make_tools(recorder.add), confirm).run([call])
    assert (recorder.calls, questions, call.result) == ([], [], None)
    assert call.error
    assert len(call.outcome) < 1000
    assert len(str(call.to_wire())) < 100_000


def test_a_hundred_calls_at_once_are_refused() -> None:
    """More than eight are an error before the first of them runs."""
    recorder = Recorder()
    with pytest.raises(ToolProblem) as caught:
        Toolbox(make_tools(recorder.add), lambda _: True).run([ToolCall.from_wire(written_call()) for _ in range(100)])
    assert (caught.value.code, recorder.calls) == ("tool-calls-too-many", [])


def test_an_exception_goes_back_as_type_and_message() -> None:
    """Without a traceback, and without a password that stands in an address."""
    call = run(Recorder(error=ValueError("no route to http://ada:s3cret@host/, Bearer abc123")))
    assert call.error == "ValueError: no route to http://…@host/, Bearer …"
    assert run(Recorder(error=ZeroDivisionError())).error == "ZeroDivisionError"
    assert run(Recorder(error=SystemExit(1))).error == "SystemExit: 1"
    assert len(run(Recorder(error=ValueError("x" * 100_000))).outcome) < 2000


def test_what_would_have_to_be_awaited_is_an_error() -> None:
    """Nothing awaits it, and its text would say nothing to the model."""

    async def later() -> int:
        return 1

    assert "to be awaited" in str(run(Recorder(result=later())).error)


def test_an_interrupt_goes_through() -> None:
    """It is the user's, not the model's; the call has it as its error."""
    call = ToolCall.from_wire(written_call())
    with pytest.raises(KeyboardInterrupt):
        Toolbox(make_tools(Recorder(error=KeyboardInterrupt()).add), lambda _: True).run([call])
    assert call.error == "interrupted"


@pytest.mark.parametrize(
    ("result", "text"),
    [
        ("a text", "a text"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        ((1, 2), "[1,2]"),
        (True, "true"),
        (2.5, "2.5"),
        (math.inf, "inf"),
        (np.float64(2.5), "2.5"),
        ([np.float64(2.5), np.arange(2)], "[2.5,[0,1]]"),
        ("half \ud800 pair", "half ? pair"),
        (object, "<class 'object'>"),
    ],
)
def test_a_result_goes_back_as_text(result: Any, text: str) -> None:
    """Data as JSON, anything else as its own text."""
    assert run(Recorder(result=result)).result == text


def test_a_long_result_is_cut_and_says_so() -> None:
    """The context must have space for the answer."""
    result = run(Recorder(result="x" * 100_000)).result
    assert result is not None
    assert result.endswith("(cut: 8000 of 100000 characters)")


@given(st.text(), st.dictionaries(st.text(), st.text()))
def test_a_call_is_shown_without_anything_that_a_terminal_obeys(name: str, arguments: dict[str, str]) -> None:
    """What is shown in the question is what would run: one line, without controls or marks of direction."""
    shown = str(ToolCall.from_wire(written_call(name, arguments)))
    assert all(character.isprintable() for character in shown)


INVISIBLE = ["\u3164", "\ufe0f", "\u202e", "\u200b", "\U000e0041", "\U000e0100", "\u2800", "\u115f", "\u034f", "\xad", "\u2066"]


@pytest.mark.finding("E2")
def test_every_argument_is_shown_by_name_however_long_the_others_are() -> None:
    """A long one is cut in its middle, with its length; what looks like nothing is escaped."""
    shown = str(ToolCall("write", {"text": "x" * 5000 + "END", "path": "/etc/passwd", "lines": ["y" * 900]}))
    assert "path='/etc/passwd'" in shown
    assert "lines=['yyy" in shown
    assert "xEND'" in shown
    assert "4603 of 5003 characters are not shown" in shown
    assert len(shown) < 2000
    many = str(ToolCall("f", {f"a{number}": "z" * 1000 for number in range(60)}))
    assert all(f"a{number}='zz" in many for number in range(60))
    for character in INVISIBLE:
        hidden = str(ToolCall("f", {"a": f"rm{character} -rf"}))
        assert character not in hidden
        assert "\\" in hidden
    assert str(ToolCall("f", {"a": "x' … 9 of 10 characters are not shown … 'y"})).startswith("f(a=\"x' …")


@pytest.mark.finding("E2")
def test_a_call_with_more_arguments_than_can_be_shown_is_refused() -> None:
    """Nobody could see what is confirmed."""
    names = [f"a{number}" for number in range(100)]
    space: dict[str, Any] = {}
    exec(f"def many({', '.join(f'{name}: int' for name in names)}) -> int:\n    'Add.'\n    return 1", space)  # noqa: S102
    call, asked = ToolCall.from_wire(written_call("many", dict.fromkeys(names, 1))), list[ToolCall]()
    Toolbox(make_tools(space["many"]), lambda one: not asked.append(one)).run([call])  # type: ignore[func-returns-value]
    assert (asked, call.result) == ([], None)
    assert "too many to be shown" in str(call.error)


class Unreadable(Exception):
    """An exception whose message cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.finding("E14")
def test_an_exception_whose_message_cannot_be_made_is_named() -> None:
    """The answer goes on."""
    assert run(Recorder(error=Unreadable())).error == "Unreadable"


@pytest.mark.finding("E18")
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("for https://a.test/x?q=1&api_key=abc123&page=2"), "ValueError: for https://a.test/x?q=1&api_key=…&page=2"),
        (ValueError("https://a.test/?X-Amz-Signature=ab%2Fc#x"), "ValueError: https://a.test/?X-Amz-Signature=…#x"),
        (ValueError("GET /?access_token=abc and ?Password=b"), "ValueError: GET /?access_token=… and ?Password=…"),
        (ValueError("Authorization: Basic YTpi, Bearer abc"), "ValueError: Authorization: Basic …, Bearer …"),
        (ValueError("?keyword=a&tokens=5&monkey=x"), "ValueError: ?keyword=a&tokens=5&monkey=x"),
    ],
    ids=range(5),
)
def test_an_error_of_a_function_tells_no_secret_and_always_has_words(error: Exception, said: str) -> None:
    """Values of a query whose names look like secrets are hidden."""
    assert run(Recorder(error=error)).error == said


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(["add", "eval", "exec", "print", "__builtins__", "add.__self__"]) | st.text()
WATCHED: list[str] = []
sys.addaudithook(lambda event, _: WATCHED.append(event) if event in ("exec", "compile", "import", "open", "os.system") else None)


@given(NAMES, st.dictionaries(st.sampled_from(["a", "b", "c", "__class__"]), JSON) | JSON)
def test_no_text_of_a_model_is_evaluated(name: str, arguments: Any) -> None:
    """Whatever it calls: the one function runs with two whole numbers, or nothing does; no code is compiled, no file opened."""
    recorder, call = Recorder(), ToolCall.from_wire(written_call(name, arguments))
    toolbox = Toolbox(make_tools(recorder.add), lambda _: True)
    WATCHED.clear()
    toolbox.run([call])
    shown = str(call)
    assert WATCHED == []
    assert shown
    assert recorder.calls == [] or (name == "add" and [type(value) for value in recorder.calls[0]] == [int, int])
