"""Several servers for one job: the work is shared, the model must be the same, and a dead one is left out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from ollama_magics import messages
from ollama_magics.embeddings.output import EmbedReport
from ollama_magics.errors import ConnectionProblem, EmbeddingProblem, OllamaMagicsError
from ollama_magics.secret import Secret
from ollama_magics.session.session import Session
from ollama_magics.settings.form import OllamaSettings
from tests.embeddings.batch_server import (
    EOF,
    NAN,
    NO_RUNNER,
    BatchRequest,
    Call,
    Connect,
    Rule,
    body,
    healthy,
    refused,
    sent_texts,
    serving,
    vectors,
)
from tests.faults import FaultServer, Reset, refusing, whole

TEXTS = [f"text {number}" for number in range(200)]


def test_batches_are_spread_over_the_servers(connect: Connect) -> None:
    """Each text is sent once, in all."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(healthy)) for _ in range(3)]
        assert np.array_equal(Call(connect, servers)(TEXTS, batch=5), vectors(TEXTS))
        sent = [[text for batch in sent_texts(server) for text in batch] for server in servers]
    assert all(sent)
    assert sorted(text for some in sent for text in some) == sorted(TEXTS)


def test_a_server_that_does_not_answer_is_left_out_with_a_word(connect: Connect) -> None:
    """Also if it is the first."""
    with FaultServer([Reset()]) as dead, serving(healthy) as alive:
        call = Call(connect, [dead, alive])
        assert np.array_equal(call(TEXTS, batch=20), vectors(TEXTS))
        key, facts = call.last_report().notes[0]
    assert (key, facts["url"]) == ("server_left_out", dead.url)
    assert messages.Phrase(key, **facts).text("zh").startswith(f"未使用 {dead.url}：")
    assert messages.format_fact(facts["reason"], "en") != messages.format_fact(facts["reason"], "zh")


def test_a_server_that_fails_in_between_is_left_out_with_a_note(connect: Connect) -> None:
    """Its batches go to the others."""
    with serving(lambda request: refused(NO_RUNNER) if request.number else None) as dying, serving(healthy) as alive:
        call = Call(connect, [dying, alive])
        assert np.array_equal(call(TEXTS, batch=2), vectors(TEXTS))
    assert [(key, facts["url"]) for key, facts in call.last_report().notes] == [("server_left_out", dying.url)]


def test_a_server_without_the_model_any_more_is_left_out(connect: Connect) -> None:
    """One that says so in the middle of the job, that is."""

    def rule(request: BatchRequest) -> object:
        return refused('model "m" not found', 404) if request.number else None

    with serving(rule) as server, serving(healthy) as other:  # type: ignore[arg-type] # object is what the rule gives
        assert np.array_equal(Call(connect, [server, other])(TEXTS, batch=5), vectors(TEXTS))


def test_two_models_of_one_name_are_refused(connect: Connect) -> None:
    """Their vectors do not belong into one array."""
    with serving(healthy) as one, serving(healthy, digest=lambda _: "sha256:other") as two:
        problem = Call(connect, [one, two]).problem(TEXTS)
        assert sent_texts(one) == []
    assert problem.code == "models-differ"
    assert two.url in problem.how_we_know


@pytest.mark.parametrize("count", [1, 2])
def test_without_any_server_the_error_is_that_of_the_first(connect: Connect, count: int) -> None:
    """Whether it was one or several."""
    with ExitStack() as stack:
        servers = [stack.enter_context(FaultServer([Reset()])) for _ in range(count)]
        with pytest.raises(ConnectionProblem) as caught:
            Call(connect, servers)(TEXTS)
    assert servers[0].url in str(caught.value)


def test_all_servers_dying_is_an_error(connect: Connect) -> None:
    """The last one is not left out."""
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(lambda request: refused(NO_RUNNER) if request.number else None)) for _ in range(2)]
        with pytest.raises(OllamaMagicsError):
            Call(connect, servers)(TEXTS, batch=2)


def test_a_stranger_among_the_servers_is_left_out(connect: Connect) -> None:
    """It is no Ollama."""
    with FaultServer(refusing(200, b"<html>", "text/html")) as stranger, serving(healthy) as server:
        call = Call(connect, [server, stranger])
        assert np.array_equal(call(TEXTS), vectors(TEXTS))
    assert call.last_report().notes[0][1]["url"] == stranger.url


@pytest.mark.parametrize("said", ["model gone", "busy"])
def test_a_server_that_cannot_begin_is_left_out_with_a_word(connect: Connect, said: str) -> None:
    """Because it is busy, or has not got the model; also if it is the first."""
    answer = whole({"models": []}) if said == "model gone" else refused(said, 503)
    with serving(healthy, listing=lambda _: answer) as bad, serving(healthy) as good:
        call = Call(connect, [bad, good])
        assert np.array_equal(call(TEXTS), vectors(TEXTS))
        assert sent_texts(bad) == []
    assert [(key, facts["url"]) for key, facts in call.last_report().notes] == [("server_left_out", bad.url)]


