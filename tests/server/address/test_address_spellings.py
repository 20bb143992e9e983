"""What people type for an address, and where it leads."""

from __future__ import annotations

import httpx
import pytest

from ollama_magics.server.address import DEFAULT_URL, ChangeReason, parse

LOCAL = "http://127.0.0.1:11434"

SPELLINGS = {
    # nothing
    "": LOCAL,
    "  \n\t": LOCAL,
    '""': LOCAL,
    "\ufeff": LOCAL,
    "http://h: 1": "http://h:1",
    # already normal
    "http://127.0.0.1:11434": LOCAL,
    "http://h": "http://h",
    "https://h": "https://h",
    "https://h/ollama": "https://h/ollama",
    "http://[::1]:11434": "http://[::1]:11434",
    # the port rules of Ollama
    "localhost": "http://localhost:11434",
    "1.2.3.4": "http://1.2.3.4:11434",
    "http://1.2.3.4": "http://1.2.3.4",
    "https://1.2.3.4": "https://1.2.3.4",
    ":1234": "http://127.0.0.1:1234",
    "http://:1234": "http://127.0.0.1:1234",
    ":1234/ollama": "http://127.0.0.1:1234/ollama",
    "11434": LOCAL,
    "8080": "http://127.0.0.1:8080",
    ":": LOCAL,
    "h:": "http://h:11434",
    "http://h:": "http://h",
    "example.com:1234": "http://example.com:1234",
    "https://h:4321": "https://h:4321",
    "https://example.com/ollama": "https://example.com/ollama",
    "http://h:80": "http://h",
    "https://h:443/": "https://h",
    "https://h:80": "https://h:80",
    "h:443": "http://h:443",
    "h:011434": "http://h:11434",
    "h:65535": "http://h:65535",
    "h:1": "http://h:1",
    # the scheme
    "HTTP://H:11434": "http://h:11434",
    "Http://LocalHost": "http://localhost",
    "http:/h": "http://h",
    "http:///h:11434": "http://h:11434",
    "http//h:11434": "http://h:11434",
    "http:h": "http://h",
    "http:\\\\h:11434\\api": "http://h:11434",
    "http://http://h": "http://h",
    "http://https://h": "https://h",
    "ws:11434": "http://ws:11434",
    # round the address
    " http://h:1 ": "http://h:1",
    "http://h:1\r\n": "http://h:1",
    "'h:1'": "http://h:1",
    "\" '1.2.3.4' \"": "http://1.2.3.4:11434",
    "“http://h:1”": "http://h:1",
    "‘h:1’": "http://h:1",
    "「h:1」": "http://h:1",
    "«h:1»": "http://h:1",
    "`http://h:1`": "http://h:1",
    "<http://h:1>": "http://h:1",
    "(http://h:1).": "http://h:1",
    "http://h:1,": "http://h:1",
    "http://h:1。": "http://h:1",
    # inside the address
    "http://h\u200b:1": "http://h:1",
    "\ufeffhttp://h:1\u200f": "http://h:1",
    "http://lo\u00adcalhost:1": "http://localhost:1",
    "http://h\x00:1": "http://h:1",
    "http：／／h：1": "http://h:1",
    "ｌｏｃａｌｈｏｓｔ：１１４３４": "http://localhost:11434",
    "１２７．０．０．１": LOCAL,
    "127。0。0。1：11434": LOCAL,
    "http://192.168.1.5：11434／api／chat": "http://192.168.1.5:11434",
    "\u3000localhost\u3000": "http://localhost:11434",
    # IPv6
    "::1": "http://[::1]:11434",
    "[::1]": "http://[::1]:11434",
    "[::1]:1337": "http://[::1]:1337",
    "http://::1": "http://[::1]",
    "http://[::1]": "http://[::1]",
    "::1/ollama": "http://[::1]:11434/ollama",
    "2001:DB8:0:0::1": "http://[2001:db8::1]:11434",
    "https://[2001:db8::1]/v1": "https://[2001:db8::1]",
    "::ffff:10.0.0.1": "http://10.0.0.1:11434",
    # where a server listens
    "0.0.0.0": LOCAL,  # noqa: S104 - read, never listened on
    "0.0.0.0:8080": "http://127.0.0.1:8080",
    "http://0.0.0.0:11434": LOCAL,
    "[::]": "http://[::1]:11434",
    "::": "http://[::1]:11434",
    "[0:0:0:0:0:0:0:0]:1": "http://[::1]:1",
    "*:11434": LOCAL,
    "::ffff:0.0.0.0": LOCAL,
    # paths
    "http://h:1/": "http://h:1",
    "http://h:1//": "http://h:1",
    "http://h:1/api": "http://h:1",
    "http://h:1/api/": "http://h:1",
    "http://h:1/api/chat": "http://h:1",
    "http://h:1/api/generate": "http://h:1",
    "http://h:1/api/embed": "http://h:1",
    "http://h:1/api/embeddings": "http://h:1",
    "http://h:1/api/tags/": "http://h:1",
    "http://h:1/api/version": "http://h:1",
    "http://h:1/api/show": "http://h:1",
    "http://h:1/api/ps": "http://h:1",
    "http://h:1/v1": "http://h:1",
    "http://h:1/v1/chat/completions": "http://h:1",
    "http://h:1/v1/models/a": "http://h:1",
    "http://h:1/API/Chat": "http://h:1",
    "http://h:1/api/api/chat": "http://h:1",
    "http://h:1/api;/api;": "http://h:1",
    "https://h/ollama/": "https://h/ollama",
    "https://h/ollama/api/chat": "https://h/ollama",
    "https://h//a//b/v1/": "https://h/a/b",
    "https://h/a/../b/./api": "https://h/b",
    "h/ollama": "http://h:11434/ollama",
    "https://h/apiary": "https://h/apiary",
    "https://h/my-api": "https://h/my-api",
    "https://h/v1beta": "https://h/v1beta",
    "https://h/café": "https://h/caf%C3%A9",
    "https://h/100%": "https://h/100%25",
    "https://h/a%20b": "https://h/a%20b",
    # query and fragment
    "http://h:1/api/tags?x=1": "http://h:1",
    "http://h:1?x=http://other": "http://h:1",
    "http://h:1/#/": "http://h:1",
    "https://h/ollama？x": "https://h/ollama",
    # name and password
    "http://me:pw@h:1": "http://h:1",
    "me:pw@h": "http://h:11434",
    "https://token@h/ollama": "https://h/ollama",
    "http://@h:1": "http://h:1",
    "http://me:p@ss:w@h:1": "http://h:1",
    "http：／／me:pw＠h:1": "http://h:1",
    # names of machines
    "ollama": "http://ollama:11434",
    "my_host": "http://my_host:11434",
    "host.docker.internal": "http://host.docker.internal:11434",
    "h.": "http://h:11434",
    "http://h.:1/x": "http://h:1/x",
    "bücher.example": "http://xn--bcher-kva.example:11434",
    "http://模型.example:1": "http://xn--xgs754b.example:1",
    "xn--bcher-kva.example": "http://xn--bcher-kva.example:11434",
    "xn--strae-oqa.example": "http://xn--strae-oqa.example:11434",
    "xn--a-b-cher-kva": "http://xn--a-b-cher-kva:11434",
    "gpu-1": "http://gpu-1:11434",
    # the cloud
    "ollama.com": "https://ollama.com",
    "Ollama.com": "https://ollama.com",
    "http://ollama.com": "https://ollama.com",
    "https://ollama.com/api/chat": "https://ollama.com",
    "ollama.com:443": "https://ollama.com",
    "ollama.com:11434": "http://ollama.com:11434",
    "not-ollama.com": "http://not-ollama.com:11434",
    # pasted commands
    "curl http://localhost:11434/api/chat": "http://localhost:11434",
    """curl http://h:1/api/chat -d '{"model": "m", "messages": [{"content": "a@b, see http://x"}]}'""": "http://h:1",
    """curl -X POST -H "Content-Type: application/json" -d '{"a": "http://x"}' "http://h:1/api/embed" -s""": "http://h:1",
    "curl -XPOST 'http://h:1/api/show' -d@file.json": "http://h:1",
    "curl -s -x http://proxy:3128 http://h:1/api/tags | jq": "http://h:1",
    "curl http://h:1/api/chat \\\n  -d '{\n \"a\": 1}'": "http://h:1",
    "curl http://h:1/api/chat -d 'it is never closed": "http://h:1",
    "$ curl localhost:11434/api/tags": "http://localhost:11434",
    "!curl -sS -X POST localhost:1/api/tags": "http://localhost:1",
    "curl --url https://h/ollama/api/chat": "https://h/ollama",
    "curl -s": LOCAL,
    '(Invoke-WebRequest -method POST -Body \'{"model":"m"}\' -uri http://h:1/api/generate).Content': "http://h:1",
    "export OLLAMA_HOST=h:1": "http://h:1",
    "export OLLAMA_HOST='0.0.0.0:11434'": LOCAL,
    "OLLAMA_HOST=h": "http://h:11434",
    "OLLAMA_HOST=0.0.0.0 OLLAMA_ORIGINS=* ollama serve": LOCAL,
    "OLLAMA_API_KEY=k OLLAMA_HOST=h:1; ollama serve": "http://h:1",
    "set OLLAMA_HOST=h:1": "http://h:1",
    "set OLLAMA_HOST=": LOCAL,
    '$env:OLLAMA_HOST="h:1"': "http://h:1",
    'setx OLLAMA_HOST "h:1"': "http://h:1",
    'launchctl setenv OLLAMA_HOST "0.0.0.0"': LOCAL,
    'Environment="OLLAMA_HOST=0.0.0.0:11434"': LOCAL,
    "docker run -e OLLAMA_HOST=h:1 ollama/ollama": "http://h:1",
    '"OLLAMA_HOST": "http://h:1",': "http://h:1",
    "ollama run gemma3": LOCAL,
    "$ ollama serve": LOCAL,
    "%ollama_config --base-url http://h:1/v1 --model m": "http://h:1",
    "%ollama_config --base-url=h": "http://h:11434",
    "%ollama_config --sandbox": LOCAL,
    "client = Client(host='http://h:1')": "http://h:1",
    'OpenAI(base_url="http://h:1/v1/", api_key="ollama")': "http://h:1",
    "it listens on http://h:1, I think": "http://h:1",
}

