"""What fails: in its row, or for the whole job, with the reason; and what is tried again."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.jobs import queue
from ollama_magics.jobs.width import WidthSearch
from ollama_magics.session.session import current
from tests.rows.row_server import RowServer

ROWS = [f"row {number}" for number in range(60)]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait less before a retry."""
    monkeypatch.setattr(queue.RetryPolicy, "delay", lambda *_: 0.01)
    yield
    current().close()


def codes(out: list[dict[str, Any]]) -> list[str]:
    """Return the code of each row's error, or an empty text."""
    return [row["error"].partition(":")[0] for row in out]


def test_a_failing_row_does_not_stop_the_others() -> None:
    """Its error stands in its row; the others have their answers, in order."""

    def reply(text: str) -> str | tuple[int, str]:
        return (400, "the input is bad") if text.endswith("7") else text.upper()

    with RowServer(reply) as server:
        om.configure(base_url=server.url, model="m")
        out = om.map(ROWS, "{{item}}")
    failed = [number for number in range(60) if number % 10 == 7]
    assert [number for number, code in enumerate(codes(out)) if code] == failed
    assert {code for code in codes(out) if code} == {"request-refused"}
    assert all(out[number]["reply"] == f"ROW {number}" for number in range(60) if number not in failed)
    assert max(Counter(server.asked).values()) == 1


@pytest.mark.parametrize(("status", "said"), [(503, "server busy"), (500, "llama runner process no longer running: -1")])
def test_temporary_failures_are_tried_again(status: int, said: str) -> None:
    """Until they succeed."""
    seen: Counter[str] = Counter()

    def reply(text: str) -> str | tuple[int, str]:
        seen[text] += 1
        return (status, said) if seen[text] < 3 and text.endswith("5") else text

    with RowServer(reply) as server:
        om.configure(base_url=server.url, model="m")
        out = om.map(ROWS, "{{item}}")
    assert [row["reply"] for row in out] == ROWS
    assert sorted(set(Counter(server.asked).values())) == [1, 3]


def test_a_row_that_crashes_the_runner_is_found() -> None:
    """It is sent again alone; after three crashes it has the error."""

    def reply(text: str) -> str | tuple[int, str]:
        return (500, "model runner has unexpectedly stopped") if text == "row 30" else text

    with RowServer(reply) as server:
        om.configure(base_url=server.url, model="m")
        out = om.map(ROWS, "{{item}}", parallel=4)
    assert [number for number, code in enumerate(codes(out)) if code] == [30]
    assert Counter(server.asked)["row 30"] == 3


@pytest.mark.parametrize("kind", [None, str])
def test_a_text_that_is_cut_is_kept_and_marked(kind: Any) -> None:
    """At a limit that is set on purpose: no row stops the job, and none is asked twice. What no format decodes is missing."""
    with FakeServer(delay=0) as server:
        om.configure(base_url=server.url, model="sandbox-chat")
        if kind:
            with pytest.raises(om.RowsProblem):
                om.map(ROWS, "Say {{item}}", max_tokens=1, format=kind)
            return
        out = om.map(ROWS, "Say {{item}}", max_tokens=1)
        assert {(row["reply"], row["error"].partition(":")[0]) for row in out} == {("This", "row-reply-cut")}
        asked = sum(request.path == "/api/chat" for request in server.requests)
        again = om.map(ROWS, "Say {{item}}", max_tokens=1, reuse=True)
        assert [row["error"] for row in again] == [row["error"] for row in out]
        assert sum(request.path == "/api/chat" for request in server.requests) == asked == len(ROWS)
        compared = om.experiment(ROWS[:2], "Say {{item}}", max_tokens=1)
        assert compared.summary[["answered", "failed"]].values.tolist() == [[0, 2]]
        assert compared.frame["reply"].tolist() == ["This", "This"]


def test_a_job_stops_where_most_of_the_first_rows_fail() -> None:
    """After the eleventh failure, with the reason; few more are asked than were in flight."""
    with RowServer(lambda _: (400, "the input is bad")) as server:
        om.configure(base_url=server.url, model="m")
        with pytest.raises(om.RowsProblem) as caught:
            om.map(ROWS, "{{item}}", parallel=2)
        assert caught.value.code == "rows-mostly-failed"
        assert "the input is bad" in str(caught.value)
        assert len(server.asked) <= 14
        assert codes(caught.value.partial)[-1] == "rows-mostly-failed"  # of a row that was not asked
        assert set(codes(om.map(ROWS[:5], "{{item}}"))) == {"request-refused"}  # too few to stop


