"""The store of rows: its answers are found again, and read many at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ollama_magics.store.rows import RowStore
from tests.store.rows import keys_of


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[RowStore]:
    """Return a store that holds the answers of batch 1, written a little out of their order."""
    store = RowStore(tmp_path / "rows.sqlite")
    names = keys_of(1, 1000)
    for start in range(0, 1000, 4):
        for name in reversed(names[start : start + 4]):
            store.put(name, b"the answer to " + name)
    yield store
    store.close()


def test_stored_rows_are_read_many_at_a_time(rows: RowStore) -> None:
    """A job that is opened again asks for them in the order of its rows."""
    assert rows.keys(finished=True) == set(keys_of(1, 1000))
    statements: list[str] = []
    assert rows._file
    connection = rows._file._connection
    assert isinstance(connection, sqlite3.Connection)
    connection.set_trace_callback(statements.append)
    assert all(rows.find(name) == b"the answer to " + name for name in keys_of(1, 1000))
    assert len([text for text in statements if text.startswith("SELECT")]) < 1000 / 25
    assert rows.find(keys_of(2)[0]) is None


def test_an_answer_that_is_put_again_is_the_one_that_is_found(rows: RowStore) -> None:
    """Also where the old one was read together with another."""
    first, second = keys_of(1, 4)[:2]
    assert rows.keys(finished=False)
    assert rows.find(second) == b"the answer to " + second
    rows.put(first, b"another answer")
    assert rows.keys(finished=False)
    assert rows.find(first) == b"another answer"
