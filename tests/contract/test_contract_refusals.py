"""Requests that servers refuse, with status and text."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Server

Refusal = Callable[[httpx.Response], tuple[int, str]]
POSTS = ["chat", "generate", "embed", "show"]
NO_TOOL = {"type": "function", "function": {"name": "f", "description": "", "parameters": {"type": "object"}}}
NOT_JSON = {
    b"": "missing request body",
    b" \n": "missing request body",
    b"{nope": "invalid character 'n' looking for beginning of object key string",
    b'{"model":"x"': "unexpected EOF",
    b'{"model":"x",}': "invalid character '}' looking for beginning of object key string",
    b'{"model" "x"}': "invalid character '\"' after object key",
    b'{"a":1 "b":2}': "invalid character '\"' after object key:value pair",
    b'{"a":[1 2]}': "invalid character '2' after array element",
    b'{"a":[1,]}': "invalid character ']' looking for beginning of value",
    b'{"a":tru}': "invalid character '}' in literal true (expecting 'e')",
    b'{"a":01}': "invalid character '1' after object key:value pair",
    b'{"a":-}': "invalid character '}' in numeric literal",
    b'{"a":1.}': "invalid character '}' after decimal point in numeric literal",
    b'{"a":NaN}': "invalid character 'N' looking for beginning of value",
    b'{"a":"\x01"}': "invalid character '\\x01' in string literal",
    b'{"a":"\\q"}': "invalid character 'q' in string escape code",
    b'{"a":"\\u12"}': "invalid character '\"' in \\u hexadecimal character escape",
    b"hello": "invalid character 'h' looking for beginning of value",
    b"\xef\xbb\xbf{}": "invalid character 'ï' looking for beginning of value",
    b"\x1f\x8b": "invalid character '\\x1f' looking for beginning of value",
}
WRONG_REQUESTS = {
    b"[]": "array into Go value of type REQUEST",
    b'"x"': "string into Go value of type REQUEST",
    b'{"model":3}': "number into Go struct field MEMBERmodel of type string",
    b'{"messages":"x"}': "string into Go struct field MEMBERmessages of type []api.Message",
    b'{"messages":[1]}': "number into Go struct field MEMBERmessages of type api.Alias",
    b'{"stream":"x"}': "string into Go struct field MEMBERstream of type bool",
    b'{"messages":[{"content":[]}]}': "array into Go struct field MEMBERmessages.content of type string",
    b'{"options":[]}': "array into Go struct field MEMBERoptions of type map[string]interface {}",
}


@pytest.mark.parametrize(("body", "text"), NOT_JSON.items())
def test_a_body_that_is_not_json(server: Server, refusal: Refusal, body: bytes, text: str) -> None:
    """Go's decoder reports where it stopped; the stand-in shares only its first two words, which say what is wrong."""
    status, reported = refusal(server.http.post("/api/chat", content=body))
    if not server.is_real:
        reported, text = (" ".join(re.findall(r"\w+", words)[:2]) for words in (reported, text))
    assert (status, reported) == (400, text)


@pytest.mark.parametrize(("body", "text"), WRONG_REQUESTS.items())
def test_a_body_of_the_wrong_types(server: Server, refusal: Refusal, body: bytes, text: str) -> None:
    """Go's decoder names the field and its type."""
    named = {"REQUEST": "a chat request is of type", "MEMBER": "a member of a chat request is called"}
    for word, name in named.items():
        text = text.replace(word, server.fact(name))
    assert refusal(server.http.post("/api/chat", content=body)) == (400, f"json: cannot unmarshal {text}")


def test_what_follows_the_request_is_ignored(server: Server, refusal: Refusal) -> None:
    """So are unknown members, and the case of known ones."""
    body = b'{"MODEL":"nope","unknown":{}} trailing'
    assert refusal(server.http.post("/api/chat", content=body)) == (404, "model 'nope' not found")


def test_a_body_may_come_in_chunks(server: Server, refusal: Refusal) -> None:
    """A request without a length is read to its end."""
    answer = server.http.post("/api/chat", content=iter([b'{"model":"no', b'pe"}']))
    assert refusal(answer) == (404, "model 'nope' not found")


@pytest.mark.parametrize("endpoint", POSTS)
def test_an_unknown_model(server: Server, refusal: Refusal, endpoint: str) -> None:
    """Embed has its own words, and show those of its release."""
    texts = {"embed": 'model "Nope" not found, try pulling it first', "show": server.fact("an unknown model to show")}
    text = texts.get(endpoint, "model 'Nope' not found")
    assert refusal(server.http.post(f"/api/{endpoint}", json={"model": "Nope"})) == (404, text)


