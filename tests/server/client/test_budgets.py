"""What one answer may take: its bytes, characters, calls and seconds are bounded, and so is each part of it."""

from __future__ import annotations

import _thread
import inspect
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from ollama_magics.errors import AnswerCut, OllamaMagicsError, RequestRefused
from ollama_magics.server import wire
from ollama_magics.server.answer_budget import AnswerBudget
from ollama_magics.server.client import Client
from ollama_magics.server.pulling import pull
from ollama_magics.server.wire import ChatRequest, EmbedRequest, Message
from tests.faults import LINES, Close, Drip, FaultServer, Flood, Hold, Receive, Send, Step, chunk, fine, whole
from tests.faults.connection import Connection

Connect = Callable[..., Client]
CALL = chunk(message={"content": "", "tool_calls": [{"function": {"name": "add", "arguments": {}}}] * 9})
THOUGHT = chunk(message={"content": "", "thinking": "hm " * 99})


def request(tokens: int = 16) -> ChatRequest:
    """Return a request for so many tokens."""
    return ChatRequest(model="m", messages=(Message("user", "Hi"),), options={"num_predict": tokens})


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act, which must come within three seconds."""
    start = time.monotonic()
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    assert time.monotonic() - start < 3
    return caught.value


FLOODS = {
    "text": (chunk("word " * 99), "at most 11\u202f024 characters are read for an answer of 16 tokens"),
    "thoughts": (THOUGHT, "at most 11\u202f024 characters"),
    "calls": (CALL, "at most 128 calls of functions"),
    "empty lines": (chunk("") * 99, "at most 1\u202f128 lines"),
    "blanks without an end": (b" " * 65536, "at most 16\u202f793\u202f600 bytes"),
}


@pytest.mark.finding("E9")
@pytest.mark.parametrize(("data", "said"), FLOODS.values(), ids=FLOODS)
def test_a_server_that_ignores_the_max_tokens_is_left(connect: Connect, data: bytes, said: str) -> None:
    """With the limit as the reason, whatever it floods; the connection is closed."""
    with FaultServer(fine(chat=[Send(LINES), Flood(data)])) as server:
        error = failure(lambda: list(connect(server.url).chat(request())))
        assert (type(error), error.code) == (AnswerCut, "answer-endless")
        assert said in error.how_we_know
        assert server.wait_until_left()


@pytest.mark.finding("E9")
def test_an_answer_has_a_time_as_a_whole(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word now and then, each in time for the next, does not go on for ever."""
    monkeypatch.setattr("ollama_magics.server.answer_budget._SECONDS", 0.01)
    with FaultServer(fine(chat=[Send(LINES), Drip(chunk("a"), 0.001, endless=True)])) as server:
        error = failure(lambda: list(connect(server.url, first_token=0.3, idle=60).chat(request())))
    assert error.code == "answer-endless"
    assert "at most 0.46 s are waited" in error.how_we_know


@pytest.mark.finding("E9")
def test_an_ordinary_answer_is_far_from_its_limits() -> None:
    """As many tokens as were asked for, of 60 characters each, with calls; an odd limit is none."""
    line = wire.chunk(chunk("x" * 60))
    budget = AnswerBudget.of_answer(request(1000), 600)
    for _ in range(1000):
        budget.take_bytes(len(chunk("x" * 60)))
        budget.take(line)
    for _ in range(14):
        budget.take(wire.chunk(CALL))
    for odd in (-1, 0, 10**400, "many", None):
        unlimited = AnswerBudget.of_answer(ChatRequest(model="m", messages=(), options={"num_predict": odd}), 600)
        unlimited.take(wire.chunk(chunk("x" * 8_000_000)))


@pytest.mark.finding("E9")
def test_a_flood_can_be_stopped_at_once(connect: Connect) -> None:
    """An interrupt ends it within a second, and the server is left."""
    with FaultServer(fine(chat=[Send(LINES), Flood(chunk("") * 99)])) as server:
        pieces = connect(server.url).chat(request(100_000))
        next(pieces)
        threading.Timer(0.2, _thread.interrupt_main).start()
        start = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            for _ in pieces:
                pass
        assert time.monotonic() - start < 1.2
        assert server.wait_until_left()


_MOST_SENT = 80 * 2**20


class Counted(Flood):
    """A flood that counts what it sent, and ends at last."""

    sent = 0

    def run(self, connection: Connection) -> None:
        """Do it."""
        while not connection.ending.is_set() and Counted.sent < _MOST_SENT:  # else nothing would end a test that fails
            connection.send(self.data)
            Counted.sent += len(self.data)


