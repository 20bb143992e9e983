"""How a job ends: nothing runs on after an interrupt or an error, and what was finished is there the next time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tqdm.auto  # noqa: F401 - an interrupt while it is imported would be about that

from ollama_magics.embeddings.collect import embed
from ollama_magics.embeddings.inputs import source_of
from ollama_magics.embeddings.options import read_options
from ollama_magics.embeddings.servers import Endpoint
from ollama_magics.errors import Cancelled, ConnectionProblem, EmbeddingProblem, Interrupted
from ollama_magics.server.models import InstalledModels
from ollama_magics.store.vectors import VectorStore
from tests.embeddings.batch_server import LONG, NAN, BatchRequest, Call, Connect, healthy, refused, sent_texts, serving, vectors
from tests.faults import Hold, Step

TEXTS = [f"text {number}" for number in range(100)]


def threads() -> list[str]:
    """Return the names of the threads of jobs that still run."""
    return [thread.name for thread in threading.enumerate() if thread.name == "ollama-embed" or "tqdm" in thread.name]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VectorStore]:
    """Give a store in a file of its own."""
    found = VectorStore(tmp_path / "vectors.sqlite")
    yield found
    found.close()


def interrupting(after: int) -> Any:
    """Return the rule of a server that interrupts the main thread at a request, and lets that and all others wait."""

    def rule(request: BatchRequest) -> Sequence[Step] | None:
        if request.number == after:
            signal.raise_signal(signal.SIGINT)
        return [Hold()] if request.number >= after else None

    return rule


def test_a_small_job_takes_few_requests_connections_and_threads(connect: Connect) -> None:
    """The models are listed before the batches and after them, the last time over the connection of the batches."""
    workers: list[int] = []
    with serving(lambda _: workers.append(len(threads()))) as server:
        client = connect(server.url)
        endpoint = Endpoint(client, InstalledModels(client))
        for text in ("first", "second"):
            embed(source_of([text]), read_options("m"), [endpoint])
        known, job = ["/api/version", "/api/tags", "/api/show"], ["/api/embed", "/api/tags"]
        assert server.paths() == [*known, *job, "/api/tags", *job]
        assert server.accepted == 3
    assert workers == [1, 1]


def test_an_interrupt_closes_the_connections_and_ends_the_threads(connect: Connect, store: VectorStore) -> None:
    """The server stops its work when the connection closes."""
    with serving(interrupting(3)) as server:
        with pytest.raises(Interrupted) as caught:
            Call(connect, [server], store)(TEXTS, batch=10, parallel=3)
        assert threads() == []
        embedding = [text for texts in sent_texts(server) for text in texts]
        assert len(embedding) < len(TEXTS)
    assert caught.value.code == "interrupted-batches-kept"
    assert "kept" in str(caught.value)


@pytest.mark.finding("C26")
def test_an_interrupt_before_the_first_batch_says_so(connect: Connect, store: VectorStore) -> None:
    """Nothing is finished, so that nothing can be kept."""
    with serving(interrupting(0)) as server, pytest.raises(Interrupted) as caught:
        Call(connect, [server], store)(TEXTS, batch=10)
    assert str(caught.value) == "Interrupted; no batch was finished yet.  [interrupted-no-batch]"


def test_an_interrupt_leaves_no_connection_open(connect: Connect) -> None:
    """Only the one of the notebook itself stays, which is kept for the next cell."""
    with serving(interrupting(2)) as server:
        with pytest.raises(Interrupted) as caught:
            Call(connect, [server])(TEXTS, batch=10)
        with server.changed:
            assert server.changed.wait_for(lambda: server.open <= 1, 5)
    assert caught.value.code == "interrupted-nothing-kept"


@pytest.mark.parametrize(("steps", "kind"), [(refused("unauthorized", 401), ConnectionProblem), (refused(NAN), EmbeddingProblem)])
def test_an_error_ends_the_threads(connect: Connect, steps: Sequence[Step], kind: type[BaseException]) -> None:
    """And so does success."""
    with serving(lambda request: steps if "text 42" in request.texts else None) as server:
        with pytest.raises(kind):
            Call(connect, [server])(TEXTS, batch=10)
        assert threads() == []
        Call(connect, [server])(TEXTS[:40], batch=10)
        assert threads() == []


def test_a_session_that_closes_ends_its_jobs(connect: Connect) -> None:
    """As it ends all other waits."""
    closing = threading.Event()

    def rule(request: BatchRequest) -> Sequence[Step] | None:
        if request.number == 1:
            closing.set()
        return [Hold()] if request.number else None

    with serving(rule) as server, pytest.raises(Cancelled):
        Call(lambda url: connect(url, cancelled=closing), [server])(TEXTS, batch=10)
    assert threads() == []


def test_only_missing_rows_are_requested_after_an_interrupt(connect: Connect, store: VectorStore) -> None:
    """And the array is the same to the last bit."""
    with serving(interrupting(4)) as server, pytest.raises(Interrupted):
        Call(connect, [server], store)(TEXTS, batch=10, parallel=1)
    with serving(healthy) as server:
        call = Call(connect, [server], store)
        assert np.array_equal(call(TEXTS, batch=10), vectors(TEXTS))
        assert sorted(text for texts in sent_texts(server) for text in texts) == sorted(TEXTS[40:])
    assert call.last_report().reused == 40


def test_nothing_is_requested_again_right_after_a_job(connect: Connect, store: VectorStore) -> None:
    """Also of the texts that are looked up in what the job has just read of the store's list."""
    texts = [f"text {number}" for number in range(3000)]
    with serving(healthy) as server:
        call = Call(connect, [server], store)
        call(texts[:1000])
        call(texts[:2500])
        sent = [text for batch in sent_texts(server) for text in batch]
        assert (call(texts[:2500]) == vectors(texts[:2500])).all()
    assert sorted(sent) == sorted(texts[:2500])
    assert call.last_report().reused == 2500


