"""The progress bar: from the first request of a job that takes a while, and only where it can be seen."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from ollama_magics.jobs.progress import ProgressBar
from ollama_magics.store.vectors import VectorStore
from tests.embeddings.batch_server import NAN, BatchRequest, Call, Connect, healthy, refused, serving

TEXTS = [f"text {number}" for number in range(40)]


def test_a_job_of_one_batch_shows_nothing(connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for a tenth of a second would be noise."""
    with serving(healthy) as server:
        Call(connect, [server])(TEXTS[:16])
    assert capsys.readouterr() == ("", "")


def test_the_bar_tells_rows_speed_and_what_was_reused(
    connect: Connect, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And ends at the last row."""
    store = VectorStore(tmp_path / "vectors.sqlite")
    with serving(healthy) as server:
        Call(connect, [server], store)(TEXTS[:10])
        Call(connect, [server], store)(TEXTS, batch=5, parallel=1)
    store.close()
    shown = capsys.readouterr().err.split("\r")[-1]
    assert "100%" in shown
    assert "40/40" in shown
    assert "texts/s" in shown
    assert "reused=10" in shown


def test_the_bar_of_a_generator_counts_on(connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    """Its length is not known."""
    with serving(healthy) as server:
        Call(connect, [server])(iter(TEXTS), batch=5, parallel=1)
    assert "40 texts" in capsys.readouterr().err.split("\r")[-1]


def test_the_bar_counts_rows_that_fail(connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    """Of them nothing more is to come either."""
    with serving(lambda request: refused(NAN) if "text 7" in request.texts else None) as server:
        Call(connect, [server])(TEXTS, batch=5, parallel=1, on_error="nan")
    assert "40/40" in capsys.readouterr().err.split("\r")[-1]


def test_a_thread_shows_no_bar(connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    """Several of them would paint over each other."""
    with serving(healthy) as server:
        call = Call(connect, [server])
        thread = threading.Thread(target=lambda: call(TEXTS, batch=5))
        thread.start()
        thread.join()
    assert capsys.readouterr().err == ""


def test_where_outputs_are_compared_there_is_no_bar(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would show times."""
    monkeypatch.setenv("OLLAMA_MAGICS_STREAM", "off")
    with serving(healthy) as server:
        Call(connect, [server])(TEXTS, batch=5)
    assert capsys.readouterr().err == ""


@pytest.mark.finding("C26")
def test_the_bar_is_there_before_the_first_batch_is_finished(connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    """It says so, with the time so far and no rate."""
    shown: list[str] = []

    def rule(request: BatchRequest) -> None:
        if request.number == 0:
            time.sleep(1.5)
            shown.append(capsys.readouterr().err)

    with serving(rule) as server:
        Call(connect, [server])(TEXTS, batch=10)
    assert "0/40" in shown[0]
    assert "no batch was finished yet" in shown[0]
    assert "?texts/s" in shown[0].replace(" ", "")
    last = capsys.readouterr().err.split("\r")[-1]
    assert "40/40" in last
    assert "no batch" not in last


@pytest.mark.finding("C26")
def test_one_slow_batch_has_a_bar_as_well(connect: Connect, capsys: pytest.CaptureFixture[str]) -> None:
    """A user who waits for nineteen seconds sees that something is under way."""
    with serving(lambda _: time.sleep(2.0)) as server:
        Call(connect, [server])(TEXTS[:4])
    shown = capsys.readouterr().err
    assert "no batch was finished yet" in shown
    assert "4/4" in shown.split("\r")[-1]


@pytest.mark.finding("C26")
def test_reused_rows_are_not_counted_as_speed(connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time left is that of the rows that are still to be embedded."""
    bars: list[Any] = []
    update = ProgressBar.update

    def watch(bar: ProgressBar, done: int, reused: int) -> None:
        update(bar, done, reused)
        if bar._bar is not None:
            bars.append((bar._bar.n, bar._bar.initial))

    monkeypatch.setattr(ProgressBar, "update", watch)
    store = VectorStore(tmp_path / "vectors.sqlite")
    with serving(healthy) as server:
        Call(connect, [server], store)(TEXTS[:30])
        bars.clear()
        Call(connect, [server], store)(TEXTS, batch=2, parallel=1)
    store.close()
    assert bars[-1] == (40, 30)
