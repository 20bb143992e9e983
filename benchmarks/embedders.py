"""Embed texts into one float32 array with each client, and measure it."""

# Peers are given batches of 256, which is good for them, and write into an array that is made once.

from __future__ import annotations

import gc
import json
import resource
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from bare import Connection, read_all

MODEL = "bench-embed"
BATCH = 256
LIMIT = "bare socket"
OURS = ("ours", "ours + store", "ours by NumPy", "ours by NumPy + store")  # as installed, and where simdjson has no wheel
PEERS = ("ollama", "langchain-ollama", "openai")
MEGABYTE = 1_000_000

Array = np.ndarray[Any, Any]
Embed = Callable[[Any], Array]


def texts(seed: int, count: int) -> Iterator[str]:
    """Yield that many different texts of twelve words; another seed gives others."""
    return (f"row {row} of {seed}: the quick brown fox jumps over the lazy dog" for row in range(count))


def batches(rows: Sequence[str]) -> Iterator[list[str]]:
    """Yield the texts in lists of 256."""
    return (list(rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))


def _batchwise(embed_batch: Callable[[list[str]], Iterable[Any]]) -> Embed:
    def embed(rows: Sequence[str]) -> Array:
        vectors, start = np.empty((0, 0), np.float32), 0
        for part in batches(rows):
            found = np.array(embed_batch(part), np.float32)
            if not start:
                vectors = np.empty((len(rows), found.shape[1]), np.float32)
            vectors[start : start + len(part)] = found
            start += len(part)
        return vectors

    return embed


def _ollama(url: str) -> Embed:
    client = import_module("ollama").Client(host=url)
    return _batchwise(lambda part: client.embed(model=MODEL, input=part).embeddings)


def _langchain(url: str) -> Embed:
    model = import_module("langchain_ollama").OllamaEmbeddings(model=MODEL, base_url=url)
    return _batchwise(model.embed_documents)


def _openai(url: str) -> Embed:
    client = import_module("openai").OpenAI(base_url=f"{url}/v1", api_key="none")
    return _batchwise(lambda part: [entry.embedding for entry in client.embeddings.create(model=MODEL, input=part).data])


def _ours(url: str, *, store: bool, by_numpy: bool = False) -> Embed:
    if by_numpy:
        sys.modules["simdjson"] = None  # type: ignore[assignment] # "cannot be imported" from now on
    om = import_module("ollama_magics")
    om.configure(base_url=url, embedding_model=MODEL)
    return lambda rows: om.embed(rows, store=store)


CLIENTS: dict[str, Callable[[str], Embed]] = {
    "ollama": _ollama,
    "langchain-ollama": _langchain,
    "openai": _openai,
    "ours": lambda url: _ours(url, store=False),
    "ours + store": lambda url: _ours(url, store=True),
    "ours by NumPy": lambda url: _ours(url, store=False, by_numpy=True),
    "ours by NumPy + store": lambda url: _ours(url, store=True, by_numpy=True),
}


def runner(name: str, url: str) -> Callable[..., dict[str, float]]:
    """Return the function that embeds ``count`` texts with that client and returns what was measured."""
    if name == LIMIT:
        return _limit(url)
    embed = CLIENTS[name](url)

    def run(seed: int, count: int, *, generator: bool = False) -> dict[str, float]:
        rows = texts(seed, count) if generator else list(texts(seed, count))
        gc.collect()
        before = _reset_peak()
        start, start_cpu = time.perf_counter(), time.process_time()
        vectors = embed(rows)
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        above = (_peak() - before - vectors.nbytes) / MEGABYTE
        return {"seconds": seconds, "cpu": cpu, "sum": zlib.crc32(vectors.data), "rows": len(vectors), "megabytes": above}

    return run


def _limit(url: str) -> Callable[..., dict[str, float]]:
    connections = [Connection(url) for _ in range(4)]

    def run(seed: int, count: int) -> dict[str, float]:
        parts = batches(list(texts(seed, count)))
        bodies = [json.dumps({"model": MODEL, "input": part}).encode() for part in parts]
        start = time.perf_counter()
        received = read_all(connections, "/api/embed", bodies)
        return {"seconds": time.perf_counter() - start, "bytes": received}

    return run


def _reset_peak() -> int:
    """Return the bytes of memory in use, and reset the peak if the system can (Linux)."""
    if not Path("/proc/self/clear_refs").exists():
        return _peak()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _status("VmRSS")


def _peak() -> int:
    if Path("/proc/self/status").exists():
        return _status("VmHWM")  # not ru_maxrss, which begins with the peak of the parent
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