def test_a_server_that_goes_away_ends_the_job_with_what_is_there() -> None:
    """The rows that were not asked name the reason, and are asked by the next call."""
    gone = threading.Event()

    def reply(text: str) -> str | tuple[int, str]:
        if len(server.asked) == 30:
            gone.set()
        return (503, "server busy") if gone.is_set() else text

    with RowServer(reply) as server:
        om.configure(base_url=server.url, model="m")
        out = om.map(ROWS, "{{item}}", parallel=1)
        kept = sum(not code for code in codes(out))
        assert 20 < kept < 40
        assert {code for code in codes(out) if code} == {"server-busy"}
        gone.clear()
        server.asked[:] = ["already more than thirty"] * 40
        again = om.map(ROWS, "{{item}}")
    assert [row["reply"] for row in again] == ROWS
    assert len(server.asked) == 40 + 60 - kept


def test_two_servers_share_the_rows_and_one_may_fail() -> None:
    """A server that always fails is left out; servers with different models of the name are refused."""
    with RowServer(str.upper, delay=0.002) as first, RowServer(str.upper, delay=0.002) as second:
        om.configure(base_url=first.url, model="m")
        out = om.map(ROWS, "{{item}}", base_url=[first.url, second.url])
        assert [row["reply"] for row in out] == [row.upper() for row in ROWS]
        assert first.asked
        assert second.asked
        assert sorted(first.asked + second.asked) == sorted(ROWS)
    with RowServer(str.upper) as first, RowServer(lambda _: (503, "server busy")) as second:
        with pytest.warns(UserWarning, match=second.url):
            out = om.map(ROWS, "{{item}}", base_url=f"{first.url},{second.url}")
        assert [row["reply"] for row in out] == [row.upper() for row in ROWS]
    with RowServer(str.upper) as first, RowServer(str.upper, digest="e" * 64) as second:
        with pytest.raises(om.ModelProblem) as caught:
            om.map(ROWS, "{{item}}", base_url=f"{first.url},{second.url}")
        assert caught.value.code == "models-differ"
        assert not first.asked


@pytest.mark.parametrize(
    ("seconds", "width"),
    [
        ({1: 1.0, 2: 0.5, 4: 0.25}, 4),  # as fast for several as for one
        ({1: 1.0, 2: 0.5, 4: 0.48}, 2),
        ({1: 1.0, 2: 0.95, 4: 0.5}, 1),  # one at a time, but for the pause between two
        ({1: 0.001, 2: 0.0005, 4: 0.00025}, 4),
    ],
)
def test_more_in_flight_are_tried_as_long_as_they_pay(seconds: dict[int, float], width: int) -> None:
    """By a tenth each; ``seconds`` are those from one answer to the next with so many in flight."""
    search, now, widths = WidthSearch(), 0.0, set()
    search.add(5, now := 60.0)  # the first one loads the model
    for _ in range(4000):
        now += seconds[search.width]
        search.add(5, now)
        widths.add(search.width)
    assert search.width == width
    assert max(widths) <= 4


def test_a_number_that_was_measured_beside_other_work_is_measured_again() -> None:
    """Some minutes later; an hour takes no more than a dozen searches, and a server without memory for more is left alone."""
    search, now, changes = WidthSearch(), 0.0, 0
    busy, idle = {1: 0.1, 2: 0.1, 4: 0.1}, {1: 0.1, 2: 0.05, 4: 0.025}
    while now < 3600:
        before, now = search.width, now + (busy if now < 200 else idle)[search.width]
        search.add(10, now)
        changes += search.width != before
        assert search.width == 1 or now < 30 or now > 200
    assert search.width == 4
    assert changes <= 3 + 12 * 4
    search.narrow()
    for _ in range(100_000):
        search.add(10, now := now + 0.1)
    assert search.width == 1


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_number_that_is_given_is_used(parallel: int) -> None:
    """It is not measured."""
    with RowServer(str.upper, delay=0.02) as server:
        om.configure(base_url=server.url, model="m")
        om.map(ROWS[:20], "{{item}}", parallel=parallel)
        assert server.most_in_flight == parallel
