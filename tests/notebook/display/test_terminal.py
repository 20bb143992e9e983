"""Answers in IPython on a real pseudo-terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from ollama_magics.fake_server.server import FakeServer
from tests.notebook.display.streams import recorded, serving
from tests.notebook.display.window import Window, left

ASK = "%ollama -m sandbox-chat "


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    """Give a stand-in for all windows."""
    with FakeServer(delay=0.005) as server:
        yield server


@pytest.fixture(scope="module")
def window(server: FakeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    """Give a window that the tests of this module share."""
    with Window(str(tmp_path_factory.mktemp("ipython")), server.url) as window:
        yield window


def test_markdown_is_written_with_styles_and_one_small_line_under_it(window: Window) -> None:
    """Bold is bold, the waiting line is gone, the figures are dim."""
    written = window.enter(f"{ASK}repeat after me: some **bold** words")
    assert "\x1b[1mbold\x1b[0m" in written
    answer, figures, *rest = left(written)
    assert answer == "some bold words"
    assert re.match(r"sandbox-chat · \d+ tokens", figures)
    assert rest == [f"In [{window._count}]:"]
    assert "\x1b[2msandbox-chat · waiting" in written


def test_no_empty_out_follows_a_prompt(window: Window) -> None:
    """Neither with a question mark nor without; a reply that is bound shows itself when it is asked to."""
    assert "Out[" not in window.enter(f"{ASK}hello")
    assert "Out[" not in window.enter(f"{ASK}What is Python?")
    assert "Out[" not in window.enter(f"reply = {ASK}hello")
    assert re.search(r"Out\[\d+\]: This is turn", window.enter("reply"))


def test_thoughts_are_dim_and_stay(window: Window) -> None:
    """They come before the answer."""
    written = window.enter("%ollama --once -m sandbox-think hello")
    lines = left(written)
    assert "\x1b[2;3mThe prompt has 1 word." in written
    assert lines[0].startswith("The prompt has 1 word.")
    assert lines[1].startswith("This is turn 1.")


def test_what_a_terminal_would_obey_is_not_written(window: Window) -> None:
    """Titles, the clipboard, colours, links."""
    window.enter(r"hostile = 'a\x1b]0;title\x07b\x1b]52;c;aGk=\x07c\x1b[31md [x](https://evil.example/)'")
    written = window.enter(f"{ASK}repeat after me: {{{{hostile}}}}")
    assert "abcd x (https://evil.example/)" in " ".join(left(written))
    assert not re.search(r"\x1b\]|\x1b\[31m", written)


def test_several_models_answer_one_after_the_other(window: Window) -> None:
    """Each under its name, with its length and speed."""
    lines = left(window.enter("%ollama -m sandbox-chat -m sandbox-think repeat after me: w"))
    assert lines[0] == "sandbox-chat"
    assert lines[1] == "w"
    assert re.fullmatch(r"\d+ tokens( · \d+ tok/s)? · \d+\.\d s", lines[2])
    assert lines[3] == "sandbox-think"


def test_each_call_has_a_line(window: Window) -> None:
    """Above what the model makes of it; the question for permission comes below the text, which stays."""
    window.enter("def add(a: int, b: int) -> int: return a + b")
    call = "%ollama --once -m sandbox-tools -t add"
    lines = left(window.enter(f"{call} --yes 2 and 3"))
    assert lines[:2] == ["add(a=2, b=3) → 5", "The functions returned: 5"]
    window.type(f"{call} 2 and 3")
    window.wait_for(r"run add\(a=2, b=3\)\? \[y/N/a; a: every call of add in this turn, with any arguments\] ")
    window.type("y")
    lines = left(window.end())
    assert lines[lines.index("add(a=2, b=3) → 5") + 1] == "The functions returned: 5"


def test_data_is_written_as_json_and_not_as_markdown(window: Window) -> None:
    """In lines with indents, once it is whole."""
    lines = left(window.enter(f"{ASK}--once -f dict[str,str] hello"))
    assert lines[0] == "{"
    assert "}" in lines


def test_finished_blocks_are_written_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    """An answer of many screens leaves each of its lines once, and the end of it is seen while it comes."""
    folder = str(tmp_path_factory.mktemp("ipython"))
    with serving(recorded(900), 600, []) as server, Window(folder, server.url, height=12) as window:
        written = window.enter("%ollama -m m hello")
    lines = left(written)
    headings = [line.strip() for line in lines if "Part" in line]
    assert len(headings) >= 5
    assert len(headings) == len(set(headings))
    assert sum("def mean_of" in line for line in lines) in (len(headings), len(headings) - 1)
    assert len(written) < 150_000


def test_an_interrupt_keeps_what_was_written(window: Window, server: FakeServer) -> None:
    """Ctrl-C: the text so far, that it is not complete, one line for the interrupt, and the next prompt."""
    server.delay = 0.02
    window.type("%ollama --once -m sandbox-chat never stop")
    window.wait_for("and on and on")
    window.press(b"\x03")
    lines = left(window.end())
    server.delay = 0.005
    assert any("the answer is not complete" in line for line in lines)
    assert any("Interrupted" in line for line in lines)


def test_where_the_output_is_no_terminal_it_is_plain_text(window: Window) -> None:
    """Captured output has no styles."""
    window.enter("from IPython.utils.capture import capture_output")
    window.enter(f"with capture_output() as seen: get_ipython().run_line_magic('ollama', '{ASK[8:]} repeat after me: **x**')")
    written = window.enter("print(repr(seen.stdout))")
    assert re.search(r"'\*\*x\*\*\\nsandbox-chat · \d+ tokens", written)