REASONS = {
    "": [ChangeReason.BLANK],
    "http://h": [],
    "http://h:11434/ollama": [],
    "h": [ChangeReason.SCHEME, ChangeReason.PORT],
    "h:1": [ChangeReason.SCHEME],
    ":1": [ChangeReason.MACHINE, ChangeReason.SCHEME],
    "::1": [ChangeReason.BRACKETS, ChangeReason.SCHEME, ChangeReason.PORT],
    "http://0.0.0.0:1": [ChangeReason.BIND],
    " http://h:1 ": [ChangeReason.EDGES],
    "http://h\u200b:1": [ChangeReason.INVISIBLE],
    "http：//h:1": [ChangeReason.WIDE],
    "http://h:1/v1?x": [ChangeReason.QUERY, ChangeReason.PATH],
    "http://me:pw@h:1": [ChangeReason.USERINFO],
    "http://H:1/": [ChangeReason.SPELLING],
    "http://h:80": [ChangeReason.SPELLING],
    "ollama.com": [ChangeReason.CLOUD],
    "http://bücher.example": [ChangeReason.NETWORK_NAME],
    "curl http://h:1": [ChangeReason.PICKED],
    "http://h :1": [ChangeReason.STRAY],
    "ollama run m": [ChangeReason.NO_ADDRESS],
}


