"""One classification of failures for chat, generate, embed and the check."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.diagnosis.report import CheckRequest
from ollama_magics.diagnosis.stages import check
from ollama_magics.embeddings.decoding import Decoder
from ollama_magics.errors import OllamaMagicsError, RequestRefused
from ollama_magics.server import wire
from ollama_magics.server.client import Client
from ollama_magics.server.failures import FailureKind, Refusal, classify, failure_kind
from tests.diagnosis.situations import card
from tests.faults import FaultServer, Receive, Step, fine, whole
from tests.faults.connection import Connection

Connect = Callable[..., Client]


def relayed(message: str, code: int = 400, **more: Any) -> str:
    """Return the error text in which servers from 0.30 on relay what their runner said."""
    return json.dumps({"error": {"code": code, "message": message, **more}})


# Word for word what servers of 0.12 to 0.33 say, and what gateways in front of them do.
SAID: list[tuple[FailureKind, int, str]] = [
    (FailureKind.BUSY, 503, "server busy, please try again.  maximum pending requests exceeded"),
    (FailureKind.BUSY, 200, "server busy, please try again"),
    (FailureKind.BUSY, 500, "runner busy, please retry"),
    (FailureKind.BUSY, 429, "slow down"),
    (FailureKind.BUSY, 503, "busy"),
    (FailureKind.UNAVAILABLE, 400, "llama runner process no longer running: -1"),
    (FailureKind.UNAVAILABLE, 500, "timed out waiting for llama-server to start - progress 0.50"),
    (FailureKind.UNAVAILABLE, 500, "timed out waiting for llama runner to start"),
    (FailureKind.UNAVAILABLE, 499, "request canceled"),
    (FailureKind.UNAVAILABLE, 503, relayed("Loading model", 503, type="unavailable_error")),
    (FailureKind.UNAVAILABLE, 400, 'do embedding request: Post "http://127.0.0.1:1/embedding": dial tcp: connection refused'),
    (FailureKind.UNAVAILABLE, 500, 'Post "http://127.0.0.1:1/completion": write: broken pipe'),
    (FailureKind.UNAVAILABLE, 500, "server is shutting down"),
    (FailureKind.CRASHED, 500, "model runner exited (code 9)"),
    (FailureKind.CRASHED, 500, "llama-server crashed: signal: killed"),
    (FailureKind.CRASHED, 500, "llama-server process has terminated: exit status 1"),
    (FailureKind.CRASHED, 500, "llama runner process has terminated: exit status 2"),
    (FailureKind.CRASHED, 500, "model runner has unexpectedly stopped, this may be due to resource limitations"),
    (FailureKind.CRASHED, 500, "an error was encountered while running the model: unexpected EOF"),
    (FailureKind.CRASHED, 200, "an error was encountered while running the model: unexpected EOF"),
    (FailureKind.CRASHED, 400, 'do embedding request: Post "http://127.0.0.1:43210/embedding": EOF'),
    (FailureKind.CRASHED, 500, 'do embedding request: Post "http://127.0.0.1:43210/embedding": EOF'),
    (FailureKind.CRASHED, 500, "read tcp 127.0.0.1:1->127.0.0.1:2: read: connection reset by peer"),
    (FailureKind.OUT_OF_MEMORY, 500, "model requires more system memory (9.1 GiB) than is available (3.2 GiB)"),
    (FailureKind.OUT_OF_MEMORY, 500, "cudaMalloc failed: out of memory"),
    (FailureKind.OUT_OF_MEMORY, 500, "CUDA error: out of memory"),
    (FailureKind.OUT_OF_MEMORY, 500, "llama runner process has terminated: cudaMalloc failed: out of memory"),
    (FailureKind.OUT_OF_MEMORY, 500, "unable to load full model on GPU"),
    (FailureKind.LOAD_FAILED, 500, "llama runner: failed to load model"),
    (FailureKind.LOAD_FAILED, 500, "unable to load model: /models/blobs/sha256-1"),
    (FailureKind.TOO_LONG, 400, "the input length exceeds the context length"),
    (FailureKind.TOO_LONG, 200, "the input length exceeds the context length"),
    (FailureKind.TOO_LONG, 400, "input exceeds maximum context length"),
    (FailureKind.TOO_LONG, 400, "input length exceeds maximum context length"),
    (
        FailureKind.TOO_LONG,
        400,
        relayed("request (36005 tokens) exceeds the available context size (512 tokens), try increasing it"),
    ),
    (FailureKind.TOO_LONG, 400, relayed("input too long", type="exceed_context_size_error", n_prompt_tokens=700, n_ctx=512)),
    (FailureKind.INPUT, 400, "embedding contains NaN or Inf values"),
    (FailureKind.INPUT, 500, "embedding contains NaN or Inf values"),
    (FailureKind.INPUT, 400, "invalid input type"),
    (FailureKind.INPUT, 400, "invalid model name"),
    (FailureKind.INPUT, 400, "model is required"),
    (FailureKind.INPUT, 400, 'invalid think value: "lots" (must be "high", "medium", "low", "max", true, or false)'),
    (FailureKind.INPUT, 500, 'invalid format: "\\"xml\\""; expected "json" or a valid JSON Schema object'),
    (FailureKind.INPUT, 500, "invalid JSON schema in format"),
    (FailureKind.INPUT, 500, 'option "num_ctx" must be of type integer'),
    (FailureKind.INPUT, 400, 'time: missing unit in duration "-1"'),
    (FailureKind.INPUT, 400, "illegal base64 data at input byte 4"),
    (FailureKind.INPUT, 400, relayed("Failed to load image or audio file")),
    (FailureKind.INPUT, 500, "Failed to create new sequence: failed to process inputs: received zero length image"),
    (FailureKind.INPUT, 400, "invalid character 'n' looking for beginning of object key string"),
    (FailureKind.INPUT, 500, "something new"),
    (FailureKind.FATAL, 404, "model 'nope' not found"),
    (FailureKind.FATAL, 404, 'model "nope" not found, try pulling it first'),
    (FailureKind.FATAL, 400, '"all-minilm" does not support chat'),
    (FailureKind.FATAL, 400, '"parrot" does not support thinking'),
    (FailureKind.FATAL, 400, "registry.ollama.ai/library/parrot:latest does not support tools"),
    (FailureKind.FATAL, 501, "This server does not support embeddings. Start it with `--embeddings`"),
    (FailureKind.FATAL, 400, relayed("Multimodal data provided, but model does not support multimodal requests.")),
    (FailureKind.FATAL, 401, "unauthorized"),
    (FailureKind.FATAL, 403, "ollama cloud is disabled: remote model is unavailable"),
    (FailureKind.FATAL, 412, "this model requires a newer version of Ollama"),
]


def body(found: Any) -> bytes:
    """Return an error of Ollama, or a JSON object."""
    return json.dumps(found if isinstance(found, dict) else {"error": found}).encode()


def failure(ask: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of a request that must fail."""
    try:
        ask()
    except OllamaMagicsError as error:
        return error
    raise AssertionError("the request did not fail")


