"""-f and -t: answers that are objects, and functions that the model calls, in a shell."""

import io
from typing import Any

import pytest
from IPython.core.error import UsageError

from ollama_magics.errors import FormatProblem, ModelProblem, OllamaMagicsError, SettingError, ToolProblem
from ollama_magics.fake_server.server import FakeServer

CLASSES = """
from dataclasses import dataclass
from typing import Literal

@dataclass
class Person:
    name: str
    age: int

def add(a: int, b: int) -> int:
    '''Add two numbers.'''
    ran.append((a, b))
    return a + b

def greet(name: str) -> str:
    '''Greet somebody.'''
    return "Hello " + name

ran = []
"""


@pytest.fixture
def shell(shell: Any) -> Any:
    """Give a shell with some classes and functions in it."""
    shell.run(CLASSES)
    return shell


def bodies(stand_in: FakeServer, path: str = "/api/chat") -> list[dict[str, Any]]:
    """Return the bodies of all requests to a path."""
    return [dict(body) for _, asked, body in stand_in.requests if asked == path and body]


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let a person type this."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


# Formats.


@pytest.mark.parametrize(
    ("option", "sent"),
    [
        ("-f json", "json"),
        ("--format=json", "json"),
        ("-f list[int]", {"type": "array", "items": {"type": "integer"}}),
        ("-f \"Literal['a', 'b']\"", {"enum": ["a", "b"]}),
        ("-f int", {"type": "integer"}),
        ("-f $kind", {"type": "boolean"}),
        ("-f kind", {"type": "boolean"}),
    ],
)
def test_the_format_is_sent_as_a_schema(shell: Any, stand_in: FakeServer, option: str, sent: Any) -> None:
    """The word json, or an expression of the notebook."""
    shell.run("import json\nkind = {'type': 'boolean'}")
    shell.run(f"%ollama {option} hello")
    assert bodies(stand_in)[-1]["format"] == sent


def test_a_request_without_a_format_or_functions_says_nothing_of_them(shell: Any, stand_in: FakeServer) -> None:
    """The server would take null for a format."""
    shell.run("%ollama hello")
    assert not bodies(stand_in)[-1].keys() & {"format", "tools"}
    assert bodies(stand_in)[-1]["messages"] == [{"role": "user", "content": "hello"}]


def test_the_reply_holds_the_object(shell: Any) -> None:
    """A list of a class of the notebook, and its rows as a frame."""
    shell.run("r = %ollama -f list[Person] Ada and Bob")
    people = shell.names["r"].value
    assert [type(one).__name__ for one in people] == ["Person", "Person"]
    assert shell.names["r"].frame.columns.tolist() == ["name", "age"]
    assert len(shell.names["r"].frame) == 2


def test_completions_take_a_format_too(shell: Any, stand_in: FakeServer) -> None:
    """With the type completion it goes to /api/generate."""
    shell.run("%ollama_config --type completion")
    shell.run("r = %ollama -f Person Ada")
    assert bodies(stand_in, "/api/generate")[-1]["format"]["properties"].keys() == {"name", "age"}
    assert type(shell.names["r"].value).__name__ == "Person"


def test_an_answer_that_is_cut_inside_is_an_error_and_is_not_remembered(shell: Any, stand_in: FakeServer) -> None:
    """The text stays in _ollama; the -o name is not bound; the next turn does not send it."""
    error, shown = shell.fail("%%ollama -f list[Person] -o people --max-tokens 3\nAda and Bob")
    assert error.code == "object-cut"
    assert "--max-tokens" in shown
    assert "people" not in shell.names
    assert shell.names["_ollama"].text
    shell.run("%ollama hello")
    assert len(bodies(stand_in)[-1]["messages"]) == 1


def test_a_model_that_loops_is_an_error(shell: Any) -> None:
    """The server ends such an answer without calling it done."""
    error, _ = shell.fail("%ollama -f json loop over spaces")
    assert isinstance(error, OllamaMagicsError)
    assert error.code == "model-stuck"
    assert shell.names["_ollama"].text.startswith("{")