@pytest.mark.parametrize("endpoint", POSTS)
def test_no_model(server: Server, refusal: Refusal, endpoint: str) -> None:
    """Generate and embed look for a model without a name."""
    missing = (404, "model '' not found") if endpoint in ("generate", "embed") else (400, "model is required")
    for body in ({}, {"model": ""}, {"model": None}):
        assert refusal(server.http.post(f"/api/{endpoint}", json=body)) == missing


@pytest.mark.parametrize("endpoint", POSTS)
@pytest.mark.parametrize("name", ["a b", "::", "/x", "x:", "-x", "x@sha256:abc", "a/b/c/d", "a" * 81, "é", "<x>"])
def test_a_malformed_name(server: Server, refusal: Refusal, endpoint: str, name: str) -> None:
    """All endpoints say it alike."""
    assert refusal(server.http.post(f"/api/{endpoint}", json={"model": name})) == (400, "invalid model name")


@pytest.mark.parametrize("path", ["/nope", "/api/nope", "/API/tags", "/v2"])
def test_an_unknown_path(server: Server, path: str) -> None:
    """It is answered in plain text, whatever the method."""
    for answer in (server.http.get(path), server.http.post(path, json={})):
        assert (answer.status_code, answer.text) == (404, "404 page not found")
        assert answer.headers["content-type"] == "text/plain"


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/chat"), ("POST", "/api/tags"), ("PUT", "/api/embed")])
def test_a_wrong_method(server: Server, method: str, path: str) -> None:
    """It is answered in plain text, with the methods that are right."""
    answer = server.http.request(method, path)
    assert (answer.status_code, answer.text) == (405, "405 method not allowed")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["allow"] == ("HEAD, GET" if path == "/api/tags" else "POST")


def test_slashes_too_many_are_redirected(server: Server) -> None:
    """What a base address with a slash at its end leads to."""
    answer = server.http.post(f"{str(server.http.base_url).rstrip('/')}//api/chat", json={})
    assert (answer.status_code, answer.headers["location"], answer.content) == (307, "/api/chat", b"")


@pytest.mark.parametrize("header", [{"Host": "evil.example"}, {"Host": "8.8.8.8"}, {"Origin": "http://evil.example"}])
def test_a_foreign_page_gets_nothing(server: Server, header: dict[str, str]) -> None:
    """Status 403 and not a byte, also for a path that does not exist."""
    for path in ("/api/version", "/nope"):
        answer = server.http.get(path, headers=header)
        assert (answer.status_code, answer.content) == (403, b"")
        assert "content-type" not in answer.headers


@pytest.mark.parametrize("host", ["localhost", "some.local:80", "192.168.1.1", "[::1]:99"])
def test_near_hosts_are_answered(server: Server, host: str) -> None:
    """Names and addresses of this machine and of private networks."""
    assert server.http.get("/api/version", headers={"Host": host}).status_code == 200


def test_a_local_page_may_read_the_answer(server: Server) -> None:
    """The answer names its origin."""
    origin = "http://localhost:8888"
    answer = server.http.get("/api/version", headers={"Origin": origin})
    assert answer.headers["access-control-allow-origin"] == origin


def test_an_embedding_model_does_not_chat(server: Server, refusal: Refusal) -> None:
    """Not even if it shall only be loaded."""
    model = server.embed_model
    assert refusal(server.chat(model=model)) == (400, f'"{model}" does not support chat')
    assert refusal(server.converse([], model=model)) == (400, f'"{model}" does not support chat')
    assert refusal(server.generate(model=model)) == (400, f'"{model}" does not support generate')


@pytest.mark.parametrize("think", [True, "low"])
def test_a_model_that_cannot_think(server: Server, refusal: Refusal, think: Any) -> None:
    """The name is the one that was sent."""
    name = server.chat_model.upper()
    for ask in (server.chat, server.generate):
        assert refusal(ask(model=name, think=think)) == (400, f'"{name}" does not support thinking')


def test_not_to_think_is_always_possible(server: Server) -> None:
    """``false`` and ``null`` are accepted by any model."""
    assert [server.chat(think=think).status_code for think in (False, None)] == [200, 200]


@pytest.mark.parametrize("level", ["lots", "HIGH", ""])
def test_a_bad_level_of_thinking(server: Server, refusal: Refusal, level: str) -> None:
    """Older releases find it before the model is looked for."""
    text = f'invalid think value: "{level}" (must be "high", "medium", "low", "max", true, or false)'
    assert refusal(server.chat(think=level)) == (400, text)
    is_first = server.fact("a level of thinking comes before the model")
    assert refusal(server.chat(model="nope", think=level)) == ((400, text) if is_first else (404, "model 'nope' not found"))


