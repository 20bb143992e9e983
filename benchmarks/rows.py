"""Measure a prompt for each row next to a bare loop with the same requests, its memory, and opening what is stored."""

# python benchmarks/rows.py [--quick]

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from statistics import median
from typing import Any

import httpx
from processes import CLIENT_CORE, SERVER_CORE, pinned, where

import ollama_magics as om

IN_FLIGHT = 4
MODEL = "rows"
TEMPLATE = "Is this message friendly? {{item}}"
ANSWER = {
    "model": MODEL,
    "message": {"role": "assistant", "content": "yes"},
    "done": True,
    "done_reason": "stop",
    "eval_count": 2,
}
PAGES = {
    "/api/version": {"version": "0.24.0"},
    "/api/tags": {"models": [{"name": f"{MODEL}:latest", "size": 1, "digest": "d" * 64}]},
    "/api/show": {"capabilities": ["completion"], "model_info": {}},
    "/api/chat": ANSWER,
}
BODIES = {path: json.dumps(page).encode() for path, page in PAGES.items()}


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Answer every request on one connection, a chat after so many seconds."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        length = next((line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b"0")
        await reader.readexactly(int(length))
        path = head.split(b" ", 2)[1].decode()
        if path == "/api/chat":
            await asyncio.sleep(seconds)
        body = BODIES[path]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def _serve(seconds: float) -> None:
    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _exchange(reader, writer, seconds)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(exchange, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)


@contextmanager
def row_server(milliseconds: float) -> Iterator[str]:
    """Run a server that takes so long for each row, and yield its address."""
    command = [sys.executable, __file__, "--serve", str(milliseconds / 1000)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        pinned(SERVER_CORE, server.pid)
        assert server.stdin  # noqa: S101 - for mypy
        assert server.stdout  # noqa: S101 - for mypy
        try:
            yield server.stdout.readline().strip()
        finally:
            server.stdin.close()


def bare_loop(url: str, rows: list[str]) -> None:
    """Send the same requests with httpx and a pool of threads, and decode each answer."""
    with httpx.Client(base_url=url) as client, ThreadPoolExecutor(IN_FLIGHT) as pool:

        def ask(row: str) -> str:
            message = {"role": "user", "content": TEMPLATE.replace("{{item}}", row)}
            options = {"num_ctx": 4096, "num_predict": 4096}
            body = {"model": MODEL, "messages": [message], "options": options, "stream": False, "truncate": False}
            return str(client.post("/api/chat", json=body).json()["message"]["content"])

        list(pool.map(ask, rows))


def seconds_of(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def rates(milliseconds: float, count: int, rounds: int) -> None:
    """Print the rows a second of om.map and of the bare loop, and their ratio, as medians of rounds in turn."""
    rows = [f"message number {number}" for number in range(count)]
    with row_server(milliseconds) as url:
        om.configure(base_url=url, model=MODEL)
        pairs = []
        for _ in range(rounds):
            bare = seconds_of(lambda: bare_loop(url, rows))
            pairs.append((bare, seconds_of(lambda: om.map(rows, TEMPLATE, parallel=IN_FLIGHT))))
    bare, ours = (count / median(times) for times in zip(*pairs, strict=True))
    ratio = median(one / other for one, other in pairs)
    print(f"  {milliseconds:4g} ms a row {bare:12,.0f} {ours:12,.0f} {ratio:10.0%}")


def memory_and_store(count: int) -> None:
    """Print the memory of a job for each row, and how long it takes to open the rows that are stored."""
    rows = [f"message number {number}" for number in range(count)]
    with row_server(0) as url:
        om.configure(base_url=url, model=MODEL)
        om.map(rows[:8], TEMPLATE)
        tracemalloc.start()
        found: Any = om.map(rows, TEMPLATE, parallel=IN_FLIGHT)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        del found
        opened = min(seconds_of(lambda: om.map(rows, TEMPLATE, parallel=IN_FLIGHT, reuse=True)) for _ in range(3))
    print(f"\nMemory above the data: {most / count / 1000:.2f} kB a row, with the result ({count:,} rows)")
    print(f"{count:,} stored rows opened in {opened:.2f} s")


def main() -> None:
    """Print all figures, or serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(_serve(options.serve))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_CACHE_HOME": folder, "OLLAMA_MAGICS_STREAM": "off"}
        pinned(CLIENT_CORE, 0)
        rounds = 3 if options.quick else 5
        print(f"{where()}\n\nRows a second with {IN_FLIGHT} in flight, medians of {rounds}")
        print(f"  {'':13}{'bare loop':>12} {'om.map':>12}")
        for milliseconds, count in ((2, 2000), (20, 600), (200, 80)):
            rates(milliseconds, count // (4 if options.quick else 1), rounds)
        memory_and_store(10_000)


if __name__ == "__main__":
    main()
