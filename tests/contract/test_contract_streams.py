"""How answers travel: lines, content types, counts, and what happens when one side leaves."""

from __future__ import annotations

import http.client
import socket
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Server

Lines = Callable[[httpx.Response], list[dict[str, Any]]]
Eventually = Callable[[Callable[[], bool]], None]


def test_a_streamed_chat_is_one_json_line_a_chunk(server: Server) -> None:
    """Every chunk of the body ends with the only line end in it."""
    request = {"model": server.chat_model, "messages": [{"role": "user", "content": "Hi"}]}
    chunks = list(_chunks(server, "/api/chat", request))
    assert len(chunks) > 2
    assert all(chunk.startswith(b'{"model":"') and chunk.index(b"\n") == len(chunk) - 1 for chunk in chunks)


def test_streams_are_ndjson_without_a_charset(server: Server) -> None:
    """The content type is exactly this, and there is no length."""
    for answer in (server.chat(stream=True), server.generate(stream=True)):
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert answer.headers["transfer-encoding"] == "chunked"
        assert "content-length" not in answer.headers


def test_the_stream_is_the_default(server: Server) -> None:
    """Who does not say "stream" gets one."""
    request = {"model": server.chat_model, "messages": [{"role": "user", "content": "Hi"}]}
    answer = server.http.post("/api/chat", json=request)
    assert answer.headers["content-type"] == "application/x-ndjson"


def test_a_whole_answer_is_json_without_a_line_end(server: Server) -> None:
    """It has a charset and ends with the brace."""
    for answer in (server.chat(), server.generate()):
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        assert answer.content.endswith(b"}")


def test_members_come_in_the_order_of_the_real_server(server: Server, lines: Lines) -> None:
    """A line says model, time, message, done, and the last one the reason and the counts after it."""
    first, *_, last = lines(server.chat(stream=True))
    assert list(first) == ["model", "created_at", "message", "done"]
    assert list(last) == ["model", "created_at", "message", "done", "done_reason", *server.fact("figures of an answer")]
    assert list(server.chat().json()) == list(last)


def test_a_generated_answer_ends_with_token_numbers(server: Server, lines: Lines) -> None:
    """Generate says "response", and "context" on its last line."""
    first, *_, last = lines(server.generate(stream=True))
    assert list(first) == ["model", "created_at", "response", "done"]
    assert list(last) == [
        "model",
        "created_at",
        "response",
        "done",
        "done_reason",
        "context",
        *server.fact("figures of an answer"),
    ]
    assert all(isinstance(number, int) for number in last["context"])


def test_counts_are_on_the_last_line_only(server: Server, lines: Lines) -> None:
    """They are positive whole numbers, and no other line has any."""
    *others, last = lines(server.chat(stream=True))
    figures = server.fact("figures of an answer")
    assert all(type(last[name]) is int and (last[name] > 0 or "cached" in name) for name in figures)
    assert not any(name in line for line in others for name in figures)


def test_the_last_line_is_done_and_empty(server: Server, lines: Lines) -> None:
    """The text is on the lines before it, one token each, and the token that ends the answer counts too."""
    *others, last = lines(server.chat(stream=True))
    assert last["done"] is True
    assert last["done_reason"] == "stop"
    assert last["message"] == {"role": "assistant", "content": ""}
    assert last["eval_count"] == len(others) + 1


def test_streamed_and_whole_answers_say_the_same(server: Server, lines: Lines) -> None:
    """The texts of the lines put together are the text of the whole answer."""
    streamed = "".join(line["message"]["content"] for line in lines(server.chat(stream=True)))
    assert streamed == server.chat().json()["message"]["content"]


def test_one_token_takes_no_time(server: Server) -> None:
    """Older releases leave the figure out, newer ones make one up."""
    answer = server.chat(options={"num_ctx": 512, "temperature": 0, "num_predict": 1}).json()
    assert answer["eval_count"] == 1
    assert answer.get("eval_duration") == server.fact("eval_duration of one token")


def test_times_are_in_utc_with_fractions(server: Server) -> None:
    """They end with Z, and Python reads them."""
    created = server.chat().json()["created_at"]
    assert created.endswith("Z")
    assert abs((datetime.now(UTC) - datetime.fromisoformat(created)).total_seconds()) < 60


@pytest.mark.parametrize(("path", "member"), [("/api/chat", "message"), ("/api/generate", "response")])
def test_a_loop_ends_a_whole_answer_that_is_not_done(server: Server, path: str, member: str) -> None:
    """More than thirty equal tokens: an error, or in older releases status 200, "done": false, no reason, no counts."""
    prompt = "loop over spaces"
    request = {"messages": [{"role": "user", "content": prompt}], "prompt": prompt, "format": "json", "stream": False}
    answer = server.http.post(path, json={"model": server.chat_model, **request})
    server.check("a token again and again, not streamed", answer)
    if answer.status_code == 200:
        assert list(answer.json()) == ["model", "created_at", member, "done"]
        assert answer.json()["done"] is False


def test_a_loop_ends_a_stream_without_a_last_line(server: Server, lines: Lines) -> None:
    """The body ends cleanly, in newer releases with an error, and no line of it is done."""
    answer = lines(server.chat("loop over spaces", format="json", stream=True))
    assert len(answer) > 30
    assert not any(line.get("done") for line in answer)
    assert list(answer[-1])[-1] == server.fact("a token again and again, streamed, ends in")