def test_only_failed_rows_are_requested_again(connect: Connect, store: VectorStore) -> None:
    """After an error, or a text that was corrected."""
    with serving(lambda request: refused(NAN) if "bad" in request.texts else None) as server:
        Call(connect, [server], store).problem([*TEXTS, "bad"])
    with serving(healthy) as server:
        assert np.array_equal(Call(connect, [server], store)([*TEXTS, "corrected"]), vectors([*TEXTS, "corrected"]))
        assert sent_texts(server) == [["corrected"]]


def test_another_model_or_option_reuses_nothing(connect: Connect, store: VectorStore) -> None:
    """Its vectors are others."""
    with serving(healthy) as server:
        call = Call(connect, [server], store)
        call(["a"])
        call(["a"], context=256)
        call(["a"], dimensions=4)
        assert sent_texts(server) == [["a"]] * 3
        call(["a"], parallel=3, batch=7, keep_alive="1m")
        assert call.last_report().reused == 1
    with serving(healthy, digest=lambda _: "sha256:2") as server:
        Call(connect, [server], store)(["a"])
        assert sent_texts(server) == [["a"]]


def test_cut_texts_are_reused_only_where_cutting_is_allowed(connect: Connect, store: VectorStore) -> None:
    """And are reported as truncated again."""

    def rule(request: BatchRequest) -> Sequence[Step] | None:
        return refused(LONG) if not request.body["truncate"] and "long" in request.texts else None

    with serving(rule) as server:
        call = Call(connect, [server], store)
        call(["a", "long"], truncate=True)
        before = len(server.requests)
        call(["a", "long"], truncate=True)
        assert (call.last_report().truncated, call.last_report().reused) == ((1,), 2)
        assert all(request.path != "/api/embed" for request in server.requests[before:])
        assert call.problem(["a", "long"]).rows == (1,)


def test_what_a_replaced_model_gave_is_not_reused(connect: Connect, store: VectorStore) -> None:
    """It was stored under the name of the one before."""
    with serving(healthy, digest=lambda look: "sha256:1" if look == 0 else "sha256:2") as server:
        assert Call(connect, [server], store).problem(["a", "b"]).code == "model-replaced"
    with serving(healthy) as server:
        call = Call(connect, [server], store)
        assert np.array_equal(call(["a", "b"]), vectors(["a", "b"]))
        assert call.last_report().reused == 0


