"""The form in a real kernel, shown again and again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import Kernel, Ran

TIMES = 40
# ZeroMQ holds at most 1000 messages that a front end has not fetched, and hears of the fetched ones in steps of 500. It drops
# the rest without a word, even the message that ends the cell. So there is always room for 500, and not always for more.
FIRST, AGAIN = 200, 350  # messages of a form, and of one that replaces another
COUNT = "import ipywidgets; print(len(ipywidgets.Widget.get_manager_state()['state']))"


def widgets(kernel: Kernel) -> int:
    """Return how many widgets the kernel holds."""
    return int(kernel.run(COUNT).written)


def opened(kernel: Kernel, source: str) -> tuple[Ran, list[str]]:
    """Run a cell; return what it showed, and the kinds of all messages."""
    request = kernel.start(source, "cell-1", allow_stdin=True)
    kinds, ran = [], Ran()
    for message in kernel.messages(request):
        kinds.append(message["msg_type"])
        ran.take(message)
    return ran, kinds


@pytest.mark.finding("G10")
def test_a_form_that_nobody_can_fill_is_a_picture(kernel: Kernel) -> None:
    """Where a program runs the notebook (nbclient, nbconvert, papermill), and in a console: no widget is made."""
    before = widgets(kernel)
    (shown,) = (m for m in kernel.messages(kernel.start("%ollama_config")) if m["msg_type"] not in ("execute_input", "status"))
    page = shown["content"]["data"]["text/html"]
    assert shown["msg_type"] == "execute_result"
    assert set(shown["content"]["data"]) == {"text/html", "text/plain"}
    assert "sandbox-chat" in page
    assert "this cell was run without a user" in page
    assert len(page) < 20_000
    in_console = kernel.finish(kernel.start("%ollama_config", allow_stdin=True))
    assert "Model name                  sandbox-chat" in in_console.written
    assert "picture" not in in_console.written
    assert widgets(kernel) == before


@pytest.mark.finding("E8")
def test_a_form_that_is_shown_forty_times_is_one_form(kernel: Kernel, record_property: Callable[[str, object], None]) -> None:
    """The kernel holds the widgets of one, no form costs more messages than ZeroMQ holds, and the earlier ones are pictures."""
    before = widgets(kernel)
    first, kinds = opened(kernel, "%ollama_config")
    one = widgets(kernel) - before
    opened_by_first = kinds.count("comm_open")
    assert len(kinds) <= FIRST
    for _ in range(TIMES - 1):
        last, kinds = opened(kernel, "%ollama_config")
    assert kinds.count("comm_open") == opened_by_first
    assert kinds.count("comm_close") == one
    assert kinds.count("comm_msg") < 40  # what the server says about the models; all else is set before a widget is opened
    assert len(kinds) <= AGAIN
    assert widgets(kernel) - before == one
    picture = next(message["content"] for message in last.messages if message["msg_type"] == "update_display_data")
    assert "A picture of the form as it was" in picture["data"]["text/html"]
    assert "application/vnd.jupyter.widget-view+json" not in picture["data"]
    (shown,) = (message["content"] for message in first.messages if message["msg_type"] == "display_data")
    assert "application/vnd.jupyter.widget-view+json" in shown["data"]
    record_property("figure", f"{TIMES} forms, {one} widgets, {len(kinds)} messages to replace one")
    _, kinds = opened(kernel, "%ollama_config --context 2k")
    assert kinds.count("comm_msg") < 20
    kernel.run("%reload_ext ollama_magics")
    assert widgets(kernel) == before


PRESS = """
import signal, sys
from ollama_magics.notebook.panel.config_panel import Panel
def press(frame, event, _, here=Panel.{step}.__code__, seen=[]):
    if frame.f_code is not here: return
    seen += [event] * (event == "line")
    if len(seen) == {line}: signal.raise_signal(signal.SIGINT)
    return press
sys.settrace(press)
"""


@pytest.mark.parametrize(("step", "line"), [("__init__", 5), ("__init__", 25), ("show", 1), ("freeze", 2), ("freeze", 6)])
def test_a_press_while_a_form_is_made_leaves_no_half_form(kernel: Kernel, step: str, line: int) -> None:
    """The press is told, and the kernel holds the widgets of one form then and after the next."""
    opened(kernel, "%ollama_config")
    one = widgets(kernel)
    ran = kernel.finish(kernel.start(PRESS.format(step=step, line=line) + "%ollama_config", "cell-1", allow_stdin=True))
    kernel.run("sys.settrace(None)")
    assert (ran.error, widgets(kernel)) == ("Interrupted", one)
    assert opened(kernel, "%ollama_config")[0].status != "error"
    assert widgets(kernel) == one
