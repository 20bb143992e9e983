"""Embeddings on a real Ollama with all-MiniLM-L6-v2: what they mean, and what becomes of a job whose runner is killed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import ollama_magics as om
from ollama_magics.embeddings.output import EmbedReport
from ollama_magics.errors import EmbeddingProblem, ModelProblem
from ollama_magics.session.session import current
from tests.embeddings.batch_server import BatchRequest, Call, Connect, sent_texts, serving
from tests.faults import Step, whole
from tests.real.runner import kill_runner

NUMBERS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
TEXTS = [f"{NUMBERS[number % 10]} of the {number} houses in our street was painted again last year" for number in range(168)]
LONG = "a word and another " * 400  # the model reads 512 tokens


@pytest.fixture(autouse=True)
def _here(real_url: str) -> None:
    om.configure(base_url=real_url, embedding_model="all-minilm")


def embedded(texts: Any, **options: Any) -> tuple[np.ndarray[Any, Any], EmbedReport]:
    """Return the array and the report."""
    reports: list[EmbedReport] = []
    return om.embed(texts, report=reports.append, **options), reports[0]


def test_related_texts_are_nearer_than_unrelated_ones() -> None:
    """Which is what vectors are for."""
    query, related, unrelated = om.embed(
        ["How do I bake bread?", "Knead the dough, let it rise, put it into the oven.", "The committee adjourned the tax bill."]
    )
    assert query @ related > query @ unrelated + 0.2


def test_a_batch_gives_what_each_text_gives_alone() -> None:
    """In the same order; the server itself is the judge."""
    vectors, report = embedded(TEXTS[:40], batch=16, verify=True, store=False)
    assert (vectors.shape, report.failed) == ((40, 384), ())
    alone = np.concatenate([om.embed(text, store=False) for text in TEXTS[5:8]])
    assert (np.einsum("ij,ij->i", vectors[5:8], alone) > 0.999).all()


def test_forty_texts_are_three_requests(real_url: str, connect: Connect) -> None:
    """And not forty; each text goes out once, and what comes back is what the server says to each alone."""
    texts = [f"house {number}" for number in range(40)]

    def real(request: BatchRequest) -> Sequence[Step]:
        return whole(httpx.post(f"{real_url}/api/embed", json={**request.body, "model": "all-minilm"}, timeout=300).json())

    with serving(real) as relay:
        vectors = Call(connect, [relay])(texts, batch=16)
        batches = sent_texts(relay)
    assert sorted(map(len, batches)) == [8, 16, 16]
    assert sorted(text for batch in batches for text in batch) == sorted(texts)
    endpoints = range(0, 40, 13)
    alone = np.concatenate([om.embed(texts[place], store=False) for place in endpoints])
    assert (np.einsum("ij,ij->i", vectors[endpoints], alone) > 0.999).all()


def test_a_text_that_is_too_long_is_named_by_its_row() -> None:
    """The others are kept, and not asked for again."""
    with pytest.raises(EmbeddingProblem) as caught:
        om.embed([*TEXTS[:20], LONG, *TEXTS[20:40]])
    assert (caught.value.code, caught.value.rows) == ("texts-too-long", (20,))
    assert embedded(TEXTS[:40])[1].reused == 40


def test_a_text_is_cut_only_when_that_is_wished_and_is_listed() -> None:
    """The cut one has the vector of its beginning, which the server does not say."""
    vectors, report = embedded([*TEXTS[:6], LONG], truncate=True)
    assert report.truncated == (6,)
    assert np.isfinite(vectors).all()


def test_dimensions_are_checked_against_the_model() -> None:
    """The server would ignore too many without a word."""
    vectors = om.embed(TEXTS[:2], dimensions=64, store=False)
    assert vectors.shape == (2, 64)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    with pytest.raises(om.SettingError):
        om.embed(TEXTS[:2], dimensions=385)


def test_a_model_that_does_not_embed_is_refused() -> None:
    """This server would give a vector of little worth."""
    with pytest.raises(ModelProblem):
        om.embed(TEXTS[:2], model="parrot")


def test_a_job_whose_runner_is_killed_ends_right(real_url: str) -> None:
    """With SIGKILL, in the middle of a batch: that batch is asked for again, no text is blamed, and no row is lost."""
    if not (Path("/proc").is_dir() and "127.0.0.1" in real_url) and not os.environ.get("OLLAMA_MAGICS_REQUIRE_REAL"):
        pytest.skip("the server must run on this machine, and the machine must have /proc")
    expected = om.embed(TEXTS, store=False)
    store, killed = current().store, []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while not store.count() and time.monotonic() < deadline:
            time.sleep(0.05)
        killed.append(kill_runner(real_url, "all-minilm"))  # one batch is answered, two are on their way

    killer = threading.Thread(target=kill)
    killer.start()
    vectors, report = embedded(TEXTS, batch=24)
    killer.join()
    assert killed
    assert report.failed == ()
    assert report.retried >= 1
    assert vectors.shape == expected.shape
    assert (np.einsum("ij,ij->i", vectors, expected) > 0.9999).all()
