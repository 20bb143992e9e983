"""Cells of every kind, again and again, leave the kernel as it was: threads, descriptors, sockets, widgets and memory."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from ollama_magics.fake_server.server import FakeServer

CELLS = [
    "%ollama Hi",
    "%%ollama --once -o answer\nWhat is {{six}}?",
    "%ollama -m nothere Hi",
    "%ollama_config",
    "vectors = %embed --no-store ['one', 'two']",
    "%ollama_check",
    "%%ollama --each ['a', 'b'] --no-store -o rows\nSay {{item}}",
    "%ollama_config --nonsense",
    "%ollama_models",
    "vectors = om.embed(['a'] * 300, store=False)",
    "answers = om.map({'text': ['a', 'b']}, 'Say {{text}}', store=False)",
    "reply = om.chat('Hi', model='sandbox-chat'); next(iter(reply))",  # left unread
    "%%ollama -f Answer --once\nHow many?",
    "%ollama_history --clear",
]
SETUP = "import ollama_magics as om\nfrom dataclasses import dataclass\nsix = 6\n@dataclass\nclass Answer:\n    count: int"
STATE = """
import ctypes, gc, json, os, threading
import ipywidgets
get_ipython().displayhook.flush()  # what a notebook keeps as Out, and IPython 9 of each output
getattr(get_ipython().history_manager, "outputs", {}).clear()
gc.collect()
ctypes.CDLL(None).malloc_trim(0)
held = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{name}")]
class Heap(ctypes.Structure):  # of the C library: "mallinfo2"
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks mapped usmblks fsmblks used free top".split()]
free_bytes = 0
if mallinfo := getattr(ctypes.CDLL(None), "mallinfo2", None):  # since glibc 2.33
    mallinfo.restype = Heap
    free_bytes = mallinfo().free
live = getattr(ipywidgets.widgets.widget, "_instances", None)
print(json.dumps({
    "threads": threading.active_count(),
    "descriptors": len(held),
    "sockets": sum(one.startswith("socket:") for one in held),
    "widgets": len(ipywidgets.Widget.widgets if live is None else live),
    "kB": (int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") - free_bytes) // 1000,
}))
"""
MOST_KB = 5000
ENDING = 20  # seconds in which the threads of the last cells must end: the models for a form are looked up behind it
PIPES = 12  # seconds until ipykernel closes the pipes of threads that have ended and wrote to the front end


@pytest.mark.slow
@pytest.mark.promise("N7")
@pytest.mark.skipif(sys.platform != "linux", reason="reads what a process holds from /proc")
def test_a_thousand_cells_leave_nothing_behind(
    request: pytest.FixtureRequest, kernel: Any, stand_in: FakeServer, record_property: Callable[[str, object], None]
) -> None:
    """A thousand with make promises, a few rounds else, after the first ones.

    What these load stays, and the C library's heap takes some 300 cells until it has found its size.
    """
    is_promise = request.config.getoption("--promises")
    settled, rounds = (24, 96) if is_promise else (4, 8)
    kernel.run(SETUP)
    kernel.run(f"%ollama_config --base-url {stand_in.url} --model sandbox-chat")
    states = []
    for number in range(rounds + 1):
        for position, cell in enumerate(CELLS):
            # a user who can be asked: else the form is a picture without widgets
            kernel.finish(kernel.start(cell, f"cell-{position}", allow_stdin=True))
        if number in (settled, rounds):
            time.sleep(PIPES if is_promise else 0)
            states.append(json.loads(kernel.run(STATE).written))
    deadline = time.monotonic() + ENDING
    while states[-1]["threads"] > states[0]["threads"] and time.monotonic() < deadline:
        time.sleep(0.5)
        states[-1] = json.loads(kernel.run(STATE).written)
    before, after = states
    grown = after.pop("kB") - before.pop("kB")
    record_property("figure", f"{(rounds - settled) * len(CELLS)} cells, {grown} kB more, {after}")
    more = {name: after[name] - before[name] for name in after if after[name] > before[name]}
    assert set(more) <= (set() if is_promise else {"descriptors"}), more
    assert grown < MOST_KB