def failures(client: Client) -> dict[str, OllamaMagicsError]:
    """Return how each kind of request fails."""
    chat = wire.ChatRequest(model="m", messages=(wire.Message("user", "Hi"),))
    generate = wire.GenerateRequest(model="m", prompt="Hi")
    embed = wire.EmbedRequest(model="m", input=("Hi",))
    return {
        "chat": failure(lambda: list(client.chat(chat))),
        "generate": failure(lambda: list(client.chat(generate))),
        "embed": failure(lambda: client.embed(embed, lambda body: Decoder().read(memoryview(body), 1))),
    }


def test_all_kinds_of_requests_agree_on_each_text_of_a_server(connect: Connect) -> None:
    """Whether it is asked again does not depend on what was asked for."""
    wrong = []
    for kind, status, said in SAID:
        answer = whole({"error": said}, status=status)
        with FaultServer(fine(show=card(), chat=answer, generate=answer, embed=answer)) as server:
            found = {name: failure_kind(error) for name, error in failures(connect(server.url)).items()}
            report = check(CheckRequest(server.url, model="m", deep=True))
        assert report.error is not None, said
        found["check"] = failure_kind(report.error)
        wrong += [(name, status, said, other) for name, other in found.items() if other is not kind]
    assert wrong == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (whole(b"", status=500), FailureKind.UNAVAILABLE),
        (whole(b"", status=408), FailureKind.UNAVAILABLE),
        (whole(b"<html>Bad Gateway</html>", status=502, kind="text/html"), FailureKind.UNAVAILABLE),
        (whole(b"slow down", status=429, kind="text/plain"), FailureKind.BUSY),
        (whole(b"<html>maintenance</html>", status=503, kind="text/html"), FailureKind.UNAVAILABLE),
        (whole(b"404 page not found", status=404, kind="text/plain"), FailureKind.FATAL),
        (whole(b"", status=302, extra="Location: http://elsewhere/\r\n"), FailureKind.FATAL),
    ],
)
def test_answers_without_words_of_ollama_are_classified_by_their_status(
    connect: Connect, answer: list[Step], kind: FailureKind
) -> None:
    """They come from a panic of the server, or from something in front of it."""
    with FaultServer(fine(chat=answer, generate=answer, embed=answer)) as server:
        found = {name: failure_kind(error) for name, error in failures(connect(server.url)).items()}
    assert found == dict.fromkeys(("chat", "generate", "embed"), kind)


