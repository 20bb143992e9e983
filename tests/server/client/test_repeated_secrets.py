"""A key that a server repeats, in whatever spelling, reaches no error, no recording, and no variable of a traceback."""

from __future__ import annotations

import base64
import json
import re
import string
import threading
import traceback
from collections.abc import Callable, Iterator
from html import escape, unescape
from pathlib import Path
from types import TracebackType
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ollama_magics as om
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.secret import Secret
from ollama_magics.server.address import parse
from ollama_magics.server.client import Client
from ollama_magics.server.redaction import Redaction
from ollama_magics.server.transport import ConnectionOptions
from ollama_magics.server.wire import ChatRequest, Message
from ollama_magics.session.session import Session, current
from ollama_magics.settings.form import OllamaSettings
from tests.faults import LINES, Close, FaultServer, Receive, Send, Step, Wait, chunk, fine, refusing, whole

Connect = Callable[..., Client]
SECRET = "sk/Ab+9&z<k>=7'q~5%41.x"  # noqa: S105 - of this test only
REQUEST = ChatRequest(model="m", messages=(Message("user", "Hi"),))
SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "JSON": lambda text: json.dumps(text)[1:-1].replace("/", r"\/").replace("&", r"\u0026").replace("<", r"\u003C"),
    "JSON in JSON": lambda text: json.dumps(json.dumps(text).replace("/", r"\/")),
    "all of it in JSON": lambda text: re.sub("(....)", r"\\u\1", text.encode("utf-16-be").hex()),
    "repr": repr,
    "URL": lambda text: quote(text, safe=""),
    "URL in lower case": lambda text: quote(text, safe="").replace("%2F", "%2f"),
    "URL twice": lambda text: quote(quote(text, safe=""), safe=""),
    "form": quote_plus,
    "HTML": escape,
    "HTML in numbers": lambda text: "".join(f"&#{ord(character)};" for character in text),
    "HTML in hexadecimal numbers": lambda text: "".join(f"&#x{ord(character):X};" for character in text),
    "HTML twice": lambda text: escape(escape(text)),
    "Basic": lambda text: base64.b64encode(f"ann:{text}".encode()).decode(),
    "Basic of a longer name": lambda text: base64.b64encode(f"annie:{text}".encode()).decode(),
    "Basic for URLs": lambda text: base64.urlsafe_b64encode(f"anna:{text}".encode()).decode(),
    "hexadecimal": lambda text: text.encode().hex(),
    "upper case": str.upper,
}


def is_readable(text: str, secret: str = SECRET) -> bool:
    """Whether somebody who reads the text learns the middle of the secret in one of the spellings."""
    middle = secret[6:14]
    return any(spell(part).casefold() in text.casefold() for spell in SPELLINGS.values() for part in (middle, secret)) or any(
        base64.b64encode(bytes(before) + secret.encode()).decode()[8:20] in text for before in range(3)
    )


