"""What a notebook gets from a job of rows: one output, few bytes, and the rows that were done before an interrupt."""

from __future__ import annotations

import time
from typing import Any

from ollama_magics.fake_server.server import FakeServer

LONG = "rows = [' '.join([f'message {number}', *['All work <b>and</b> no play'] * 20]) for number in range(300)]"
ASK = "%%ollama --each rows --parallel 2 --no-store -o out\nrepeat after me: {{item}}"


def test_a_job_is_one_output_of_few_bytes(kernel: Any, stand_in: FakeServer) -> None:
    """At most 80 kB a second while it runs, whatever the rows hold, and the whole at the end."""
    kernel.run(LONG)
    stand_in.delay = 0
    begun = time.monotonic()
    ran = kernel.run(ASK)
    spent = time.monotonic() - begun
    size = sum(len(str(message["content"]["data"])) for message in ran.messages[:-1])
    assert size <= 80_000 * (spent + 1)
    assert len(ran.displays) == 1
    assert "300 of 300 rows" in ran.html
    assert ran.html.count("<tr") == 9
    assert "<b>" not in ran.html
    assert "message 0 All work <b>and</b>" in ran.plain
    assert kernel.run("len(out)").written == "300"


def test_with_streaming_off_only_the_end_is_shown(kernel: Any) -> None:
    """Without times, so that outputs can be compared."""
    kernel.run("import os; os.environ['OLLAMA_MAGICS_STREAM'] = 'off'")
    kernel.run("rows = ['a', 'b']")
    first, second = (kernel.run("%%ollama --each rows --no-store -o out\nSay {{item}}") for _ in range(2))
    kernel.run("del os.environ['OLLAMA_MAGICS_STREAM']")
    assert (first.html, first.plain) == (second.html, second.plain)
    assert "2 of 2 rows · " in first.plain
    assert " s · " not in first.plain