def test_a_server_that_does_not_listen_is_unavailable(connect: Connect) -> None:
    """It may be restarting."""
    with FaultServer(fine()) as server:
        client = connect(server.url)
    kinds = {failure_kind(error) for error in failures(client).values()}
    assert kinds == {FailureKind.UNAVAILABLE}


def test_what_passes_may_be_sent_again() -> None:
    """The other kinds need another request, another model or another server."""
    temporary = {kind for kind in FailureKind if kind.is_temporary}
    assert temporary == {FailureKind.BUSY, FailureKind.UNAVAILABLE, FailureKind.CRASHED}
    assert classify(500, "out of memory") is FailureKind.OUT_OF_MEMORY
    assert failure_kind(ValueError("a mistake in a program")) is FailureKind.FATAL


class CrashesWithPictures:
    """Answers a question, and loses its runner where it comes with a picture."""

    def run(self, connection: Connection) -> None:
        """Do it."""
        fine_answer = whole({"message": {"content": "Hello"}, "done": True, "done_reason": "stop"})
        crash = whole({"error": "model runner exited (code 9)"}, status=500)
        for step in crash if b'"images":["' in connection.received[-1].body else fine_answer:
            step.run(connection)


def test_a_crash_during_a_capability_test_is_no_refusal_of_the_model() -> None:
    """The report names the crash and not a model that cannot see."""
    with FaultServer(fine(show=card(8192, "completion", "vision"), chat=[CrashesWithPictures()])) as server:
        report = check(CheckRequest(server.url, model="m", abilities=("completion", "vision"), deep=True))
    assert report.error is not None
    assert report.error.code == "model-failed"


@pytest.mark.finding("A5")
@pytest.mark.parametrize("kind", [{"type": "string"}, list[int]])
def test_the_advice_of_a_crash_names_the_schema_that_the_request_had(kind: Any) -> None:
    """A schema can end the runner of a model; without one the advice is about the context."""
    crash = whole({"error": "model runner has unexpectedly stopped, this may be due to resource limitations"}, status=500)
    with FaultServer(fine(show=card(8192, "completion"), chat=crash)) as server:
        om.configure(base_url=server.url)
        remedies = {}
        for name, format_ in (("schema", kind), ("json", "json"), ("none", None)):
            with pytest.raises(RequestRefused, match="model-failed") as caught:
                _ = om.chat("Hi", model="m", format=format_).text
            remedies[name] = caught.value.remedy
    assert "schema" in remedies["schema"]
    assert "schema" not in remedies["json"] + remedies["none"]


