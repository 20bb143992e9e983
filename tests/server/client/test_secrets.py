"""No key and no password is ever shown, whatever goes wrong."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence

import pytest

from ollama_magics.errors import OllamaMagicsError, SettingError
from ollama_magics.server.client import Client
from ollama_magics.server.wire import ChatRequest, Message
from tests.canary import KEY
from tests.faults import LINES, Close, FaultServer, Hold, Receive, Reset, Send, Step, chunk, fine, refusing, whole

Connect = Callable[..., Client]

REQUEST = ChatRequest(model="m", messages=(Message("user", "Hi"),))
FAULTS: dict[str, list[Step]] = {
    "silence": [Hold()],
    "a reset": [Reset()],
    "a close": [Receive(), Close()],
    "a web page": refusing(200, b"<html>", "text/html"),
    "a server error": refusing(500, b"oops", "text/plain"),
    "no entry": refusing(401, b'{"error":"unauthorized"}'),
    "an echo": refusing(401, f'{{"error":"{KEY} is no key"}}'.encode()),
    "an echo on a page": refusing(403, f"<html>{KEY}".encode(), "text/html"),
    "an echo in a redirect": [Receive(), *whole(b"", status=302, extra=f"Location: http://me:{KEY}@else/\r\n")],
    "an echo in a stream": [Receive(), Send(LINES + chunk("a") + f'{{"error":"{KEY} expired"}}\n'.encode()), Close()],
    "Ollama's guard": refusing(403, b""),
    "a redirect": [Receive(), *whole(b"", status=307, extra="Location: http://else.where/\r\n")],
    "another encoding": [Receive(), *whole(b"x", extra="Content-Encoding: gzip\r\n")],
    "a cut answer": [Receive(), Send(LINES + chunk("a")), Close()],
    "a spoilt answer": [Receive(), Send(LINES + chunk("a") + b"rubbish\n"), Close()],
    "a stalled answer": [Receive(), Send(LINES + chunk("a")), Hold()],
}


def everything_shown(error: BaseException) -> str:
    """Return all that a shell, a log or a report could print of an error, verbose tracebacks of ours included."""
    parts = [str(error), repr(error), *traceback.format_exception(error)]
    if isinstance(error, OllamaMagicsError):
        parts += [error.debug, repr(error.facts), repr(error.args), *error._render_traceback_()]
    return "\n".join(parts)


@pytest.mark.parametrize("act", [Client.version, lambda client: list(client.chat(REQUEST))], ids=["version", "chat"])
@pytest.mark.parametrize("script", FAULTS.values(), ids=FAULTS)
def test_a_key_is_in_no_error(
    connect: Connect, script: Sequence[Step], act: Callable[[Client], object], caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the one of the header nor the password of the address, not even where the server repeats it."""
    caplog.set_level(logging.DEBUG)
    with FaultServer(script) as server:
        limits = {"metadata": 0.1, "first_token": 0.1, "idle": 0.1}
        for client in (
            connect(server.url, key=KEY, **limits),
            connect(server.url.replace("://", f"://me:{KEY}@"), **limits),
        ):
            with pytest.raises(OllamaMagicsError) as caught:
                act(client)
            assert KEY not in everything_shown(caught.value)
        assert len({request.headers["authorization"] for request in server.requests}) in (0, 2)


@pytest.mark.parametrize("spoilt", ["\n", "\r\nX: y", "\x00", "“", "ключ"])
def test_a_key_that_http_cannot_carry_is_refused_unseen(connect: Connect, spoilt: str) -> None:
    """Libraries below would quote it in full."""
    with FaultServer(fine()) as server:
        with pytest.raises(SettingError) as caught:
            connect(server.url, key=f"{KEY}{spoilt}")
        assert caught.value.code == "setting-invalid"
        assert KEY not in everything_shown(caught.value)
        assert server.accepted == 0


def test_a_client_does_not_show_its_key(connect: Connect) -> None:
    """It may be looked at in a notebook."""
    client = connect(f"http://me:{KEY}@127.0.0.1:1", key=KEY)
    assert KEY not in repr(client) + repr(client.address) + str(client.address)
