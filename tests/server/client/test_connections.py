"""Connections: kept, renewed, refused, led elsewhere, or answered by something else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from ollama_magics.errors import ConnectionProblem, OllamaMagicsError, RequestRefused
from ollama_magics.server import wire
from ollama_magics.server.address import Address, parse
from ollama_magics.server.client import Client
from ollama_magics.server.transport import ConnectionOptions
from ollama_magics.server.wire import ChatRequest, EmbedRequest, Message
from tests.diagnosis.certificates import certificate, tls_server, trust
from tests.faults import (
    CHUNKED,
    Close,
    FaultServer,
    Hold,
    Piece,
    Receive,
    Send,
    Serve,
    Step,
    Wait,
    chunk,
    fine,
    whole,
)

Connect = Callable[..., Client]

CHAT = ChatRequest(model="m", messages=(Message("user", "Hi"),))
EMBED = EmbedRequest(model="m", input=("a",))


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    return caught.value


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_one_connection_carries_many_requests(connect: Connect) -> None:
    """It is kept open from one request to the next."""
    with FaultServer(fine()) as server:
        client = connect(server.url)
        assert client.version() == "0.24.0"
        assert [model.name for model in client.installed()] == ["m:latest"]
        assert client.card("m").can("vision")
        assert client.embed(EMBED, wire.embeddings) == [[1.0, 2.0]]
        assert server.paths() == ["/api/version", "/api/tags", "/api/show", "/api/embed"]
        assert server.accepted == 1


def test_the_connection_of_a_streamed_answer_is_used_again(connect: Connect) -> None:
    """The end of the body is read too, whether it comes with the last line or just after it."""
    lines = [chunk("Hello"), chunk("", done=True, done_reason="stop")]
    pieces: list[Step] = [Send(CHUNKED), *(Piece(line) for line in lines), Wait(0.05), Piece(b"")]
    with FaultServer(fine(chat=pieces)) as server:
        client = connect(server.url)
        for _ in range(3):
            assert "".join(part.text for part in client.chat(CHAT)) == "Hello"
        assert server.accepted == 1


def test_an_answer_is_over_with_its_last_line(connect: Connect) -> None:
    """Whatever a server does with the connection: the next request goes over another one."""
    done = chunk("Hello", done=True, done_reason="stop")
    with FaultServer(fine(chat=[Send(CHUNKED), Piece(done), Hold()]), fine()) as server:
        client = connect(server.url)
        start = time.monotonic()
        assert "".join(part.text for part in client.chat(CHAT)) == "Hello"
        assert time.monotonic() - start < 3
        assert client.version() == "0.24.0"


def test_a_path_in_the_address_comes_before_each_endpoint(connect: Connect) -> None:
    """As behind a proxy that serves several things."""
    with FaultServer([Serve({"/ollama/api/version": whole({"version": "0.24.0"})})]) as server:
        assert connect(f"{server.url}/ollama").version() == "0.24.0"


def test_a_connection_that_the_server_closed_is_not_used_again(connect: Connect) -> None:
    """A proxy in between may close it while nobody asks anything."""
    once = [Receive(), *whole({"version": "0.24.0"}), Close()]
    with FaultServer(once, fine()) as server:
        client = connect(server.url)
        client.version()
        assert server.wait_until_left()
        assert client.version() == "0.24.0"
        assert server.accepted == 2


def test_a_server_that_was_started_again_is_found_again(connect: Connect) -> None:
    """While it is down the error says so, and afterwards the same client works."""
    with FaultServer(fine()) as server:
        client = connect(server.url)
        client.version()
    error = failure(client.version)
    assert (type(error), error.code) == (ConnectionProblem, "address-refused")
    with FaultServer(fine(), port=server.port):
        assert client.version() == "0.24.0"


def test_requests_accept_plain_bytes_and_have_no_further_headers(connect: Connect) -> None:
    """No compression, and no key where none was given."""
    with FaultServer(fine()) as server:
        connect(server.url).card("m")
        headers = server.requests[0].headers
    assert headers["accept-encoding"] == "identity"
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers
    assert "cookie" not in headers


def test_a_cookie_of_a_gateway_comes_back(connect: Connect) -> None:
    """One that spreads requests over servers may know by it where a model is loaded."""
    with FaultServer(fine(version=whole({"version": "0.24.0"}, extra="Set-Cookie: server=two; Path=/\r\n"))) as server:
        client = connect(server.url)
        client.version()
        client.card("m")
        assert [one.headers.get("cookie") for one in server.requests] == [None, "server=two"]


def test_a_flood_of_cookies_does_not_come_back(connect: Connect) -> None:
    """It would grow with each answer, until no server takes the requests any more."""
    flood = "".join(f"Set-Cookie: c{number}={'x' * 200}\r\n" for number in range(200))
    with FaultServer(fine(version=whole({"version": "0.24.0"}, extra=flood))) as server:
        client = connect(server.url)
        client.version()
        client.card("m")
        assert all(len(one.headers.get("cookie", "")) < 20_000 for one in server.requests)


def test_a_key_is_sent_with_every_request(connect: Connect) -> None:
    """In the usual header."""
    with FaultServer(fine()) as server:
        connect(server.url, key="sk-1").version()
        assert server.requests[0].headers["authorization"] == "Bearer sk-1"


def test_name_and_password_of_the_address_are_sent(connect: Connect) -> None:
    """A reverse proxy may want them."""
    with FaultServer(fine()) as server:
        connect(server.url.replace("://", "://me:s3cret@")).version()
        assert server.requests[0].headers["authorization"] == "Basic bWU6czNjcmV0"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_the_key_not_sent(connect: Connect, status: int) -> None:
    """A POST would become a GET, and the other server is not the one that the key was given for."""
    with FaultServer(fine()) as other:
        leading = [Serve({"/api/show": whole(b"", status=status, extra=f"Location: {other.url}/api/show\r\n")})]
        with FaultServer(leading) as server:
            error = failure(lambda: connect(server.url, key="sk-1").card("m"))
        assert error.code == "redirect-refused"
        assert f"{other.url}/api/show" in error.how_we_know
        assert other.accepted == 0


@pytest.mark.parametrize(
    "act", [lambda client: list(client.chat(CHAT)), lambda client: client.embed(EMBED, wire.embeddings)], ids=["chat", "embed"]
)
def test_a_model_that_does_not_begin_in_time_is_an_error(connect: Connect, act: Callable[[Client], object]) -> None:
    """Its limit is its own: loading may take long."""
    with FaultServer(fine(chat=[Hold()], embed=[Hold()])) as server:
        error = failure(lambda: act(connect(server.url, first_token=0.3, metadata=60)))
    assert error.code == "server-silent"
    assert "0.3 s" in error.how_we_know


def test_an_error_page_without_end_is_not_read_to_its_end(connect: Connect) -> None:
    """The first 64 KB are more than enough to say what it is."""
    endless: list[Step] = [Receive(), Send(b"HTTP/1.1 500 Oops\r\n\r\n" + b"<html>" + b"x" * 100_000), Hold()]
    with FaultServer(endless) as server:
        client = connect(server.url, metadata=60)
        error = failure(client.version)
        assert error.code == "request-refused"
        assert len(error.how_we_know) < 400
        assert server.wait_until_left()


def test_a_closed_port_is_reported_as_refused(connect: Connect) -> None:
    """With the command that starts a server."""
    port = free_port()
    error = failure(connect(f"http://127.0.0.1:{port}").try_connect)
    assert (type(error), error.code) == (ConnectionProblem, "address-refused")
    assert f"127.0.0.1:{port}" in error.what
    assert "ollama serve" in error.remedy


def test_an_unknown_host_is_named() -> None:
    """This one is too long for any name server, so none is asked."""
    client = Client(Address("x", "http", "a" * 64, 11434))
    error = failure(client.version)
    client.close()
    assert (type(error), error.code) == (ConnectionProblem, "host-unknown")
    assert "a" * 64 in error.what


def test_a_missing_file_of_certificates_is_named(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain http does not look at it."""
    monkeypatch.setenv("SSL_CERT_FILE", "/no/such/file.pem")
    error = failure(lambda: connect("https://ollama.test"))
    assert error.code == "proxy-settings-unusable"
    assert "SSL_CERT_FILE" in error.how_we_know
    with FaultServer(fine()) as server:
        assert connect(server.url).version() == "0.24.0"


