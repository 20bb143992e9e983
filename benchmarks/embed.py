"""Measure embedding from texts to one float32 array, next to other clients and to the limit."""

# make bench, which makes an environment of its own (.venv) with the peers in it; or, with them in yours:
#   pip install -e ".[bench]" && python benchmarks/embed.py [--quick] [PART ...]
# Either needs a C compiler. A peer that is not installed is left out and named. Absolute figures depend on the machine and
# on what else runs there: compare the ratios, which are medians of the ratios within a round.

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import numpy as np
from embedders import LIMIT, OURS, PEERS
from figures import Samples, show, spread, summarise
from processes import Worker, fast_server, where, workers

from ollama_magics.store.vector_index import KEY_SIZE
from ollama_magics.store.vectors import VectorFile

ENCODE_US = 40  # time of Ollama's own JSON encoder for 768 numbers
V1_ENCODE_US = 132  # and its /v1/embeddings in base64, which encodes, decodes and encodes again
GPU_MS = 20
WARM_UP = 512
FEW = 16  # texts of a small job, which are one batch
NAMES = (LIMIT, *PEERS, *OURS)


def in_turns(clients: Sequence[Worker], count: int, rounds: int) -> dict[str, list[float]]:
    """Let the clients embed the same new texts one after another, round after round; return the seconds of each.

    Raises RuntimeError if the arrays of two clients differ in any bit.
    """
    seconds: dict[str, list[float]] = {client.name: [] for client in clients}
    for client in clients:
        client.run(seed=-1, count=WARM_UP)
    for seed in range(rounds):
        sums = {}
        for client in clients:
            measured = client.run(seed=seed, count=count)
            seconds[client.name].append(measured["seconds"])
            if client.name != LIMIT:
                sums[client.name] = measured["sum"]
        if len(set(sums.values())) > 1:
            message = f"the arrays are not the same: {sums}"
            raise RuntimeError(message)
    return seconds


def compare(title: str, chosen: argparse.Namespace, **costs: float) -> Samples:
    """Print the rates of all clients against a server with these costs, and return their seconds."""
    print(f"\n{title}: {chosen.count:,} texts, 768 numbers each, medians of {chosen.rounds}")
    with fast_server(width=768, **costs) as url, workers("embed", NAMES, url) as clients:
        samples = in_turns(clients, chosen.count, chosen.rounds)
    show(samples, chosen.count, "texts/s", peer="ollama", limit=LIMIT)
    return samples


def client_only(chosen: argparse.Namespace) -> Samples:
    """Measure the clients against prepared answers."""
    return compare("Client only", chosen)


def behind_encoding(chosen: argparse.Namespace) -> Samples:
    """Measure the clients with a server that has to write its JSON on one core."""
    title = f"Behind Ollama's JSON encoder on one core ({ENCODE_US} us a vector, {V1_ENCODE_US} us for openai's path)"
    return compare(title, chosen, encode_us=ENCODE_US, v1_encode_us=V1_ENCODE_US)


def behind_gpu(chosen: argparse.Namespace) -> Samples:
    """Measure the clients with a server that waits as one GPU would."""
    return compare(f"Behind one GPU ({GPU_MS} ms for 256 texts)", chosen, gpu_ms=GPU_MS)


def memory(chosen: argparse.Namespace) -> None:
    """Print the peak of memory above the array, each time in a new process."""
    print(f"\nMemory above the array: {chosen.count:,} texts, 768 numbers each, medians of 3, in MB")
    with fast_server(width=768) as url:
        for name in (*PEERS, *OURS):
            show_memory(name, url, chosen.count)
    print(f"\nMemory above the array: a generator of {chosen.most:,} texts, 384 numbers each, in MB")
    with fast_server(width=384) as url:
        for name in OURS:
            show_memory(name, url, chosen.most, times=1, generator=True)


def show_memory(name: str, url: str, count: int, *, times: int = 3, **order: bool) -> None:
    """Print the median peak of a client above its array."""
    peaks = []
    for _ in range(times):
        with workers("embed", [name], url) as clients:
            for client in clients:
                client.run(seed=-1, count=WARM_UP)
                peaks.append(client.run(seed=0, count=count, **order)["megabytes"])
        if not peaks:
            return
    print(f"  {name:20}{median(peaks):8.1f}")


def growth(chosen: argparse.Namespace) -> None:
    """Print the time for each text of smaller and larger jobs."""
    print("\nTime for each text as jobs grow, 384 numbers each, in us (1.00x = as at 10 000)")
    sizes = [size for size in (1_000, 10_000, 100_000, 1_000_000) if size <= chosen.most]
    with fast_server(width=384) as url, workers("embed", ("ours", "ours by NumPy"), url) as clients:
        for client in clients:
            client.run(seed=-1, count=WARM_UP)
            show_growth(client, sizes)


