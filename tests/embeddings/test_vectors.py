"""The array: one row for each text, in order and checked, or none at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ollama_magics.embeddings.collect import embed as embed_rows
from ollama_magics.embeddings.inputs import source_of
from ollama_magics.embeddings.options import read_options
from ollama_magics.embeddings.servers import Endpoint
from ollama_magics.errors import ConnectionProblem, EmbeddingProblem, OllamaMagicsError, RequestRefused
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server.client import Client
from ollama_magics.server.models import InstalledModels
from tests.embeddings.batch_server import QUICK
from tests.faults import Close, FaultServer, Send, Step, fine, whole

Connect = Callable[..., Client]


def batches(server: FakeServer | FaultServer) -> list[list[str]]:
    """Return the texts of each request for vectors."""
    if isinstance(server, FakeServer):
        return [body["input"] for _, path, body in server.requests if path == "/api/embed" and body]
    return [json.loads(request.body)["input"] for request in server.requests if request.path == "/api/embed"]


def embed(client: Client, model: str, texts: Sequence[str], **options: Any) -> np.ndarray[Any, Any]:
    """Return the array, with one request at a time."""
    place = Endpoint(client, InstalledModels(client))
    return embed_rows(source_of(texts), read_options(model, parallel=1, **options), [place], retry_policy=QUICK)[0]


def answering(*vectors: Any) -> list[Step]:
    """Return the script of a server that answers a batch with these."""
    return fine(embed=whole({"model": "m", "embeddings": list(vectors)}))


def embed_on(connect: Connect, script: Sequence[Step], texts: Sequence[str], **options: Any) -> np.ndarray[Any, Any]:
    """Return the array that a server with this script leads to."""
    with FaultServer(script) as server:
        return embed(connect(server.url), "m", texts, **options)


def test_the_array_is_plain_and_ready_to_use(connect: Connect, stand_in: FakeServer) -> None:
    """One row a text, float32, in one piece of memory."""
    vectors = embed(connect(stand_in.url), "sandbox-embed", ["one text", "another text", "something else"])
    assert (vectors.shape, vectors.dtype) == ((3, 256), np.float32)
    assert vectors.flags.c_contiguous
    assert vectors.flags.writeable
    assert np.isfinite(vectors).all()


def test_batches_keep_the_order_and_lose_nothing(connect: Connect, stand_in: FakeServer) -> None:
    """Whatever their size, the array is the same."""
    texts = [f"text number {number}" for number in range(23)]
    client = connect(stand_in.url)
    together = embed(client, "sandbox-embed", texts, batch=256)
    assert batches(stand_in) == [texts]
    stand_in.requests.clear()
    apart = embed(client, "sandbox-embed", texts, batch=5)
    assert batches(stand_in) == [texts[start : start + 5] for start in range(0, 23, 5)]
    assert np.array_equal(together, apart)
    assert len({row.tobytes() for row in apart}) == 23


@pytest.mark.parametrize(("count", "requests"), [(1, 1), (256, 1), (257, 2), (512, 2)])
def test_a_batch_holds_as_many_texts_as_chosen(connect: Connect, stand_in: FakeServer, count: int, requests: int) -> None:
    """Neither a request too many nor one too large."""
    assert len(embed(connect(stand_in.url), "sandbox-embed", list(map(str, range(count))), batch=256)) == count
    assert len(batches(stand_in)) == requests


def test_every_batch_forbids_cutting(connect: Connect, stand_in: FakeServer) -> None:
    """A cut text would have a vector that looks right."""
    embed(connect(stand_in.url), "sandbox-embed", ["a", "b"], batch=1)
    sent = [body for _, path, body in stand_in.requests if path == "/api/embed"]
    assert [body["truncate"] for body in sent if body] == [False, False]


def test_more_than_one_batch_shows_its_progress(
    connect: Connect, stand_in: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """One batch shows nothing."""
    client = connect(stand_in.url)
    embed(client, "sandbox-embed", list("abcd"))
    assert capsys.readouterr().err == ""
    embed(client, "sandbox-embed", list("abcde"), batch=2)
    assert "5/5" in capsys.readouterr().err


MISFITS: dict[str, tuple[list[Any], str]] = {
    "too few": ([[1.0, 2.0]], "It has 1 vectors for 2 texts."),
    "too many": ([[1.0]] * 3, "It has 3 vectors for 2 texts."),
    "none": ([], "It has 0 vectors for 2 texts."),
    "of two sizes": ([[1.0, 2.0], [1.0]], "Its vectors have 1 and 2 numbers."),
    "without numbers": ([[], []], "Its vectors have 0 numbers."),
}


@pytest.mark.parametrize(("vectors", "reason"), MISFITS.values(), ids=MISFITS)
def test_vectors_that_do_not_fit_the_texts_are_never_an_array(connect: Connect, vectors: list[Any], reason: str) -> None:
    """Rows would belong to the wrong texts, or to none."""
    with pytest.raises(EmbeddingProblem) as caught:
        embed_on(connect, answering(*vectors), ["a", "b"])
    assert (caught.value.code, caught.value.how_we_know) == ("vectors-mismatch", reason)


UNREADABLE = [
    b'{"embeddings":[[1.0],[NaN]]}',
    b'{"embeddings":[[1.0],[1e999]]}',
    b'{"embeddings":[[1.0],[null]]}',
    b'{"embeddings":[[1.0],["2.0"]]}',
    b'{"embeddings":[[1.0],2.0]}',
    b'{"embeddings":"AACAPw=="}',
    b'{"embeddings":[[1.0],[',
    b"<html>",
    b"",
]


@pytest.mark.parametrize("body", UNREADABLE)
def test_an_answer_without_numbers_is_never_an_array(connect: Connect, body: bytes) -> None:
    """It cannot be read at all."""
    with pytest.raises(RequestRefused) as caught:
        embed_on(connect, fine(embed=whole(body)), ["a", "b"])
    assert caught.value.code == "answer-unreadable"


def test_a_text_that_is_too_long_is_an_error_with_its_row(connect: Connect, stand_in: FakeServer) -> None:
    """The server refuses a batch as a whole, and its other texts are sent again."""
    texts = ["a", "b", "c", "word " * 5000]
    with pytest.raises(EmbeddingProblem) as caught:
        embed(connect(stand_in.url), "sandbox-embed", texts, batch=2)
    assert (caught.value.code, caught.value.rows) == ("texts-too-long", (3,))
    assert caught.value.how_we_know == "Row 3 is too long."


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (whole({"error": "embedding contains NaN or Inf values"}, status=400), EmbeddingProblem),
        (whole({"error": 'do embedding request: Post "http://127.0.0.1:1/embedding": EOF'}, status=400), EmbeddingProblem),
        ([Send(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"embeddings":[[1.0'), Close()], ConnectionProblem),
        ([Close()], ConnectionProblem),
    ],
)
def test_a_failed_batch_is_an_error(connect: Connect, script: Sequence[Step], kind: type[OllamaMagicsError]) -> None:
    """Never a shorter array."""
    with pytest.raises(kind):
        embed_on(connect, fine(embed=script), ["a"])


def test_no_texts_are_no_array(connect: Connect) -> None:
    """Where the server does not tell the width; nothing is embedded."""
    with FaultServer(fine()) as server:
        client = connect(server.url)
        with pytest.raises(EmbeddingProblem) as caught:
            embed(client, "m", [])
        assert caught.value.code == "texts-empty"
        assert "/api/embed" not in [request.path for request in server.requests]