CALLS: dict[str, tuple[Callable[[Client], object], int]] = {  # each call that reads an answer, and the megabytes that it may take
    "version": (lambda client: client.version(), 16),
    "installed": (lambda client: client.installed(), 16),
    "recommendations": (lambda client: client.recommendations(), 16),
    "digest": (lambda client: client.digest("m"), 16),
    "loaded": (lambda client: client.loaded(), 16),
    "card": (lambda client: client.card("m"), 16),
    "unload": (lambda client: client.unload("m"), 16),
    "delete": (lambda client: client.delete("m"), 16),
    "chat": (lambda client: list(client.chat(request())), 17),
    "lines": (lambda client: list(pull(client, "m")), 17),
    "embed": (lambda client: client.embed(EmbedRequest(model="m", input=("a",)), wire.embeddings), 17),
    "get_page": (lambda client: client.get_page("/"), 1),
}
READ_NOTHING = {"cleaned", "close", "close_when_idle", "sibling", "try_connect", "tls_version"}


def test_the_table_names_every_call_of_a_client() -> None:
    """A new one is added to it, or to those that read no answer."""
    calls = {name for name, one in vars(Client).items() if inspect.isfunction(one) and not name.startswith("_")}
    assert calls == set(CALLS) | READ_NOTHING


@pytest.mark.finding("E9")
@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("name", CALLS)
def test_every_answer_has_a_budget(connect: Connect, name: str, status: int) -> None:
    """What floods is left after so many bytes and what the sockets hold, an error after 64 kB; some ask for the version then."""
    call, megabytes = CALLS[name]
    Counted.sent = 0
    head = LINES.replace(b"200 OK", b"%d Said" % status)
    with FaultServer([Receive(), Send(head), Counted(b" " * 65536)]) as server:
        with suppress(OllamaMagicsError) if name == "get_page" else pytest.raises(OllamaMagicsError):
            call(connect(server.url))
        assert server.wait_until_left(20)
    assert Counted.sent < (megabytes + 30 if status == 200 else 60) * 2**20


PULLS: dict[str, bytes] = {
    "statuses": b'{"status": "pulling"}\n' * 500,
    "layers": b"".join(b'{"status": "pulling", "digest": "sha256:%d", "total": 9, "completed": 1}\n' % at for at in range(500)),
    "a status without an end": b'{"status": "' + b"p" * 65536,
}


@pytest.mark.finding("E9")
@pytest.mark.parametrize("data", PULLS.values(), ids=PULLS)
def test_a_flood_of_progress_is_left(connect: Connect, data: bytes) -> None:
    """A download is told to have failed, with the limit."""
    Counted.sent = 0
    with FaultServer([Receive(), Send(LINES), Counted(data)]) as server:
        with pytest.raises(RequestRefused) as caught:
            list(pull(connect(server.url), "m"))
        assert (caught.value.code, "are read" in caught.value.how_we_know) == ("pull-failed", True)
        assert server.wait_until_left()


