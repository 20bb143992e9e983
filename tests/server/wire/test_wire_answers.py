"""What comes back, read as values or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.errors import RequestRefused
from ollama_magics.server import wire
from ollama_magics.server.model_card import InstalledModel, full_name, version_number

NO_CHUNKS = {
    "a byte order mark": b'\xef\xbb\xbf{"response":"a","done":false}',
    "a lone surrogate": b'{"response":"\\ud800","done":false}',
    "a lone low surrogate": b'{"response":"a\\udc00b","done":false}',
    "no UTF-8": b'{"response":"\xff","done":false}',
    "no JSON": b"<html>Log in</html>",
    "half a line": b'{"response":"a","do',
    "NaN": b'{"response":"a","done":false,"eval_count":NaN}',
    "a list": b"[1, 2]",
    "null": b"null",
    "a text": b'"done"',
    "nested without end": b'{"error":' + b"[" * 100_000,
    "an error nested deep": b'{"error":' + b"[" * 300 + b"]" * 300 + b"}",
    "a call nested deep": b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":'
    + b"[" * 300
    + b"]" * 300
    + b"}}}]}}",
    "an empty object": b"{}",
    "an error under a foreign key": b'{"detail":"Not authenticated"}',
    "done of another type": b'{"response":"a","done":"yes"}',
    "a message of another type": b'{"message":"a","done":false}',
    "content of another type": b'{"message":{"content":[1]},"done":false}',
}


@pytest.mark.parametrize("line", NO_CHUNKS.values(), ids=NO_CHUNKS)
def test_a_line_that_is_no_piece_of_an_answer_is_an_error(line: bytes) -> None:
    """It is neither skipped nor shown as if it were text."""
    with pytest.raises(RequestRefused) as caught:
        wire.chunk(line)
    assert caught.value.code == "answer-unreadable"
    assert len(caught.value.how_we_know) < 500


@given(st.text())
def test_the_text_of_a_line_is_what_the_server_wrote(text: str) -> None:
    """Escaped or raw, control characters and signs beyond the first plane included."""
    for escaped in (True, False):
        line = json.dumps({"message": {"role": "assistant", "content": text}, "done": False}, ensure_ascii=escaped)
        assert wire.chunk(line.encode()).text == text


def test_thinking_is_not_text() -> None:
    """They come beside it, in the same line or in their own."""
    found = wire.chunk(b'{"message":{"content":"","thinking":"Hm"},"done":false}')
    assert (found.text, found.thinking) == ("", "Hm")
    assert wire.chunk(b'{"response":"","thinking":"Hm","done":false}').thinking == "Hm"
    assert wire.chunk(b'{"message":{"content":null},"done":false}').text == ""
    assert wire.chunk(b'{"response":"a","done":false}').text == "a"


def test_a_line_with_an_error_is_returned() -> None:
    """Only there is it known whether text came before it."""
    assert wire.chunk(b'{"error":"unexpected EOF"}').error == "unexpected EOF"
    assert wire.chunk(b'{"done":true,"done_reason":"load"}').done


def test_counts_are_in_the_last_line() -> None:
    """Unknown fields do not disturb."""
    found = wire.chunk(b'{"response":"","done":true,"done_reason":"stop","prompt_eval_count":7,"eval_count":3,"new":[1]}')
    assert (found.done_reason, found.prompt_eval_count, found.eval_count) == ("stop", 7, 3)


WRONG_BODIES: list[tuple[Callable[[bytes], Any], bytes]] = [
    (wire.version, b'{"ver":"0.24.0"}'),
    (wire.version, b'{"version":24}'),
    (wire.version, b""),
    (wire.installed, b'{"data":[]}'),
    (wire.installed, b'{"models":{"m":1}}'),
    (wire.installed, b'{"models":[{"size":1}]}'),
    (wire.card, b'{"capabilities":"completion"}'),
    (wire.card, b"[]"),
    (wire.embeddings, b'{"embeddings":[["a"]]}'),
    (wire.embeddings, b'{"embeddings":[[NaN]]}'),
    (wire.embeddings, b'{"embeddings":[[1.0]],"error":"failed"}'),
    (wire.embeddings, b'{"embeddings":[[null]]}'),
    (wire.embeddings, b'{"embeddings":[[1.0],2.0]}'),
]


@pytest.mark.parametrize(("read", "body"), WRONG_BODIES)
def test_a_body_of_another_shape_is_an_error(read: Callable[[bytes], Any], body: bytes) -> None:
    """A KeyError would blame the wrong side."""
    with pytest.raises(RequestRefused) as caught:
        read(body)
    assert caught.value.code == "answer-unreadable"


def test_nothing_installed_comes_in_two_forms() -> None:
    """Go writes an empty list as null."""
    assert wire.installed(b'{"models":null}') == wire.installed(b'{"models":[]}') == []
    assert wire.embeddings(b'{"embeddings":null}') == []


def test_a_card_knows_what_the_model_was_made_for() -> None:
    """The figures of the vision part and the feed-forward layers are decoys."""
    info = {
        "general.architecture": "mllama",
        "mllama.vision.embedding_length": 1280,
        "mllama.vision.context_length": 99,
        "mllama.feed_forward_length": 14336,
        "llama.context_length": 1,
        "mllama.context_length": 131072,
        "mllama.embedding_length": 4096,
    }
    card = wire.card(json.dumps({"capabilities": ["completion", "vision"], "model_info": info}).encode())
    assert (card.context_length, card.embedding_length) == (131072, 4096)
    assert card.can("vision")
    assert not card.can("embedding")


@pytest.mark.parametrize(
    "info", [{}, None, {"general.architecture": "x"}, {"general.architecture": "x", "x.context_length": "8k"}]
)
def test_a_card_that_says_nothing_claims_nothing(info: Any) -> None:
    """An old server lists no capabilities."""
    card = wire.card(json.dumps({"model_info": info}).encode())
    assert (card.context_length, card.embedding_length, card.capabilities) == (None, None, None)
    assert not card.can("completion")


@pytest.mark.parametrize(
    ("name", "remote", "local"),
    [
        ("llama3.2:latest", None, True),
        ("gpt-oss:120b-cloud", None, False),
        ("deepseek-v3.1:cloud", None, False),
        ("cloud:latest", None, True),
        ("a/my-cloud:7b", "", True),
        ("mine:latest", "https://ollama.com:443", False),
    ],
)
def test_cloud_models_are_not_local(name: str, remote: str | None, *, local: bool) -> None:
    """By their tag, or because the server says where they run."""
    assert InstalledModel(name, remote_host=remote).is_local is local


@pytest.mark.parametrize(
    ("text", "is_recent"),
    [
        ("0.12.5", False),
        ("0.12.6", True),
        ("0.12.6-rc1", True),
        ("0.12.10", True),
        ("0.9.99", False),
        ("0.33.0-rc2", True),
        ("1.0.0", True),
        ("0.0.0", True),
        ("", True),
    ],
)
def test_versions_are_compared_as_numbers(text: str, *, is_recent: bool) -> None:
    """A development build calls itself 0.0.0 and counts as the newest."""
    assert (version_number(text) >= wire.OLDEST_SERVER) is is_recent


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("Llama3.2", "llama3.2:latest"),
        ("llama3.2:1B", "llama3.2:1b"),
        (" parrot ", "parrot:latest"),
        ("host:5000/me/model", "host:5000/me/model:latest"),
        ("hf.co/Org/Model:Q4_K_M", "hf.co/org/model:q4_k_m"),
    ],
)
def test_two_spellings_of_a_model_have_one_full_name(name: str, full: str) -> None:
    """Servers do not look at case, and a missing tag means latest."""
    assert full_name(name) == full


ODD = ["1" + "0" * 400, "null", "3.5", '"x"', "-5", "1e400", "1e99", "{}", "[]", "true", "9" * 5000]


@pytest.mark.finding("E14")
@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
@pytest.mark.parametrize("name", ["eval_count", "eval_duration", "prompt_eval_count", "load_duration", "total_duration"])
def test_a_figure_that_cannot_be_read_is_left_out(name: str, odd: str) -> None:
    """The answer stays, and so do the other figures."""
    others = {"eval_count": 7, "eval_duration": 10**9} | {name: 0}
    fields = ",".join(f'"{other}":{value}' for other, value in others.items() if other != name)
    found = wire.chunk(f'{{"model":"m","message":{{"content":"Hi"}},"done":true,{fields},"{name}":{odd}}}'.encode())
    assert (found.text, found.done, getattr(found, name)) == ("Hi", True, 0)
    assert {other: getattr(found, other) for other in others} == others


@pytest.mark.finding("E14")
@pytest.mark.parametrize("version", ["9" * 5000, "0.24." + "9" * 5000, "1." * 3000, "", "\u0663.\u0664", "0.24.0-rc1"])
def test_a_version_of_any_form_is_read(version: str) -> None:
    """A part that is no number of a release counts as none."""
    read = wire.version(json.dumps({"version": version}).encode())
    assert len(read) <= 100
    assert all(part < 10**9 for part in version_number(version) + version_number(read))