BAD = [
    ("-f Persn", UsageError, "name 'Persn' is not defined"),
    ("-f list[", UsageError, "list["),
    ("-f shell_.Person", UsageError, "shell_"),
    ("-f add.Person", UsageError, "no attribute 'Person'"),
    ("-f $frame", FormatProblem, "format-unsupported"),
    ("-f 5", FormatProblem, "format-unsupported"),
    ("-f None", FormatProblem, "format-invalid"),
    ("-f \"'Person'\"", FormatProblem, "format-invalid"),
    ("-t nothing", UsageError, "name 'nothing' is not defined"),
    ("-t print", ToolProblem, "tool-unsupported"),
    ("-t Person", ToolProblem, "tool-unsupported"),
    ("-t 'lambda a: a'", ToolProblem, "tool-unsupported"),
    ("-t add", ModelProblem, "model-not-able"),
]


@pytest.mark.parametrize(("options", "kind", "output"), BAD, ids=[options for options, _, _ in BAD])
def test_what_cannot_be_asked_is_named_before_anything_is_sent(
    shell: Any, stand_in: FakeServer, options: str, kind: type[BaseException], output: str
) -> None:
    """Each mistake in its own words; a model without the capability is refused with those that have it."""
    shell.run("import pandas as pd; frame = pd.DataFrame({'a': [1]})")
    error, shown = shell.fail(f"%ollama {options} hello")
    assert type(error) is kind
    assert output in shown
    assert bodies(stand_in) == []


# Functions.


def test_a_function_is_called_with_yes_and_its_result_is_answered(shell: Any, stand_in: FakeServer) -> None:
    """The call goes out as a line, the result goes back, and the second answer arrives."""
    shown = shell.run("r = %ollama -m sandbox-tools -t add --yes What is 2 plus 3?")
    assert shell.names["ran"] == [(2, 3)]
    first, second = bodies(stand_in)
    assert first["tools"][0]["function"]["name"] == "add"
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool"]
    assert second["messages"][2] | {"tool_call_id": ""} == {
        "role": "tool",
        "content": "5",
        "tool_name": "add",
        "tool_call_id": "",
    }
    assert shell.names["r"].text == "The functions returned: 5"
    assert [(str(call), call.result) for call in shell.names["r"].tool_calls] == [("add(a=2, b=3)", "5")]
    assert "add(a=2, b=3) → 5\n" in shown


@pytest.mark.parametrize(("answer", "ran"), [("y\n", [(2, 3)]), ("yes\n", [(2, 3)]), ("n\n", []), ("\n", []), ("why?\n", [])])
def test_the_person_is_asked_before_a_function_runs(
    shell: Any, monkeypatch: pytest.MonkeyPatch, answer: str, ran: list[Any]
) -> None:
    """With the call as it would run; anything but a yes is a no, of which the model hears."""
    typed(monkeypatch, answer)
    shown = shell.run("r = %ollama -m sandbox-tools -t add What is 2 plus 3?")
    assert "run add(a=2, b=3)? [y/N/a; a: every call of add in this turn, with any arguments]" in shown
    assert shell.names["ran"] == ran
    assert ("did not allow" in shell.names["r"].text) == (not ran)


def test_several_functions_can_be_named(shell: Any) -> None:
    """One by one, or as a list."""
    shell.run("both = [add, greet]")
    for options in ("-t add -t greet", "-t both", "-t $both"):
        shell.run(f"%ollama --once -m sandbox-tools {options} --yes Please add 2 and 3, and greet Ada.")
        calls = shell.names["_ollama"].tool_calls
        assert [call.name for call in calls] == ["add", "greet"]
        assert shell.names["_ollama"].complete


