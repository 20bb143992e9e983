"""Slips in an address: spaces, marks and full-width characters are understood, or refused with a text that fits."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ollama_magics.errors import AddressError
from ollama_magics.server.address import parse

GPU, LOCAL = "http://gpu:11434", "http://127.0.0.1:11434"
UNDERSTOOD = {
    # spaces, tabs, line ends and their relatives beside : and /
    "http://localhost: 11434": "http://localhost:11434",
    "http://gpu\t:11434": GPU,
    "http://gpu : 11434": GPU,
    "http://gpu\u00a0:11434": GPU,
    "http://gpu:\u300011434": GPU,
    "http://gpu:\u200b11434": GPU,
    "\ufeffhttp://gpu:11434": GPU,
    "http:// gpu:11434": GPU,
    "http ://gpu:11434": GPU,
    "http: //gpu:11434": GPU,
    "http:/ /gpu:11434": GPU,
    "http://gpu: 11434/": GPU,
    "http://gpu:11434 /api": GPU,
    "gpu: 11434": GPU,
    "gpu\t11434": GPU,
    "127.0.0.1 11434": LOCAL,
    "0.0.0.0 :11434": LOCAL,
    "http://[::1]: 11434": "http://[::1]:11434",
    "http://gpu :11434/ollama": "http://gpu:11434/ollama",
    # another mark for :
    "http://gpu;11434": GPU,
    "gpu,11434": GPU,
    "http;//gpu:11434": GPU,
    "http.//gpu:11434": GPU,
    "http//gpu:11434": GPU,
    "https//gpu": "https://gpu",
    "http:/gpu:11434": GPU,
    "htp://gpu:11434": GPU,
    "ttp://gpu:11434": GPU,
    "htttps://gpu": "https://gpu",
    "//gpu:11434": GPU,
    "://gpu:11434": GPU,
    "[http://gpu:11434]": GPU,
    "http%3A%2F%2Fgpu%3A11434": GPU,
    # what an input method or a sentence leaves behind
    "http：／／gpu：11434": GPU,
    "ｇｐｕ：１１４３４": GPU,
    "http://gpu：１１４３４／": GPU,
    "http://127。0。0。1:11434": LOCAL,
    "gpu:11434。": GPU,
    "gpu:11434；": GPU,
    "http://gpu:11434,": GPU,
    "http://gpu.:11434": GPU,
    "“http://gpu:11434”": GPU,
    "'gpu:11434'": GPU,
    "`gpu:11434`": GPU,
    "<http://gpu:11434>": GPU,
    "http://gpu:11434 # the one upstairs": GPU,
    # missing parts
    "gpu:11434": GPU,
    "gpu:": GPU,
    ":11434": LOCAL,
    "11434": LOCAL,
    "::1": "http://[::1]:11434",
    "2001:db8::1": "http://[2001:db8::1]:11434",
}
# (what was typed, code, a part of how we know)
REFUSED = [
    ("::1:11434", "address-unusable", "[::1]:11434"),
    ("2001:db8::1]:11434", "address-unusable", "[::1]:11434"),
    ("[2001:db8::1", "address-unusable", "[::1]:11434"),
    ("fe80::1%eth0", "address-unusable", "zone"),
    ("[fe80::1%25en0]:11434", "address-unusable", "zone"),
    ("gpu box", "address-unusable", "spaces"),
    ("http://gpu box:11434", "address-unusable", "spaces"),
    ("http://gpu box:11434x", "address-unusable", "spaces"),
    ("it is at https://gpu box:443/ollama", "address-unusable", "spaces"),
    ("http://.gpu:11434", "address-unusable", "these characters"),
    ("http://gpu..lab", "address-unusable", "these characters"),
    ("http://192.168.1.:11434", "address-unusable", "IPv4"),
    ("http://192,168,1,5:11434", "address-unusable", "these characters"),
    ("gpu:11 434", "address-unusable", "spaces"),
    ("http://gpu:port", "port-invalid", "65535"),
    ("gpu:11434:11434", "port-invalid", "65535"),
    ("tcp://gpu:11434", "scheme-unsupported", "http and https"),
    ("http://me:pa ss@gpu: 11434", "password-ambiguous", "space"),
]


@pytest.mark.finding("C14")
def test_slips_are_understood(record_property: Callable[[str, object], None]) -> None:
    """And each change is reported with a reason."""
    assert {typed: parse(typed).url for typed in UNDERSTOOD} == UNDERSTOOD
    assert [typed for typed, url in UNDERSTOOD.items() if typed != url and not parse(typed).reasons] == []
    record_property("figure", f"{len(UNDERSTOOD)} slips understood, {len(REFUSED)} refused")


@pytest.mark.finding("C14")
@pytest.mark.parametrize(("typed", "code", "reason"), REFUSED)
def test_what_cannot_be_understood_is_refused_with_its_reason(typed: str, code: str, reason: str) -> None:
    """No port is lost, and no part of a password is shown."""
    with pytest.raises(AddressError) as caught:
        parse(typed)
    assert caught.value.code == code
    assert reason in caught.value.how_we_know
    assert "pa ss" not in str(caught.value)