@pytest.mark.parametrize("head", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"])
def test_a_flood_of_interim_answers_is_left(connect: Connect, head: bytes) -> None:
    """None of them is an answer, and the time for the first token is far too long for so many."""
    Counted.sent = 0
    with FaultServer([Receive(), Counted(head * 500)]) as server:
        error = failure(lambda: list(connect(server.url).chat(request())))
        assert error.code == "connection-broken"
        assert "interim" in error.how_we_know
        assert server.wait_until_left()


def test_a_step_of_a_download_that_is_nested_deep_is_an_error(connect: Connect) -> None:
    """Its fields that are not read may hold anything."""
    step = b'{"status": "pulling", "extra": ' + b"[" * 2000 + b"]" * 2000 + b"}\n"
    with FaultServer(fine(pull=whole(step))) as server:
        with pytest.raises(RequestRefused) as caught:
            list(pull(connect(server.url), "m"))
        assert caught.value.code == "pull-failed"


def test_a_long_download_has_more_with_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty lines a second for a day."""
    start = time.monotonic()
    budget = AnswerBudget.of_pull()
    for hour in range(1, 25):
        monkeypatch.setattr(time, "monotonic", lambda hour=hour: start + 3600 * hour)
        budget.take_lines(20 * 3600)
        budget.take_bytes(20 * 3600 * 200)
        assert budget.seconds_left() > 3600


def test_a_long_status_is_shown_in_part(connect: Connect) -> None:
    """In one line, without what a terminal would obey."""
    status = json.dumps({"status": "\x1b[2J\u202e" + "pulling " * 9999}).encode()
    done = b'{"status": "success"}\n'
    with FaultServer([Receive(), Send(LINES + status + b"\n" + done), Close()]) as server:
        first, last = pull(connect(server.url), "m")
    assert (len(first.status) < 400, first.status.isprintable(), last.status) == (True, True, "success")


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODY = HEAD + b"Connection: close\r\n\r\n"
DRIPS: dict[str, list[Step]] = {
    "a status line": [Drip(b"H", 0.05, endless=True)],
    "headers": [Send(HEAD), Drip(b"X-Word: a\r\n", 0.05, endless=True)],
    "informational answers": [Drip(b"HTTP/1.1 103 Early Hints\r\n\r\n", 0.01, endless=True)],
    "a body": [Send(BODY), Drip(b" ", 0.05, endless=True)],
    "a chunk of no length": [Send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n"), Drip(b"0", 0.05, endless=True)],
    "an error page": [Send(BODY.replace(b"200 OK", b"500 Oops")), Drip(b"<", 0.05, endless=True)],
}
ACTS: dict[str, Callable[[Client], object]] = {
    "version": lambda client: client.version(),
    "page": lambda client: client.get_page("/"),
    "chat": lambda client: list(client.chat(request())),
    "embed": lambda client: client.embed(EmbedRequest(model="m", input=("a",)), wire.embeddings),
    "pull": lambda client: list(client.lines("/api/pull", {"model": "m"})),
}


@pytest.mark.finding("E12")
@pytest.mark.parametrize("script", DRIPS.values(), ids=DRIPS)
def test_bytes_that_drip_prolong_nothing(connect: Connect, script: Sequence[Step]) -> None:
    """Each request ends in its time, also where no read waits long."""
    limits: dict[str, Any] = {"metadata": 0.3, "first_token": 0.3, "idle": 0.3}
    found: dict[str, str] = {}
    with FaultServer([Receive(), *script, Close()]) as server:
        clients = {name: connect(server.url, **limits) for name in ACTS}
        threads = [
            threading.Thread(
                target=lambda name: found.update({name: failure(lambda: ACTS[name](clients[name])).code}), args=(name,)
            )
            for name in ACTS
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(found) == set(ACTS)
    assert set(found.values()) <= {"server-silent", "stream-stalled"}


@pytest.mark.finding("E12")
def test_a_line_has_its_time_as_a_whole(connect: Connect) -> None:
    """Of an answer that has begun."""
    with FaultServer(fine(chat=[Send(LINES + chunk("a")), Drip(b" ", 0.05, endless=True)])) as server:
        error = failure(lambda: list(connect(server.url, idle=0.3).chat(request())))
    assert (error.code, error.facts["seconds"]) == ("stream-stalled", "0.3")


@pytest.mark.finding("E12")
def test_a_reader_who_takes_time_loses_nothing(connect: Connect) -> None:
    """The time is that of the server: what painting takes does not count."""
    with FaultServer(fine(chat=[Send(LINES + chunk("a") + chunk("b") + chunk(done=True, done_reason="stop")), Hold()])) as server:
        text = ""
        for piece in connect(server.url, idle=0.1).chat(request()):
            text += piece.text
            time.sleep(0.2)
    assert text == "ab"


@pytest.mark.finding("E12")
def test_a_handshake_that_drips_ends_in_time(connect: Connect) -> None:
    """The limit is that of the connection."""
    with FaultServer([Drip(b"\x16\x03\x03\x40\x00" + b"\x02" * 16000, 0.05), Hold()]) as server:
        error = failure(connect(server.url.replace("http:", "https:"), connect=0.5).version)
    assert error.code == "tls-failed"
    assert "within 0.5 s" in error.how_we_know


def test_a_request_after_a_slow_one_has_its_own_time(connect: Connect) -> None:
    """On the same connection."""
    slow = [Drip(bytes(step.data), 0.002) for step in whole({"version": "0.24.0"}) if isinstance(step, Send)]
    with FaultServer(fine(version=slow)) as server:
        client = connect(server.url, metadata=1)
        for _ in range(2):
            assert client.version() == "0.24.0"
        assert server.accepted == 1
