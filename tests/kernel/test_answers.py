"""What a notebook gets from a streamed answer: one output, few messages, the whole text, and nothing after an interrupt."""

import time
from typing import Any

from ollama_magics.fake_server.server import FakeServer
from tests.faults import FaultServer, chunk, fine, whole

INTERRUPT_BOUND = 1.0  # seconds promised from the stop button to the end of the cell
MARGIN = 1.0  # seconds for a machine that does much else


def wait_until(true: Any) -> None:
    """Wait until a condition holds; a test that waits in vain fails."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_answer_is_one_output_that_ends_complete(kernel: Any) -> None:
    """The first message shows that we wait, the last holds the whole answer as HTML and as plain text."""
    ran = kernel.run("%%ollama\nShow me a table and some code, please.")
    assert len(ran.displays) == 1
    assert ran.messages[0]["msg_type"] == "display_data"
    assert "waiting" in ran.messages[0]["content"]["data"]["text/html"]
    assert "<table" in ran.html
    assert "sandbox-chat · " in ran.html
    assert "| Word | Letters |" in ran.plain
    assert "waiting" not in ran.html


def test_a_short_answer_costs_two_messages_and_one_request(kernel: Any) -> None:
    """What comes in one read is painted once, after the waiting line; what is known about the model is not asked for again."""
    lines = chunk("Hel") + chunk("lo") + chunk("", done=True, done_reason="stop")
    with FaultServer(fine(chat=whole(lines, kind="application/x-ndjson"))) as server:
        kernel.run(f"%ollama_config --base-url {server.url} --model m")
        kernel.run("%%ollama --once\nHi")
        before = len(server.paths())
        ran = kernel.run("%%ollama --once\nHi")
        assert [message["msg_type"] for message in ran.messages] == ["display_data", "update_display_data"]
        assert "Hello" in ran.html
        assert server.paths()[before:] == ["/api/chat"]


CELLS = """
import threading
started = []
threading.setprofile(lambda frame, event, _: started.append(threading.current_thread()))
for _ in range(20):
    get_ipython().run_cell_magic("ollama", "--once --quiet" if _ % 2 else "--once", "Hi")
