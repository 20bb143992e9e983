"""A prompt for each row in a notebook: the table that fills, the stop button, and what is left in the file."""

from __future__ import annotations

import re
import time

from playwright.sync_api import expect

from ollama_magics.fake_server.server import FakeServer

from .conftest import Opening

ROWS = "rows = [f'message {number} <b>bold</b>' for number in range(60)]"
ASK = "%%ollama --each rows -m sandbox-chat -o out --parallel 2\nrepeat after me: {{item}}"


def test_a_table_fills_and_ends_with_its_figures(opened: Opening, server: FakeServer) -> None:
    """While the job runs there are a bar, its figures and at most eight rows; texts of rows are no markup."""
    notebook = opened(ROWS, ASK)
    server.delay = 0.03
    notebook.run(1)
    notebook.start(2)
    answer = notebook.answer(2)
    expect(answer).to_contain_text(re.compile(r"\d+ of 60 rows · [\d.]+ rows/s · \d+ s left"), timeout=10_000)
    assert 1 <= answer.locator("tbody tr").count() <= 8
    server.delay = 0
    notebook.wait(2)
    expect(answer).to_contain_text(re.compile(r"60 of 60 rows · [\d.]+ s · [\d\s]+ tokens"))
    assert answer.locator("tbody tr").count() == 8
    assert answer.locator("b").count() == 0
    expect(answer).to_contain_text("message 0 <b>bold</b>")
    (output,) = notebook.save()["cells"][2]["outputs"]
    assert set(output["data"]) == {"text/html", "text/plain"}


def test_the_stop_button_keeps_the_rows_that_are_done(opened: Opening, server: FakeServer) -> None:
    """It ends the job within a second; the next run asks only for the rest."""
    notebook = opened(ROWS, ASK, "print(len(out), all(row['reply'] for row in out))")
    server.delay = 0.02
    notebook.run(1)
    notebook.start(2)
    expect(notebook.answer(2)).to_contain_text(re.compile(r"[1-9]\d* of 60 rows"), timeout=10_000)
    stopped = time.monotonic()
    notebook.interrupt()
    notebook.wait(2)
    assert time.monotonic() - stopped < 1.5  # a second, and the time that the page needs
    assert "interrupted-rows-kept" in notebook.text(2)
    server.delay = 0
    before = sum(path == "/api/chat" for _, path, _ in server.requests)
    notebook.run(2)
    expect(notebook.answer(2)).to_contain_text(re.compile(r"60 of 60 rows .*\d+ reused"))
    assert sum(path == "/api/chat" for _, path, _ in server.requests) - before < 60
    notebook.run(3)
    expect(notebook.output(3)).to_contain_text("60 True")
