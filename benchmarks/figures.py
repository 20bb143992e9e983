"""Compare clients by the medians of their times, in a table."""

# Other work on the machine slows whole rounds. So ratios are those within a round, and then their median.

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

Samples = Mapping[str, Sequence[float]]  # seconds of each client, a number for each round


def spread(seconds: Sequence[float]) -> float:
    """Return half the distance between the slowest and the fastest, as a part of the median."""
    return (max(seconds) - min(seconds)) / 2 / median(seconds)


def faster(samples: Samples, name: str, than: str) -> float | None:
    """Return how many times as fast a client is as another, or None if the other was not measured."""
    if than not in samples:
        return None
    return median(other / own for other, own in zip(samples[than], samples[name], strict=True))


def keep(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Add a table to those that docs.py writes, if it runs; the first column holds names, the others figures."""
    if path := os.environ.get("BENCH_TABLES"):
        lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"name": name, "table": table}, ensure_ascii=False) + "\n")


def show(samples: Samples, count: int, unit: str, *, peer: str, limit: str) -> None:
    """Print a line for each client: ``count`` in a second or us for each of it, and what that is of the others."""
    print(f"  {'':20}{unit:>10}{'noise':>9}{'over ' + peer:>14}{'of the limit':>14}")
    for name, seconds in samples.items():
        time = median(seconds)
        figure = f"{time / count * 1e6:10.2f}" if unit.startswith("us") else f"{count / time:10,.0f}"
        over, part = faster(samples, name, peer), faster(samples, name, limit)
        print(
            f"  {name:20}{figure}{f'±{spread(seconds):.0%}':>9}"
            f"{'-' if over is None else f'{over:.2f}x':>14}{'-' if part is None else f'{part:.1%}':>14}"
        )


def summarise(measured: Mapping[str, Samples], names: Sequence[str], *, peer: str, limit: str) -> None:
    """Print one table of ratios: for each client, in each part, how many times as fast as a peer, and how much of the limit."""
    rows = []
    print(f"\n{f'Times as fast as {peer} · of the limit':38}{''.join(f'{part:>18}' for part in measured)}")
    for name in names:
        ratios = [(faster(samples, name, peer), faster(samples, name, limit)) for samples in measured.values() if name in samples]
        cells = [f"{'-' if over is None else f'{over:.2f}x'} · {'-' if part is None else f'{part:.0%}'}" for over, part in ratios]
        print(f"  {name:36}{''.join(f'{cell:>18}' for cell in cells)}")
        rows.append([f"`{name}`", *cells])
    keep("embeddings", ["", *measured], rows)
