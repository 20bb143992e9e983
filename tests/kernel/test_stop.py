"""The stop button in every phase of an answer: the cell ends, the text stays, the connection is closed, the kernel lives."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.faults import LINES, FaultServer, Hold, Lines, Send, Step, Wait, chunk, fine

BOUND = 1.0  # seconds promised from the stop button to the end of the cell
MARGIN = 2.0  # seconds for a machine that does much else
pytestmark = pytest.mark.promise("N3")
_running: list[pytest.Item] = []  # the test that runs


@pytest.fixture(autouse=True)
def _current(request: pytest.FixtureRequest) -> None:
    _running[:] = [request.node]


def stopped(kernel: Any, server: FaultServer, path: str, *, presses: int = 1, after: float = 0.4) -> Any:
    """Run a prompt, press the stop button some time after a path was asked for, and return what the cell did."""
    assert kernel.run(f"%ollama_config --base-url {server.url} --model m").status == "ok"
    request = kernel.start("%%ollama -o answer\nHi")
    assert server.wait_for(path, 20)
    time.sleep(after)
    pressed = time.monotonic()
    for _ in range(presses):
        kernel.process.interrupt_kernel()
        time.sleep(0.01)
    ran = kernel.finish(request)
    _running[0].user_properties.append(("seconds", ran.idle_at - pressed))
    assert ran.idle_at - pressed < BOUND + MARGIN
    assert (ran.status, ran.error, len(ran.traceback)) == ("error", "Interrupted", 1)
    assert server.wait_until_left()
    assert kernel.run("print('answer' in globals())").written == "False\n"
    return ran


def is_true_soon(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not (is_true := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return is_true


SILENT: dict[str, dict[str, list[Step]]] = {
    "/api/version": {"version": [Hold()]},
    "/api/show": {"show": [Hold()]},
    "/api/chat": {"chat": [Hold()]},
}


@pytest.mark.parametrize(("path", "scripts"), SILENT.items(), ids=SILENT)
def test_a_wait_for_the_server_ends(kernel: Any, path: str, scripts: dict[str, list[Step]]) -> None:
    """Whatever it was asked: who it is, what the model can do, or the prompt, which it loads the model for and reads."""
    with FaultServer(fine(**scripts)) as server:
        stopped(kernel, server, path)


@pytest.mark.parametrize("presses", [1, 2, 3])
def test_a_wait_between_two_tokens_ends_and_keeps_the_text(kernel: Any, presses: int) -> None:
    """In the display, in the reply, and in the memory as a cut turn; who presses more than once gets the same."""
    with FaultServer(fine(chat=[Send(LINES), Lines(3), Hold()])) as server:
        ran = stopped(kernel, server, "/api/chat", presses=presses)
        assert "0 1 2" in ran.plain
        assert "not complete" in ran.html
        assert "interrupted-answer-kept" in ran.traceback[0]
        state = "import ollama_magics.session.session as s; turns = s.current().conversation.turns"
        output = kernel.run(f"{state}\nprint(_ollama.text, _ollama.complete, [(t.answer.content, t.complete) for t in turns])")
        assert output.written == "0 1 2  False [('0 1 2 ', False)]\n"


def test_two_quick_presses_never_lose_the_name_of_the_text(kernel: Any) -> None:
    """Wherever the second one comes: while the first closes the connection, or while the last paint is made."""
    told = []
    for gap in (0, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.02, 0.03, 0.1):
        with FaultServer(fine(chat=[Send(LINES), Lines(3), Hold()])) as server:
            assert kernel.run(f"%ollama_config --base-url {server.url} --model m").status == "ok"
            request = kernel.start("%ollama Hi")
            assert server.wait_for("/api/chat", 20)
            time.sleep(0.3)
            kernel.process.interrupt_kernel()
            time.sleep(gap)
            kernel.process.interrupt_kernel()
            ran = kernel.finish(request)
            told.append((gap, ran.error, [line for line in ran.traceback if "the text so far is in _ollama." in line] != []))
            assert server.wait_until_left()
    assert [one for one in told if one[1:] != ("Interrupted", True)] == []


@pytest.mark.parametrize("scripts", [{"chat": [Hold()]}, {"chat": [Send(LINES), Lines(3), Hold()]}], ids=["silent", "writing"])
def test_an_awaited_answer_ends(kernel: Any, scripts: dict[str, list[Step]]) -> None:
    """Also before its first token, when nothing else would wake the loop of the kernel up."""
    with FaultServer(fine(**scripts)) as server:
        kernel.run(f"%ollama_config --base-url {server.url} --model m\nimport ollama_magics as om")
        request = kernel.start("waiting = om.achat('Hi')\nawait waiting")
        assert server.wait_for("/api/chat", 20)
        time.sleep(0.4)
        pressed = time.monotonic()
        kernel.process.interrupt_kernel()
        ran = kernel.finish(request)
        assert (ran.error, ran.idle_at - pressed < BOUND + MARGIN) == ("CancelledError", True)
        assert server.wait_until_left()
        assert kernel.run("print(waiting.partial.text)").written == ("0 1 2 \n" if len(scripts["chat"]) > 1 else "\n")


def test_an_interrupt_of_the_second_model_names_the_replies(kernel: Any) -> None:
    """Of which the first has answered."""
    with FaultServer(fine(chat=[Send(LINES), Lines(3), Hold()])) as server:
        kernel.run(f"%ollama_config --base-url {server.url}")
        request = kernel.start("%ollama -m m -m m:latest Hi")
        assert server.wait_for("/api/chat", 20)
        time.sleep(0.4)
        kernel.process.interrupt_kernel()
        ran = kernel.finish(request)
        assert "the text so far is in _ollama." in ran.traceback[0]
        assert kernel.run("print(_ollama.text)").written == "0 1 2 \n"


def test_a_flood_that_keeps_painting_ends(kernel: Any) -> None:
    """A thousand tokens a second, each paint larger than the one before."""
    flood: list[Step] = [Send(chunk("**word** and $x^2$ ")), Wait(0.001)] * 20_000
    with FaultServer(fine(chat=[Send(LINES), *flood])) as server:
        ran = stopped(kernel, server, "/api/chat", after=1.0)
        assert "word" in ran.plain
        assert "not complete" in ran.html


@pytest.fixture
def full() -> Iterator[str]:
    """Give an address whose queue of connections is full, so that connecting waits."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.settimeout(0)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for one in waiting:
            one.close()


