"""Measure om.embed on a real Ollama, next to one request for each text."""

# OLLAMA_TEST_URL=http://127.0.0.1:11434 python benchmarks/real_embed.py [--model all-minilm] [--count 1000] [--rounds 3]

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from statistics import median
from typing import Any

import httpx
import numpy as np
from embedders import texts
from figures import spread

Array = np.ndarray[Any, Any]
SIMILAR = 0.999  # cosine: the sums of a runner depend a little on the rest of the batch


def one_by_one(url: str, model: str) -> Callable[[Sequence[str]], Array]:
    """Return a function that requests each text alone, over one connection."""
    client = httpx.Client(base_url=url, timeout=60)

    def embed(rows: Sequence[str]) -> Array:
        vectors = []
        for row in rows:
            answer = client.post("/api/embed", json={"model": model, "input": row, "truncate": False})
            vectors += answer.raise_for_status().json()["embeddings"]
        return np.array(vectors, np.float32)

    return embed


def ours(url: str, model: str) -> Callable[[Sequence[str]], Array]:
    """Return om.embed without the store."""
    om = import_module("ollama_magics")
    om.configure(base_url=url, embedding_model=model)
    return lambda rows: om.embed(rows, store=False)


def in_turns(ways: dict[str, Callable[[Sequence[str]], Array]], count: int, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each way for the same new texts, round after round; raises if the vectors differ."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for embed in ways.values():
        embed(list(texts(-1, 32)))
    for seed in range(rounds):
        rows, found = list(texts(seed, count)), []
        for name, embed in ways.items():
            start = time.perf_counter()
            found.append(embed(rows))
            seconds[name].append(time.perf_counter() - start)
        require_similar(*found)
    return seconds


def require_similar(one: Array, other: Array) -> None:
    """Raise RuntimeError if two rows differ in direction."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    worst = ((one * other).sum(axis=1) / lengths).min()
    if worst < SIMILAR:
        message = f"the vectors differ: a cosine of {worst:.4f}"
        raise RuntimeError(message)


def main() -> None:
    """Print the seconds of both ways and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=os.environ.get("OLLAMA_TEST_URL"), help="the server (OLLAMA_TEST_URL)")
    parser.add_argument("--model", default="all-minilm", help="an embedding model that it has (all-minilm)")
    parser.add_argument("--count", type=int, default=1_000, help="texts (1000)")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each way (3)")
    chosen = parser.parse_args()
    if not chosen.url:
        sys.exit("Name a server: OLLAMA_TEST_URL=http://127.0.0.1:11434, or --url")
    ways = {"one by one": one_by_one(chosen.url, chosen.model), "om.embed": ours(chosen.url, chosen.model)}
    seconds = in_turns(ways, chosen.count, chosen.rounds)
    print(f"{chosen.count:,} texts through {chosen.model} on a real server, medians of {chosen.rounds}")
    for name, found in seconds.items():
        print(f"  {name:12}{median(found):8.1f} s  ±{spread(found):.0%}{chosen.count / median(found):9,.0f} texts/s")
    ratios = [alone / together for alone, together in zip(seconds["one by one"], seconds["om.embed"], strict=True)]
    print(f"  om.embed is {median(ratios):.2f}x as fast ({', '.join(f'{one:.2f}' for one in ratios)})")


if __name__ == "__main__":
    main()
