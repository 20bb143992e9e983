"""Run the server and each client in a process of its own, on different cores if there are two."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SERVER_CORE, CLIENT_CORE = 0, 1
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []  # before any process is kept on one
_COMPILE = ("-O2", "-Wall", "-pthread", "-o")


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="ollama-magics-bench-")


@cache
def _compiled() -> Path:
    program = Path(_folder().name) / "fast_server"
    compiler = os.environ.get("CC", "cc")
    subprocess.run([compiler, *_COMPILE, str(program), str(HERE / "fast_server.c"), "-lm"], check=True)
    return program


def pinned(core: int, process: int) -> bool:
    """Keep the process on one of the cores this one may use; return False if that is not possible."""
    if len(CORES) < 2:
        return False
    os.sched_setaffinity(process, {CORES[core]})
    return True


def where() -> str:
    """Return a sentence about the cores that server and clients run on."""
    if len(CORES) > 1:
        return "Server on one core, clients on another, one process each, taking turns."
    return "Server and clients share their cores here: the figures below say little."


@contextmanager
def fast_server(**costs: float) -> Iterator[str]:
    """Run fast_server.c with the costs (width, encode_us, v1_encode_us, gpu_ms, first_ms, token_us) and yield its address."""
    options = [word for name, value in costs.items() for word in (f"--{name.replace('_', '-')}", f"{value:g}")]
    with subprocess.Popen([_compiled(), *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        pinned(SERVER_CORE, server.pid)
        assert server.stdin  # noqa: S101 - for mypy
        assert server.stdout  # noqa: S101 - for mypy
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        finally:
            server.stdin.close()


class Worker:
    """One client in its own process; ``missing`` names the package that it lacks, if it cannot run."""

    def __init__(self, kind: str, name: str, url: str) -> None:
        self.name = name
        self._owned = ExitStack()
        cache_folder = self._owned.enter_context(tempfile.TemporaryDirectory(dir=_folder().name))  # with an empty store
        self._errors = self._owned.enter_context(tempfile.TemporaryFile(mode="w+"))  # noqa: SIM115 - one it is
        # as installed, with compiled files: to compile is half the time of a first job
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py"), kind, name, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment | {"XDG_CACHE_HOME": cache_folder, "OLLAMA_HOST": url},
        )
        pinned(CLIENT_CORE, self._process.pid)
        self.missing = str(self._answer().get("missing", ""))

    def run(self, **order: Any) -> dict[str, Any]:
        """Run one measurement and return its result."""
        assert self._process.stdin  # noqa: S101 - for mypy
        print(json.dumps(order), file=self._process.stdin, flush=True)
        return self._answer()

    def close(self) -> None:
        """End the process, and remove its store."""
        self._process.communicate()
        self._owned.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout  # noqa: S101 - for mypy
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            message = f"{self.name} failed:\n{self._errors.read()[-2000:]}"
            raise RuntimeError(message)
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def workers(kind: str, names: Sequence[str], url: str) -> Iterator[list[Worker]]:
    """Yield a worker for each client that is installed, and print which are not."""
    started: list[Worker] = []
    try:
        started += [Worker(kind, name, url) for name in names]
        for worker in started:
            if worker.missing:
                print(f"  left out: {worker.name} ({worker.missing})")
        yield [worker for worker in started if not worker.missing]
    finally:
        for worker in started:
            worker.close()