@pytest.mark.parametrize(("typed", "url"), SPELLINGS.items())
def test_a_spelling_leads_to_its_address(typed: str, url: str) -> None:
    """Every line of the table holds."""
    assert parse(typed).url == url


@pytest.mark.parametrize("url", sorted(set(SPELLINGS.values())))
def test_httpx_parses_the_address_alike(url: str) -> None:
    """The client beneath changes nothing in the address and connects to the same host and port."""
    address, read = parse(url), httpx.URL(url)
    assert str(read) == url
    assert read.raw_host.decode() == address.host
    assert (read.port or {"http": 80, "https": 443}[read.scheme]) == address.port


@pytest.mark.parametrize(("typed", "reasons"), REASONS.items())
def test_each_change_is_reported_with_its_reason(typed: str, reasons: list[ChangeReason]) -> None:
    """The reasons name exactly what was changed."""
    assert parse(typed).reasons == tuple(reasons)


def test_every_reason_is_given_for_some_spelling() -> None:
    """No reason stands in the list without a case."""
    assert {why for typed in SPELLINGS for why in parse(typed).reasons} == set(ChangeReason)


def test_the_table_is_as_long_as_promised() -> None:
    """At least 120 spellings are proved."""
    assert len(SPELLINGS) >= 120


def test_the_explanation_is_one_sentence() -> None:
    """Typed, used and because stand in one line."""
    assert parse("localhost/v1").explain() == (
        "typed localhost/v1 → used http://localhost:11434, because no http:// was typed; "
        "no port was typed, and Ollama's own is 11434; paths such as /api/chat or /v1 are added with each request"
    )


