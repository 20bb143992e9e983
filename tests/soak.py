"""Use the magics for a long time, with faults at random, and report what went wrong and what the kernel holds at the end."""

# make soak, or: python -m tests.soak [--minutes 20] [--seed 1]
#
# Cells of many kinds run one after another in a real kernel, on the stand-in and, where OLLAMA_TEST_URL names one, on a real
# Ollama. Both stand behind a proxy that cuts, resets, delays or spoils every third answer; some cells are interrupted. The
# seed draws them all. The status is 1 if a cell ended in an error that is not ours, if the kernel died, or if it holds more at
# the end than after a third of the time: threads, descriptors, widgets, or more than MOST_KB of memory. Before that, the first
# use of each module loads it, and the C library's heap finds its size.

from __future__ import annotations

import argparse
import json
import os
import queue
import random
import socket
import struct
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from jupyter_client.manager import KernelManager

from ollama_magics import errors
from ollama_magics.fake_server.server import FakeServer
from tests.kernel.conftest import Kernel, Ran
from tests.kernel.test_leaks import CELLS, MOST_KB, PIPES, SETUP, STATE

MODELS = {"stand-in": "sandbox-chat", "real": "parrot"}
FAULTS = ["cut", "reset", "delay", "spoil"]
FAULTY, INTERRUPTED = 0.33, 0.1  # shares of the connections, and of the cells
# KeyboardInterrupt: of a cell that was interrupted before or after our code ran
OURS = {name for name in vars(errors) if name[0].isupper()} | {"UsageError", "KeyboardInterrupt"}
MORE = [
    "%%ollama -m sandbox-think --think\nWhy?",
    "%ollama_config --context 2048",
    "%ollama -O seed=1 Hi",
    "%ollama_show",
    "%%ollama --strict\n{{six}} and {{nothere}}",
]


class Proxy:
    """Passes connections on to a server, and spoils some of the answers as its seed says."""

    def __init__(self, target: str, draw: random.Random) -> None:
        parts = urlsplit(target)
        self._target, self._draw = (parts.hostname or "", parts.port or 80), draw
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.done: Counter[str] = Counter()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            fault = self._draw.choice(FAULTS) if self._draw.random() < FAULTY else ""
            self.done[fault or "none"] += 1
            threading.Thread(target=self._serve, args=(client, fault, self._draw.randrange(1, 3000)), daemon=True).start()

    def _serve(self, client: socket.socket, fault: str, after: int) -> None:
        with client, suppress(OSError), socket.create_connection(self._target) as server:
            threading.Thread(target=_pump, args=(client, server), daemon=True).start()
            passed = 0
            while data := server.recv(65536):
                if fault == "delay" and passed + len(data) > after:
                    time.sleep(0.3)
                elif fault and passed + len(data) > after:
                    client.sendall(data[: after - passed] + (b"\xff{]\n<html>" if fault == "spoil" else b""))
                    if fault == "reset":
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                client.sendall(data)
                passed += len(data)
            client.shutdown(socket.SHUT_RD)  # wakes the other thread, which would keep the connection open


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def kernel() -> Iterator[Kernel]:
    """Run a kernel with the extension loaded, whose profiles, store and history are in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("OLLAMA_MAGICS_CONFIG", "XDG_CACHE_HOME", "IPYTHONDIR"):
            os.environ[name] = f"{folder}/{name}"
        process = KernelManager(kernel_name="python3")
        process.start_kernel(extra_arguments=["--log-level=ERROR"])
        found = Kernel(process)
        try:
            found.run(f"%load_ext ollama_magics\n{SETUP}\nimport pandas")
            found.run("1 / 0")  # loads IPython's printer of tracebacks, and the next line what colours code
            found.run("import pygments.formatters.html, pygments.lexers.python, pygments.unistring")
            yield found
        finally:
            found.close()


def run(found: Kernel, cell: str, name: str, draw: random.Random) -> Ran:
    """Run a cell, or interrupt it after a while; one that comes when the cell is done may cost ipykernel its reply."""
    request = found.start(cell, name, allow_stdin=True)
    if draw.random() >= INTERRUPTED:
        return found.finish(request)
    time.sleep(draw.random() / 2)
    found.process.interrupt_kernel()
    try:
        return found.finish(request)
    except queue.Empty:
        return Ran()


def state(found: Kernel, url: str) -> dict[str, int]:
    """Return what the kernel holds, with the form of that server shown; an interrupt that came late may end the first try."""
    for _ in range(3):
        found.run(f"%ollama_config --base-url {url} --model {MODELS['stand-in']}")
        found.finish(found.start("%ollama_config", "form", allow_stdin=True))
        with suppress(json.JSONDecodeError):
            held: dict[str, int] = json.loads(found.run(STATE).written)
            return held
    raise SystemExit("the kernel does not say what it holds")


def main(arguments: list[str]) -> int:
    """Run cells until the time is over; print outcomes, faults and what is held, and return the status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    draw = random.Random(chosen.seed)  # noqa: S311 - no secret
    outcomes: Counter[str] = Counter()
    strange: list[str] = []
    held: list[dict[str, int]] = []
    with FakeServer(delay=0.001) as stand_in, kernel() as found:
        places = {"stand-in": Proxy(stand_in.url, draw)}
        if url := os.environ.get("OLLAMA_TEST_URL"):
            places["real"] = Proxy(url, draw)
        cells = [*CELLS, *MORE]
        for url in [*[proxy.url for proxy in places.values()], stand_in.url]:  # what the first use loads, stays
            model = MODELS["real" if "real" in places and url == places["real"].url else "stand-in"]
            for number, cell in enumerate(cells):
                found.run(f"%ollama_config --base-url {url} --model {model}")
                found.finish(found.start(cell, f"cell-{number}", allow_stdin=True))
        begun, seconds = time.monotonic(), 60 * chosen.minutes
        while (spent := time.monotonic() - begun) < seconds:
            if not held and spent > seconds / 3:
                time.sleep(PIPES)
                held.append(state(found, stand_in.url))
            place = draw.choice(list(places))
            found.run(f"%ollama_config --base-url {places[place].url} --model {MODELS[place]}")
            cell = draw.choice(cells)
            ran = run(found, cell, f"cell-{cells.index(cell)}", draw)
            outcomes[ran.error or "ok"] += 1
            if ran.error and ran.error not in OURS:
                strange.append(f"{place}: {cell!r}: {ran.error}: {' | '.join(ran.traceback[-2:])}")
        time.sleep(PIPES)
        held.append(state(found, stand_in.url))
    before, after = held[0], held[-1]
    print(f"{outcomes.total()} cells in {chosen.minutes:g} minutes, seed {chosen.seed}")
    for name, count in outcomes.most_common():
        print(f"  {count:6} {name}")
    for name, proxy in places.items():
        print(f"  answers of the {name}: {', '.join(f'{count} {fault}' for fault, count in proxy.done.most_common())}")
    print("  held    " + ", ".join(f"{name} {before[name]} → {count}" for name, count in after.items()))
    grown = {name for name in after if after[name] > before[name] + (MOST_KB if name == "kB" else 0)}
    print(
        "\n".join([f"✗ not ours: {one}" for one in strange[:20]] + [f"✗ more {name} than before" for name in sorted(grown)])
        or "✓"
    )
    return int(bool(strange or grown))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
