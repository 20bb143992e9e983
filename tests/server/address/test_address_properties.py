"""What holds for every text that could be typed."""

from __future__ import annotations

import contextlib

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ollama_magics.errors import AddressError
from ollama_magics.server.address import Address, parse

PIECES = """
    http:// https:// http: HTTP:// http. ws:// // / \\ : :: . .. , ; ' " ` ( ) [ ] [::1] ::1 % %2F %zz @ ? # * & = + ~ - _ 0 1 80
    443 11434 99999 0.0.0.0 127.0.0.1 1.2.3 localhost h H ollama ollama.com ollama.com. llama3.2 :7b bücher ß xn--
    /api /api/chat /v1 /v1/models /API ； ： ／ ． 。 ＠ ？ ℀ ² İ 😀 curl OLLAMA_HOST= base_url= --url= $env: host= me:pw@
    ollama_config run
"""
ANYTHING = st.text() | st.text(st.characters(codec=None, exclude_categories=()), max_size=40)
ADDRESS_LIKE = st.lists(st.sampled_from([*PIECES.split(), " ", "\n", "\u200b", "\x00", "\ud800"]), max_size=9).map("".join)
URL_LIKE = ADDRESS_LIKE.map("http://h".__add__)
TYPED = ANYTHING | ADDRESS_LIKE | URL_LIKE


def _address(typed: str) -> Address | None:
    with contextlib.suppress(AddressError):
        return parse(typed)
    return None


@settings(max_examples=1000)
@given(TYPED)
@example("http://ollama.com./x")
@example("http.:1")
@example("http://h/a.?x")
@example("http://h/a：ｂase_url=x")
@example("http://h/'base_url=x'")
@example("http://h/x/api;/.;")
def test_what_is_used_can_be_typed_again(typed: str) -> None:
    """The normal form stays as it is, without a reason, and is an address for httpx too."""
    if address := _address(typed):
        again = parse(address.url)
        assert (again.url, again.reasons, again.explain()) == (address.url, (), "")
        assert str(httpx.URL(address.url)) == address.url


@settings(max_examples=1000)
@given(TYPED)
def test_reasons_are_given_exactly_when_something_changed(typed: str) -> None:
    """No change goes unsaid, and none is claimed."""
    if address := _address(typed):
        assert bool(address.reasons) == (address.url != typed)
        assert bool(address.explain()) == bool(address.reasons)


@settings(max_examples=1000)
@given(TYPED)
def test_every_address_names_a_machine_and_a_port(typed: str) -> None:
    """Host, port, scheme and path are always of their kind, and all texts can be saved."""
    if address := _address(typed):
        assert address.host
        assert 1 <= address.port <= 65535
        assert address.scheme in {"http", "https"}
        assert address.path == "" or (address.path[0] == "/" and address.path[-1] != "/")
        assert address.url.isascii()
        assert address.explain().encode() is not None


@pytest.mark.parametrize(
    "piece", ["/", ":", "\\", "@", ".", "a", "'", '"', ")", "/api;", "http:", "x/", "OLLAMA_HOST ", " ", "1.", "[", "%", "ü"]
)
@pytest.mark.parametrize("front", ["", "http://", "curl ", "http://h/", "OLLAMA_HOST="])
@pytest.mark.parametrize("length", [20_000, 1_000_000])
def test_a_long_text_is_answered(front: str, piece: str, length: int) -> None:
    """Whatever is repeated endlessly ends in an address or in AddressError, never in another exception."""
    address = _address((front + piece * length)[:length])
    assert address is None or len(address.typed) <= 102
