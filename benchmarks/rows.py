"""Measure a prompt for each row next to a bare loop with the same requests and other ways, its memory, and opening the store."""

# python benchmarks/rows.py [--quick]     LOTUS is left out: it needs NumPy 1 and PyTorch

from __future__ import annotations

import argparse
import asyncio
import gc
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
from importlib import import_module
from statistics import median
from typing import Any

import httpx
from figures import keep
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
    "/api/tags": {"models": [{"name": f"{MODEL}:latest", "modified_at": "2025-11-22T18:04:04Z", "size": 1, "digest": "d" * 64}]},
    "/api/show": {"capabilities": ["completion"], "model_info": {}},
    "/api/chat": ANSWER,
}
COMPLETION = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": '{"answer": "yes"}'}}
PAGES["/v1/chat/completions"] = {"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [COMPLETION]}
BODIES = {path: json.dumps(page).encode() for path, page in PAGES.items()}


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Answer every request on one connection, a chat after so many seconds."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        length = next((line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), b"0")
        await reader.readexactly(int(length))
        path = head.split(b" ", 2)[1].decode()
        if path.endswith(("/chat", "/completions")):
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


def our_map(_: str, rows: list[str]) -> None:
    """Ask with om.map, whose store keeps each answer."""
    om.map(rows, TEMPLATE, parallel=IN_FLIGHT)


def our_loop(_: str, rows: list[str]) -> None:
    """Ask with om.chat, one row after another."""
    for row in rows:
        str(om.chat(TEMPLATE, values={"item": row}, conversation=om.Conversation()))


def chatlas_parallel(url: str, rows: list[str]) -> None:
    """Ask with chatlas for an object in each row."""
    chatlas, pydantic = import_module("chatlas"), import_module("pydantic")
    kind = pydantic.create_model("Verdict", answer=(str, ...))
    chat = chatlas.ChatOllama(model=MODEL, base_url=url)
    prompts = [TEMPLATE.replace("{{item}}", row) for row in rows]
    asyncio.run(chatlas.parallel_chat_structured(chat, prompts, data_model=kind, max_active=IN_FLIGHT))


def mall_column(url: str, rows: list[str]) -> None:
    """Ask with mall, which sends one row after another, without its cache."""
    os.environ["OLLAMA_HOST"] = url
    import_module("mall")
    ollama, polars = import_module("ollama"), import_module("polars")
    frame = polars.DataFrame({"item": rows})
    frame.llm.use(ollama.Client(host=url), MODEL, _cache="")
    frame.llm.custom("item", prompt="Is this message friendly?")


WAYS: dict[str, Callable[[str, list[str]], None]] = {
    "bare loop": bare_loop,
    "om.map": our_map,
    "chatlas, parallel_chat_structured": chatlas_parallel,
    "mall": mall_column,
    "om.chat in a loop": our_loop,
}


def seconds_of(call: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what is written to standard output and error, progress bars and tracebacks, and show it only where a way fails."""
    with tempfile.TemporaryFile() as file:
        sys.stdout.flush()
        kept = [(number, os.dup(number)) for number in (1, 2)]
        for number, _ in kept:
            os.dup2(file.fileno(), number)
        try:
            yield
        except Exception as error:
            file.seek(0)
            error.add_note(file.read().decode(errors="replace")[-1000:])
            raise
        finally:
            gc.collect()  # what chatlas leaves behind complains when it is collected
            sys.stdout.flush()
            sys.stderr.flush()
            for number, before in kept:
                os.dup2(before, number)
                os.close(before)


def usable(url: str) -> dict[str, Callable[[str, list[str]], None]]:
    """Return the ways that are installed and answer a few rows, and print why others are left out."""
    found = {}
    for name, way in WAYS.items():
        try:
            with quiet():
                way(url, ["one", "two"])
        except Exception as error:  # noqa: BLE001 - whatever a peer raises, it is left out
            print(f"  left out: {name} ({type(error).__name__}: {str(error)[:200]})", *getattr(error, "__notes__", ()))
        else:
            found[name] = way
    return found


def rates(milliseconds: float, count: int, rounds: int) -> dict[str, float]:
    """Print the rows a second of each way and its part of the bare loop's, as medians of rounds in turn; return the parts."""
    rows = [f"message number {number}" for number in range(count)]
    with row_server(milliseconds) as url:
        om.configure(base_url=url, model=MODEL)
        ways = usable(url)
        samples: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, way in ways.items():
                # these take longer by themselves: fewer rows give the same figure
                few = rows if name in ("bare loop", "om.map") else rows[: len(rows) // IN_FLIGHT]
                with quiet():
                    samples[name].append(seconds_of(lambda way=way, few=few: way(url, few)) / len(few))  # type: ignore[misc]
    print(f"\n  {milliseconds:g} ms a row")
    parts = {}
    for name, seconds in samples.items():
        parts[name] = median(bare / own for bare, own in zip(samples["bare loop"], seconds, strict=True))
        print(f"  {name:36}{1 / median(seconds):12,.0f} rows/s{parts[name]:10.0%}")
    return parts


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
    size, seconds = f"{most / count / 1000:.2f}", f"{opened:.2f}"
    print(f"\nMemory above the data: {size} kB a row, with the result ({count:,} rows)")
    print(f"{count:,} stored rows opened in {seconds} s")
    keep(
        "rows_store",
        [f"`om.map`, {count:,} rows", ""],
        [["memory, kB a row", size], ["opening what is stored, seconds", seconds]],
    )


def main() -> None:
    """Print all figures, or serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows and rounds")
    parser.add_argument("--rounds", type=int, help="turns of each way (5, quick 3)")
    parser.add_argument("--serve", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        asyncio.run(_serve(options.serve))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"XDG_CACHE_HOME": folder, "OLLAMA_MAGICS_STREAM": "off"}
        pinned(CLIENT_CORE, 0)
        rounds = options.rounds or (3 if options.quick else 5)
        print(f"{where()}\n\nRows a second with {IN_FLIGHT} in flight, medians of {rounds}")
        found = {}
        for milliseconds, count in ((2, 2000), (20, 600), (200, 80)):
            found[milliseconds] = rates(milliseconds, count // (4 if options.quick else 1), rounds)
        names = [name for name in WAYS if any(name in parts for parts in found.values())]
        cells = [[name, *(f"{parts[name]:.0%}" if name in parts else "-" for parts in found.values())] for name in names]
        keep("rows", ["", *(f"{milliseconds} ms a row" for milliseconds in found)], cells)
        memory_and_store(10_000)


if __name__ == "__main__":
    main()