def test_nothing_is_explained_where_nothing_was_changed() -> None:
    """An address in its normal form passes silently."""
    assert parse("http://h:1/ollama").explain() == ""


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("", "nothing"),
        (" localhost\n", "localhost"),
        ("curl http://h:1/api/chat?key=k -H 'Authorization: Bearer k'", "… http://h:1/api/chat?…"),
        ("ollama run m --key k", "ollama …"),
        ("set OLLAMA_HOST=", "a text with spaces"),
        ("h\x07:1", "h\ufffd:1"),
        ("h:1/" + "a" * 500, "h:1/" + "a" * 96),
    ],
)
def test_what_was_typed_is_shown_short_and_on_one_line(typed: str, shown: str) -> None:
    """The explanation never repeats a whole command or a control character."""
    assert parse(typed).explain().startswith(f"typed {shown} → used ")


@pytest.mark.parametrize("typed", ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::]", "::ffff:127.0.0.1", "a.localhost", ""])
def test_loopback_is_known_by_its_spelling(typed: str) -> None:
    """All names of the machine itself count."""
    assert parse(typed).is_loopback


@pytest.mark.parametrize("typed", ["128.0.0.1", "h", "localhost.example", "notlocalhost", "[2001:db8::1]", "ollama.com"])
def test_other_machines_are_not_loopback(typed: str) -> None:
    """A name that only resembles localhost is another machine."""
    assert not parse(typed).is_loopback


@pytest.mark.parametrize("typed", ["0.0.0.0:1", "[::]:1", "*", "OLLAMA_HOST=0.0.0.0:1"])
def test_an_address_to_listen_on_is_marked(typed: str) -> None:
    """Such an address ranks below a profile, so it must be known."""
    assert parse(typed).from_bind


@pytest.mark.parametrize("typed", ["127.0.0.1", "[::1]:1", "", "localhost"])
def test_an_address_to_connect_to_is_not_marked(typed: str) -> None:
    """Typing the loopback address itself is no bind address."""
    assert not parse(typed).from_bind


@pytest.mark.parametrize(
    ("typed", "origin"),
    [("http://h", "http://h:80"), ("https://h/x", "https://h:443"), ("::1", "http://[::1]:11434"), ("", DEFAULT_URL)],
)
def test_the_origin_always_names_the_port(typed: str, origin: str) -> None:
    """Keys are bound to it, so two spellings of one place must be equal."""
    assert parse(typed).origin == origin


def test_the_parts_stand_apart() -> None:
    """Host without brackets, port as a number, prefix without its last slash."""
    address = parse("https://[2001:DB8::1]:1/ollama/api/chat")
    assert (address.scheme, address.host, address.port, address.path) == ("https", "2001:db8::1", 1, "/ollama")