# What a request says that was refused for want of a key, a login, a subscription, or of what a quota allows.

SUBSCRIPTION = "this model requires a subscription, upgrade for access: https://ollama.com/upgrade (ref: b7b9f6f9)"
SIGN_IN = {"error": "unauthorized", "signin_url": "https://ollama.com/connect?name=box&key=abc"}
LOCALS, CLOUD, KEY = "http://gpu-box:11434", "https://ollama.com", "%ollama_config --api-key"
# of ollama/ollama issues 15990, 16773 and 13028, continuedev/continue issues 9233 and 11444, NousResearch/hermes-agent 68832
LIMITS = [
    "you've reached your hourly usage limit, please wait or upgrade to continue",
    "you (name) have reached your session usage limit, upgrade for higher limits: https://ollama.com/upgrade",
    "you (name) have reached your weekly usage limit, upgrade for higher limits: https://ollama.com/upgrade or add extra usage",
]


def headers(challenge: str) -> dict[str, str]:
    """Return the headers of a 401."""
    return {"www-authenticate": challenge}


# (what was refused, code, a line to type)
DENIED: list[tuple[Refusal, str, str]] = [
    (Refusal(403, {}, body(SUBSCRIPTION), LOCALS, "gpu-box", "kimi:cloud"), "subscription-required", "--model NAME"),
    (Refusal(403, {}, body(SUBSCRIPTION), CLOUD, "ollama.com", "kimi", has_key=True), "subscription-required", "--model NAME"),
    (Refusal(401, {}, body(SIGN_IN), LOCALS, "gpu-box", "kimi:cloud"), "sign-in-required", "ollama signin"),
    (Refusal(401, {}, body("unauthorized"), LOCALS, "gpu-box", "kimi:cloud"), "sign-in-required", "ollama signin"),
    (Refusal(401, {}, body("unauthorized"), LOCALS, "gpu-box", "kimi:cloud", has_key=True), "sign-in-required", "ollama signin"),
    (Refusal(401, {}, body("unauthorized"), CLOUD, "ollama.com", "kimi"), "cloud-key-required", KEY),
    (
        Refusal(401, {}, body("unauthorized"), CLOUD, "ollama.com", "kimi", has_key=True),
        "key-refused",
        KEY,
    ),
    (Refusal(401, {}, b"invalid api key", LOCALS, "gpu-box", has_key=True), "key-refused", KEY),
    (Refusal(401, headers("Bearer"), b"", LOCALS, "gpu-box"), "authentication-required", KEY),
    (Refusal(401, headers('bearer realm="x"'), b"", LOCALS, "gpu-box", has_key=True), "key-refused", KEY),
    (Refusal(401, headers('Basic realm="x"'), b"", LOCALS, "gpu-box"), "password-required", "%ollama_config --base-url $url"),
    (Refusal(401, headers("BASIC"), b"", LOCALS + "/o", "gpu-box", has_key=True), "password-required", "@gpu-box:11434/o"),
    (Refusal(401, headers("NTLM"), b"", LOCALS, "gpu-box"), "authentication-required", "address of Ollama itself"),
    (Refusal(401, headers('Digest qop="auth"'), b"", LOCALS, "gpu-box"), "authentication-required", "address of Ollama itself"),
    (Refusal(403, {}, b"<html>Forbidden</html>", LOCALS, "gpu-box"), "authentication-required", KEY),
    (Refusal(403, {}, b"", LOCALS, "gpu-box"), "host-header-refused", "Host localhost:11434"),
]


