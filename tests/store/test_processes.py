"""Several processes on one file, and processes that end in every possible way."""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ollama_magics.store.vectors import VectorStore
from tests.store.rows import kept, keys_of, output_lines, started

Make = Callable[..., VectorStore]
WIDTH = 64
ROWS = 64

WRITE = """
path, first, step, count = Path(sys.argv[1]), *map(int, sys.argv[2:])
store = VectorStore(path)
for batch in range(first, first + step * count, step):
    put(store, batch, count=64, width=64)
    print(batch, flush=True)
"""


def test_processes_that_write_at_once_lose_nothing(path: Path, make: Make) -> None:
    """Three of them begin the file together, put what is their own and what is not, and have no problem."""
    code = WRITE + "put(store, 1000, count=64, width=64)\nprint(store.problem or 'well', store.count())\nstore.close()"
    for process in [started(code, path, first, 3, 20) for first in range(3)]:
        assert output_lines(process)[-1].startswith("well")
    names = [name for batch in (*range(60), 1000) for name in keys_of(batch, ROWS)]
    assert all(kept(make(), names, WIDTH))


def test_processes_that_find_a_damaged_file_at_once_set_it_aside_and_lose_nothing(path: Path, make: Make) -> None:
    """Only the damaged file gets another name, never the new one that a process has begun."""
    path.parent.mkdir()
    path.write_bytes(b"what lay here before" * 500)
    for process in [started(WRITE + "store.close()", path, first, 3, 20) for first in range(3)]:
        output_lines(process)
    names = [name for batch in range(60) for name in keys_of(batch, ROWS)]
    assert all(kept(make(), names, WIDTH))
    others = [part.read_bytes() for part in path.parent.glob("vectors.sqlite.*") if not part.name.endswith(("-wal", "-shm"))]
    assert others == [b"what lay here before" * 500]


@pytest.mark.promise("N4")
@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows ends processes in another way")
def test_a_process_that_is_killed_at_any_moment_leaves_whole_batches(path: Path, make: Make) -> None:
    """Of what it put, at most the four batches that were not yet written are missing, and none is there in part."""
    moments = random.Random(6)  # noqa: S311 - no secret
    put_before, there = 0, 0
    for _ in range(8):
        process = started(WRITE, path, there, 1, 1_000_000)
        assert process.stdout
        line = process.stdout.readline()
        time.sleep(moments.uniform(0, 0.15))
        process.kill()
        lines = [line, *process.communicate()[0].splitlines(keepends=True)]
        put_before = int([line for line in lines if line.endswith("\n")][-1]) + 1
        there = _whole_batches(make(), put_before + 2)
        assert put_before - 4 <= there <= put_before + 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def _whole_batches(store: VectorStore, most: int) -> int:
    """Return how many batches are there, in order, each of them whole."""
    there = kept(store, [name for batch in range(most) for name in keys_of(batch, ROWS)], WIDTH)
    store.close()
    count = sum(there) // ROWS
    assert there == [True] * (count * ROWS) + [False] * ((most - count) * ROWS)
    return count


def test_a_script_that_ends_without_closing_loses_nothing(path: Path, make: Make) -> None:
    """What waits is written at the end of Python."""
    output_lines(started(WRITE, path, 0, 1, 3))
    assert all(kept(make(), [name for batch in range(3) for name in keys_of(batch, ROWS)], WIDTH))


FORK = """
import os
store, later = VectorStore(Path(sys.argv[1])), VectorStore(Path(sys.argv[2]))
put(store, 1)
assert store.count() == 4
child = os.fork()
for batch in range(2, 12):
    put(store, batch if child else 100 + batch)
    put(later, batch if child else 100 + batch)
store.close()
later.close()
if not child:
    print(store.problem, later.problem, flush=True)
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), store.problem)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows does not fork")
def test_a_forked_process_leaves_the_open_file_to_its_parent(path: Path, make: Make) -> None:
    """So multiprocessing starts on Linux: the child goes on without the file, and uses one that was not open yet."""
    later = path.with_name("later.sqlite")
    assert output_lines(started(FORK, path, later)) == [
        "Vectors are neither found nor kept in a process that was forked while the store was open. ",
        "0 ",
    ]
    parents, childs = ([name for batch in range(start, start + 10) for name in keys_of(batch)] for start in (2, 102))
    assert kept(make(), parents + childs) == [True] * 40 + [False] * 40
    assert all(kept(make(later), parents + childs))


FORK_DURING_WRITE = """
import os, sqlite3, time
store, path = VectorStore(Path(sys.argv[1])), Path(sys.argv[1])
put(store, 1)
assert store.count() == 4
with sqlite3.connect(path, isolation_level=None) as other:
    other.execute("BEGIN IMMEDIATE")
    put(store, 2)
    while not store._file_lock.locked():
        time.sleep(0.001)
    child = os.fork()
    if not child:
        print(store.find(keys_of(3), max_age=60.0), store.problem, flush=True)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    other.execute("COMMIT")
assert all(kept(store, keys_of(2)))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows does not fork")
def test_a_process_that_is_forked_during_a_write_does_not_wait_for_it(path: Path) -> None:
    """The lock that the parent's thread holds has nobody in the child who would release it."""
    problem = "Vectors are neither found nor kept in a process that was forked while the store was open."
    assert output_lines(started(FORK_DURING_WRITE, path)) == [f"{{}} {problem}", "0"]