def test_a_sibling_client_uses_the_certificates_of_the_first(tmp_path: Path) -> None:
    """Reading all certificates takes as long as a hundred requests; a file that is gone shows that they are read once."""
    options = ConnectionOptions(ca_bundle=trust(tmp_path))
    with tls_server(certificate()) as server, ExitStack() as clients:
        first = Client(parse(f"https://127.0.0.1:{server.port}"), connection=options)
        clients.callback(first.close)
        Path(options.ca_bundle).unlink()
        second = first.sibling(threading.Event())
        clients.callback(second.close)
        assert second.version() == "0.24.0"


def test_both_families_of_addresses_are_tried(connect: Connect) -> None:
    """A server that listens on one of them is found by the name that stands for both."""
    with FaultServer(fine()) as server:
        client = connect(f"http://localhost:{server.port}")
        assert client.try_connect() == f"127.0.0.1:{server.port}"
        assert client.version() == "0.24.0"


def test_a_missing_model_is_named_also_without_a_name(connect: Connect) -> None:
    """A request without one gets the server's words."""
    refused = whole({"error": "model is required"}, status=400)
    with FaultServer(fine(embed=refused)) as server:
        error = failure(lambda: connect(server.url).embed(EmbedRequest(model="", input=("a",)), wire.embeddings))
    assert error.how_we_know == "It said: model is required"


def test_text_that_utf8_cannot_write_is_refused_before_it_is_sent(connect: Connect) -> None:
    """Half a pair of UTF-16, as broken files leave it behind."""
    with FaultServer(fine()) as server:
        spoilt = ChatRequest(model="m", messages=(Message("user", "a\ud800b"),))
        error = failure(lambda: list(connect(server.url).chat(spoilt)))
        assert error.code == "character-invalid"
        assert server.accepted == 0


def test_an_answer_without_end_is_left(connect: Connect) -> None:
    """Memory is not filled with what is no list of models and no vector."""
    endless: list[Step] = [Receive(), Send(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n"), Send(b" " * 20_000_000)]
    with FaultServer(endless) as server, pytest.raises(ConnectionProblem, match=r"at most 16.777.216 bytes"):
        connect(server.url).version()
    with FaultServer(endless) as server, pytest.raises(RequestRefused, match=r"at most 17.825.792 bytes"):
        connect(server.url).embed(EmbedRequest(model="m", input=("a",)), wire.embeddings)