@pytest.mark.finding("C5")
@pytest.mark.parametrize("case", DENIED, ids=lambda case: f"{case[0].status} {case[1]}")
def test_each_cause_of_a_denied_access_has_its_line(case: tuple[Refusal, str, str]) -> None:
    """And none advises what the notebook refuses, a password on a line."""
    refusal, code, line = case
    error = refusal.as_error()
    assert error.code == code
    assert line in error.remedy
    assert "NAME:PASSWORD" not in error.remedy
    assert failure_kind(error) is FailureKind.FATAL


@pytest.mark.finding("C6")
@pytest.mark.parametrize("said", LIMITS)
def test_a_usage_limit_is_said_in_the_servers_words_and_not_tried_again(connect: Connect, said: str) -> None:
    """Of a chat, a completion and a batch of texts; one request each."""
    answer = whole({"error": said}, status=429)
    with FaultServer(fine(chat=answer, generate=answer, embed=answer)) as server:
        found = failures(connect(server.url))
        with pytest.raises(RequestRefused) as caught:
            om.embed(["a", "b"], model="m", base_url=server.url, store=False)
        assert server.paths().count("/api/embed") == 2
    for error in (*found.values(), caught.value):
        assert error.code == "usage-limit-reached"
        assert said in error.how_we_know
        assert failure_kind(error) is FailureKind.LIMITED


AFTER = [
    ("", FailureKind.BUSY, 0.0),
    ("0", FailureKind.BUSY, 0.0),
    ("3", FailureKind.BUSY, 3.0),
    (" 120 ", FailureKind.BUSY, 120.0),
    ("121", FailureKind.LIMITED, 121.0),
    ("9" * 400, FailureKind.LIMITED, 1e9),
    ("-5", FailureKind.BUSY, 0.0),
    ("soon", FailureKind.BUSY, 0.0),
    ("Wed, 21 Oct 2015 07:28:00 GMT", FailureKind.BUSY, 0.0),
]


@pytest.mark.finding("C6")
@pytest.mark.parametrize(("after", "kind", "seconds"), AFTER)
def test_a_short_retry_after_is_waited_for(after: str, kind: FailureKind, seconds: float) -> None:
    """A long one is not: the job ends with the server's words."""
    error = Refusal(429, {"retry-after": after}, b"slow down", LOCALS, "gpu-box").as_error()
    assert isinstance(error, RequestRefused)
    assert (failure_kind(error), error.retry_after) == (kind, seconds)
    limited = Refusal(429, {"retry-after": after}, body(LIMITS[0]), LOCALS, "gpu-box").as_error()
    assert failure_kind(limited) is (FailureKind.BUSY if 0 < seconds <= 120 else FailureKind.LIMITED)


@pytest.mark.finding("C6")
def test_a_batch_is_sent_again_after_the_wait_that_the_server_asks_for() -> None:
    """Once; the job ends as if nothing had been."""
    busy = whole({"error": "slow down"}, status=429, extra="Retry-After: 1\r\n")
    embedded = whole({"model": "m", "embeddings": [[1.0, 2.0]]})
    with FaultServer(fine(embed=[*busy, Receive(), *embedded])) as server:
        assert om.embed(["a"], model="m", base_url=server.url, store=False).shape == (1, 2)
        assert server.paths().count("/api/embed") == 2


@pytest.mark.finding("C24")
def test_a_proxy_that_takes_no_large_requests_gets_smaller_batches(connect: Connect) -> None:
    """A 413 is about the size, and never shows the tags of its page."""
    page = whole(b"<html><head><title>413 Request Entity Too Large</title></head><center>nginx</center>", status=413)
    with FaultServer(fine(chat=page, generate=page, embed=page)) as server:
        found = failures(connect(server.url))
    for error in found.values():
        assert (error.code, failure_kind(error)) == ("request-too-large", FailureKind.TOO_LONG)
        assert "413 Request Entity Too Large" in error.how_we_know
        assert "<" not in str(error)
