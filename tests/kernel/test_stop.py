"""The stop button in every phase of an answer: the cell ends, the text stays, the connection is closed, the kernel lives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults import LINES, FaultServer, Hold, Lines, Send, Step, Wait, chunk, fine
from tests.faults.connection import Connection
from tests.shells import loaded_shell

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


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """Give a shell that runs the event loop for each cell by itself, in a thread that Ctrl-C reaches."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with loaded_shell(monkeypatch, tmp_path) as shell:
        yield shell
    assert signal.signal(signal.SIGINT, before) is signal.default_int_handler  # nothing of ours stays


class Endless:
    """An answer that goes on until the other side leaves; counts its pieces."""

    def __init__(self) -> None:
        self.sent = 0

    def run(self, connection: Connection) -> None:
        """Send it."""
        connection.send(LINES)
        while not connection.ending.wait(0.01):
            connection.send(chunk("word "))
            self.sent += 1


AWAITED = {
    "await om.achat('Hi')": "Interrupted",
    "async for piece in om.achat('Hi'): pass": "Interrupted",
    "await om.amap(['a', 'b'], 'Hi {{item}}', store=False)": "Interrupted",
    "await om.aembed(['a'], model='m', store=False)": "Interrupted",
    "await asyncio.gather(*(om.achat('Hi') for _ in range(20)))": "OllamaMagicsError",  # of which four have not begun
}


@pytest.mark.parametrize(("cell", "error"), AWAITED.items(), ids=AWAITED)
def test_an_awaited_call_in_a_terminal_ends(terminal: Any, cell: str, error: str) -> None:
    """IPython's loop stops at an interrupt and leaves its tasks as they are; the calls end all the same, and so does the cell."""
    answer = Endless()
    with FaultServer(fine(chat=[answer], embed=[answer])) as server:
        terminal.run_cell(f"%ollama_config --base-url {server.url} --model m\nimport asyncio, ollama_magics as om")
        path = "/api/embed" if "aembed" in cell else "/api/chat"

        def press_once_it_answers() -> None:
            is_true_soon(lambda: answer.sent > 9)
            os.kill(os.getpid(), signal.SIGINT)

        press = threading.Thread(target=press_once_it_answers)
        press.start()
        ran = terminal.run_cell(cell)
        press.join()
        assert type(ran.error_in_exec).__name__ == error
        time.sleep(0.1)
        state = answer.sent, server.paths().count(path)
        assert terminal.run_cell("await asyncio.sleep(0.1)").success  # nothing was left to go on in the next cell
        assert (answer.sent, server.paths().count(path)) == state
        assert [one.name for one in threading.enumerate() if one.name in ("ollama-async", "ollama-rows")] == []


LATE = """
first = asyncio.ensure_future(om.achat("Hi"))
while answer.sent < 3:
    await asyncio.sleep(0.01)
os.kill(os.getpid(), signal.SIGINT)
found = await asyncio.gather(first, om.achat("Hi"), return_exceptions=True)
"""


def test_a_call_that_begins_while_an_interrupt_ends_others_ends_too(terminal: Any) -> None:
    """A busy machine has not begun all of them by then; nothing is sent for the rest."""
    answer = Endless()
    with FaultServer(fine(chat=[answer])) as server:
        terminal.run_cell(f"%ollama_config --base-url {server.url} --model m\nimport asyncio, os, signal, ollama_magics as om")
        terminal.user_ns["answer"] = answer
        assert terminal.run_cell(LATE).success
        assert [error.code for error in terminal.user_ns["found"]] == ["call-cancelled", "call-cancelled"]
        assert server.paths().count("/api/chat") == 1


def test_an_interrupt_between_two_awaits_leaves_a_call_alone(terminal: Any) -> None:
    """A call that works while the loop stands still, and is awaited in a later cell."""
    with FaultServer(fine(chat=[Wait(0.3), Send(LINES), Send(chunk("Hello", done=True, done_reason="stop"))])) as server:
        terminal.run_cell(f"%ollama_config --base-url {server.url} --model m\nimport asyncio, ollama_magics as om")
        assert terminal.run_cell("task = asyncio.create_task(om.achat('Hi'))\nawait asyncio.sleep(0.05)").success
        ran = terminal.run_cell("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)")
        assert type(ran.error_in_exec) is KeyboardInterrupt
        assert terminal.run_cell("reply = await task").success
        assert terminal.user_ns["reply"].text == "Hello"


PRESS_AT_IMPORT = """
import json, signal, sys
from IPython.core.interactiveshell import InteractiveShell
shell, told, waiting = InteractiveShell.instance(), [], []
shell.run_cell("%load_ext ollama_magics")
def press(event, arguments):
    if event == "import" and waiting and arguments[0] == waiting[0]: signal.raise_signal(signal.SIGINT), waiting.clear()
sys.addaudithook(press)
for cell, module in json.loads(sys.argv[1]):
    waiting[:] = [module]
    told.append([cell, module, type(shell.run_cell(cell).error_in_exec).__name__, len(waiting)])
print(json.dumps(told))
"""
FIRST = [
    ("%ollama hi", "ollama_magics.settings.cell_options"),
    ("%ollama hi", "httpx"),
    ("%embed ['a']", "ollama_magics.embeddings.inputs"),
    ("%%ollama --each ['a']\nhi {{item}}", "ollama_magics.rows.job"),
    ("%ollama_models", "ollama_magics.render.model_tables"),
]


def test_a_press_while_a_first_cell_imports_the_package_is_told_in_one_line(tmp_path: Path) -> None:
    """The modules are whole afterwards, so that the next cell imports the next ones."""
    command = [sys.executable, "-c", PRESS_AT_IMPORT, json.dumps(FIRST)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "IPYTHONDIR": str(tmp_path)})
    assert json.loads(ran.stdout.splitlines()[-1]) == [[cell, module, "Interrupted", 0] for cell, module in FIRST]
    assert "Traceback" not in ran.stdout + ran.stderr


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
