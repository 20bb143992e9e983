"""The stores of a test: on a file of its own, and closed in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ollama_magics.store.vectors import VectorStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file of a store will be: in a folder that does not exist."""
    return tmp_path / "cache" / "vectors.sqlite"


@pytest.fixture
def make(path: Path) -> Iterator[Callable[..., VectorStore]]:
    """Return a function that makes a store on that file; all are closed in the end."""
    with ExitStack() as stores:

        def store(where: Path = path, **options: int) -> VectorStore:
            made = VectorStore(where, **options)
            stores.callback(made.close)
            return made

        yield store


@pytest.fixture
def store(make: Callable[..., VectorStore]) -> VectorStore:
    """Return a store on a file that does not exist yet."""
    return make()
