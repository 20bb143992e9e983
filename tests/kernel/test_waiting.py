"""The line that stands in for an answer: there at once, true every second, and never in the way."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.faults import FaultServer, Hold, Step, fine, whole

LISTED = whole({"models": [{"name": "m:latest"}]})


@contextmanager
def served(kernel: Any, **changed: Any) -> Iterator[FaultServer]:
    """Point the kernel at a server that misbehaves by script."""
    with FaultServer(fine(**changed)) as server:
        kernel.run(f"%ollama_config --base-url {server.url} --model m")
        yield server


def lines(kernel: Any, request: str, count: int) -> list[str]:
    """Return the first texts that the cell showed, then stop it."""
    seen: list[str] = []
    for message in kernel.messages(request):
        if message["msg_type"] in ("display_data", "update_display_data") and len(seen) < count:
            seen.append(re.sub(r"<[^>]+>", "", message["content"]["data"]["text/html"]))
            if len(seen) == count:
                kernel.process.interrupt_kernel()
    return seen


SILENT: list[Step] = [Hold()]


def test_a_line_ticks_from_its_own_beginning(kernel: Any) -> None:
    """Also where the thread was started by a cell before it, which is done."""
    with served(kernel):
        assert kernel.run("%ollama Hi").status == "ok"
    time.sleep(0.5)
    with served(kernel, chat=SILENT):
        began, request = time.monotonic(), kernel.start("%ollama hello")
        assert lines(kernel, request, 2) == ["m · waiting", "m · waiting · 1 s"]
        assert time.monotonic() - began >= 1


def test_it_is_there_before_anything_is_asked(kernel: Any) -> None:
    """A server that does not even tell its version is waited for where a person sees it."""
    with served(kernel, version=SILENT) as server:
        request = kernel.start("%ollama hello")
        assert lines(kernel, request, 1) == ["m · waiting"]
        assert "/api/show" not in server.paths()


@pytest.mark.parametrize(
    ("ps", "doing"),
    [
        (whole({"models": []}), "loading the model"),
        (whole({"models": [{"name": "other:latest"}]}), "loading the model"),
        (LISTED, "reading the prompt, or waiting in the queue"),
        (whole(b"no", status=404, kind="text/plain"), "waiting"),
        (whole(b"<html>", kind="text/html"), "waiting"),
    ],
)
def test_it_says_what_the_server_is_doing(kernel: Any, ps: list[Step], doing: str) -> None:
    """From the list of loaded models; where there is none it keeps to what it knows."""
    with served(kernel, ps=ps, chat=SILENT):
        seen = lines(kernel, kernel.start("%ollama hello"), 4)
    assert seen[0] == "m · waiting"
    assert re.fullmatch(r"m · waiting · \d s", seen[1])  # it ticks before it asks
    assert all(re.fullmatch(rf"m · {doing} · \d s", line) for line in seen[2:])


def test_a_server_that_keeps_silent_about_its_models_is_asked_once(kernel: Any) -> None:
    """The look ends within half a second, the line goes on ticking, and the answer is not disturbed."""
    with served(kernel, ps=SILENT, chat=SILENT) as server:
        seen = lines(kernel, kernel.start("%ollama hello"), 5)
        assert server.paths().count("/api/ps") == 1
    assert [line for line in seen if "loading" in line] == []
    assert seen[-1].endswith(" s")


def test_an_answer_that_comes_soon_costs_no_question(kernel: Any) -> None:
    """Nothing is asked about the models in memory within the first second."""
    with served(kernel) as server:
        kernel.run("%ollama hello")
        assert "/api/ps" not in server.paths()


def test_a_model_of_the_cloud_is_never_said_to_load(kernel: Any) -> None:
    """A server lists no models that run elsewhere."""
    elsewhere = whole({"capabilities": ["completion"], "remote_host": "https://ollama.com:443"})
    with served(kernel, show=elsewhere, chat=SILENT) as server:
        seen = lines(kernel, kernel.start("%ollama hello"), 3)
        assert "/api/ps" not in server.paths()
    assert all("waiting" in line for line in seen)


def test_the_thread_that_looks_ends_with_the_cell(kernel: Any) -> None:
    """Also where a look is under way when the person stops the cell."""
    with served(kernel, ps=SILENT, chat=SILENT):
        lines(kernel, kernel.start("%ollama hello"), 2)
        names = "import threading; print([t.name for t in threading.enumerate() if t.name.startswith('ollama')])"
        end = time.monotonic() + 20
        while kernel.run(names).written != "[]\n":
            assert time.monotonic() < end