def test_a_model_that_could_not_be_looked_at_confirms_nothing(
    connect: Connect, store: VectorStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was away may come back with another model: what it gave before is not reused, either."""
    monkeypatch.setattr("ollama_magics.embeddings.job._CHECK_INTERVAL", 0.0)
    refusals: list[int] = []

    def listing(look: int) -> Sequence[Step] | None:
        if refusals or len(sent_texts(server)) < 2:  # the first batch is stored when the second one is sent
            return None
        refusals.append(look)
        return refused("busy", 503)

    with serving(healthy, digest=lambda _: "sha256:2" if refusals else "sha256:1", listing=listing) as server:
        assert Call(connect, [server], store).problem(TEXTS, batch=1, parallel=1).code == "model-replaced"
    assert refusals
    with serving(healthy) as server:
        call = Call(connect, [server], store)
        call(TEXTS)
        assert call.last_report().reused == 0


def test_a_store_that_cannot_be_written_costs_no_row(connect: Connect, tmp_path: Path) -> None:
    """The array comes, and the store says what is wrong."""
    (tmp_path / "file").write_text("not a folder")
    broken = VectorStore(tmp_path / "file" / "vectors.sqlite")
    with serving(healthy) as server:
        assert np.array_equal(Call(connect, [server], broken)(TEXTS, batch=10), vectors(TEXTS))
    assert broken.problem
    broken.close()


def test_all_is_written_or_told_when_a_job_ends(connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process may end at the next moment, in a way that runs nothing of Python's."""
    monkeypatch.setattr(VectorStore, "gathering", 3600.0)
    (tmp_path / "file").write_text("not a folder")
    sound, other = (VectorStore(tmp_path / "vectors.sqlite") for _ in range(2))
    broken = VectorStore(tmp_path / "file" / "vectors.sqlite")
    with serving(healthy) as server:
        Call(connect, [server], sound)(TEXTS[:5])
        call = Call(connect, [server], other)
        call(TEXTS[:5])
        assert call.last_report().reused == 5
        Call(connect, [server], broken)(TEXTS[:5])
        assert broken.problem
    with serving(interrupting(2)) as server, pytest.raises(Interrupted):
        Call(connect, [server], sound)(TEXTS, batch=10, parallel=1)
    with serving(healthy) as server:
        call = Call(connect, [server], other)
        call(TEXTS, batch=10)
        assert call.last_report().reused == 5 + 2 * 10
    for one in (sound, other, broken):
        one.close()


@pytest.mark.parametrize(("kept", "remedy"), [(True, "all others are kept"), (False, "fix these")])
def test_an_error_says_that_the_others_are_kept_only_if_they_are(
    connect: Connect, tmp_path: Path, *, kept: bool, remedy: str
) -> None:
    """A store that cannot be written keeps nothing."""
    (tmp_path / "file").write_text("not a folder")
    chosen = VectorStore(tmp_path / "vectors.sqlite" if kept else tmp_path / "file" / "vectors.sqlite")
    with serving(lambda request: refused(NAN) if "bad" in request.texts else None) as server:
        problem = Call(connect, [server], chosen).problem([*TEXTS, "bad"])
        without = Call(connect, [server]).problem([*TEXTS, "bad"])
        alone = Call(connect, [server], chosen).problem(["bad"])
    chosen.close()
    assert problem.remedy.startswith(remedy)
    assert alone.remedy.startswith("fix these")  # there are no others
    assert without.remedy.startswith("fix these")
    problem.language = "zh"
    assert ("保存" in problem.remedy) is kept


def test_an_interrupt_says_so_too(connect: Connect, tmp_path: Path) -> None:
    """Who reads that batches are kept may close the lid."""
    (tmp_path / "file").write_text("not a folder")
    broken = VectorStore(tmp_path / "file" / "vectors.sqlite")
    with serving(interrupting(4)) as server, pytest.raises(Interrupted) as caught:
        Call(connect, [server], broken)(TEXTS, batch=10, parallel=1)
    broken.close()
    assert caught.value.code == "interrupted-some-kept"
