"""What a notebook gets while texts are embedded: a bar, and a stop button that loses nothing."""

import time
from typing import Any

import ipywidgets

from tests.embeddings.batch_server import healthy, sent_texts, serving
from tests.faults import Hold

INTERRUPT_BOUND = 1.0  # seconds promised from the stop button to the end of the cell
MARGIN = 1.0  # seconds for a machine that does much else
WIDGET = "application/vnd.jupyter.widget-view+json"


def wait_until(true: Any) -> None:
    """Wait until a condition holds; a test that waits in vain fails."""
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_bar_is_a_widget_that_comes_with_the_second_batch(kernel: Any) -> None:
    """One batch shows nothing; at the end the bar is a line of text, and its widgets are gone."""
    assert kernel.run("vectors = %embed --no-store ['one', 'batch']").displays == {}
    ran = kernel.run("vectors = %embed --no-store --batch 2 --parallel 1 [f'text {n}' for n in range(10)]")
    assert WIDGET in ran.messages[0]["content"]["data"]
    (shown,) = ran.displays.values()
    if int(ipywidgets.__version__.split(".")[0]) < 8:
        return  # whose widgets show themselves, and stay
    assert list(shown) == ["text/plain"]
    assert "10/10" in shown["text/plain"]
    assert ran.written == ""
    assert kernel.run("from ipywidgets.widgets import widget; print(len(widget._instances))").written == "0\n"


def test_an_interrupt_ends_the_cell_and_the_next_run_asks_only_for_the_rest(kernel: Any) -> None:
    """Within a second, with one line, and without a connection that is left open."""
    with serving(lambda request: [Hold()] if request.number >= 3 else None) as server:
        kernel.run(f"%ollama_config --base-url {server.url}\ntexts = [f'text {{n}}' for n in range(100)]")
        request = kernel.start("vectors = %embed -m m --batch 10 --parallel 1 texts")
        wait_until(lambda: len(sent_texts(server)) == 4)
        pressed = time.monotonic()
        kernel.process.interrupt_kernel()
        ran = kernel.finish(request)
        assert ran.idle_at - pressed < INTERRUPT_BOUND + MARGIN
        assert (ran.status, ran.error) == ("error", "Interrupted")
        assert "interrupted-batches-kept" in "".join(ran.traceback)
        wait_until(lambda: server.open <= 1)  # that of the notebook itself
    with serving(healthy) as server:
        kernel.run(f"%ollama_config --base-url {server.url}")
        assert "30 reused" in kernel.run("vectors = %embed -m m --batch 10 texts").written
        assert sorted(text for texts in sent_texts(server) for text in texts) == sorted(f"text {n}" for n in range(30, 100))