def test_a_later_turn_sends_the_calls_along(shell: Any, stand_in: FakeServer) -> None:
    """Memory holds the whole exchange."""
    shell.run("%ollama -m sandbox-tools -t add --yes What is 2 plus 3?")
    shell.run("%ollama -m sandbox-tools And then?")
    roles = [message["role"] for message in bodies(stand_in)[-1]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


def test_nobody_to_ask_is_an_error_with_the_way_out(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a script without a terminal."""
    typed(monkeypatch, "")
    error, shown = shell.fail("%ollama -m sandbox-tools -t add What is 2 plus 3?")
    assert isinstance(error, ToolProblem)
    assert "--yes" in shown
    assert shell.names["ran"] == []


def test_the_form_decides_about_functions(shell: Any, stand_in: FakeServer) -> None:
    """tools=no refuses; tools=yes asks a model that is not listed, whose server may refuse; completions have none."""
    shell.run("%ollama_config --tools no")
    error, _ = shell.fail("%ollama -m sandbox-tools -t add hello")
    assert isinstance(error, SettingError)
    assert bodies(stand_in) == []
    shell.run("%ollama_config --tools yes")
    error, _ = shell.fail("%ollama -m sandbox-chat -t add hello")
    assert isinstance(error, ModelProblem)
    assert len(bodies(stand_in)) == 1
    shell.run("%ollama_config --tools auto --type completion")
    error, _ = shell.fail("%ollama -m sandbox-tools -t add hello")
    assert error.code == "tools-need-chat"


def test_a_format_and_functions_go_together(shell: Any) -> None:
    """The last answer is the object."""
    shell.run("r = %ollama -m sandbox-tools -t add -f Person --yes What is 2 plus 3?")
    assert len(shell.names["r"].tool_calls) == 1
    assert type(shell.names["r"].value).__name__ == "Person"


# With the other options.


@pytest.mark.parametrize(
    ("options", "pair"),
    [
        ("--continue -f list[Person]", "--continue and --format"),
        ("--continue -f $frame", "--continue and --format"),
        ("--continue -t add", "--continue and --tool"),
        ("--reuse -t add --yes", "--reuse and --tool"),
    ],
)
def test_what_cannot_go_together_is_refused(shell: Any, stand_in: FakeServer, options: str, pair: str) -> None:
    """Half of an object cannot be finished, and what a function returns is not stored."""
    shell.run("import pandas as pd; frame = pd.DataFrame({'a': [1]})")
    error, shown = shell.fail(f"%ollama {options} hello")
    assert isinstance(error, UsageError)
    assert f"{pair} contradict each other" in shown
    assert bodies(stand_in) == []


def test_an_object_is_reused(shell: Any, stand_in: FakeServer) -> None:
    """The format is a part of the request: another one is another question."""
    for _ in range(2):
        shell.run("%ollama --once --reuse -f list[Person] Ada and Bob")
        assert len(shell.names["_ollama"].value) == 2
    assert len(bodies(stand_in)) == 1
    shell.run("%ollama --once --reuse -f Person Ada and Bob")
    assert len(bodies(stand_in)) == 2


def test_half_an_object_is_not_stored(shell: Any, stand_in: FakeServer) -> None:
    """To run the cell again is to ask again."""
    for _ in range(2):
        assert shell.fail("%ollama --once --reuse -f list[Person] --max-tokens 3 Ada and Bob")[0].code == "object-cut"
    assert len(bodies(stand_in)) == 2


def test_several_models_give_objects_and_call_functions(shell: Any, stand_in: FakeServer) -> None:
    """Each for itself; one that cannot leaves its error, and the others answer."""
    shell.run("rs = %ollama -m sandbox-chat -m sandbox-tools -f list[Person] Ada and Bob")
    assert [len(reply.value) for reply in shell.names["rs"]] == [2, 2]
    error, shown = shell.fail("%ollama -m sandbox-chat -m sandbox-tools -t add --yes What is 2 plus 3?")
    assert (error.code, shell.names["ran"]) == ("model-not-able", [(2, 3)])
    assert "add(a=2, b=3) → 5\nThe functions returned: 5" in shown
    before = len(bodies(stand_in))
    assert shell.fail("%ollama -m sandbox-chat -m sandbox-tools -t print hello")[0].code == "tool-unsupported"
    assert len(bodies(stand_in)) == before


def test_the_exported_history_holds_the_calls(shell: Any) -> None:
    """And a conversation that is replayed elsewhere is consistent."""
    shell.run("%ollama -m sandbox-tools -t add --yes What is 2 plus 3?")
    shell.run("output = %ollama_history --export")
    prompt, calling, result, answer = shell.names["output"]
    assert prompt == {"role": "user", "content": "What is 2 plus 3?"}
    assert calling["tool_calls"][0]["function"]["arguments"] == {"a": 2, "b": 3}
    assert result == {"role": "tool", "content": "5", "tool_name": "add"}
    assert answer == {"role": "assistant", "content": "The functions returned: 5"}
