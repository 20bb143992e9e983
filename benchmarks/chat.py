"""Measure loading, the cost of a cell, what it sends to the browser and the cost of a streamed token, next to other clients."""

# python benchmarks/chat.py [--quick] [PART ...]     needs a C compiler and the peers: pip install -e ".[bench]"
# jupyter-ai-magics needs an older langchain than the peers do: JUPYTER_AI_PYTHON names the Python of its environment, which
# make bench makes. By hand: pip install ipykernel httpx jupyter-ai-magics "langchain-ollama<1"

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from figures import faster, keep, show, spread
from processes import CLIENT_CORE, fast_server, pinned, where, workers
from streams import CLIENTS, DECODED, LIMIT, MODEL

LOADED = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before, start = set(sys.modules), time.perf_counter()
shell.run_line_magic("load_ext", "ollama_magics")
print(json.dumps([(time.perf_counter() - start) * 1000, len(set(sys.modules) - before)]))
"""
IMPORTED = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
before, start = set(sys.modules), time.perf_counter()
import {module}
print(json.dumps([(time.perf_counter() - start) * 1000, len(set(sys.modules) - before)]))
"""
_YARDSTICK = "import xmlrpc.client"  # of the standard library: 35 modules
_PEERS = ("ollama", "chatlas", "openai", "llm", "langchain_ollama")
LOADS = {
    "%load_ext ollama_magics": (LOADED, sys.executable),
    _YARDSTICK: (IMPORTED.format(module="xmlrpc.client"), sys.executable),
}
LOADS |= {f"import {name}": (IMPORTED.format(module=name), sys.executable) for name in _PEERS}
if JUPYTER_AI := os.environ.get("JUPYTER_AI_PYTHON"):
    LOADS["%load_ext jupyter_ai_magics"] = (LOADED.replace("ollama_magics", "jupyter_ai_magics"), JUPYTER_AI)


def loading(rounds: int) -> None:
    """Print the milliseconds and modules of loading, each time in a new interpreter that has IPython."""
    print(f"\nLoading, in an interpreter that has IPython, medians of {rounds}")
    print(f"  {'':28}{'ms':>8}{'noise':>8}{'modules':>9}")
    found: dict[str, list[list[float]]] = {name: [] for name in LOADS}
    with tempfile.TemporaryDirectory() as bytecode:
        for _ in range(rounds + 1):
            for name, (code, python) in LOADS.items():
                found[name] += _loaded(code, python, bytecode)
    rows, yardstick = [], median(milliseconds for milliseconds, _ in found[_YARDSTICK][1:])
    for name, (_, *measured) in ((name, times or [[]]) for name, times in found.items()):  # the first one compiles
        if measured:
            times = [milliseconds for milliseconds, _ in measured]
            ratio = f"{median(times) / yardstick:.2f}"
            print(f"  {name:28}{median(times):8.1f}{f'±{spread(times):.0%}':>8}{measured[0][1]:9.0f}{ratio:>8} of {_YARDSTICK}")
            rows.append([f"`{name}`", f"{median(times):.1f}", f"{measured[0][1]:.0f}", ratio])
        else:
            print(f"  left out: {name} (it cannot be imported)")
    limit = "at most 10 ms, 30 modules, 0.5"
    keep(
        "load",
        ["", "ms", "modules", f"of `{_YARDSTICK}`"],
        [*rows, ["limit for `%load_ext ollama_magics`", *limit[8:].split(", ")]],
    )


def _loaded(code: str, python: str, bytecode: str) -> list[list[float]]:
    # installed packages have their bytecode, whatever this environment says about writing it
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = bytecode
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, env=environment)
    return [json.loads(done.stdout.splitlines()[-1])] if done.returncode == 0 else []


