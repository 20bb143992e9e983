"""What a cell shows of a reply or a report that is its value: nothing twice, and never nothing."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_magics.fake_server.server import FakeServer

ASK = "repeat after me: yes"
# a cell, how often the answer is shown by the magic, and as the value of the cell or by display()
CELLS = {
    "the magic alone": (f"%ollama --once {ASK}", 1, 0),
    "the magic last": (f"x = 1\n%ollama --once {ASK}", 1, 0),
    "bound": (f"z = %ollama --once {ASK}", 1, 0),
    "a name": (f"z = %ollama --once {ASK}\nz", 1, 1),
    "a name in parentheses": (f"z = %ollama --once {ASK}\n(z)", 1, 1),
    "an element": (f"z = %ollama --once {ASK}\nz = [z]\nz[0]", 1, 1),
    "an attribute": (f"class A: pass\nA.z = %ollama --once {ASK}\nA.z", 1, 1),
    "a name and a semicolon": (f"z = %ollama --once {ASK}\nz;", 1, 0),
    "a function": (f"def f():\n    z = %ollama --once {ASK}\n    return z\nf()", 1, 0),
    "display": (f"z = %ollama --once {ASK}\ndisplay(z)", 1, 1),
    "quiet": (f"%ollama --once --quiet {ASK}", 0, 0),
    "quiet, bound": (f"z = %ollama --once --quiet {ASK}", 0, 0),
    "quiet, a name": (f"z = %ollama --once --quiet {ASK}\nz", 0, 1),
    "quiet, a function": (f"def f():\n    z = %ollama --once --quiet {ASK}\n    return z\nf()", 0, 1),
    "in Python": (f"import ollama_magics as om\nom.chat({ASK!r})", 0, 1),
    "in Python, a name": (f"import ollama_magics as om\nz = om.chat({ASK!r})\nz", 0, 1),
    "in Python, in a list": (f"import ollama_magics as om\n[om.chat({ASK!r})]", 0, 0),
    "in Python, in an event loop": (f"import asyncio, ollama_magics as om\nawait asyncio.sleep(0)\nom.chat({ASK!r})", 0, 1),
}


@pytest.mark.finding("B11", "B12")
@pytest.mark.parametrize(("cell", "painted", "valued"), CELLS.values(), ids=CELLS)
def test_an_answer_is_shown_as_often_as_it_is_asked_for(kernel: Any, cell: str, painted: int, valued: int) -> None:
    """The magic shows it, and so does a name on a line of its own, display() or a value that was not shown yet."""
    ran = kernel.run(cell)
    assert ran.status == "ok", ran.traceback
    shown = [bundle["text/plain"] for bundle in ran.displays.values()]
    assert [shown.count("yes"), ran.written.count("yes")] == ([painted + valued, 0] if "display" in cell else [painted, valued])


@pytest.mark.finding("B11")
def test_the_next_cell_shows_it_again(kernel: Any) -> None:
    """By its name and as the last value."""
    kernel.run(f"z = %ollama --once {ASK}")
    assert (kernel.run("z").written, kernel.run(f"%ollama --once {ASK}").written, kernel.run("_").written) == ("yes", "", "yes")


@pytest.mark.finding("B11")
def test_a_report_is_shown_like_a_reply(kernel: Any) -> None:
    """Painted by the magic, and by its name."""
    assert kernel.run("%ollama_check").written == ""
    assert "127.0.0.1" in kernel.run("z = %ollama_check\nz").written


@pytest.mark.finding("B12")
def test_a_reply_as_a_value_asks_once_and_shows_why_it_cannot(kernel: Any, stand_in: FakeServer) -> None:
    """An error is shown with its remedy."""
    kernel.run(f"import ollama_magics as om\nz = om.chat({ASK!r})")
    assert [path for _, path, _ in stand_in.requests if path == "/api/chat"] == []
    assert [kernel.run("z").written for _ in range(2)] == ["yes", "yes"]
    assert [path for _, path, _ in stand_in.requests if path == "/api/chat"] == ["/api/chat"]
    ran = kernel.run("om.chat('hello ' * 9000)")
    assert "[prompt-too-long]" in "".join(ran.traceback)


@pytest.mark.finding("B12")
def test_a_reply_is_kept_by_store(kernel: Any) -> None:
    """``%store`` writes it into IPython's own database."""
    ran = kernel.run(
        f"%load_ext storemagic\nz = %ollama --once --quiet {ASK}\n%store z\ndel z\n%store -r z\nprint(z)\n%store -d z"
    )
    assert (ran.status, ran.written.split()[-1]) == ("ok", "yes"), ran.written
