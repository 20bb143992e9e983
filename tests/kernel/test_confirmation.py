"""The question before a function runs, in a real kernel: answered, refused, interrupted, and where nobody can be asked."""

import time
from typing import Any

import pytest

from ollama_magics.fake_server.server import FakeServer

PATIENCE = 30
FUNCTION = """
ran = []
def add(a: int, b: int) -> int:
    "Add two numbers."
    ran.append((a, b))
    return a + b
def rest(seconds: int) -> str:
    "Rest for a while."
    import time
    ran.append("resting")
    time.sleep(seconds)
    return "rested"
"""
ASK = "%%ollama --once -m sandbox-tools -t add\nWhat is 2 plus 3?"


@pytest.fixture
def ready(kernel: Any) -> Any:
    """Give the kernel with a function in it."""
    assert kernel.run(FUNCTION).status == "ok"
    return kernel


def question_of(kernel: Any) -> str:
    """Return what the kernel asks."""
    message = kernel.client.get_stdin_msg(timeout=PATIENCE)
    assert message["msg_type"] == "input_request"
    return str(message["content"]["prompt"])


@pytest.mark.parametrize(("answer", "ran", "printed"), [("y", "[(2, 3)]", "5"), ("", "[]", "did not allow")])
def test_the_person_is_asked_inside_of_the_running_cell(ready: Any, answer: str, ran: str, printed: str) -> None:
    """The question holds the call; the answer decides, and the second answer of the model arrives."""
    request = ready.start(ASK, "cell-1", allow_stdin=True)
    assert question_of(ready) == "run add(a=2, b=3)? [y/N/a; a: every call of add in this turn, with any arguments] "
    ready.client.input(answer)
    done = ready.finish(request)
    assert done.status == "ok"
    assert printed in done.plain
    assert "add(a=2, b=3)" in done.html
    assert ready.run("print(ran)").written == f"{ran}\n"


def test_the_call_is_on_the_screen_while_it_is_asked_for(ready: Any) -> None:
    """As a card; no waiting line goes on ticking over it."""
    request = ready.start(ASK, "cell-1", allow_stdin=True)
    assert question_of(ready)
    time.sleep(1.5)
    ready.client.input("y")
    done = ready.finish(request)
    asking = [m["content"]["data"]["text/html"] for m in done.messages]
    assert "add(a=2, b=3)" in asking[1]
    assert not any("waiting" in page for page in asking[1:])


def test_the_result_is_on_the_screen_before_the_model_has_read_it(ready: Any) -> None:
    """However soon after the last paint it comes: the model may take minutes."""
    done = ready.run(ASK.replace("-t add", "-t add --yes"))
    pages = [message["content"]["data"]["text/html"] for message in done.messages]
    assert any(">5</div>" in page and "functions returned" not in page for page in pages)


def test_a_table_grows_while_its_rows_come(ready: Any) -> None:
    """A row more at a time; the last paint has them all."""
    rows = "[" + ", ".join(f"[{number}, {number}]" for number in range(40)) + "]"
    done = ready.run(f"%%ollama --once -f list[list[int]]\nrepeat after me: {rows}")
    pages = [message["content"]["data"]["text/html"] for message in done.messages]
    counts = [page.count("<tr style") for page in pages if "<table" in page]
    assert counts == sorted(counts)
    assert counts[-1] == 40


def test_where_nobody_can_be_asked_nothing_runs(ready: Any) -> None:
    """As in nbclient and Run All on a server: the error says how to allow it."""
    done = ready.run(ASK)
    assert (done.status, done.error) == ("error", "ToolProblem")
    assert "--yes" in "".join(done.traceback)
    assert "add(a=2, b=3)" in done.html
    assert "nobody could be asked" in done.html
    assert ready.run("print(ran)").written == "[]\n"


def test_with_yes_nobody_is_asked(ready: Any) -> None:
    """It runs in an unattended notebook, too."""
    done = ready.run(ASK.replace("-t add", "-t add --yes"))
    assert done.status == "ok"
    assert ready.run("print(ran)").written == "[(2, 3)]\n"


def test_an_interrupt_of_the_question_ends_the_cell(ready: Any, stand_in: FakeServer) -> None:
    """Within a second, with one line, and nothing runs; the next cell works."""
    request = ready.start(ASK, "cell-1", allow_stdin=True)
    assert question_of(ready)
    pressed = time.monotonic()
    ready.process.interrupt_kernel()
    done = ready.finish(request)
    assert done.idle_at - pressed < 2
    assert (done.error, len(done.traceback)) == ("Interrupted", 1)
    assert ready.run("print(ran, _ollama.complete, _ollama.tool_calls[0].error)").written == "[] False interrupted\n"
    assert len([path for _, path, _ in stand_in.requests if path == "/api/chat"]) == 1


def test_an_interrupt_of_a_function_ends_the_cell(ready: Any, stand_in: FakeServer) -> None:
    """The call says so, and the reply is kept."""
    request = ready.start("%%ollama --once -m sandbox-tools -t rest --yes\nPlease rest 30 seconds.")
    deadline = time.monotonic() + PATIENCE
    while "/api/chat" not in [path for _, path, _ in stand_in.requests] or stand_in.open_streams:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.5)  # by now the function rests
    pressed = time.monotonic()
    ready.process.interrupt_kernel()
    done = ready.finish(request)
    assert done.idle_at - pressed < 2
    assert done.error == "Interrupted"
    assert ready.run("print(ran, _ollama.tool_calls[0].error)").written == "['resting'] interrupted\n"


def test_a_table_grows_and_ends_as_one(kernel: Any, stand_in: FakeServer) -> None:
    """An answer in a format is one output: rows while they come, and all of them at the end."""
    kernel.run("from dataclasses import dataclass\n@dataclass\nclass Person:\n    name: str\n    age: int")
    stand_in.delay = 0.05
    done = kernel.run("%ollama --once -f list[Person] Ada and Bob are two of the names in this prompt")
    pages = [message["content"]["data"]["text/html"] for message in done.messages]
    assert len(done.displays) == 1
    assert done.html.count("<tr") == 3
    assert any(page.count("<tr") == 2 for page in pages)
    assert '"name"' in done.plain
