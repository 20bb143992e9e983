"""A picture from an address: from public machines only, within limits, without anything about the user."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from io import BytesIO
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ollama_magics.errors import Cancelled, PictureProblem, SettingError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server.fetch import Limits, fetch, shown
from ollama_magics.session.session import Session
from ollama_magics.settings.form import OllamaSettings
from tests.faults import FaultServer, Hold, Piece, Receive, Send, Serve, Step, Wait, whole

HERE = (ip_network("127.0.0.0/8"),)
NEVER = threading.Event()


def png(colour: str = "red") -> bytes:
    """Return a picture file."""
    buffer = BytesIO()
    Image.new("RGB", (9, 9), colour).save(buffer, "PNG")
    return buffer.getvalue()


def answering(*addresses: str) -> Callable[..., Any]:
    """Return a look-up that gives these addresses one after another, and the last one from then on."""
    left = list(addresses)

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        address = left.pop(0) if len(left) > 1 else left[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, host, (address, port))]

    return resolve


def refused(url: str, limits: Limits | None = None) -> str:
    """Return how we know that it cannot be fetched."""
    with pytest.raises(PictureProblem) as caught:
        fetch(url, NEVER, limits)
    assert caught.value.code == "picture-not-fetched"
    assert len(caught.value.lines()) == 3
    return caught.value.how_we_know


def test_the_bytes_are_unchanged_and_the_request_has_no_private_headers() -> None:
    """No cookie, no key, no referrer, no language: what kind is wanted, and by whom."""
    with FaultServer([Serve({"/a.png": whole(png(), kind="text/plain", extra="Set-Cookie: a=b\r\n")})]) as server:
        for _ in range(2):
            assert fetch(f"{server.url}/a.png?size=2#top", NEVER, Limits(networks=HERE)) == png()
    [first, second] = server.requests
    assert first.target == "/a.png?size=2"
    assert set(first.headers) == set(second.headers) == {"host", "user-agent", "accept", "accept-encoding"}
    assert first.headers["user-agent"] == "ollama-magics"


@pytest.mark.finding("E16")
@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),  # noqa: S104
        *("224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254"),
        *(
            "192.0.0.192",
            "168.63.129.16",
            "fec0::1",
            "64:ff9b:1::7f00:1",
            "::ffff:0:7f00:1",
            "::7f00:1",
            "192.88.99.1",
            "3fff::1",
        ),
        *("ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:0:7f00:1::"),
    ],
)
def test_only_public_machines_are_connected_to(address: str) -> None:
    """Neither by its number nor by a name; nothing is sent."""
    literal = f"[{address}]" if ":" in address else address
    assert "not a public internet address" in refused(f"http://{literal}:9/a.png")
    assert address in refused("https://pictures.example/a.png", Limits(resolve=answering(address)))


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "localhost", "LOCALHOST"])
def test_another_spelling_of_this_machine_is_this_machine(host: str) -> None:
    """Numbers as the system reads them."""
    with FaultServer([Receive(), *whole(png())]) as server:
        assert "public internet" in refused(f"http://{host}:{server.port}/a.png")
        assert server.accepted == 0


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "93.184.216.34"])
def test_a_public_machine_is_allowed(address: str) -> None:
    """The judgement itself says yes; that there is no network to reach it is another matter."""
    limits = Limits(resolve=answering(address), seconds=0.3, connect=0.3)
    assert "public internet" not in refused("http://pictures.example:9/a.png", limits)


def test_a_name_with_one_private_address_is_refused() -> None:
    """Whoever mixes them has no good reason."""

    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, 1, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]

    assert "10.0.0.1" in refused("http://pictures.example/", Limits(resolve=resolve))


def test_the_connection_goes_to_the_checked_address() -> None:
    """A name that leads elsewhere when asked a second time (DNS rebinding) is not asked a second time."""
    asked: list[str] = []

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        found: list[Any] = answering("127.0.0.1" if len(asked) == 1 else "10.0.0.1")(host, port)
        return found

    with FaultServer([Serve({"/a.png": whole(png())})]) as server:
        address = f"http://pictures.example:{server.port}/a.png"
        assert fetch(address, NEVER, Limits(networks=HERE, resolve=resolve)) == png()
        assert server.requests[0].headers["host"] == f"pictures.example:{server.port}"
    assert asked == ["pictures.example"]


def moved(location: str, status: int = 302) -> list[Any]:
    """Return the script of a redirect."""
    return whole(b"", status=status, extra=f"Location: {location}\r\n")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(status: int) -> None:
    """Relative and absolute, with nothing said about where it came from."""
    with FaultServer() as server:
        paths = {"/a": moved("/b", status), "/b": moved(f"{server.url}/c", status), "/c": whole(png())}
        server._scripts = ([Serve(paths)],)
        assert fetch(f"{server.url}/a", NEVER, Limits(networks=HERE)) == png()
        assert "referer" not in server.requests[-1].headers


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("http://169.254.169.254/latest/meta-data", "public internet"),
        ("http://[::1]:11434/api/tags", "public internet"),
        ("//10.0.0.1/", "public internet"),
        ("file:///etc/passwd", "not an http or https"),
        ("ftp://example.org/a", "not an http or https"),
        ("http://ann:word@example.org/", "name or password"),
        ("http://a:99999/", "not an http or https"),
        ("/loop", "more than 5 times"),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(location: str, said: str) -> None:
    """Each time."""
    with FaultServer([Serve({"/": moved(location), "/loop": moved("/loop")})]) as server:
        assert said in refused(f"{server.url}/", Limits(networks=(ip_network("127.0.0.1/32"),)))


@pytest.mark.parametrize(
    "url",
    ["http://", "http:///a.png", "https://ann:hidden@example.org/a.png", "http://[::1/", "http://0177.0.0.1/", "http://a:0/"],
)
def test_an_invalid_address_is_refused(url: str) -> None:
    """Before any look-up."""
    output = refused(url, Limits(resolve=lambda *_, **__: pytest.fail("looked up")))
    assert "hidden" not in output


def test_a_file_that_is_too_large_is_refused_before_or_during_the_download() -> None:
    """Whatever its length claims."""
    limits = Limits(networks=HERE, size=1000)
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    endless: list[Step] = [Send(chunked), *[Piece(b"x" * 500)] * 20, Hold()]
    with FaultServer([Serve({"/a": whole(b"x" * 1001), "/b": endless, "/c": whole(b"x" * 1000)})]) as server:
        assert "larger than" in refused(f"{server.url}/a", limits)
        assert "larger than" in refused(f"{server.url}/b", limits)
        assert len(fetch(f"{server.url}/c", NEVER, limits)) == 1000


def test_a_slow_or_missing_answer_times_out() -> None:
    """The limit is one for the whole, not for each byte."""
    chunked = Send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    drops: list[Step] = [Piece(b"x"), Wait(0.1)]
    trickle = [chunked, *drops * 100]
    with FaultServer([Serve({"/slow": trickle, "/never": [Hold()]})]) as server:
        for path in ("slow", "never"):
            start = time.monotonic()
            assert "within 0.6 s" in refused(f"{server.url}/{path}", Limits(networks=HERE, seconds=0.6))
            assert time.monotonic() - start < 3


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (whole(b"gone", status=404), "404"),
        (whole(b"x", extra="Content-Encoding: gzip\r\n"), "200 instead"),
        ([Send(b"no http at all\r\n\r\n")], "It said"),
    ],
)
def test_an_error_or_encoded_answer_is_refused(script: list[Any], said: str) -> None:
    """Errors of the server are no pictures."""
    with FaultServer([Serve({"/": script})]) as server:
        assert said in refused(f"{server.url}/", Limits(networks=HERE))


def test_closing_a_session_ends_a_download() -> None:
    """Within a slice."""
    cancelled = threading.Event()
    threading.Timer(0.3, cancelled.set).start()
    with FaultServer([Receive(), Hold()]) as server, pytest.raises(Cancelled):
        fetch(server.url, cancelled, Limits(networks=HERE))


def test_an_address_is_shown_without_secrets() -> None:
    """Name, password and query."""
    assert shown("https://ann:word@example.org/a.png?key=1") == "https://example.org/a.png"


@pytest.fixture
def session() -> Any:
    """Return a session of its own."""
    found = Session(OllamaSettings())
    yield found
    found.close()


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """Return a recording of nothing."""
    (tmp_path / "r.json").write_text('{"version": 1, "exchanges": []}')
    return tmp_path / "r.json"


def test_a_fetched_file_is_a_picture_or_is_refused(session: Session) -> None:
    """Whatever its kind is said to be."""
    page = whole(b"<html>", kind="image/png")
    with FaultServer([Serve({"/a": whole(png(), kind="text/html"), "/b": page})]) as server:
        [picture] = session.pictures_from(f"{server.url}/a", allowed=True, limits=Limits(networks=HERE))
        assert (picture.width, picture.source) == (9, f"{server.url}/a")
        with pytest.raises(PictureProblem) as caught:
            session.pictures_from(f"{server.url}/b", allowed=True, limits=Limits(networks=HERE))
        assert "web page" in caught.value.how_we_know


def test_nothing_is_downloaded_without_allow_url_with_local_only_or_in_a_replay(
    session: Session, stand_in: FakeServer, record: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --allow-url, with --local-only, and in a replay."""
    limits = Limits(networks=HERE)
    with pytest.raises(PictureProblem) as caught:
        session.pictures_from(f"{stand_in.url}/?key=word", allowed=False)
    assert (caught.value.code, "word" in str(caught.value)) == ("picture-is-url", False)
    session.configure({"local_only": "yes"})
    with pytest.raises(SettingError):
        session.pictures_from(stand_in.url, allowed=True, limits=limits)
    session.configure({"local_only": "no"})
    monkeypatch.setenv("OLLAMA_MAGICS_REPLAY", "1")
    session.record(str(record))
    with pytest.raises(PictureProblem) as caught:
        session.pictures_from(stand_in.url, allowed=True, limits=limits)
    assert "replay" in caught.value.how_we_know
    assert stand_in.requests == []
