"""What is no address, and what is said about it."""

from __future__ import annotations

import pytest

from ollama_magics.errors import AddressError
from ollama_magics.server.address import parse

REFUSALS = {
    # address-unusable: not an address
    "what is python": "address-unusable",
    "two words": "address-unusable",
    "/": "address-unusable",
    "/api/chat": "address-unusable",
    "http://": "address-unusable",
    "https://?x": "address-unusable",
    "http://my%20host": "address-unusable",
    "-h": "address-unusable",
    "a..b": "address-unusable",
    "h!": "address-unusable",
    "{{host}}": "address-unusable",
    "{HOST}:11434": "address-unusable",
    "😀": "address-unusable",
    "http://😀.example": "address-unusable",
    "straße.example": "address-unusable",
    "xn--n3h.example": "address-unusable",
    "xn--a.example": "address-unusable",
    "℀.example": "address-unusable",
    "\ud800": "address-unusable",
    "http://\udfff:1": "address-unusable",
    "a" * 64: "address-unusable",
    ".".join(["a" * 60] * 5): "address-unusable",
    "a" * 1_000_000: "address-unusable",
    "http://h/" + "a" * 1_000_000: "address-unusable",
    "1.2.3": "address-unusable",
    "1.2.3.4.5": "address-unusable",
    "256.1.1.1": "address-unusable",
    "127.0.0.01": "address-unusable",
    "0x7f.1": "address-unusable",
    "http://11434": "address-unusable",
    "[::1": "address-unusable",
    "[]": "address-unusable",
    "[::g]": "address-unusable",
    "::1:11434": "address-unusable",
    ":::1": "address-unusable",
    "[fe80::1%eth0]": "address-unusable",
    "fe80::1%25eth0": "address-unusable",
    # port-invalid: not a port
    "h:0": "port-invalid",
    "h:65536": "port-invalid",
    "h:99999": "port-invalid",
    "99999": "port-invalid",
    "0": "port-invalid",
    "h:abc": "port-invalid",
    "h:-1": "port-invalid",
    "h:1.5": "port-invalid",
    "::1]": "address-unusable",
    "h:١": "port-invalid",
    "h:1:2": "port-invalid",
    "http://h:" + "9" * 5000: "port-invalid",
    "OLLAMA_HOST=:66000": "port-invalid",
    # scheme-unsupported: another scheme
    "file:///etc/hosts": "scheme-unsupported",
    "file:/etc/hosts": "scheme-unsupported",
    "C:\\models": "scheme-unsupported",
    "ssh://h": "scheme-unsupported",
    "ssh:git@h": "scheme-unsupported",
    "ws://h:11434": "scheme-unsupported",
    "WSS:h": "scheme-unsupported",
    "ftp://h": "scheme-unsupported",
    "tcp://172.17.0.2:11434": "scheme-unsupported",
    "htpp://h": "scheme-unsupported",
    "unix:/run/ollama.sock": "scheme-unsupported",
    "ｆｔｐ：／／h": "scheme-unsupported",
    "mailto:me@h": "scheme-unsupported",
    "data:text/plain,x": "scheme-unsupported",
    # address-is-model: a model
    "llama3.2": "address-is-model",
    "llama3.2:1b": "address-is-model",
    "gemma3:latest": "address-is-model",
    "qwen3:30b-a3b": "address-is-model",
    "gemma3n:e4b": "address-is-model",
    "mixtral:8x7b": "address-is-model",
    "gpt-oss:120b-cloud": "address-is-model",
    "someone/model:7b": "address-is-model",
    "hf.co/someone/model": "address-is-model",
    # password-ambiguous: the @ is not where it belongs
    "http://h/@x": "password-ambiguous",
    "http://h?mail=a@b": "password-ambiguous",
    "http://me:p/w@h": "password-ambiguous",
    "http://me:p w@h": "password-ambiguous",
    "curl http://me:p w@h/api/tags": "password-ambiguous",
    "OLLAMA_HOST=http://me:p w@h": "password-ambiguous",
}


@pytest.mark.parametrize(("typed", "code"), REFUSALS.items(), ids=lambda value: ascii(value)[:40])
def test_an_invalid_address_is_refused(typed: str, code: str) -> None:
    """Every line of the table holds."""
    with pytest.raises(AddressError) as refused:
        parse(typed)
    assert refused.value.code == code


@pytest.mark.parametrize("typed", REFUSALS, ids=lambda value: ascii(value)[:40])
def test_an_error_is_short_complete_and_printable(typed: str) -> None:
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
def test_an_error_names_what_is_wrong(typed: str, named: str) -> None:
    """The first sentence begins with or holds the wrong part."""
    with pytest.raises(AddressError) as refused:
        parse(typed)
    assert named in refused.value.what


def test_an_error_shows_no_second_exception() -> None:
    """The exception of the standard library beneath it is not shown."""
    with pytest.raises(AddressError) as refused:
        parse("256.1.1.1")
    assert refused.value.__suppress_context__
