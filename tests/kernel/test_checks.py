"""What a notebook gets from a check: one output that grows with the stages, and an end within a second of the stop button."""

import time
from typing import Any

import pytest

from ollama_magics.diagnosis.stages import PLAIN_STAGES
from tests.diagnosis.situations import card
from tests.faults import FaultServer, Hold, Receive, Wait, chunk, fine, whole
from tests.kernel.test_answers import INTERRUPT_BOUND, MARGIN

LINES = "application/x-ndjson"


def test_a_check_is_one_output_that_grows(kernel: Any) -> None:
    """Each stage is painted as it ends, the whole once, and the value of the cell shows nothing."""
    ran = kernel.run("%ollama_check")
    assert len(ran.displays) == 1
    signs = [message["content"]["data"].get("text/html", "").count("✓") for message in ran.messages]
    assert signs == sorted(signs)
    run = set(PLAIN_STAGES) - {"name", "proxy", "encryption"}
    assert set(signs) == set(range(len(run) + 1))
    assert ran.written == ""
    assert "✓ Server" in ran.plain


def test_a_report_shows_itself_again_in_another_cell(kernel: Any) -> None:
    """It is an object, bound as any other."""
    assert kernel.run("report = %ollama_check").written == ""
    assert "✓ Server" in kernel.run("report").written


def test_a_check_for_programs_is_shown_once_and_whole(kernel: Any) -> None:
    """As JSON, at its end."""
    ran = kernel.run("%ollama_check --json")
    assert ran.displays == {}
    assert '"ok": true' in ran.written


def test_a_load_ticks_while_it_lasts(kernel: Any) -> None:
    """The seconds go on, in the same output."""
    answer = [Wait(1.3), *whole(chunk("Hello", done=True, done_reason="stop"), kind=LINES)]
    with FaultServer(fine(show=card(), chat=answer)) as server:
        kernel.run(f"%ollama_config --base-url {server.url} --model m --no-probes")
        ran = kernel.run("%ollama_check --deep")
    pages = [message["content"]["data"].get("text/html", "") for message in ran.messages]
    assert sum("loading m … " in page for page in pages) >= 2
    assert len(ran.displays) == 1
    assert "loading m … " not in ran.html
    assert "m loaded in " in ran.html


HELD: dict[str, Any] = {
    "server": lambda: FaultServer([Receive(), Hold()]),
    "model": lambda: FaultServer(fine(show=[Hold()])),
    "load": lambda: FaultServer(fine(show=card(), chat=[Hold()])),
    "tests": lambda: FaultServer(fine(show=card(512, "embedding"), embed=[Hold()])),
}


@pytest.mark.parametrize("stage", HELD)
def test_the_stop_button_ends_a_check_within_a_second(kernel: Any, stage: str) -> None:
    """With one line, what is known stays on the screen, and the server is left."""
    kind = "embedding" if stage == "tests" else "chat"
    with HELD[stage]() as server:
        kernel.run(f"%ollama_config --base-url {server.url} --model m --no-probes --type {kind}")
        request = kernel.start("%ollama_check --deep")
        path = {"server": "/api/version", "model": "/api/show", "load": "/api/chat", "tests": "/api/embed"}[stage]
        assert server.wait_for(path)
        pressed = time.monotonic()
        kernel.process.interrupt_kernel()
        ran = kernel.finish(request)
        assert server.wait_until_left()
    assert ran.idle_at - pressed < INTERRUPT_BOUND + MARGIN
    assert (ran.status, ran.error) == ("error", "Interrupted")
    assert len(ran.traceback) == 1
    assert "[interrupted-check]" in ran.traceback[0]
    assert "✓" in ran.plain
    assert "…" not in ran.plain


def test_the_stop_button_ends_a_handshake(kernel: Any) -> None:
    """Where the other side accepts the connection, and nothing more."""
    with FaultServer([Hold()]) as server:
        kernel.run(f"%ollama_config --base-url https://127.0.0.1:{server.port} --model m --no-probes")
        request = kernel.start("%ollama_check")
        while server.accepted < 2:  # the knock, and the handshake
            time.sleep(0.01)
        pressed = time.monotonic()
        kernel.process.interrupt_kernel()
        ran = kernel.finish(request)
    assert ran.idle_at - pressed < INTERRUPT_BOUND + MARGIN
    assert "[interrupted-check]" in ran.traceback[0]