@pytest.mark.finding("E3")
@pytest.mark.parametrize("secret", [SECRET, "pässwörd-日本-🔑-geheim", "k" * 20 + "-" + "ab/9" * 100 + "-end"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_secret_is_removed_in_every_spelling(spelling: str, secret: str) -> None:
    """And nothing beside it."""
    text = f"before {SPELLINGS[spelling](secret)} after"
    shown = Redaction([Secret(secret)], 4).text(text)
    assert shown.startswith("before ")
    assert shown.endswith(" after")
    assert "••••" in shown
    assert len(shown) <= len("before •••• after") + 20  # what surrounds it in base64


@pytest.mark.finding("E3")
def test_what_a_cut_leaves_of_a_secret_is_removed_and_other_text_stays() -> None:
    """At the end of a quotation."""
    redaction = Redaction([Secret(SECRET)], 4)
    for length in range(7, len(SECRET)):
        assert redaction.text(f"it begins: '{SECRET[:length]}…'") == "it begins: '••••"
    for text in ("", "sk is short", "no secret at all", "100 % of \\u0041 & <b>"):
        assert redaction.text(text) == text
    referer = Redaction([Secret("https://app.example.com/x"), Secret("application/json")], 4)
    assert (
        referer.text("https://api.example.com: application/xml, application/json")
        == "https://api.example.com: application/xml, ••••"
    )


SEPARATORS = st.sampled_from(
    ["", " ", "...", "****", '"}', "\n", "=", "&", "%", "\\n", "x", "é", "\u200b", "</b>", "sk-proj-", "%25"]
)


@pytest.mark.finding("E3")
@settings(max_examples=60, deadline=None)
@given(
    key=st.builds(
        "{}{}".format,
        st.sampled_from(["", "sk-proj-", "sk-", "ghp_"]),
        st.text(string.ascii_letters + string.digits, min_size=12, max_size=60),
    ),
    texts=st.lists(SEPARATORS, min_size=2, max_size=6),
    data=st.data(),
)
def test_no_piece_of_a_key_is_shown(key: str, texts: list[str], data: st.DataObject) -> None:
    """Of eight characters or more, wherever it is cut, whatever stands beside it, in every spelling, with spaces or without."""
    ways: list[Callable[[str], str]] = [
        str,
        str.upper,
        *(SPELLINGS[name] for name in ("JSON", "URL twice", "HTML in numbers", "all of it in JSON")),
        " ".join,
        "\n ".join,
    ]
    shown, pieces = texts[0], list[str]()
    for text in texts[1:]:
        first = data.draw(st.integers(0, len(key) - 8))
        piece = key[first : data.draw(st.integers(first + 8, len(key)))]
        pieces += [] if piece in "sk-proj-" else [piece]
        shown += data.draw(st.sampled_from(ways))(piece) + text
    clean = Redaction([Secret(key)], 4).text(shown)
    for form in (
        clean,
        unquote(unquote(clean)),
        unescape(clean),
        re.sub(r"\\u(....)", lambda found: chr(int(found[1], 16)), clean),
    ):
        plain = "".join(form.split()).lower()
        assert not any(piece.lower() in plain for piece in pieces), (shown, clean)


ECHOES: dict[str, Callable[[str], list[Step]]] = {
    "an error": lambda text: refusing(500, json.dumps({"error": f"bad {text}"}).encode()),
    "a page": lambda text: refusing(403, f"<html><title>bad {text}</title>".encode(), "text/html"),
    "a header": lambda text: [Receive(), *whole(b"", status=302, extra=f"Location: http://else/{quote(text)}\r\n")],
    "an unreadable 200": lambda text: refusing(200, f"bad {text}".encode()),
    "an unreadable 200 that is cut": lambda text: refusing(200, f"{'x' * 70} {text}".encode()),
    "an error in a stream": lambda text: [
        Receive(),
        Send(LINES + chunk("a") + json.dumps({"error": f"bad {text}"}).encode() + b"\n"),
        Close(),
    ],
    "an unreadable line": lambda text: [Receive(), Send(LINES + chunk("a") + f"bad {text}\n".encode()), Close()],
    "two parts": lambda text: [
        Receive(),
        Send(LINES + chunk("a") + f'{{"error": "bad {text[:9]}'.encode()),
        Wait(0.05),
        Send(f'{text[9:]}"}}\n'.encode()),
        Close(),
    ],
}


@pytest.mark.finding("E3")
@pytest.mark.parametrize("echo", ECHOES)
def test_a_repeated_secret_is_in_no_error(connect: Connect, echo: str) -> None:
    """Of a key, and of a password in the address."""
    secret = "sk-Ab9z+k7/q5&41x-end"  # noqa: S105 - of this test only
    for spelling in ("plain", "JSON", "URL", "HTML", "Basic", "all of it in JSON"):
        with FaultServer(ECHOES[echo](SPELLINGS[spelling](secret))) as server:
            for client in (
                connect(server.url, key=secret),
                connect(server.url.replace("://", f"://ann:{quote(secret, safe='')}@")),
            ):
                with pytest.raises(OllamaMagicsError) as caught:
                    list(client.chat(REQUEST))
                error = caught.value
                shown = "\n".join([str(error), error.debug, repr(error.facts), *traceback.format_exception(error)])
                assert not is_readable(shown, secret), (spelling, shown)


@pytest.mark.finding("E3")
def test_a_repeated_secret_is_in_no_recording(tmp_path: Path) -> None:
    """Escaped, or divided between the pieces of an answer."""
    secret = "sk-Ab9z+k7/q5&41x-end"  # noqa: S105 - of this test only
    pieces = ["It is ", secret[:5], secret[5:12], secret[12:] + ".", f" Basic {SPELLINGS['Basic'](secret)}", " and done"]
    said = b"".join(map(chunk, pieces)) + chunk("", done=True, done_reason="stop").replace(
        b'"m"', json.dumps(quote(secret)).encode()
    )
    path = tmp_path / "r.json"
    with FaultServer(fine(chat=whole(said.replace(b"/", rb"\/"), kind="application/x-ndjson"))) as server:
        session = Session(OllamaSettings())
        session.configure({"base_url": server.url, "model": "m"})
        session.resolved.secrets.hold_key(Secret(secret))
        session.record(str(path))
        assert secret in session.ask(Prompt("Hi")).text
        session.close()
    text = path.read_text(encoding="utf-8")
    contents = "".join(
        line["message"]["content"]
        for one in json.loads(text)["exchanges"]
        if one["path"] == "/api/chat"
        for _, line in one["answer"]
    )
    assert contents.startswith("It is ••••. Basic ")
    assert contents.endswith(" and done")
    assert not is_readable(text + contents, secret)


def variables(trace: TracebackType | None) -> Iterator[str]:
    """Yield what a traceback with variables shows of the frames of this package."""
    while trace:
        if "ollama_magics" in trace.tb_frame.f_globals.get("__name__", ""):
            for name, value in trace.tb_frame.f_locals.items():
                yield f"{trace.tb_frame.f_code.co_name}: {name} = {value!r}"
        trace = trace.tb_next


@pytest.mark.finding("E4")
def test_no_variable_of_a_traceback_is_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither where a client cannot be made nor where a request fails."""
    secret = "sk-local-variable-77"  # noqa: S105 - of this test only
    monkeypatch.setenv("TEAM", secret)
    (bundle := tmp_path / "no.pem").write_text("no certificate")
    ways: list[dict[str, object]] = [
        {"base_url": f"https://ann:{secret}@192.0.2.7", "ca_bundle": str(bundle)},
        {"base_url": "https://192.0.2.7", "ca_bundle": str(bundle), "headers": "X-Team: $TEAM"},
        {"base_url": "https://192.0.2.7", "ca_bundle": str(bundle), "api_key_env": "TEAM"},
        {"base_url": "http://127.0.0.1:9", "headers": {"X-Team": secret}, "api_key_env": "TEAM"},
        {"base_url": "http://192.0.2.7", "proxy": f"http://ann:{secret}@127.0.0.1:9", "api_key_env": "TEAM"},
    ]
    for way in ways:
        om.configure(ca_bundle="", headers="", proxy="", api_key_env="")
        om.configure(**way)  # type: ignore[arg-type]
        with pytest.raises(OllamaMagicsError) as caught:
            om.models()
        shown = "\n".join(variables(caught.value.__traceback__))
        assert len(shown.splitlines()) > 3
        assert secret not in shown, [line for line in shown.splitlines() if secret in line]
    for spoilt in (f"{secret}\n", f"{secret} ключ"):
        with pytest.raises(OllamaMagicsError) as caught:
            Client(parse("http://127.0.0.1:9"), key=Secret(spoilt), connection=ConnectionOptions(headers={"X": Secret(secret)}))
        assert secret not in "\n".join(variables(caught.value.__traceback__))
    monkeypatch.setenv("TEAM", f"{secret} and more")
    with pytest.raises(OllamaMagicsError) as caught:
        om.models()
    assert secret not in "\n".join(variables(caught.value.__traceback__))


@pytest.mark.finding("E19")
def test_requests_of_other_threads_end_when_the_address_changes() -> None:
    """Each keeps its connection; the next request goes to the new address."""
    slow: list[Step] = [Send(LINES + chunk("a")), Wait(0.5), Send(chunk("b", done=True, done_reason="stop")), Close()]
    with FaultServer(fine(chat=slow)) as first, FaultServer(fine()) as second:
        om.configure(base_url=first.url, model="m")
        replies = [om.chat("Hi") for _ in range(4)]
        texts: list[str] = []
        threads = [threading.Thread(target=lambda reply=reply: texts.append(reply.text)) for reply in replies]
        for thread in threads:
            thread.start()
        while sum(request.path == "/api/chat" for request in first.requests) < len(replies):
            threading.Event().wait(0.01)
        former = current().client
        om.configure(base_url=second.url)
        assert om.chat("Hi").text == "Hello"
        for thread in threads:
            thread.join(10)
    assert texts == ["ab"] * 4
    assert former._http.is_closed