def test_a_wait_for_a_connection_ends(kernel: Any, full: str) -> None:
    """Without a word of the server; it would have been given up after two seconds."""
    assert kernel.run(f"%ollama_config --base-url {full} --model m").status == "ok"
    request = kernel.start("%ollama Hi")
    time.sleep(0.5)
    kernel.process.interrupt_kernel()
    ran = kernel.finish(request)
    assert (ran.error, len(ran.traceback)) == ("Interrupted", 1)


PRESS = """
import signal, sys
from ollama_magics.notebook import arguments
from ollama_magics.notebook.display.notebook import Notebook
def press(frame, event, _, here={code}.__code__, seen=[]):
    if frame.f_code is not here: return
    seen += [event] * (event == "line")
    if len(seen) == {line}: signal.raise_signal(signal.SIGINT)
    return press
sys.settrace(press)
"""
TICKING = "import sys, threading; sys.settrace(None); print(sum(t.name == 'ollama-waiting' for t in threading.enumerate()))"


@pytest.mark.parametrize("line", [1, 2, 3, 4])
def test_a_press_while_the_line_of_waiting_begins_leaves_nothing_behind(kernel: Any, line: int) -> None:
    """Whichever step it lands at: no thread goes on ticking, and no line goes on waiting."""
    with FaultServer(fine(chat=[Hold()])) as server:
        kernel.run(f"%ollama_config --base-url {server.url} --model m")
        ran = kernel.run(PRESS.format(code="Notebook.__enter__", line=line) + "%ollama hello")
        assert (ran.status, ran.error, len(ran.traceback)) == ("error", "Interrupted", 1)
        assert "/api/chat" not in server.paths()
    assert [shown for shown in ran.displays.values() if shown["text/html"]] == []
    assert is_true_soon(lambda: kernel.run(TICKING).written == "0\n")


@pytest.mark.parametrize("cell", ["%ollama hello", "%%ollama\nhello", "vectors = %embed ['text']"])
def test_a_press_while_the_line_is_read_is_told_in_one_line(kernel: Any, cell: str) -> None:
    """As everywhere else, and nothing was sent."""
    with FaultServer(fine()) as server:
        kernel.run(f"%ollama_config --base-url {server.url} --model m")
        kernel.run(PRESS.format(code="arguments.read", line=2))
        ran = kernel.run(cell)
        assert (ran.status, ran.error, len(ran.traceback)) == ("error", "Interrupted", 1)
        assert server.paths() == []


def test_what_follows_a_stopped_cell_does_not_run(kernel: Any) -> None:
    """Run All ends there, as the kernel reports an error."""
    with FaultServer(fine(chat=[Send(LINES), Lines(1), Hold()])) as server:
        kernel.run(f"%ollama_config --base-url {server.url} --model m")
        request, following = kernel.start("%ollama Hi"), kernel.start("print('ran')")
        assert server.wait_for("/api/chat", 20)
        time.sleep(0.3)
        kernel.process.interrupt_kernel()
        assert kernel.finish(request).error == "Interrupted"
        assert kernel.finish(following).status == "aborted"