def show_growth(client: Worker, sizes: Sequence[int]) -> None:
    """Print a line for each size: the median of 5 while jobs are short."""
    found: dict[int, list[float]] = {}
    for size in sizes:
        times = 5 if size <= 100_000 else 1
        found[size] = [client.run(seed=seed, count=size)["seconds"] / size * 1e6 for seed in range(times)]
    usual = median(found[10_000])
    for size, costs in found.items():
        noise = f"±{spread(costs):.0%}" if len(costs) > 1 else "once"
        print(f"  {client.name:20}{size:10,}{median(costs):9.1f}{noise:>8}{median(costs) / usual:8.2f}x")


def first_job(chosen: argparse.Namespace) -> None:
    """Print the CPU time of a job of one batch that is the first of its process, and of the next one."""
    print(f"\nCPU time of a job of {FEW} texts, 768 numbers each, NumPy imported before: medians of {3 * chosen.rounds}, in ms")
    cpu: dict[tuple[str, str], list[float]] = {}
    with fast_server(width=768) as url:
        for seed in range(3 * chosen.rounds):
            with workers("embed", OURS[:2], url) as clients:
                for client in clients:
                    for number, job in enumerate(("first", "second")):
                        cpu.setdefault((client.name, job), []).append(client.run(seed=2 * seed + number, count=FEW)["cpu"] * 1000)
    for (name, job), found in cpu.items():
        print(f"  {name:20}{job:8}{median(found):8.1f}")


def store(chosen: argparse.Namespace) -> None:
    """Print what the store costs: beside a job without it, and for each text as it grows."""
    print(f"\nCPU time of a job without the store, of that with it: {chosen.count:,} texts, medians of {chosen.rounds}")
    with fast_server(width=768) as url, workers("embed", OURS, url) as clients:
        for client in clients:
            client.run(seed=-1, count=WARM_UP)
        for pair in zip(clients[::2], clients[1::2], strict=True):
            used = [[client.run(seed=seed, count=chosen.count)["cpu"] for client in pair] for seed in range(chosen.rounds)]
            print(f"  {pair[0].name:20}{median(without / stored for without, stored in used):8.0%}")
    with tempfile.TemporaryDirectory() as folder:
        show_store(Path(folder) / "vectors.sqlite", chosen.most)


def show_store(path: Path, most: int) -> None:
    """Print the CPU time for each text of a store that grows, and the time to find a tenth of it when it is opened again."""
    print("\nCPU time of the store for each text as it grows, 384 numbers each")
    numbers, vectors = np.random.default_rng(0), np.ones((256, 384), np.float32).data
    batches = [[numbers.bytes(KEY_SIZE) for _ in range(256)] for _ in range(most // 256)]
    file = VectorFile(path, 8 * 1024**3, own_folder=False)
    began, written = time.process_time(), 0
    for size in (size for size in (10_000, 100_000, 1_000_000) if size <= most):
        new = batches[written : size // 256]
        for keys in new:
            file.find(keys)
            file.put([(keys, vectors, 384)])
        now = time.process_time()
        print(f"  up to {size:10,} rows{(now - began) / len(new) / 256 * 1e6:8.2f} us")
        began, written = now, size // 256
    file.close()

    began, file = time.process_time(), VectorFile(path, 8 * 1024**3, own_folder=False)
    found = sum(len(file.find(keys)) for keys in batches[::10])
    print(f"  {found:,} of them found after opening it in {time.process_time() - began:.2f} s")
    file.close()


PARTS: dict[str, Callable[[argparse.Namespace], Samples | None]] = {
    "client": client_only,
    "encode": behind_encoding,
    "gpu": behind_gpu,
    "memory": memory,
    "growth": growth,
    "first": first_job,
    "store": store,
}


def main() -> None:
    """Run the parts that were named, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all of them)")
    parser.add_argument("--quick", action="store_true", help="smaller jobs and three rounds: quick but imprecise")
    parser.add_argument("--rounds", type=int, help="turns of each client (7, quick 3)")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    chosen.rounds = chosen.rounds or (3 if chosen.quick else 7)
    chosen.count, chosen.most = (2_560, 100_000) if chosen.quick else (10_000, 1_000_000)
    print(where())
    measured = {part: samples for part in chosen.parts or PARTS if (samples := PARTS[part](chosen))}
    if measured:
        summarise(measured, (*PEERS, *OURS), peer="ollama", limit=LIMIT)


if __name__ == "__main__":
    main()
