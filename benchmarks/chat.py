"""Measure loading, the cost of a cell and the cost of a streamed token, next to other clients."""

# python benchmarks/chat.py [--quick] [PART ...]     needs a C compiler and the peers: pip install -e ".[bench]"

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from figures import show, spread
from processes import CLIENT_CORE, fast_server, pinned, where, workers
from streams import CLIENTS, LIMIT, MODEL

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
LOADS = {
    "%load_ext ollama_magics": LOADED,
    "import ollama": IMPORTED.format(module="ollama"),
    "import openai": IMPORTED.format(module="openai"),
    "import langchain_ollama": IMPORTED.format(module="langchain_ollama"),
}


def loading(rounds: int) -> None:
    """Print the milliseconds and modules of loading, each time in a new interpreter that has IPython."""
    print(f"\nLoading, in an interpreter that has IPython, medians of {rounds}")
    print(f"  {'':28}{'ms':>8}{'noise':>8}{'modules':>9}")
    found: dict[str, list[list[float]]] = {name: [] for name in LOADS}
    with tempfile.TemporaryDirectory() as bytecode:
        for _ in range(rounds + 1):
            for name, code in LOADS.items():
                found[name] += _loaded(code, bytecode)
    for name, (_, *measured) in ((name, times or [[]]) for name, times in found.items()):  # the first one compiles
        if measured:
            times = [milliseconds for milliseconds, _ in measured]
            print(f"  {name:28}{median(times):8.1f}{f'±{spread(times):.0%}':>8}{measured[0][1]:9.0f}")
        else:
            print(f"  left out: {name} (it cannot be imported)")


def _loaded(code: str, bytecode: str) -> list[list[float]]:
    # installed packages have their bytecode, whatever this environment says about writing it
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = bytecode
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    return [json.loads(done.stdout.splitlines()[-1])] if done.returncode == 0 else []


def cells(rounds: int) -> None:
    """Print the time of a cell with an answer of one token in a real kernel, and of the same request through bare httpx."""
    times = rounds * 20
    print(f"\nA cell with an answer of one token, in a kernel, taking turns, medians of {times}, in ms")
    with fast_server() as url:
        found = _in_kernel((Path(__file__).parent / "cell.py").read_text(encoding="utf-8"), f"main({url!r}, {MODEL!r}, {times})")
    plain = median(found["httpx"])
    for name, seconds in found.items():
        time = median(seconds)
        print(f"  {name:20}{time * 1000:8.2f}{f'±{_quartiles(seconds):.0%}':>8}   {(time - plain) * 1000:+.2f} over httpx")


def _quartiles(seconds: list[float]) -> float:
    ordered = sorted(seconds)
    quarter = len(ordered) // 4
    return (ordered[-quarter] - ordered[quarter]) / 2 / median(ordered)


def _in_kernel(*code: str) -> dict[str, list[float]]:
    from jupyter_client.manager import start_new_kernel  # noqa: PLC0415 - the other parts do without a kernel

    kernel, client = start_new_kernel(kernel_name="python3", extra_arguments=["--log-level=ERROR"])
    pinned(CLIENT_CORE, getattr(kernel.provisioner, "pid", 0))
    printed: list[str] = []
    try:
        for cell in code:
            answer = client.execute_interactive(cell, output_hook=_collect(printed), timeout=120)
            if answer["content"]["status"] != "ok":
                raise RuntimeError("\n".join(answer["content"]["traceback"]))
    finally:
        client.stop_channels()
        kernel.shutdown_kernel(now=True)
    found: dict[str, list[float]] = json.loads("".join(printed).splitlines()[-1])
    return found


def _collect(printed: list[str]) -> Callable[[dict[str, Any]], None]:
    def collect(message: dict[str, Any]) -> None:
        if message["msg_type"] == "stream":
            printed.append(message["content"]["text"])

    return collect


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


PARTS: dict[str, Callable[[int], None]] = {"load": loading, "cell": cells, "tokens": tokens}


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
