"""Answers that do not fit the texts: a job ends with the right array or with none, never with a wrong one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.embeddings.collect import embed
from ollama_magics.embeddings.decoding import Decoder, Scanner
from ollama_magics.embeddings.inputs import source_of
from ollama_magics.embeddings.options import read_options
from ollama_magics.embeddings.servers import Endpoint
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.server.address import parse
from ollama_magics.server.client import Client
from ollama_magics.server.models import InstalledModels
from tests.embeddings.batch_server import (
    NO_RUNNER,
    QUICK,
    BatchRequest,
    Call,
    Connect,
    body,
    healthy,
    refused,
    right,
    sent_texts,
    serving,
    vector,
    vectors,
)
from tests.faults import FaultServer, Send, Step, whole
from tests.faults.connection import Connection

TEXTS = ["a", "b", "c", "d"]


def sending(*rows: Any) -> FaultServer:
    """Return a server that sends these rows for every batch."""
    return serving(lambda _: whole({"embeddings": list(rows)}))


def test_the_answers_of_many_batches_in_flight_keep_their_order(connect: Connect) -> None:
    """Also where the first batch takes longer than all others."""
    texts = [f"text {number}" for number in range(1000)]
    others = threading.Event()

    def rule(request: BatchRequest) -> None:
        if texts[0] in request.texts:
            others.wait(10)
        elif texts[-1] in request.texts:
            others.set()

    with serving(rule) as server:
        assert np.array_equal(Call(connect, [server])(texts, batch=16, parallel=4), vectors(texts))


@dataclass(frozen=True)
class Until:
    """Go on when something has come true; ``came`` gets whether it did within ten seconds."""

    moment: threading.Event
    came: list[bool]

    def run(self, _: Connection) -> None:
        """Do it."""
        self.came.append(self.moment.wait(10))


def test_a_server_has_two_batches_to_compute_while_the_answer_to_a_third_is_read(connect: Connect) -> None:
    """It is never asked for a third before an answer begins, and for one as soon as an answer does."""
    third, came = threading.Event(), list[bool]()

    def rule(request: BatchRequest) -> Sequence[Step] | None:
        if request.number == 2:
            third.set()
        if request.number:
            third.wait(10)
            return None
        came.append(third.wait(0.3))
        (answer,) = right(request.texts)
        assert isinstance(answer, Send)
        return [Send(answer.data[:-9]), Until(third, came), Send(answer.data[-9:])]

    texts = [f"text {number}" for number in range(8)]
    with serving(rule) as server:
        assert np.array_equal(Call(connect, [server])(texts, batch=2), vectors(texts))
    assert came == [False, True]


FLAWED: dict[str, tuple[Any, str]] = {
    "zeros": ([0.0, 0.0, 0.0, 0.0], "got a vector of zeros"),
    "too small for float32": ([1e-50, 0.0, 0.0, 0.0], "got a vector of zeros"),
    "too large for float32": ([1e39, 0.0, 0.0, 0.0], "NaN or infinite"),
    "empty": ([], "got 0 numbers, not 4"),
    "narrow": ([1.0], "got 1 numbers, not 4"),
    "wide": ([1.0] * 5, "got 5 numbers, not 4"),
}


@pytest.mark.parametrize(("flawed", "told"), FLAWED.values(), ids=FLAWED)
def test_a_vector_that_cannot_be_used_is_named_by_its_row(connect: Connect, flawed: list[float], told: str) -> None:
    """It is asked for once more, alone; the others of its batch are kept."""

    def rule(request: BatchRequest) -> Any:
        return whole({"embeddings": [flawed if text == "c" else vector(text) for text in request.texts]})

    with serving(rule) as server:
        call = Call(connect, [server])
        found = call(TEXTS, on_error="nan")
        assert sent_texts(server) == [TEXTS, ["c"]]
        problem = call.problem(TEXTS)
    if len(flawed) == 4:
        assert told in problem.how_we_know
    assert problem.rows == (2,)
    assert np.isnan(found[2]).all()
    assert np.array_equal(found[[0, 1, 3]], vectors(["a", "b", "d"]))


def test_a_vector_that_was_zero_once_is_asked_for_again(connect: Connect) -> None:
    """A hiccup of a graphics card is no property of a text."""
    zeros = whole({"embeddings": [vector("a"), [0.0] * 4]})
    with serving(lambda request: zeros if request.number == 0 else None) as server:
        assert np.array_equal(Call(connect, [server])(["a", "b"]), vectors(["a", "b"]))


@pytest.mark.parametrize(
    "rows", [[], [[1.0]], [[1.0]] * 3, [[1.0]] * 5, [[], [], [], []], [[1.0], [1.0], [1.0, 2.0], [1.0, 2.0]]]
)
@pytest.mark.parametrize("on_error", ["raise", "nan", "skip"])
def test_an_answer_whose_rows_belong_to_no_text_ends_the_job(connect: Connect, rows: list[Any], on_error: str) -> None:
    """Whatever was wished for single rows: no row can be trusted."""
    with sending(*rows) as server:
        problem = Call(connect, [server]).problem(TEXTS, on_error=on_error)
    assert problem.code == "vectors-mismatch"


def test_a_width_that_changes_between_batches_ends_the_job(connect: Connect) -> None:
    """The model was replaced in between."""
    rule = serving(lambda request: whole({"embeddings": [[1.0]]}) if request.number == 2 else None)
    with rule as server:
        problem = Call(connect, [server]).problem(TEXTS, batch=1, parallel=1)
    assert problem.how_we_know == "The first vectors have 4 numbers, those from row 2 on 1."


def test_a_width_other_than_the_wanted_one_ends_the_job(connect: Connect) -> None:
    """Ollama ignores a dimension that the model cannot give, without a word."""
    with serving(healthy) as server:
        assert Call(connect, [server])(TEXTS, dimensions=4).shape == (4, 4)
        assert "3 numbers were requested" in Call(connect, [server]).problem(TEXTS, dimensions=3).how_we_know


def test_a_model_that_is_replaced_during_the_job_ends_it(connect: Connect) -> None:
    """Vectors of two models are never one array."""
    with serving(healthy, digest=lambda look: f"sha256:{look}") as server:
        problem = Call(connect, [server]).problem(TEXTS)
    assert problem.code == "model-replaced"
    assert "replaced" in problem.what


def test_a_server_that_is_away_for_a_moment_is_asked_again_by_verify(connect: Connect) -> None:
    """The vectors of a long job are not lost for it."""
    with serving(lambda request: refused(NO_RUNNER) if request.number in (1, 3) else None) as server:
        assert np.array_equal(Call(connect, [server])(TEXTS, verify=True), vectors(TEXTS))


def test_another_width_alone_is_told_by_verify(connect: Connect) -> None:
    """In the words of any other answer that does not fit."""
    narrow = whole({"embeddings": [[1.0, 2.0]]})
    with serving(lambda request: narrow if request.number else None) as server:
        assert Call(connect, [server]).problem(TEXTS, verify=True).code == "vectors-mismatch"


def test_texts_that_differ_alone_are_told_by_verify(connect: Connect) -> None:
    """A server that mixes up what it computes at once gives other vectors in a batch."""

    def shifted(request: BatchRequest) -> Any:
        return right([*request.texts[1:], request.texts[0]]) if len(request.texts) > 1 else None

    with serving(shifted) as server:
        assert Call(connect, [server])(TEXTS).shape == (4, 4)
        problem = Call(connect, [server]).problem(TEXTS, verify=True)
    assert problem.code == "batch-differs"
    assert set(problem.rows) >= {0, 3}
    with serving(healthy) as server:
        Call(connect, [server])(TEXTS, verify=True)
        assert ["a"] in sent_texts(server)
        assert ["d"] in sent_texts(server)


# Any shape of an answer.

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=32).filter(lambda number: abs(number) > 1e-30)
ODD = st.one_of(
    st.none(), st.booleans(), st.text(max_size=3), st.just([]), st.just([1.0]), st.just({}), st.just(1e39), st.just(0)
)
ROWS = st.one_of(st.lists(NUMBERS, min_size=2, max_size=2), st.lists(st.one_of(NUMBERS, ODD), max_size=4), ODD)
ANSWERS = st.one_of(st.lists(ROWS, max_size=5), st.lists(st.lists(NUMBERS, min_size=2, max_size=2), min_size=3, max_size=3), ODD)


def sound(rows: Any, count: int) -> bool:
    """Whether the rows are what the interface promises: one vector for each text, all of one width, of finite numbers."""
    if not isinstance(rows, list) or len(rows) != count or not all(isinstance(row, list) and row for row in rows):
        return False
    numbers = [number for row in rows for number in row]
    plain = all(isinstance(number, (int, float)) and not isinstance(number, bool) for number in numbers)
    if not plain or len({len(row) for row in rows}) != 1:
        return False
    with np.errstate(over="ignore"):
        found = np.array(rows, np.float32)
    return bool(np.isfinite(found).all() and found.any(axis=1).all())


@pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])
@given(rows=ANSWERS, spare=st.text("[]a", max_size=3), compact=st.booleans())
def test_bytes_become_the_right_matrix_or_none(fast: bool, rows: Any, spare: str, compact: bool) -> None:  # noqa: FBT001 - both
    """Nested, ragged, too few, too many, words, nulls: both readers agree with a plain reading of the interface."""
    decoder = Decoder()
    if not fast:
        decoder._reader = Scanner()
    signs = (",", ":") if compact else None  # as Ollama writes it, or with spaces
    data = json.dumps({"model": spare, "embeddings": rows, "spare": spare}, separators=signs).encode()
    try:
        found = decoder.read(memoryview(data), 3)
    except OllamaMagicsError:
        assert not sound(rows, 3)
        return
    usable = [place for place in range(3) if place not in found.flaws]
    assert all(sound([rows[place]], 1) for place in usable)
    assert bool(found.flaws) != sound(rows, 3)
    if usable:
        assert np.array_equal(found.numbers[usable].astype(np.float32), np.array([rows[place] for place in usable], np.float32))


@pytest.fixture(scope="module")
def any_answer() -> Iterator[tuple[Client, list[bytes]]]:
    """Give a client and the list whose last entry its server sends."""
    answer = [b""]
    with serving(lambda _: body(answer[-1])) as server:
        client = Client(parse(server.url))
        yield client, answer
        client.close()


@given(rows=ANSWERS)
def test_a_job_gives_the_right_array_or_an_error(any_answer: tuple[Client, list[bytes]], rows: Any) -> None:
    """Whatever the server sends for every batch."""
    client, answer = any_answer
    answer.append(json.dumps({"embeddings": rows}).encode())
    try:
        found, _ = embed(
            source_of(["a", "b", "c"]), read_options("m"), [Endpoint(client, InstalledModels(client))], retry_policy=QUICK
        )
    except OllamaMagicsError:
        assert not sound(rows, 3)
    else:
        assert sound(rows, 3)
        assert np.array_equal(found, np.array(rows, np.float32))


def test_an_answer_may_be_longer_than_one_that_could_not_be_read(connect: Connect) -> None:
    """The memory that takes them grows, though the error of the first one is kept."""
    with serving(lambda request: body(b'{"embeddings":[[null]]}') if request.texts == ["bad"] else None) as server:
        found = Call(connect, [server])(["bad", *TEXTS], batch=1, parallel=1, on_error="nan")
    assert np.array_equal(found[1:], vectors(TEXTS))


@pytest.mark.parametrize("data", [b"", b"<html>", b'{"embeddings":[[1.0],[', b'{"embeddings":[[1.0],[NaN]]}', b'{"a":1}'])
@pytest.mark.parametrize("texts", [["a", "b"], ["a"]])
def test_an_answer_that_cannot_be_read_is_never_an_array(connect: Connect, data: bytes, texts: Sequence[str]) -> None:
    """Nor is it said that the texts are at fault."""
    with serving(lambda _: body(data)) as server, pytest.raises(OllamaMagicsError) as caught:
        Call(connect, [server])(texts)
    assert caught.value.code in {"vectors-mismatch", "answer-unreadable"}
