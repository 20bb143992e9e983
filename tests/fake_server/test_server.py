"""The stand-in as a server: how it starts and stops, notices that clients leave, and records requests."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import httpx
import pytest

from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.server import Exchange, FakeServer, Listener

NEVER_STOP = {"model": "sandbox-chat", "messages": [{"role": "user", "content": "never stop"}]}
LIGHT = """
import sys
import ollama_magics.fake_server.server
heavy = ("PIL", "numpy", "httpx", "msgspec", "IPython")
ours = [name for name in sys.modules if name.startswith("ollama_magics.") and ".fake_server" not in name]
print([name for name in heavy if name in sys.modules], ours)
"""


def test_importing_it_brings_nothing_else() -> None:
    """Neither Pillow nor any other module of the package."""
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[] []"


def test_it_listens_on_the_loopback_address_only(server: FakeServer) -> None:
    """Its address says so, and no other one can be given to its socket."""
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", server.url)
    with pytest.raises(ValueError, match="this machine only"):
        Listener("0.0.0.0", 0, FakeServer(), Exchange)  # noqa: S104 - this is what must not be


def test_the_version_is_defined_in_one_place(http: httpx.Client) -> None:
    """The constant is what the server reports."""
    assert http.get("/api/version").json() == {"version": Release.NEWEST.value}


def test_stopping_closes_the_port_and_keeps_the_address(server: FakeServer) -> None:
    """A connection is refused afterwards, and the server can come back on the same port."""
    url = server.url
    server.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/api/version", trust_env=False)
    server.start()
    assert server.url == url
    assert httpx.get(f"{url}/api/version", trust_env=False).status_code == 200


def test_stopping_and_starting_twice_does_no_harm(server: FakeServer) -> None:
    """A second call changes nothing."""
    port = server.port
    assert server.start().port == port
    server.stop()
    server.stop()


def test_a_port_that_is_taken_is_an_error(server: FakeServer) -> None:
    """Two servers never share a port."""
    with pytest.raises(OSError, match="in use"):
        FakeServer(server.port).start()


def test_stopping_leaves_no_thread() -> None:
    """Not with idle connections, and not with an endless answer under way."""
    before = set(threading.enumerate())
    with FakeServer(delay=0.001) as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        client.get("/api/version")
        with client.stream("POST", "/api/chat", json=NEVER_STOP) as answer:
            pieces = answer.iter_raw()
            next(pieces)
            assert set(threading.enumerate()) > before
            server.stop()
            assert set(threading.enumerate()) == before


def test_stopping_cuts_an_answer_in_the_middle() -> None:
    """The client sees a body that did not end."""
    with (
        FakeServer(delay=0.001) as server,
        httpx.stream("POST", f"{server.url}/api/chat", json=NEVER_STOP, trust_env=False) as answer,
    ):
        pieces = answer.iter_raw()
        next(pieces)
        server.stop()
        with pytest.raises(httpx.RemoteProtocolError):
            list(pieces)
        assert server.open_streams == 0


def test_requests_are_recorded_in_order(server: FakeServer, http: httpx.Client) -> None:
    """With method, path and JSON object, also if they are refused."""
    http.get("/api/tags")
    http.post("/api/show", json={"model": "nope"})
    http.post("/api/chat", content=b"{nope")
    http.head("/")
    assert server.requests == [
        ("GET", "/api/tags", None),
        ("POST", "/api/show", {"model": "nope"}),
        ("POST", "/api/chat", None),
        ("HEAD", "/", None),
    ]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_ends_the_answer(server: FakeServer, *, stream: bool) -> None:
    """Also where nothing is written to it."""
    server.delay = 0.001
    body = httpx.Request("POST", server.url, json={**NEVER_STOP, "stream": stream}).content
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /api/chat HTTP/1.1\r\nHost: x.local\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        _wait_until(lambda: server.open_streams == 1)
    _wait_until(lambda: server.open_streams == 0)


@pytest.mark.parametrize("path", ["/api/chat", "/api/embed"])
def test_a_client_that_leaves_while_waiting_is_noticed(server: FakeServer, path: str) -> None:
    """Before the first token, where the delay would last for an hour."""
    server.delay = 3600
    model = "sandbox-embed" if path == "/api/embed" else "sandbox-chat"
    request = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "input": "Hi"}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}{path}", json=request, trust_env=False, timeout=0.2)
    _wait_until(lambda: server.open_streams == 0)
    assert server.requests[0][1] == path


def test_headers_wait_for_the_first_token(server: FakeServer) -> None:
    """Nothing is sent before."""
    server.delay = 3600
    body = httpx.Request("POST", server.url, json=NEVER_STOP).content
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /api/chat HTTP/1.1\r\nHost: x.local\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        _wait_until(lambda: server.open_streams == 1)
        connection.settimeout(0.1)
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_the_delay_can_be_changed_under_way(server: FakeServer) -> None:
    """The next token waits for the new one."""
    server.delay = 0.001
    with httpx.stream("POST", f"{server.url}/api/chat", json=NEVER_STOP, trust_env=False, timeout=0.5) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        server.delay = 3600
        with pytest.raises(httpx.ReadTimeout):
            list(pieces)


def test_answers_are_made_side_by_side(server: FakeServer, http: httpx.Client) -> None:
    """A long one does not keep a short one waiting."""
    server.delay = 0.001
    with http.stream("POST", "/api/chat", json=NEVER_STOP) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        assert http.get("/api/version").status_code == 200
        assert server.open_streams == 1


def test_a_second_request_on_the_way_does_not_end_the_first(server: FakeServer) -> None:
    """A client may send the next request while the first answer comes."""
    head = b"POST /api/chat HTTP/1.1\r\nHost: x.local\r\nContent-Length: %d\r\n\r\n"
    body = b'{"model":"sandbox-chat","messages":[{"role":"user","content":"repeat after me: one two"}],"stream":false}'
    server.delay = 0.01
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall((head % len(body) + body) * 2)
        received = b""
        while received.count(b'"one two"') < 2:
            received += connection.recv(65536)
    assert received.count(b"HTTP/1.1 200 OK") == 2


def test_a_length_that_is_no_number_is_refused(server: FakeServer) -> None:
    """And the connection is closed, since it is unknown where the next request begins."""
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /api/chat HTTP/1.1\r\nHost: x.local\r\nContent-Length: many\r\n\r\n")
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")


def test_models_that_were_not_used_are_not_in_memory(http: httpx.Client) -> None:
    """The list is empty at first."""
    assert http.get("/api/ps").json() == {"models": []}


def test_keep_alive_stays_as_it_was_last_set(http: httpx.Client) -> None:
    """A request that says nothing does not shorten it."""
    for keep_alive in (-1, None):
        http.post("/api/chat", json={"model": "sandbox-chat", "keep_alive": keep_alive})
    http.post("/api/embed", json={"model": "sandbox-embed"})
    entries = http.get("/api/ps").json()["models"]
    assert [entry["name"] for entry in entries] == ["sandbox-chat:latest", "sandbox-embed:latest"]
    assert int(entries[0]["expires_at"][:4]) > 2300


def _wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not reached():
        assert time.monotonic() < deadline, "it did not happen within ten seconds"
        time.sleep(0.005)
