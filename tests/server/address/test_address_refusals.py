"""What is no address, and what is said about it."""

from __future__ import annotations

import pytest

from ollama_magics.errors import AddressError
from ollama_magics.server.address import parse

REFUSALS = {
    # OM-A01: not an address
    "what is python": "OM-A01",
    "two words": "OM-A01",
    "/": "OM-A01",
    "/api/chat": "OM-A01",
    "http://": "OM-A01",
    "https://?x": "OM-A01",
    "http://my%20host": "OM-A01",
    "-h": "OM-A01",
    "a..b": "OM-A01",
    "h!": "OM-A01",
    "{{host}}": "OM-A01",
    "{HOST}:11434": "OM-A01",
    "😀": "OM-A01",
    "http://😀.example": "OM-A01",
    "straße.example": "OM-A01",
    "xn--n3h.example": "OM-A01",
    "xn--a.example": "OM-A01",
    "℀.example": "OM-A01",
    "\ud800": "OM-A01",
    "http://\udfff:1": "OM-A01",
    "a" * 64: "OM-A01",
    ".".join(["a" * 60] * 5): "OM-A01",
    "a" * 1_000_000: "OM-A01",
    "http://h/" + "a" * 1_000_000: "OM-A01",
    "1.2.3": "OM-A01",
    "1.2.3.4.5": "OM-A01",
    "256.1.1.1": "OM-A01",
    "127.0.0.01": "OM-A01",
    "0x7f.1": "OM-A01",
    "http://11434": "OM-A01",
    "[::1": "OM-A01",
    "[]": "OM-A01",
    "[::g]": "OM-A01",
    "::1:11434": "OM-A01",
    ":::1": "OM-A01",
    "[fe80::1%eth0]": "OM-A01",
    "fe80::1%25eth0": "OM-A01",
    # OM-A02: not a port
    "h:0": "OM-A02",
    "h:65536": "OM-A02",
    "h:99999": "OM-A02",
    "99999": "OM-A02",
    "0": "OM-A02",
    "h:abc": "OM-A02",
    "h:-1": "OM-A02",
    "h:1.5": "OM-A02",
    "::1]": "OM-A02",
    "h:١": "OM-A02",
    "h:1:2": "OM-A02",
    "http://h:" + "9" * 5000: "OM-A02",
    "OLLAMA_HOST=:66000": "OM-A02",
    # OM-A03: another scheme
    "file:///etc/hosts": "OM-A03",
    "file:/etc/hosts": "OM-A03",
    "C:\\models": "OM-A03",
    "ssh://h": "OM-A03",
    "ssh:git@h": "OM-A03",
    "ws://h:11434": "OM-A03",
    "WSS:h": "OM-A03",
    "ftp://h": "OM-A03",
    "tcp://172.17.0.2:11434": "OM-A03",
    "htpp://h": "OM-A03",
    "unix:/run/ollama.sock": "OM-A03",
    "ｆｔｐ：／／h": "OM-A03",
    "mailto:me@h": "OM-A03",
    "data:text/plain,x": "OM-A03",
    # OM-A04: a model
    "llama3.2": "OM-A04",
    "llama3.2:1b": "OM-A04",
    "gemma3:latest": "OM-A04",
    "qwen3:30b-a3b": "OM-A04",
    "gemma3n:e4b": "OM-A04",
    "mixtral:8x7b": "OM-A04",
    "gpt-oss:120b-cloud": "OM-A04",
    "someone/model:7b": "OM-A04",
    "hf.co/someone/model": "OM-A04",
    # OM-A05: the @ is not where it belongs
    "http://h/@x": "OM-A05",
    "http://h?mail=a@b": "OM-A05",
    "http://me:p/w@h": "OM-A05",
    "http://me:p w@h": "OM-A05",
    "curl http://me:p w@h/api/tags": "OM-A05",
    "OLLAMA_HOST=http://me:p w@h": "OM-A05",
}


@pytest.mark.parametrize(("typed", "code"), REFUSALS.items(), ids=lambda value: ascii(value)[:40])
def test_what_is_no_address_is_refused(typed: str, code: str) -> None:
    """Every line of the table holds."""
    with pytest.raises(AddressError) as refused:
        parse(typed)
    assert refused.value.code == code


@pytest.mark.parametrize("typed", REFUSALS, ids=lambda value: ascii(value)[:40])
def test_a_refusal_is_short_whole_and_printable(typed: str) -> None:
    """No fact is missing, no line is endless, and the text can be saved in a notebook."""
    with pytest.raises(AddressError) as refused:
        parse(typed)
    lines = refused.value.lines()
    assert len(lines) <= 7
    assert lines[0] == lines[0].strip()
    assert all(len(line) < 300 for line in lines)
    assert "…" not in "".join(lines).replace("?…", "")
    assert all(line.encode() for line in lines)


@pytest.mark.parametrize(
    ("typed", "named"), [("h:99999", "99999"), ("h:abc", "abc"), ("0", "0"), ("ws://h", "ws"), ("a..b", "a..b"), ("m:7b", "m:7b")]
)
def test_a_refusal_names_what_is_wrong(typed: str, named: str) -> None:
    """The first sentence begins with or holds the wrong part."""
    with pytest.raises(AddressError) as refused:
        parse(typed)
    assert named in refused.value.what


def test_a_refusal_shows_no_second_exception() -> None:
    """The exception of the standard library beneath it is not shown."""
    with pytest.raises(AddressError) as refused:
        parse("256.1.1.1")
    assert refused.value.__suppress_context__