@pytest.mark.finding("A14")
@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_log_probabilities_are_a_list_beside_the_message(server: Server, lines: Lines, path: str) -> None:
    """An entry for each token, with as many alternatives as were asked for, the likeliest first; whole answers join them."""
    ask = server.chat if path == "/api/chat" else server.generate
    fields: dict[str, Any] = {
        "logprobs": True,
        "top_logprobs": 3,
        "options": {"num_ctx": 512, "temperature": 0, "num_predict": 3},
    }
    *streamed, last = lines(ask(stream=True, **fields))
    assert all(list(line)[-1] == "logprobs" for line in streamed)
    assert "logprobs" not in last
    found = [entry for line in streamed for entry in line["logprobs"]]
    text = "".join(line["message"]["content"] if "message" in line else line["response"] for line in streamed)
    assert "".join(entry["token"] for entry in found).split() == text.split()
    for entry in found:
        assert set(entry) == {"token", "logprob", "bytes", "top_logprobs"}
        assert bytes(entry["bytes"]).decode() == entry["token"]
        top = entry["top_logprobs"]
        assert len(top) == 3
        assert top[0]["token"] == entry["token"]
        assert [one["logprob"] for one in top] == sorted((one["logprob"] for one in top), reverse=True)
        assert all(set(one) <= {"token", "logprob", "bytes"} for one in top)
    whole = ask(**fields).json()
    assert [entry["token"] for entry in whole["logprobs"]] == [entry["token"] for entry in found]
    before = "done_reason" if path == "/api/chat" else "eval_count"
    assert list(whole).index("logprobs") > list(whole).index(before)


@pytest.mark.finding("A14")
def test_log_probabilities_with_a_format_are_those_without_it(server: Server) -> None:
    """What the format made the model say is not among what it would have said."""
    fields: dict[str, Any] = {
        "logprobs": True,
        "top_logprobs": 2,
        "options": {"num_ctx": 512, "temperature": 0, "num_predict": 1},
    }
    (entry,) = server.chat(format={"type": "object"}, **fields).json()["logprobs"]
    assert entry["token"].strip().startswith("{")
    assert entry["token"] not in [one["token"] for one in entry["top_logprobs"]]
    assert entry["logprob"] < -5


@pytest.mark.finding("A14")
def test_log_probabilities_have_to_be_asked_for(server: Server, refusal: Callable[[Any], Any]) -> None:
    """Alternatives alone are ignored, and more than twenty of them refused."""
    assert "logprobs" not in server.chat(top_logprobs=2).json()
    assert "top_logprobs" not in server.chat(logprobs=True).json()["logprobs"][0]
    for number in (-1, 21):
        answer = server.chat(logprobs=True, top_logprobs=number)
        assert refusal(answer) == (400, "top_logprobs must be between 0 and 20")


@pytest.mark.parametrize("fields", [{"format": "yaml"}, {"truncate": False}])
def test_an_error_before_the_first_line_has_its_status_and_no_charset(server: Server, fields: dict[str, Any]) -> None:
    """What goes wrong while generating is sent like a stream: in chunks, as plain JSON without a line end."""
    answer = server.chat("word " * 3000, stream=True, **fields)
    assert answer.is_error
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.content.startswith(b'{"error":"')
    assert answer.content.endswith(b'"}')


def test_leaving_in_mid_stream_ends_the_work(server: Server, eventually: Eventually) -> None:
    """The model is in use while somebody listens, and gone soon after nobody does."""
    request = {
        "model": server.endless_model,
        "messages": [{"role": "user", "content": server.endless_prompt}],
        "options": {"num_ctx": 8192, "temperature": 0},
        "keep_alive": "200ms",
    }
    name = f"{server.endless_model}:latest"
    with server.http.stream("POST", "/api/chat", json=request) as answer:
        pieces = answer.iter_raw()  # kept, since httpx closes the connection with it
        next(pieces)
        time.sleep(0.4)  # longer than it would be kept if it had ended
        assert name in server.loaded()
    eventually(lambda: name not in server.loaded())


def test_a_connection_serves_many_requests(server: Server) -> None:
    """The same socket carries an error, a stream and a whole answer."""
    connection = http.client.HTTPConnection(_address(server)[0], _address(server)[1], timeout=10)
    connection.connect()
    kept = connection.sock
    with closing(connection):
        for fields in ('"think":1', '"messages":[{"role":"user","content":"Hi"}]', '"messages":[]'):
            connection.request("POST", "/api/chat", f'{{"model":"{server.chat_model}",{fields}}}')
            assert connection.getresponse().read()
            assert connection.sock is kept


def _address(server: Server) -> tuple[str, int]:
    return server.http.base_url.host, server.http.base_url.port or 80


def _connected(server: Server) -> socket.socket:
    return socket.create_connection(_address(server), timeout=10)


def _chunks(server: Server, path: str, request: dict[str, Any]) -> list[bytes]:
    """Return the chunks of a body as they were framed."""
    body = httpx.Request("POST", "http://localhost", json=request).content
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    with _connected(server) as connection:
        connection.sendall(head.encode() + body)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    rest = received.partition(b"\r\n\r\n")[2]
    chunks = []
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        chunks.append(rest[: int(size, 16)])
        rest = rest[int(size, 16) + 2 :]
    assert chunks.pop() == b""
    return chunks