BROKEN: dict[str, Rule] = {
    "fails for all": lambda _: refused("nothing works today", 500),
    "runner crashes": lambda _: refused(EOF),
    "says NaN": lambda _: refused(NAN),
    "sends null": lambda request: body(b'{"embeddings":[%s]}' % b",".join([b"[1.0,null,1,2]"] * len(request.texts))),
}


@pytest.mark.parametrize("rule", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("batch", [1, 20])
def test_a_broken_server_is_not_taken_for_broken_texts(connect: Connect, rule: Rule, batch: int) -> None:
    """What another server embeds was never the fault of the text: the broken one is left out."""
    with serving(rule) as broken, serving(healthy) as sound:
        call = Call(connect, [broken, sound])
        assert np.array_equal(call(TEXTS, batch=batch), vectors(TEXTS))
    assert call.last_report().failed == ()
    assert {facts["url"] for _, facts in call.last_report().notes} <= {broken.url}


def test_a_bad_text_is_named_though_there_are_several_servers(connect: Connect) -> None:
    """Where none of them embeds it."""
    with ExitStack() as stack:
        rule: Rule = lambda request: refused(NAN) if TEXTS[7] in request.texts else None  # noqa: E731 - short
        servers = [stack.enter_context(serving(rule)) for _ in range(2)]
        call = Call(connect, servers)
        call(TEXTS, on_error="skip", batch=20)
    assert (call.last_report().failed, call.last_report().notes) == ((7,), ())


def test_a_key_goes_to_its_own_server_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every batch; the other servers of a job get none of it."""
    monkeypatch.setenv("KEY_OF_ONE", "secret")
    session = Session(OllamaSettings())
    with serving(healthy) as one, serving(healthy) as two:
        session.configure({"base_url": one.url, "api_key_env": "KEY_OF_ONE"})
        session.embed(TEXTS, "m", batch=50, store=False)
        session.embed(TEXTS, "m", batch=50, store=False, base_url=two.url)
        session.close()
        keys = [{request.headers.get("authorization") for request in server.requests} for server in (one, two)]
    assert keys == [{"Bearer secret"}, {None}]


def test_each_of_two_servers_gets_its_own_key() -> None:
    """With every request, and neither sees the other's."""
    session = Session(OllamaSettings())
    with serving(healthy) as one, serving(healthy) as two:
        for server, key in ((one, "key-of-one"), (two, "key-of-two")):
            session.configure({"base_url": server.url, "key_store": "file"})
            session.resolved.secrets.hold_key(Secret(key))
        session.configure({"base_url": "http://gpu-box"})
        vectors_of_both = session.embed(TEXTS, "m", batch=5, store=False, base_url=f"{one.url},{two.url}")
        session.close()
        keys = [{request.headers.get("authorization") for request in server.requests} for server in (one, two)]
        assert all(sent_texts(server) for server in (one, two))
    assert keys == [{"Bearer key-of-one"}, {"Bearer key-of-two"}]
    assert np.array_equal(vectors_of_both, vectors(TEXTS))


def test_what_a_job_could_not_keep_is_told_by_that_job_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the next one, also where the first one ends in an error."""
    monkeypatch.setenv("OLLAMA_MAGICS_CACHE", str(tmp_path / "cache"))
    session, reports = Session(OllamaSettings()), list[EmbedReport]()
    with serving(lambda request: refused(NAN) if "bad" in request.texts else None) as server:
        (tmp_path / "cache").write_text("not a folder")
        session.embed(["a"], "m", base_url=server.url, report=reports.append)
        with pytest.raises(EmbeddingProblem):
            session.embed(["b", "bad"], "m", base_url=server.url)
        (tmp_path / "cache").unlink()
        for _ in range(2):
            session.embed(["c"], "m", base_url=server.url, report=reports.append)
    session.close()
    assert [len(report.notes) for report in reports] == [1, 0, 0]
    assert [report.reused for report in reports] == [0, 0, 1]


def test_each_of_two_servers_gets_its_own_password() -> None:
    """From its own address; no error and no report shows one."""
    session = Session(OllamaSettings())
    with serving(healthy) as one, serving(lambda request: refused('model "m" not found', 404) if request.number else None) as two:
        where = [server.url.replace("//", f"//{name}:sesame-{name}@") for server, name in ((one, "ann"), (two, "bob"))]
        reports: list[EmbedReport] = []
        session.embed(TEXTS, "m", batch=2, store=False, base_url=where, report=reports.append)
        session.close()
        keys = [{request.headers.get("authorization") for request in server.requests} for server in (one, two)]
    assert [len(found) for found in keys] == [1, 1]
    assert keys[0] != keys[1]
    assert reports[0].notes
    assert "sesame" not in repr(reports[0].notes)