threading.setprofile(None)
print(len({thread for thread in started if thread.name == "ollama-waiting"}))
"""


def test_the_waiting_lines_of_a_loop_share_a_thread(kernel: Any) -> None:
    """To start one for each cell, and to end it, was a tenth of what a cell costs; a second or two may pass meanwhile."""
    lines = chunk("Hello") + chunk("", done=True, done_reason="stop")
    with FaultServer(fine(chat=whole(lines, kind="application/x-ndjson"))) as server:
        kernel.run(f"%ollama_config --base-url {server.url} --model m")
        assert int(kernel.run(CELLS).written.splitlines()[-1]) <= 3
        assert server.paths().count("/api/chat") == 20


def test_a_fast_answer_costs_few_messages_and_bytes(kernel: Any) -> None:
    """A thousand tokens as fast as they come are at most 30 messages and 300 kB for the browser."""
    ran = kernel.run("%ollama repeat after me: " + "All work and **no play** makes Jack a dull boy. " * 100)
    size = sum(len(str(message["content"]["data"])) for message in ran.messages)
    assert len(ran.messages) <= 30
    assert size <= 300_000
    assert ran.html.count("dull boy") == 100


def test_an_answer_that_takes_a_while_grows(kernel: Any, stand_in: FakeServer) -> None:
    """Between the waiting line and the end the answer is seen to grow, at most ten times a second."""
    stand_in.delay = 0.02
    begun = time.monotonic()
    ran = kernel.run("%ollama repeat after me: " + "one two three four five " * 12)
    spent = time.monotonic() - begun
    lengths = [len(message["content"]["data"]["text/html"]) for message in ran.messages[1:-1]]
    assert len(lengths) >= 3
    assert lengths == sorted(lengths)
    assert len(ran.messages) <= 10 * spent + 3


def test_with_streaming_off_there_is_one_display_without_times(kernel: Any) -> None:
    """For notebooks whose outputs are compared."""
    kernel.run("import os; os.environ['OLLAMA_MAGICS_STREAM'] = 'off'")
    ran = kernel.run("%ollama hello")
    kernel.run("del os.environ['OLLAMA_MAGICS_STREAM']")
    assert [message["msg_type"] for message in ran.messages] == ["display_data"]
    assert "tok/s" not in ran.html


def test_a_reply_is_not_shown_twice_by_its_cell(kernel: Any) -> None:
    """The value of the cell shows nothing more; in the next cell the reply shows itself."""
    assert kernel.run("%ollama hello").written == ""
    ran = kernel.run("_ollama")
    assert "This is turn" in ran.written


def test_an_interrupt_keeps_the_text_and_frees_the_server(kernel: Any, stand_in: FakeServer) -> None:
    """The stop button: the cell ends within a second with one line, the text so far stays, the server stops."""
    stand_in.delay = 0.02
    request = kernel.start("%%ollama -o answer\nnever stop")
    wait_until(lambda: stand_in.open_streams)
    time.sleep(0.5)
    pressed = time.monotonic()
    kernel.process.interrupt_kernel()
    ran = kernel.finish(request)
    assert ran.idle_at - pressed < INTERRUPT_BOUND + MARGIN
    assert (ran.status, ran.error) == ("error", "Interrupted")
    assert len(ran.traceback) == 1
    assert "and on" in ran.plain
    assert "not complete" in ran.html
    wait_until(lambda: not stand_in.open_streams)
    assert "and on" in kernel.run("print(_ollama.text, _ollama.complete, 'answer' in globals())").written
    assert kernel.run("print(_ollama.complete, 'answer' in globals())").written == "False False\n"


def test_an_interrupt_while_waiting_for_the_first_word_ends_the_cell(kernel: Any, stand_in: FakeServer) -> None:
    """No token has come yet: the wait ends as quickly, and the next cell works."""
    stand_in.delay = 30
    request = kernel.start("%ollama hello")
    wait_until(lambda: any(path == "/api/chat" for _, path, _ in stand_in.requests))
    time.sleep(0.3)
    pressed = time.monotonic()
    kernel.process.interrupt_kernel()
    ran = kernel.finish(request)
    assert ran.idle_at - pressed < INTERRUPT_BOUND + MARGIN
    assert ran.error == "Interrupted"
    stand_in.delay = 0
    assert kernel.run("%ollama hello").status == "ok"


def test_a_cut_turn_is_not_sent_again(kernel: Any, stand_in: FakeServer) -> None:
    """After an interrupt the next prompt starts where the last whole turn ended."""
    stand_in.delay = 0.02
    request = kernel.start("%ollama never stop")
    wait_until(lambda: stand_in.open_streams)
    time.sleep(0.3)
    kernel.process.interrupt_kernel()
    kernel.finish(request)
    stand_in.delay = 0
    assert "This is turn 1" in kernel.run("%ollama hello").plain


def test_running_a_cell_again_replaces_its_turn_and_what_followed(kernel: Any) -> None:
    """Memory is keyed by the cell: its second run is the same turn again, and later turns are gone."""
    assert "This is turn 1" in kernel.run("%ollama one", cell="a").plain
    assert "This is turn 2" in kernel.run("%ollama two", cell="b").plain
    again = kernel.run("%ollama one, but better", cell="a")
    assert "This is turn 1" in again.plain
    assert "later turns" in again.html
    assert "This is turn 2" in kernel.run("%ollama three", cell="c").plain


def test_two_lines_of_one_cell_are_two_turns(kernel: Any) -> None:
    """Within one run turns append; the next run of the cell replaces them all."""
    for _ in range(2):
        ran = kernel.run("%ollama one\n%ollama two", cell="a")
        first, second = ran.displays.values()
        assert "This is turn 1" in first["text/plain"]
        assert "This is turn 2" in second["text/plain"]


def test_an_error_is_a_few_lines_and_stops_what_follows(kernel: Any) -> None:
    """Run All ends there: the kernel says error, in at most seven lines without a traceback, and lives."""
    ran = kernel.run("%ollama -m nope hello")
    assert (ran.status, ran.error) == ("error", "ModelProblem")
    *shown, last = ran.traceback
    assert 3 <= len(shown) <= 7
    assert "[model-missing]" in shown[-1]
    # programs that run notebooks, as this test does, quote the last line only
    assert last == "ModelProblem: nope is not installed on 127.0.0.1."
    # ipykernel 6 may abort what comes at once after an error
    assert "ok" in [kernel.run("1 + 1").status for _ in range(2)]


def test_nothing_is_left_running_after_an_answer(kernel: Any) -> None:
    """The thread that ticks while we wait ends with the answer."""
    kernel.run("%ollama hello")
    names = "import threading; print([t.name for t in threading.enumerate() if t.name.startswith('ollama')])"
    wait_until(lambda: kernel.run(names).written == "[]\n")
