"""A failed batch is retried, split, or its rows are named, and everything else is kept."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from ollama_magics.errors import ConnectionProblem, EmbeddingProblem, ModelProblem, OllamaMagicsError, RequestRefused
from ollama_magics.jobs.queue import RetryPolicy
from tests.embeddings.batch_server import (
    EOF,
    LONG,
    NAN,
    NO_RUNNER,
    QUICK,
    BatchRequest,
    Call,
    Connect,
    Embeds,
    body,
    healthy,
    refused,
    sent_texts,
    serving,
    vectors,
)
from tests.faults import Close, FaultServer, Reset, Send, Step, whole

TEXTS = [f"text {number}" for number in range(256)]
MOST = 2 * int(math.log2(len(TEXTS)))
NESTED = '{"error":{"code":400,"message":"input too long","type":"exceed_context_size_error","n_prompt_tokens":700,"n_ctx":512}}'


def poisoned(poison: set[str], answer: Callable[[], Sequence[Step]]) -> Callable[[BatchRequest], Sequence[Step] | None]:
    """Return the rule of a server that answers so whenever one of the texts is in a batch."""
    return lambda request: answer() if poison & set(request.texts) else None


POISONS: dict[str, Callable[[], Sequence[Step]]] = {
    "NaN as 400": lambda: refused(NAN),
    "NaN as 500": lambda: refused(NAN, 500),
    "too long": lambda: refused(LONG),
    "too long, in words of the runner": lambda: refused(NESTED),
    "runner crashes, as 400": lambda: refused(EOF),
    "runner crashes, as 500": lambda: refused(
        "model runner has unexpectedly stopped, this may be due to resource limitations", 500
    ),
    "null among the numbers": lambda: body(b'{"embeddings":[[1.0,null]]}'),
    "unknown words": lambda: refused("something new"),
    "too long, within an answer": lambda: refused(LONG, 200),
    "out of memory": lambda: refused("CUDA error: out of memory", 500),
}


@pytest.mark.parametrize("row", [0, 100, 255])
@pytest.mark.parametrize("answer", POISONS.values(), ids=POISONS)
def test_one_bad_text_among_256_is_named_and_the_others_kept(
    connect: Connect, answer: Callable[[], Sequence[Step]], row: int
) -> None:
    """At most 2 log2(256) further requests find it."""
    with serving(poisoned({TEXTS[row]}, answer)) as server:
        call = Call(connect, [server])
        found = call(TEXTS, on_error="nan", batch=256)
        # where the bad text fails before any other is there, a text of its own tells whether the server works at all
        searched = [texts for texts in sent_texts(server) if texts != ["a"]]
        assert len(searched) <= 1 + MOST
    assert call.last_report().failed == (row,)
    assert np.isnan(found[row]).all()
    assert np.array_equal(np.delete(found, row, 0), np.delete(vectors(TEXTS), row, 0))


def test_an_error_names_the_first_ten_rows_and_how_many_more(connect: Connect) -> None:
    """After everything else was sent."""
    bad = {text for text in TEXTS if text.endswith("7")}
    with serving(poisoned(bad, lambda: refused(LONG))) as server:
        problem = Call(connect, [server]).problem(TEXTS, batch=16)
        sent = {text for texts in sent_texts(server) for text in texts}
    assert problem.code == "texts-too-long"
    assert problem.rows == tuple(row for row, text in enumerate(TEXTS) if text in bad)
    assert "Row 7 is too long, row 17 is too long" in problem.how_we_know
    assert f"and {len(bad) - 10} more" in problem.how_we_know
    assert sent == set(TEXTS)


def test_a_row_that_is_too_long_says_by_how_much_where_the_server_does(connect: Connect) -> None:
    """Tokens and context stand in newer answers."""
    with serving(poisoned({"b"}, lambda: refused(NESTED))) as server:
        problem = Call(connect, [server]).problem(["a", "b", "c"])
    assert problem.how_we_know == "Row 1 is 188 tokens too long (700, the context 512)."


def test_texts_too_long_in_a_row_cost_two_requests_each_at_the_most(connect: Connect) -> None:
    """They are parted from the others by their length."""
    texts = [*TEXTS[:128], *(f"{text} and very much more" for text in TEXTS[:128])]
    bad = set(texts[128:])
    mixed = [text for pair in zip(texts[:128], texts[128:], strict=True) for text in pair]
    with serving(poisoned(bad, lambda: refused(LONG))) as server:
        call = Call(connect, [server])
        call(mixed, on_error="skip")
        assert len(sent_texts(server)) <= 2 * len(bad) + MOST
    assert call.last_report().failed == tuple(range(1, 256, 2))


PASSING: dict[str, Sequence[Step]] = {
    "runner died, as 400": refused(EOF),
    "runner died, as 500": refused(EOF, 500),
    "runner gone": refused(NO_RUNNER),
    "runner stopped": refused("model runner has unexpectedly stopped", 500),
    "runner exited": refused("model runner exited (code 9)", 500),
    "runner killed": refused("llama-server crashed: signal: killed", 500),
    "runner busy": refused("runner busy, please retry", 500),
    "busy": refused("server busy, please try again.  maximum pending requests exceeded", 503),
    "too many requests, says a gateway": whole(b"slow down", status=429, kind="text/plain"),
    "timeout, says a gateway": whole(b"", status=408),
    "busy, within an answer": refused("server busy, please try again", 200),
    "panic": whole(b"", status=500),
    "proxy whose server is away": whole(b"<html>Bad gateway</html>", status=502, kind="text/html"),
    "reset": [Reset()],
    "closed": [Close()],
    "closed in the body": [Send(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"embeddings":[[1.0'), Close()],
}


@pytest.mark.parametrize("steps", PASSING.values(), ids=PASSING)
@pytest.mark.parametrize("count", [1, 20])
def test_temporary_failures_are_retried(connect: Connect, steps: Sequence[Step], count: int) -> None:
    """Whatever its status; no text is blamed for it."""
    texts = TEXTS[:count]
    with serving(lambda request: steps if request.number == 0 else None) as server:
        call = Call(connect, [server])
        assert np.array_equal(call(texts, batch=4), vectors(texts))
    assert call.last_report().failed == ()
    assert call.last_report().retried >= 1


def test_a_runner_that_comes_back_late_is_waited_for(connect: Connect) -> None:
    """First it crashes, then it is unavailable for some requests."""
    with serving(
        lambda request: {0: refused(EOF)}.get(request.number, refused(NO_RUNNER)) if request.number < 6 else None
    ) as server:
        assert np.array_equal(Call(connect, [server])(TEXTS, batch=64), vectors(TEXTS))


def test_a_server_that_stays_away_ends_the_job_with_its_error(connect: Connect) -> None:
    """After the attempts of the policy; nothing is said about the texts."""
    with serving(lambda _: refused(NO_RUNNER)) as server:
        with pytest.raises(RequestRefused) as caught:
            Call(connect, [server])(TEXTS, batch=16, parallel=1)
        assert len(sent_texts(server)) <= QUICK.attempts * 2
    assert "no longer running" in str(caught.value)


def test_a_server_that_closes_its_port_ends_the_job(connect: Connect) -> None:
    """What was refused once may come back; five times is enough."""
    server = serving(lambda request: [Close()] if request.number else None)
    with server, pytest.raises(ConnectionProblem):
        Call(connect, [server])(TEXTS, batch=16)


def test_the_whole_job_has_a_budget(connect: Connect) -> None:
    """A server that crashes at every request ends the job, though each batch was sent only a few times."""
    crashing = serving(lambda _: refused(EOF))
    with crashing as server:
        with pytest.raises(RequestRefused):
            Call(connect, [server])([f"{number}" for number in range(2000)], batch=1, on_error="nan")
        assert len(sent_texts(server)) <= 60


def test_memory_errors_make_batches_smaller(connect: Connect) -> None:
    """And keep them smaller: the same mistake is not made for every batch."""
    rule = serving(lambda request: refused("model requires more system memory", 500) if len(request.texts) > 20 else None)
    with rule as server:
        assert np.array_equal(Call(connect, [server])(TEXTS, batch=64, parallel=1), vectors(TEXTS))
        sizes = [len(texts) for texts in sent_texts(server)]
    assert sizes.count(64) <= 3
    assert max(sizes[-4:]) <= 16


def test_a_model_that_never_fits_the_memory_is_one_error(connect: Connect) -> None:
    """Not as the fault of a text."""
    with serving(lambda _: refused("model requires more system memory than is available", 500)) as server:
        with pytest.raises(RequestRefused) as caught:
            Call(connect, [server])(TEXTS, parallel=1)
        assert len(sent_texts(server)) <= 9
    assert "system memory" in str(caught.value)


def test_a_server_that_fails_for_every_text_does_not_get_all_of_them(connect: Connect) -> None:
    """Forty texts that fail before one succeeds are enough."""
    with serving(lambda _: refused("nothing works today", 500)) as server:
        with pytest.raises(RequestRefused):
            Call(connect, [server])(TEXTS * 4, on_error="nan")
        assert len(sent_texts(server)) <= 128


def test_bad_texts_before_the_first_good_one_are_no_reason_to_give_up(connect: Connect) -> None:
    """The server gets a text that any model can embed."""
    with serving(poisoned(set(TEXTS[:100]), lambda: refused(NAN))) as server:
        call = Call(connect, [server])
        found = call(TEXTS[:120], on_error="skip", batch=4)
    assert call.last_report().failed == tuple(range(100))
    assert np.array_equal(found, vectors(TEXTS[100:120]))


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_failed_check_of_the_model_does_not_end_the_job(connect: Connect, status: int) -> None:
    """The last one, when all vectors are there; a model that cannot be seen was not replaced."""
    with serving(healthy, listing=lambda look: refused("busy", status) if look > 0 else None) as server:
        assert np.array_equal(Call(connect, [server])(TEXTS), vectors(TEXTS))


FATAL: list[tuple[Sequence[Step], type[OllamaMagicsError]]] = [
    (refused('model "m" not found, try pulling it first', 404), ModelProblem),
    (refused("this model does not support embeddings", 501), ModelProblem),
    (refused("unauthorized", 401), ConnectionProblem),
    (whole(b"", status=302, extra="Location: http://elsewhere/\r\n"), ConnectionProblem),
]


@pytest.mark.parametrize(("steps", "kind"), FATAL)
def test_what_no_batch_would_survive_ends_the_job_at_once(
    connect: Connect, steps: Sequence[Step], kind: type[OllamaMagicsError]
) -> None:
    """One request a thread, no bisection."""
    with serving(lambda _: steps) as server:
        with pytest.raises(kind):
            Call(connect, [server])(TEXTS, batch=16)
        assert len(sent_texts(server)) <= 4


def test_a_restarted_server_is_used_again(connect: Connect) -> None:
    """Connections broke and the port was closed in between."""
    restarted = threading.Event()
    first = serving(lambda request: [Reset()] if request.number else None)
    with first:
        call = Call(connect, [first], retry_policy=RetryPolicy(first=0.2, longest=0.2, attempts=40))
        port = first.port

        def restart() -> None:
            first.wait_for("/api/embed")
            first.__exit__()
            with FaultServer([Embeds(healthy)], port=port):
                restarted.wait(20)

        thread = threading.Thread(target=restart)
        thread.start()
        try:
            assert np.array_equal(call(TEXTS, batch=64), vectors(TEXTS))
        finally:
            restarted.set()
            thread.join()


def test_finished_rows_are_not_requested_again_when_others_fail(connect: Connect) -> None:
    """Only the batch that failed is."""
    with serving(poisoned({TEXTS[200]}, lambda: refused(NAN))) as server:
        Call(connect, [server])(TEXTS, batch=64, on_error="nan")
        again = [text for texts in sent_texts(server) for text in texts]
    assert all(again.count(text) == 1 for text in TEXTS[:192])


def test_cut_texts_are_found_by_asking(connect: Connect) -> None:
    """Only those that were refused go out with truncate, and the report lists them."""

    def rule(request: BatchRequest) -> Sequence[Step] | None:
        return refused(LONG) if not request.body["truncate"] and any("long" in text for text in request.texts) else None

    texts = ["a", "long b", "c", "d", "long e", "f"]
    with serving(rule) as server:
        call = Call(connect, [server])
        assert np.array_equal(call(texts, truncate=True), vectors(texts))
        bodies = [json.loads(request.body) for request in server.requests if request.path == "/api/embed"]
    assert call.last_report().truncated == (1, 4)
    assert sorted(found["input"] for found in bodies if found["truncate"]) == [["long b"], ["long e"]]


def test_a_failure_of_every_row_is_an_error_whatever_on_error_says(connect: Connect) -> None:
    """Nobody would know how wide the array should be."""
    with serving(lambda _: refused(LONG)) as server:
        problem = Call(connect, [server]).problem(["a", "b"], on_error="skip")
    assert (problem.code, problem.rows) == ("texts-too-long", (0, 1))
    assert isinstance(problem, EmbeddingProblem)
