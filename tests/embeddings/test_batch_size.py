"""How many texts go into a request: as many as were chosen, or as the server embeds in about a second."""

from __future__ import annotations

import threading

import pytest

from ollama_magics.embeddings import worker
from ollama_magics.embeddings.batcher import Batch, BatchSize
from ollama_magics.embeddings.worker import width_search
from ollama_magics.jobs.width import WidthSearch
from tests.embeddings.batch_server import BatchRequest, Call, Connect, healthy, refused, sent_texts, serving, vectors

TEXTS = [f"text {number}" for number in range(2000)]
FIRST, MOST = 16, 256


@pytest.mark.finding("F8")
@pytest.mark.parametrize(
    ("batches", "following"),
    [
        ([], FIRST),
        ([(16, 0.01)], 64),  # never more than four times as many
        ([(16, 0.01), (64, 0.03)], MOST),
        ([(16, 0.01), (64, 0.03), (256, 0.1)], MOST),
        ([(16, 0.5)], 32),  # 32 texts a second
        ([(16, 0.5), (32, 1.0)], 32),
        ([(16, 3.2), (5, 0.1)], 20),  # the first while the model was loaded
        ([(16, 19.2)], 1),  # 1.2 seconds a text
        ([(1, 30.0)], 1),
        ([(16, 0.0)], 64),  # a clock that did not move
    ],
)
def test_a_batch_holds_what_takes_about_a_second(batches: list[tuple[int, float]], following: int) -> None:
    """From how many texts took how many seconds follows how many come next."""
    size = BatchSize(None)
    for count, seconds in batches:
        size.measure(count, seconds)
    assert size.texts == following


@pytest.mark.finding("F8")
def test_a_chosen_size_stays() -> None:
    """Unless the server fails because of it."""
    size = BatchSize(100)
    size.measure(100, 0.01)
    size.measure(100, 50.0)
    assert size.texts == 100
    size.shrink(Batch(range(100), ("x",) * 100))
    size.measure(50, 0.01)
    assert size.texts == 50


@pytest.mark.finding("F8")
def test_a_fast_server_gets_few_requests(connect: Connect) -> None:
    """Small ones first, then large ones; every text once, in its row."""
    with serving(healthy) as server:
        assert (Call(connect, [server])(TEXTS) == vectors(TEXTS)).all()
        sizes = sorted(map(len, sent_texts(server)))
    assert sizes.count(MOST) >= 5
    assert sum(sizes) == len(TEXTS)
    assert len(sizes) <= 20
    assert sizes[-1] == MOST


@pytest.mark.finding("F8")
def test_what_was_too_much_for_the_memory_does_not_come_again(connect: Connect) -> None:
    """However fast the smaller batches are."""
    with serving(lambda request: refused("out of memory", 500) if len(request.texts) > 100 else None) as server:
        assert (Call(connect, [server])(TEXTS) == vectors(TEXTS)).all()
        sizes = list(map(len, sent_texts(server)))
    assert len([size for size in sizes if size > 100]) <= 7 + 2 * 7  # those made before the first failure, and their halves


@pytest.mark.finding("F8")
@pytest.mark.parametrize(
    ("seconds", "tried", "width"),
    [
        ({2: 1.0, 1: 1.02}, [2, 1], 1),  # each text is computed by itself: two at a time only wait
        ({2: 1.0, 1: 1.3, 4: 0.98}, [2, 1, 4, 2], 2),  # one GPU, which would wait for the second
        ({2: 1.0, 1: 1.9, 4: 0.5}, [2, 1, 4], 4),  # computed side by side
    ],
)
def test_the_fewest_requests_that_are_as_fast_are_in_flight(seconds: dict[int, float], tried: list[int], width: int) -> None:
    """Two at first; ``seconds`` are those from one answer to the next with so many in flight."""
    search, now, widths = width_search(None), 60.0, [2]
    for _ in range(200):
        now += seconds[search.width]
        search.add(1000, now)
        if search.width != widths[-1]:
            widths.append(search.width)
    assert (widths, search.width) == (tried, width)


@pytest.mark.finding("F8")
def test_a_job_sends_as_many_requests_as_were_measured(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts the threads for them when it knows."""
    monkeypatch.setattr(worker, "width_search", lambda _: WidthSearch(4))
    together = threading.Barrier(4, timeout=20)

    def rule(request: BatchRequest) -> None:
        if request.number >= 3:
            together.wait()

    texts = [f"text {number}" for number in range(3 + 2 * 4)]
    with serving(rule) as server:
        assert (Call(connect, [server])(texts, batch=1) == vectors(texts)).all()
    assert not together.broken
