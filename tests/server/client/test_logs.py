"""What the libraries below log of a request, however much they are told to: no key and no password."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from ollama_magics.errors import OllamaMagicsError
from ollama_magics.secret import Secret
from ollama_magics.server.address import parse
from ollama_magics.server.client import Client, Timeouts
from ollama_magics.server.transport import ConnectionOptions
from ollama_magics.server.wire import ChatRequest, Message
from tests.canary import KEY
from tests.faults import Close, FaultServer, Receive, Send, fine, whole

REQUEST = ChatRequest(model="m", messages=(Message("user", "Hi"),))
Make = Callable[[str], Client]


def client(url: str, **more: Any) -> Client:
    """Return a client that does not wait long."""
    return Client(parse(url), Timeouts(1, 1, 1, 1), **more)


def through(proxy: str, scheme: str) -> Client:
    """Return a client of a name that only a proxy knows, to which it is known by its password."""
    options = ConnectionOptions(proxy=Secret(proxy.replace("://", f"://me:{KEY}@")))
    return client(f"{scheme}://box.test:11434", connection=options, key=Secret(KEY))


MAKERS: dict[str, Make] = {
    "a key": lambda url: client(url, key=Secret(KEY)),
    "a password in the address": lambda url: client(url.replace("://", f"://me:{KEY}@")),
    "a header": lambda url: client(url, connection=ConnectionOptions(headers={"X-Token": Secret(KEY)})),
    "a proxy": lambda url: through(url, "http"),
    "a proxy before TLS": lambda url: through(url, "https"),
}
SCRIPTS = {"answers": fine(), "closes": [Receive(), Close()], "refuses": [Receive(), Send(b"HTTP/1.1 407 No\r\n\r\n"), Close()]}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_no_secret_is_logged(make: Make, script: Any, caplog: pytest.LogCaptureFixture) -> None:
    """At the level at which everything is told, which the secret has reached the server by then."""
    caplog.set_level(logging.DEBUG)
    with FaultServer(script) as server:
        asked = make(server.url)
        for act in (asked.version, lambda: list(asked.chat(REQUEST))):
            with suppress(OllamaMagicsError):
                act()
        asked.close()
        assert server.requests
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    output = [record.getMessage() + repr(record.args) for record in caplog.records]
    assert not [line for line in output if KEY in line]


REPEATED = {  # where a server repeats a secret
    "a header": whole({"version": "0.24.0"}, extra=f"X-Seen: {KEY}\r\nSet-Cookie: seen={KEY}\r\n"),
    "an escaped header": whole(b"{}", extra="X-Seen: " + "".join(f"%{ord(letter):02x}" for letter in KEY) + "\r\n"),
    "a redirect": whole(b"", status=302, extra=f"Location: http://else.where/?key={KEY}\r\n"),
    "a reason": [Send(f"HTTP/1.1 401 {KEY} is no key\r\nContent-Length: 0\r\n\r\n".encode())],
    "no HTTP": [Send(f"{KEY} is no key\r\n\r\n".encode()), Close()],
    "a broken header": [Send(f"HTTP/1.1 200 OK\r\n{KEY} {KEY}\r\n\r\n".encode()), Close()],
    "a broken chunk": [Send(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n".encode()), Close()],
}


@pytest.mark.parametrize("answer", REPEATED.values(), ids=REPEATED)
@pytest.mark.parametrize("make", [MAKERS[name] for name in ("a key", "a password in the address", "a header")])
def test_no_secret_that_a_server_repeats_is_logged(make: Make, answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Wherever it does so, of an answer that can be used or not."""
    caplog.set_level(logging.DEBUG)
    with FaultServer([Receive(), *answer]) as server:
        asked = make(server.url)
        with suppress(OllamaMagicsError):
            asked.version()
        asked.close()
    output = [record.getMessage() + repr(record.args) for record in caplog.records]
    assert output
    assert not [line for line in output if KEY in line or KEY.encode().hex() in line.replace("%", "")]
