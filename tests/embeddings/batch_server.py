"""A server whose answer to a batch is a rule over its texts, and the call that asks it."""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ollama_magics.embeddings.collect import embed
from ollama_magics.embeddings.inputs import source_of
from ollama_magics.embeddings.options import read_options
from ollama_magics.embeddings.output import EmbedReport
from ollama_magics.embeddings.servers import Endpoint
from ollama_magics.errors import EmbeddingProblem
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.jobs.queue import RetryPolicy
from ollama_magics.server.client import Client
from ollama_magics.server.models import InstalledModels
from tests.faults import FaultServer, Send, Step, fine, whole
from tests.faults.connection import Connection

Connect = Callable[..., Client]
QUICK = RetryPolicy(first=0.001, longest=0.01)
NAN = "embedding contains NaN or Inf values"
LONG = "the input length exceeds the context length"
EOF = 'do embedding request: Post "http://127.0.0.1:1/embedding": EOF'
NO_RUNNER = "llama runner process no longer running: -1"


@dataclass(frozen=True)
class BatchRequest:
    """One request for vectors: its texts, its number among all (from 0), and the whole body."""

    texts: list[str]
    number: int
    body: Mapping[str, Any]


Rule = Callable[[BatchRequest], Sequence[Step] | None]


@dataclass
class Embeds:
    """Receives request after request; the rule gives the answer to those for vectors, None the right one."""

    rule: Rule
    digest: Callable[[int], str] = lambda _: "sha256:1"
    listing: Callable[[int], Sequence[Step] | None] = lambda _: None  # what to answer to the listing of that number
    width: int = 0  # of a vector, as the card of the model has it; 0: it does not say
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    listings: itertools.count[int] = field(default_factory=itertools.count)

    def run(self, connection: Connection) -> None:
        """Do it."""
        while True:
            request = connection.receive()
            for step in self._answer(request.path, request.body):
                step.run(connection)

    def _answer(self, path: str, body: bytes) -> Sequence[Step]:
        if path == "/api/tags":
            look = next(self.listings)
            model = {"name": "m:latest", "size": 1, "digest": self.digest(look)}
            return self.listing(look) or whole({"models": [model]})
        if path == "/api/show" and self.width:
            return whole(
                {
                    "capabilities": ["embedding"],
                    "model_info": {"general.architecture": "bert", "bert.embedding_length": self.width},
                }
            )
        if path != "/api/embed":
            (serve,) = fine()
            scripts: Mapping[str, Sequence[Step]] = serve.scripts  # type: ignore[attr-defined]
            return scripts[path]
        found = json.loads(body)
        asked = BatchRequest(found["input"], next(self.numbers), found)
        return self.rule(asked) or right(asked.texts)


def vector(text: str) -> list[float]:
    """Return the vector of a text, four numbers that float32 holds exactly."""
    return [1.0, *(float(byte) for byte in zlib.crc32(text.encode()).to_bytes(4)[:3])]


def vectors(texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """Return the array that is right for the texts."""
    return np.array([vector(text) for text in texts], np.float32)


def right(texts: Sequence[str]) -> Sequence[Step]:
    """Return the right answer to a batch."""
    return whole({"model": "m", "embeddings": [vector(text) for text in texts]})


def refused(said: str, status: int = 400) -> Sequence[Step]:
    """Return a refusal in the server's words."""
    return whole({"error": said}, status=status)


def body(data: bytes) -> Sequence[Step]:
    """Return an answer of these very bytes."""
    return [Send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(data) + data)]


def serving(rule: Rule, **options: Any) -> FaultServer:
    """Return a server that answers batches by the rule."""
    return FaultServer([Embeds(rule, **options)])


def healthy(_: BatchRequest) -> None:
    """Answer all batches right."""


def sent_texts(server: FaultServer | FakeServer) -> list[list[str]]:
    """Return the texts of each request for vectors."""
    if isinstance(server, FakeServer):
        return [found["input"] for _, path, found in server.requests if path == "/api/embed" and found]
    return [json.loads(request.body)["input"] for request in server.requests if request.path == "/api/embed"]


@dataclass
class Call:
    """A job against one or more servers; ``report`` is that of the last one."""

    connect: Connect
    servers: Sequence[FaultServer | FakeServer]
    store: Any = None
    retry_policy: RetryPolicy = QUICK
    report: EmbedReport | None = None

    def __call__(self, rows: Any, model: str = "m", **options: Any) -> np.ndarray[Any, Any]:
        """Return the array."""
        clients = [self.connect(server.url) for server in self.servers]
        endpoints = [Endpoint(client, InstalledModels(client)) for client in clients]
        found, self.report = embed(source_of(rows), read_options(model, **options), endpoints, self.store, self.retry_policy)
        return found

    def last_report(self) -> EmbedReport:
        """Return the report of the last job."""
        assert self.report is not None
        return self.report

    def problem(self, rows: Any, **options: Any) -> EmbeddingProblem:
        """Return the error of a job that must fail because of its rows or of the answers."""
        try:
            self(rows, **options)
        except EmbeddingProblem as error:
            return error
        raise AssertionError("there was no error")
