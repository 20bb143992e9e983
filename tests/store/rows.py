"""Rows that follow from their keys, and processes of their own, for the tests of the store."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ollama_magics.store.keys import key
from ollama_magics.store.vectors import VectorStore

ROOT = Path(__file__).parents[2]
WIDTH = 8


def keys_of(batch: int, count: int = 4) -> list[bytes]:
    """Return the keys of a batch."""
    return [key("digest", {})(f"text {row} of batch {batch}") for row in range(count)]


def row_of(name: bytes, width: int = WIDTH) -> bytes:
    """Return the row of a key: its bytes, over and over."""
    return (name * width)[: 4 * width]


def rows_of(names: list[bytes], width: int = WIDTH) -> bytes:
    """Return the rows of the keys, one after another."""
    return b"".join(row_of(name, width) for name in names)


def put(store: VectorStore, batch: int, count: int = 4, width: int = WIDTH) -> list[bytes]:
    """Put a batch into the store and return its keys."""
    names = keys_of(batch, count)
    store.put(names, rows_of(names, width), width)
    return names


def kept(store: VectorStore, names: list[bytes], width: int = WIDTH) -> list[bool]:
    """Return for each key whether its row is there, having compared every byte of it."""
    found = store.find(names)
    assert all(row == row_of(name, width) for name, row in found.items())
    return [name in found for name in names]


def started(code: str, *words: object, **environment: str) -> subprocess.Popen[str]:
    """Run Python code in a process of its own, which can import what stands here."""
    before = "import sys\nfrom pathlib import Path\nfrom tests.store.rows import *\n"
    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", before + code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, **environment},
    )


def output_lines(process: subprocess.Popen[str]) -> list[str]:
    """Return the lines that a process printed, once it has ended well."""
    out, wrong = process.communicate(timeout=60)
    assert process.returncode == 0, wrong
    return out.splitlines()
