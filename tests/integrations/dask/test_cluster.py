"""Lazy arrays on a real cluster of two processes, each of which asks a server of its own."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import dask
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster

import ollama_magics as om
from ollama_magics.errors import EmbeddingProblem
from ollama_magics.fake_server.server import FakeServer
from tests.faults import FaultServer, whole
from tests.integrations.dask.turns import in_turn

MODEL = "sandbox-embed"
TEXTS = [f"text number {number}" for number in range(12)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Client]:
    """Start two worker processes with one thread each; its pages listen on a free port of this machine."""
    # IPython's shells put a module of their own in the place of __main__, which new processes need with its __spec__
    main = sys.modules["__main__"]
    main.__spec__ = getattr(main, "__spec__", None)
    options: dict[str, Any] = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(**options) as cluster, Client(cluster) as client:
        yield client


@pytest.fixture
def servers() -> Iterator[tuple[FakeServer, FakeServer]]:
    """Run a server for each worker."""
    with FakeServer(delay=0) as one, FakeServer(delay=0) as other:
        yield one, other


def set_host(url: str) -> Callable[[], None]:
    """Return a function that says to a worker where the Ollama of its own machine listens."""

    def on_the_worker() -> None:
        import os  # noqa: PLC0415 - runs on the worker

        os.environ["OLLAMA_HOST"] = url

    return on_the_worker


def embedded(server: FakeServer) -> list[str]:
    """Return the texts that a server was asked for."""
    return [text for _, path, body in server.requests if path == "/api/embed" and body for text in body["input"]]


def test_each_worker_asks_the_server_of_its_own_machine(cluster: Client, servers: tuple[FakeServer, FakeServer]) -> None:
    """An address from the environment is not sent along; the results of both workers are one array in order."""
    workers = list(cluster.scheduler_info()["workers"])
    for worker, server in zip(workers, servers, strict=True):
        cluster.run(set_host(server.url), workers=[worker])
    lazy: Any = om.embed(db.from_sequence(TEXTS, npartitions=2), model=MODEL, dimensions=256, store=False)
    halves = [cluster.compute(lazy.blocks[number], workers=[worker]) for number, worker in enumerate(workers)]
    found = np.concatenate(cluster.gather(halves))
    assert [embedded(server) for server in servers] == [TEXTS[:6], TEXTS[6:]]
    om.configure(base_url=servers[0].url)
    assert np.array_equal(found, om.embed(TEXTS, model=MODEL, store=False))


def test_an_address_that_was_typed_is_the_same_on_every_worker(cluster: Client, servers: tuple[FakeServer, FakeServer]) -> None:
    """Two arrays with two addresses go through the same processes, and neither asks the other's server."""
    lazy: list[Any] = []
    for server in servers:
        om.configure(base_url=server.url)
        lazy.append(om.embed(db.from_sequence(TEXTS, npartitions=4), model=MODEL, dimensions=256, store=False))
    one, other = dask.compute(*lazy, scheduler=cluster)
    assert [sorted(embedded(server)) for server in servers] == [sorted(TEXTS)] * 2
    assert np.array_equal(one, other)


def test_an_error_comes_back_from_a_worker_whole(cluster: Client, servers: tuple[FakeServer, FakeServer]) -> None:
    """With its class, its rows, its facts and the partition."""
    om.configure(base_url=servers[0].url)
    lazy: Any = om.embed(db.from_sequence(["a", "b", "c", ""], npartitions=2), model=MODEL, dimensions=256, store=False)
    with pytest.raises(EmbeddingProblem) as caught:
        lazy.compute(scheduler=cluster)
    assert (caught.value.code, caught.value.rows) == ("rows-not-text", (1,))
    assert "Row 1 is empty." in str(caught.value)
    assert "partition 1" in caught.value.__notes__[0]


def test_retries_are_those_of_dask(cluster: Client) -> None:
    """A partition that failed is a task that failed, and dask gives it to a worker again."""
    refused = whole({"error": "input is strange"}, status=400)
    vectors = whole({"model": "m", "embeddings": [[1.0, 2.0]]})
    with FaultServer(in_turn(refused, vectors)) as server:
        om.configure(base_url=server.url)
        lazy: Any = om.embed(db.from_sequence(["a"]), model="m", dimensions=2, store=False)
        assert lazy.compute(scheduler=cluster, retries=2).tolist() == [[1.0, 2.0]]
        assert server.paths().count("/api/embed") == 2


def test_the_workers_show_no_bars(cluster: Client, servers: tuple[FakeServer, FakeServer]) -> None:
    """Nobody looks at what they write, and many bars at once are none."""
    om.configure(base_url=servers[0].url)
    lazy: Any = om.embed(db.from_sequence(TEXTS, npartitions=2), model=MODEL, dimensions=256, store=False, batch=1, parallel=1)
    cluster.run(_listen)
    lazy.compute(scheduler=cluster)
    assert set(cluster.run(_heard).values()) == {""}


TICKET = {
    "type": "object",
    "properties": {"kind": {"type": "string"}, "stars": {"type": "integer"}},
    "required": ["kind", "stars"],
}


def test_rows_are_asked_on_the_workers(cluster: Client, servers: tuple[FakeServer, FakeServer]) -> None:
    """Lazily, with the types of the format; two servers share the rows of each partition, and index and order stay."""
    om.configure(base_url=servers[0].url, model="sandbox-chat")
    frame = pd.DataFrame({"text": TEXTS}, index=range(100, 112))
    urls = [server.url for server in servers]
    lazy = om.map(dd.from_pandas(frame, npartitions=3), "Read {{text}}", format=TICKET, base_url=urls, store=False)
    types = {"text": "string", "kind": "str", "stars": "Int64", "error": "str", "seconds": "float64", "tokens": "Int64"}
    assert {name: str(kind) for name, kind in lazy.dtypes.items()} == types
    assert not any(path == "/api/chat" for server in servers for _, path, _ in server.requests)
    found = cluster.compute(lazy).result()
    assert list(found.index) == list(frame.index)
    assert list(found["text"]) == TEXTS
    assert {name: str(kind) for name, kind in found.dtypes.items()} == types
    assert set(found["error"]) == {""}
    asked = [
        [body["messages"][-1]["content"] for _, path, body in one.requests if path == "/api/chat" and body] for one in servers
    ]
    assert sorted(asked[0] + asked[1]) == sorted(f"Read {text}" for text in TEXTS)
    assert all(asked)


def test_a_bag_of_texts_gives_a_bag_of_answers(cluster: Client, servers: tuple[FakeServer, FakeServer]) -> None:
    """And an empty partition stays empty."""
    om.configure(base_url=servers[0].url, model="sandbox-chat")
    lazy = om.map(db.from_sequence(TEXTS, npartitions=2), "Say {{item}}", store=False)
    found = cluster.compute(lazy).result()
    assert [row["item"] for row in found] == TEXTS
    assert all(row["item"] in row["reply"] for row in found)


def _listen() -> None:
    import io  # noqa: PLC0415 - runs on the worker
    import sys  # noqa: PLC0415 - as above

    sys.stderr = io.StringIO()


def _heard() -> str:
    import sys  # noqa: PLC0415 - runs on the worker

    found, sys.stderr = sys.stderr, sys.__stderr__
    return str(found.getvalue())  # type: ignore[union-attr] # what _listen has put there