@pytest.mark.parametrize("think", [1, [], {}])
def test_a_wrong_type_of_thinking(server: Server, refusal: Refusal, think: Any) -> None:
    """Numbers and the rest."""
    assert refusal(server.chat(think=think)) == (400, server.fact("thinking of another type"))


def test_tools_for_a_model_without(server: Server, refusal: Refusal) -> None:
    """Here the name is written in full; an empty list is no tools."""
    text = f"registry.ollama.ai/library/{server.chat_model}:latest does not support tools"
    assert refusal(server.chat(model=server.chat_model.upper(), tools=[NO_TOOL])) == (400, text)
    assert server.chat(tools=[]).status_code == 200


def test_tools_of_the_wrong_type(server: Server, refusal: Refusal) -> None:
    """The list and its items have types of their own."""
    place = server.fact("a member of a chat request is called")
    text = f"json: cannot unmarshal {{}} into Go struct field {place}tools of type api.Tool{{}}"
    assert refusal(server.chat(tools="x")) == (400, text.format("string", "s"))
    assert refusal(server.chat(tools=[1])) == (400, text.format("number", ""))


def test_a_suffix_for_a_model_that_cannot_insert(server: Server, refusal: Refusal) -> None:
    """The name is written in full, too."""
    text = f"registry.ollama.ai/library/{server.chat_model}:latest does not support insert"
    assert refusal(server.generate(suffix="x")) == (400, text)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("num_ctx", "512", "type integer"),
        ("num_ctx", True, "type integer"),
        ("seed", [], "type integer"),
        ("temperature", "hot", "type float32"),
        ("use_mmap", 1, "type boolean"),
        ("stop", "x", "type array"),
        ("stop", [1], "an array of strings"),
    ],
)
def test_an_option_of_the_wrong_type(server: Server, refusal: Refusal, name: str, value: Any, expected: str) -> None:
    """The server takes the blame: status 500."""
    refused = (500, f'option "{name}" must be of {expected}')
    for ask in (server.chat, server.generate, server.embed):
        assert refusal(ask("Hi", options={name: value})) == refused


@pytest.mark.parametrize("options", [{"unknown": "x"}, {"NUM_CTX": "x"}, {"temperature": None}, {"num_ctx": 512.7}])
def test_options_that_do_no_harm(server: Server, options: dict[str, Any]) -> None:
    """Unknown names (also known ones in another case), null, and fractions of whole numbers."""
    assert server.chat(options={"num_ctx": 512} | options).status_code == 200


@pytest.mark.parametrize(
    ("keep_alive", "text"),
    [
        ("-1", 'time: missing unit in duration "-1"'),
        ("5", 'time: missing unit in duration "5"'),
        ("", 'time: invalid duration ""'),
        ("abc", 'time: invalid duration "abc"'),
        ("5x", 'time: unknown unit "x" in duration "5x"'),
        (True, "Unsupported type: 'bool'"),
        ([1], "Unsupported type: '[]interface {}'"),
    ],
)
def test_a_bad_keep_alive(server: Server, refusal: Refusal, keep_alive: Any, text: str) -> None:
    """It is found before the model is looked for, at every endpoint."""
    for ask in (server.chat, server.generate, server.embed):
        assert refusal(ask("Hi", model="nope", keep_alive=keep_alive)) == (400, text)


@pytest.mark.parametrize(("form", "quoted"), [("yaml", r'"\"yaml\""'), (1, '"1"'), ([1], '"[1]"'), (True, '"true"')])
def test_a_bad_format(server: Server, refusal: Refusal, form: Any, quoted: str) -> None:
    """The JSON that was sent is quoted once more; status 500."""
    refused = (500, f'invalid format: {quoted}; expected "json" or a valid JSON Schema object')
    assert refusal(server.chat(format=form)) == refused
    assert refusal(server.generate(format=form)) == refused


@pytest.mark.parametrize("schema", [{"type": "foo"}, {"type": "array", "items": False}, {"$ref": "#/$defs/x"}, {"type": ["foo"]}])
def test_a_schema_that_is_none(server: Server, schema: dict[str, Any]) -> None:
    """Unknown types, lists of a fixed length, and references into the void."""
    server.check("a schema that cannot be used", server.chat(format=schema))


@pytest.mark.parametrize("form", ["", None])
def test_an_empty_format_is_no_format(server: Server, form: Any) -> None:
    """The answer is the same as without."""
    assert server.chat(format=form).json()["message"] == server.chat().json()["message"]
