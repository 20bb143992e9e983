"""Which proxy is asked, and how its failures are told from the server's."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from ollama_magics.errors import ConnectionProblem, OllamaMagicsError
from ollama_magics.server.address import parse
from ollama_magics.server.client import Client
from ollama_magics.server.transport import proxy_for
from tests.faults import Close, FaultServer, Receive, Send, fine, refusing

Connect = Callable[..., Client]

FAR = "http://ollama.test:11434"  # a name that no name server knows: only a proxy can answer for it
SECRET = "pa55word"  # noqa: S105 - made up


@pytest.fixture
def dead() -> str:
    """Return the address of a proxy that does not run."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def failure(act: Callable[[], object]) -> OllamaMagicsError:
    """Return the error of an act."""
    with pytest.raises(OllamaMagicsError) as caught:
        act()
    return caught.value


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_this_machine_is_reached_without_a_proxy(connect: Connect, monkeypatch: pytest.MonkeyPatch, dead: str, name: str) -> None:
    """A dead one disturbs nobody who talks to himself."""
    monkeypatch.setenv(name, dead)
    with FaultServer(fine()) as server:
        assert connect(server.url).version() == "0.24.0"
        assert connect(f"http://localhost:{server.port}").version() == "0.24.0"
        assert connect(server.url).try_connect() == f"127.0.0.1:{server.port}"


def test_other_machines_are_reached_through_the_proxy(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the whole address, and the check names it."""
    with FaultServer(fine()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        client = connect(FAR)
        assert client.version() == "0.24.0"
        assert client.try_connect() == f"proxy {proxy.url}"
        assert [request.target for request in proxy.requests] == [f"{FAR}/api/version"]


def test_a_proxy_gets_its_password_and_shows_it_to_nobody(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it fails."""
    with FaultServer(fine()) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.replace("://", f"://me:{SECRET}@"))
        client = connect(FAR)
        client.version()
        assert proxy.requests[0].headers["proxy-authorization"].startswith("Basic ")
        assert SECRET not in client.try_connect()
    error = failure(client.version)
    assert error.code == "proxy-failed"
    assert SECRET not in str(error) + error.debug


def test_a_proxy_that_does_not_run_is_reported(connect: Connect, monkeypatch: pytest.MonkeyPatch, dead: str) -> None:
    """The server may well be there."""
    monkeypatch.setenv("http_proxy", dead)
    error = failure(connect(FAR).version)
    assert (type(error), error.code) == (ConnectionProblem, "proxy-failed")
    assert dead.removeprefix("http://") in error.how_we_know
    assert "--proxy none" in error.remedy


def test_a_proxy_that_refuses_a_tunnel_is_reported(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it said."""
    with FaultServer([Receive(), Send(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"), Close()]) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        error = failure(connect("https://ollama.test").version)
        assert proxy.requests[0].method == "CONNECT"
    assert error.code == "proxy-refused"
    assert "407 Proxy Authentication Required" in error.how_we_know


def test_the_page_of_a_proxy_is_not_an_answer(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway that does not reach the server says so in HTML."""
    with FaultServer(refusing(502, b"<html>Bad Gateway</html>", "text/html")) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert failure(connect(FAR).version).code == "proxy-answered"


@pytest.mark.parametrize("exceptions", ["ollama.test", ".test", "*", "a.example, ollama.test:11434"])
def test_hosts_that_are_excepted_need_no_proxy(monkeypatch: pytest.MonkeyPatch, dead: str, exceptions: str) -> None:
    """As the system's own rules have it."""
    monkeypatch.setenv("http_proxy", dead)
    assert proxy_for(parse(FAR)) == dead
    monkeypatch.setenv("no_proxy", exceptions)
    assert proxy_for(parse(FAR)) is None


@pytest.mark.parametrize("exceptions", ["[::1]", "::1", "fe80::/10", "127.0.0.0/8", ",,", "*.test"])
def test_odd_exceptions_break_nothing(connect: Connect, monkeypatch: pytest.MonkeyPatch, dead: str, exceptions: str) -> None:
    """Some libraries refuse to start with them."""
    monkeypatch.setenv("http_proxy", dead)
    monkeypatch.setenv("no_proxy", exceptions)
    with FaultServer(fine()) as server:
        assert connect(server.url).version() == "0.24.0"


@pytest.mark.parametrize(
    "proxy", ["socks5://127.0.0.1:1080", "http://[::1", "http://127.0.0.1:x", "http://", "ftp://h", "http://h:0"]
)
def test_an_unusable_proxy_is_reported(connect: Connect, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """Only for machines that would be reached through it."""
    monkeypatch.setenv("http_proxy", proxy.replace("://", f"://me:{SECRET}@"))
    error = failure(lambda: connect(FAR))
    assert (type(error), error.code) == (ConnectionProblem, "proxy-settings-unusable")
    assert SECRET not in str(error)
    connect("http://127.0.0.1:1")
