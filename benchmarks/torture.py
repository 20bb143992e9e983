"""Kill an embedding job at random moments, and check that it ends with the right array and requests nothing twice."""

# make torture, or: python benchmarks/torture.py [--texts N] [--kills N] [--seed N] ...
#
# Each kill is a SIGKILL to the process that embeds, which is then started again and calls om.embed with the same texts. What
# may be requested again after a kill: the batches that are computed (two) or read (one), and those that wait to be written
# together, for up to 0.05 s (four).
# The server leaves a batch unanswered shortly after the moment of each kill: a job on a busy machine does not end before it.
# The status is 0 if the array has every bit of the expected one, no kill cost more than that, and a last call requests nothing.

from __future__ import annotations

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from counting_server import MODEL, NUMBERS, bytes_of

HERE = Path(__file__).parent
MOST_AGAIN = 7  # batches a kill
POLL = 0.005  # seconds between two requests for the counts
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
JOB = """
import sys
import numpy
import ollama_magics as om
texts, batch, model, array = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
print("embedding", flush=True)
numpy.save(array, om.embed([f"text {number}" for number in range(texts)], model=model, batch=batch))
"""


class Failed(Exception):
    """A check that failed."""


class Torture:
    """A server, a cache folder, and jobs on them, one after another."""

    def __init__(self, chosen: argparse.Namespace, url: str, scratch: Path) -> None:
        self.chosen, self.url, self.scratch = chosen, url, scratch
        self.moments = random.Random(chosen.seed)  # noqa: S311 - no secret
        self.array = scratch / "array.npy"

    def counts(self) -> dict[str, int]:
        """Return what the server counted: ``texts`` requested, how many of them ``again``, and ``seen`` since ``hold``."""
        with DIRECT.open(f"{self.url}/counts") as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def ask(self, what: str, value: int = 0) -> None:
        """Ask the server to ``hold`` or to ``forget``."""
        DIRECT.open(f"{self.url}/{what}", data=json.dumps(value).encode()).close()

    @contextmanager
    def job(self, cache: str) -> Iterator[subprocess.Popen[str]]:
        """Start a process that embeds all texts with the store in that folder; yield it when it begins to."""
        words = (self.chosen.texts, self.chosen.batch, MODEL, self.array)
        home = {"XDG_CACHE_HOME": str(self.scratch / cache), "HOME": str(self.scratch / cache), "OLLAMA_HOST": self.url}
        with (self.scratch / "errors").open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", JOB, *map(str, words)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **home},
            )
        try:
            process.stdout.readline()  # type: ignore[union-attr] # it is a pipe
            yield process
        finally:
            process.kill()
            process.communicate()

    def whole_job(self, cache: str) -> tuple[float, float]:
        """Let a job come to its end, compare its array with the expected one; return the seconds to its first text, and all."""
        with self.job(cache) as process:
            started = time.monotonic()
            first = self.wait_for_request(process) - started
            if process.wait():
                raise Failed(f"the job failed:\n{self.errors()}")
            seconds = time.monotonic() - started
        found, expected = np.load(self.array), self.expected()
        if found.shape != expected.shape or found.dtype != expected.dtype or found.tobytes() != expected.tobytes():
            raise Failed(f"the array is not the expected one: {found.dtype}, {found.shape}")
        self.array.unlink()
        return first, seconds

    def wait_for_request(self, process: subprocess.Popen[str]) -> float:
        """Wait until the job requests its first text, or ends without; return that time."""
        before = self.counts()
        while self.counts() == before and process.poll() is None:
            time.sleep(POLL)
        return time.monotonic()

    def expected(self) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the array as it follows from the texts."""
        digests = b"".join(bytes_of(f"text {number}", self.chosen.width) for number in range(self.chosen.texts))
        return np.array(NUMBERS, np.float32)[np.frombuffer(digests, np.uint8)].reshape(-1, self.chosen.width)

    def killed_job(self, texts: int, most: int, seconds: float = math.inf) -> float:
        """Kill a job that has requested more than so many texts, or so long after its start; return its time.

        ``most``: the texts that are answered, so that the job cannot end before.
        """
        self.ask("hold", most)
        with self.job("killed") as process:
            started = time.monotonic()
            while time.monotonic() - started < seconds and self.counts()["seen"] <= min(texts, most):
                if process.poll() is not None:
                    raise Failed(f"the job ended before it was killed:\n{self.errors()}")
                time.sleep(POLL)
            return time.monotonic() - started

    def kill_and_resume(self, first: float) -> None:
        """Kill one job after another, and let the last one end; print what each kill cost."""
        kills, batch = self.chosen.kills, self.chosen.batch
        done = self.counts()
        print(f"{'kill':>6}{'after':>10}{'texts done':>15}{'requested again since the last kill':>36}")
        for kill in range(1, kills + 1):
            left = self.chosen.texts - done["texts"]
            if kill % 4:
                texts = int(self.moments.uniform(0, 2 * left / (kills - kill + 1)))
                seconds = self.killed_job(texts, most=max(0, min(texts + MOST_AGAIN * batch, left - batch)))
            else:  # while it starts or reads the store
                seconds = self.killed_job(0, most=0, seconds=self.moments.uniform(0, first))
            done = self.check(f"{kill:6}{seconds:8.2f} s", done)
        self.ask("hold", sys.maxsize)
        _, seconds = self.whole_job("killed")
        self.check(f"{'end':>6}{seconds:8.2f} s", done)

    def check(self, line: str, before: dict[str, int]) -> dict[str, int]:
        """Print a line and return the counts; raises Failed if more was requested again than one kill may cost."""
        now = self.counts()
        again = now["again"] - before["again"]
        print(f"{line}{now['texts']:15,}{again:20,} = {again / self.chosen.batch:.1f} batches", flush=True)
        if again > MOST_AGAIN * self.chosen.batch:
            raise Failed(f"{again} texts were requested again, more than {MOST_AGAIN} batches of {self.chosen.batch}")
        return now

    def errors(self) -> str:
        """Return the end of what a job wrote to standard error."""
        return (self.scratch / "errors").read_text(encoding="utf-8")[-2000:]

    def run(self) -> None:
        """Run everything; raises Failed."""
        chosen = self.chosen
        print(f"{chosen.texts:,} texts, {chosen.width} numbers each, batches of {chosen.batch}, seed {chosen.seed}")
        first, undisturbed = self.whole_job("undisturbed")
        rate = chosen.texts / (undisturbed - first)
        print(f"undisturbed: {undisturbed:.1f} s, of which {first:.1f} s to the first text, then {rate:,.0f} texts/s", flush=True)
        self.ask("forget")
        self.kill_and_resume(first)
        before = self.counts()
        _, seconds = self.whole_job("killed")
        if self.counts() != before:
            raise Failed("a last call requested texts again")
        size = sum(part.stat().st_size for part in (self.scratch / "killed").rglob("vectors.sqlite*"))
        print(f"a last call: {seconds:.1f} s, nothing requested; the store has {size / 1e6:.0f} MB")
        print(f"passed: {chosen.kills} kills, bit-identical, {before['again']:,} of {chosen.texts:,} texts requested again")


def main() -> int:
    """Run it and return the status of the process."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default, text in (
        ("texts", 100_000, "how many texts"),
        ("kills", 20, "how many kills"),
        ("batch", 256, "texts in a batch"),
        ("width", 64, "numbers in a vector"),
        ("milliseconds", 0, "time that the server takes for a batch, besides its own"),
        ("seed", random.randrange(1000), "for the moments of the kills (random)"),  # noqa: S311 - no secret
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{text} ({default})")
    chosen = parser.parse_args()
    if os.name == "nt":
        parser.error("on Windows the cache folder cannot be moved, and your own cache must not be changed")
    command = [sys.executable, str(HERE / "counting_server.py"), str(chosen.width), str(chosen.milliseconds)]
    with (
        tempfile.TemporaryDirectory(prefix="ollama-magics-torture-") as scratch,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server,
    ):
        url = server.stdout.readline().strip()  # type: ignore[union-attr] # it is a pipe
        try:
            Torture(chosen, url, Path(scratch)).run()
        except Failed as error:
            print(f"FAILED: {error}")
            return 1
        finally:
            server.communicate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