class Kernel:
    """A kernel in which cell.py has set up its clients."""

    def __init__(self, url: str, python: str) -> None:
        from jupyter_client.manager import KernelManager  # noqa: PLC0415 - the other parts do without a kernel

        self._manager = KernelManager(kernel_name="python3")
        spec = self._manager.kernel_spec
        assert spec  # noqa: S101 - for mypy
        spec.argv = [python, "-m", "ipykernel_launcher", "--log-level=ERROR", "-f", "{connection_file}"]
        self._manager.start_kernel()
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        self._client.wait_for_ready(timeout=60)
        pinned(CLIENT_CORE, getattr(self._manager.provisioner, "pid", 0))
        self.run((Path(__file__).parent / "cell.py").read_text(encoding="utf-8"))
        found = self.printed(f"set_up({url!r}, {MODEL!r})")
        self.names: list[str] = found["ready"]
        self.missing: dict[str, str] = found["missing"]

    def run(self, cell: str) -> tuple[float, list[tuple[float, Any]]]:
        """Run a cell; return when it was sent, and its output messages, each with when it came. Raises RuntimeError."""
        came: list[tuple[float, Any]] = []
        sent = time.perf_counter()
        done = self._client.execute_interactive(
            cell,
            allow_stdin=False,  # as nbclient does: a client in Python that can ask is a console, which shows text
            output_hook=lambda message: came.append((time.perf_counter(), message)),
            timeout=300,
        )
        if done["content"]["status"] != "ok":
            raise RuntimeError("\n".join(done["content"]["traceback"])[-2000:])
        return sent, [(at, message) for at, message in came if message["msg_type"] in _OUTPUTS]

    def printed(self, cell: str) -> Any:
        """Run a cell that prints a line of JSON at its end, and return this."""
        texts = [message["content"]["text"] for _, message in self.run(cell)[1] if message["msg_type"] == "stream"]
        return json.loads("".join(texts).splitlines()[-1])

    def close(self) -> None:
        """End it."""
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


_OUTPUTS = ("display_data", "update_display_data", "stream", "execute_result", "clear_output")


@contextmanager
def _kernels(url: str) -> Iterator[list[Kernel]]:
    """Yield a kernel with all clients, and one for jupyter-ai-magics if it has an environment; print who is left out."""
    started: list[Kernel] = []
    try:
        started += [Kernel(url, python) for python in (sys.executable, JUPYTER_AI) if python]
        ready = {name for kernel in started for name in kernel.names}
        for name, reason in started[0].missing.items():
            if name not in ready:
                print(f"  left out: {name} ({reason})")
        if JUPYTER_AI:
            started[1].names = [name for name in started[1].names if name not in started[0].names]
            started[1].run(f"asks = {{name: ask for name, ask in asks.items() if name in {started[1].names}}}")
        yield started
    finally:
        for kernel in started:
            kernel.close()


def cells(rounds: int) -> None:
    """Print the time of a cell with an answer of one token in a real kernel, and of the same request through bare httpx."""
    times = rounds * 20
    print(f"\nA cell with an answer of one token, in a kernel, taking turns, medians of {times}, in ms")
    found: dict[str, list[float]] = {}
    with fast_server() as url, _kernels(url) as kernels:
        for kernel in kernels:
            found |= kernel.printed(f"measure({times})")
    plain, rows = median(found["httpx"]), []
    floor = median(found["one display, one update"]) - plain  # seconds
    for name, seconds in found.items():
        over = (median(seconds) - plain) * 1000
        print(f"  {name:26}{median(seconds) * 1000:8.2f}{f'±{_quartiles(seconds):.0%}':>8}   {over:+.2f} over httpx")
        rows.append([f"`{name}`" if " " not in name else name, f"{median(seconds) * 1000:.2f}", f"{over:+.2f}"])
    limit = f"{max(3, 1.3 * floor * 1000):.1f}"
    keep(
        "cell",
        ["", "ms", "over `httpx`"],
        [*rows, ["limit for `%%ollama` (3, or 1.3 times one display and one update)", "", limit]],
    )


def shown(rounds: int) -> None:
    """Print when the first word is in the notebook, and what goes to the browser for a long answer."""
    tokens, first, rows = 1000, 25, []
    print(f"\nAn answer of {tokens} tokens at 1,000 tokens a second, the first after {first} ms, medians of {rounds}")
    print(f"  {'':20}{'first word, ms':>16}{'in the first cell':>20}{'kB':>10}{'messages':>10}")
    with fast_server(first_ms=first, token_us=1000) as url, _kernels(url) as kernels:
        for kernel in kernels:
            for name in kernel.names:
                if name not in ("httpx", "one display, one update"):
                    runs = [_shown(*kernel.run(f"asks[{name!r}]({tokens})")) for _ in range(rounds + 1)]
                    milliseconds, size, count = (median(found) for found in zip(*runs[1:], strict=True))
                    print(f"  {name:20}{milliseconds:16.0f}{runs[0][0]:20.0f}{size / 1000:10.0f}{count:10.0f}")
                    rows.append([f"`{name}`", *map(_rounded, (milliseconds, runs[0][0], size / 1000, count))])
    rows.append(["limit for `%%ollama`", "60", "200", "300", ""])
    keep("shown", ["", "first word, ms", "in the first cell", "kB to the browser", "messages"], rows)


def _rounded(figure: float) -> str:
    return f"{figure:.0f}"


def _shown(sent: float, outputs: list[tuple[float, Any]]) -> tuple[float, float, float]:
    """Return the milliseconds to the first word, the bytes of all outputs and their number."""
    parts = ("header", "parent_header", "metadata", "content")  # of a message on its way
    texts = [
        (at, json.dumps({part: message[part] for part in parts}, ensure_ascii=False, default=str)) for at, message in outputs
    ]
    first = next((at for at, text in texts if " token" in text), sent)
    return (first - sent) * 1000, sum(len(text.encode()) for _, text in texts), len(texts)


def _quartiles(seconds: list[float]) -> float:
    ordered = sorted(seconds)
    quarter = len(ordered) // 4
    return (ordered[-quarter] - ordered[quarter]) / 2 / median(ordered)


def tokens(rounds: int) -> None:
    """Print the time of each client for a token of a long answer that the server sends at once."""
    count = 10_000
    print(f"\nA streamed answer of {count:,} tokens, sent at once, medians of {rounds}")
    seconds: dict[str, list[float]] = {}
    with fast_server() as url, workers("stream", tuple(CLIENTS), url) as clients:
        for turn in range(rounds + 1):
            for client in clients:
                measured = client.run(tokens=count)
                if turn:  # the first one warms up
                    seconds.setdefault(client.name, []).append(measured["seconds"])
                if client.name != LIMIT and measured["characters"] != count * len(" token"):
                    message = f"{client.name} read {measured['characters']} characters"
                    raise RuntimeError(message)
    show(seconds, count, "us/token", peer="ollama", limit=LIMIT)
    rows = []
    for name, times in seconds.items():
        ratios = [faster(seconds, other, name) if other in seconds else None for other in (DECODED, "ollama")]
        shown = [f"{found:.2f}" if found else "-" for found in ratios]
        rows.append([f"`{name}`", f"{median(times) / count * 1e6:.2f}", *shown])
    rows.append(["limit for `ours`", "7.5", "3.00", "0.67"])
    keep("tokens", ["", "µs a token", f"times of `{DECODED}`", "times of `ollama`"], rows)


PARTS: dict[str, Callable[[int], None]] = {"load": loading, "cell": cells, "shown": shown, "tokens": tokens}


def parse_options(words: Iterable[str] | None = None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all of them)")
    parser.add_argument("--quick", action="store_true", help="three rounds: quick but imprecise")
    parser.add_argument("--rounds", type=int, help="turns of each client (9, quick 3)")
    found = parser.parse_args(words)
    if unknown := set(found.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    found.rounds = found.rounds or (3 if found.quick else 9)
    return found


def main() -> None:
    """Run the parts that were named, or all of them."""
    options = parse_options()
    print(where())
    for part in options.parts or PARTS:
        PARTS[part](options.rounds)


if __name__ == "__main__":
    main()
