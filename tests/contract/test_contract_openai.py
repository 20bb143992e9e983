"""OpenAI's interface below /v1, older and rarer routes, and what clients of Ollama send besides chat."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.contract.test_contract_tools import ADD, ASKED

if TYPE_CHECKING:
    from tests.contract.conftest import Server

HELLO = [{"role": "user", "content": "Hi"}]


def chat(server: Server, model: str = "", **fields: Any) -> httpx.Response:
    """Return the answer to one prompt."""
    body = {"model": model or server.chat_model, "messages": HELLO, "temperature": 0, "max_tokens": 3}
    return server.http.post("/v1/chat/completions", json=body | fields)


def events(answer: httpx.Response) -> list[Any]:
    """Return the data of server-sent events."""
    assert answer.headers["content-type"] == "text/event-stream"
    *parts, end = answer.text.split("\n\n")
    assert (end, {part[:6] for part in parts}) == ("", {"data: "})
    return [part[6:] if part[6:] == "[DONE]" else json.loads(part[6:]) for part in parts]


def refusal(answer: httpx.Response, status: int, kind: str) -> str:
    """Return what an error says, which has OpenAI's form."""
    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["param"], error["code"]) == (status, kind, None, None)
    return str(error["message"])


def test_a_chat_is_answered_whole(server: Server) -> None:
    """With one choice and the tokens."""
    answer = chat(server)
    assert answer.headers["content-type"] == "application/json"
    whole = answer.json()
    assert list(whole) == ["id", "object", "created", "model", "system_fingerprint", "choices", "usage"]
    assert (whole["object"], whole["model"]) == ("chat.completion", server.chat_model)
    [choice] = whole["choices"]
    assert (choice["message"]["role"], choice["finish_reason"]) == ("assistant", "length")
    assert choice["message"]["content"]
    assert whole["usage"]["completion_tokens"] == 3
    assert whole["usage"]["total_tokens"] == 3 + whole["usage"]["prompt_tokens"]


def test_a_chat_is_answered_in_events(server: Server) -> None:
    """A last one with the tokens and no choice only if it is asked for; then the end."""
    found = events(chat(server, stream=True, stream_options={"include_usage": True}))
    *chunks, last, usage, end = found
    assert end == "[DONE]"
    assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], 3)
    assert {chunk["object"] for chunk in [*chunks, last, usage]} == {"chat.completion.chunk"}
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None] * len(chunks)
    assert last["choices"][0]["finish_reason"] == "length"
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks)
    assert text == chat(server).json()["choices"][0]["message"]["content"]
    assert all(event == "[DONE]" or event["choices"] for event in events(chat(server, stream=True)))


def test_functions_are_called_in_openais_form(server: Server) -> None:
    """Arguments are JSON in a text; the result is sent back with the identity of the call."""
    asked = {"tools": [ADD], "max_tokens": None}
    [choice] = chat(server, server.tools_model, messages=[ASKED], **asked).json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    [call] = choice["message"]["tool_calls"]
    assert (call["type"], call["function"]["name"]) == ("function", "add")
    assert json.loads(call["function"]["arguments"]) == {"a": 2, "b": 3}
    streamed = events(chat(server, server.tools_model, messages=[ASKED], stream=True, **asked))[:-1]
    assert streamed[-1]["choices"][0]["finish_reason"] == "tool_calls"
    result = {"role": "tool", "content": "5", "tool_call_id": call["id"]}
    again = chat(server, server.tools_model, messages=[ASKED, choice["message"], result], **asked)
    assert again.status_code == 200


def test_formats_and_log_probabilities(server: Server) -> None:
    """As in /api/chat."""
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["n"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    found = chat(server, response_format=wanted, max_tokens=60).json()["choices"][0]["message"]["content"]
    assert isinstance(json.loads(found)["n"], int)
    known = chat(server, logprobs=True, top_logprobs=1, max_tokens=1).json()["choices"][0]["logprobs"]["content"]
    assert [len(one["top_logprobs"]) for one in known] == [1]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"messages": []}, "[] is too short - 'messages'"),
        ({"messages": [{"role": "user", "content": None}]}, "invalid message content type: <nil>"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "invalid message format"),
        ({"reasoning_effort": "x"}, "invalid reasoning value: 'x' (must be"),
        ({"model": 5}, "json: cannot unmarshal number into Go struct field"),
    ],
)
def test_a_bad_chat_is_refused_in_openais_form(server: Server, fields: dict[str, Any], said: str) -> None:
    """Before anything runs."""
    words = refusal(chat(server, **fields), 400, "invalid_request_error")
    assert said in words.replace('"x"', "'x'")  # 0.34 has other quotation marks than 0.24


def test_an_unknown_model_is_refused_in_openais_form(server: Server) -> None:
    """By every route."""
    answers = (
        chat(server, "nonesuch"),
        server.http.get("/v1/models/nonesuch"),
        server.http.post("/v1/embeddings", json={"model": "nonesuch", "input": "a"}),
        server.http.post("/v1/completions", json={"model": "nonesuch", "prompt": "a"}),
    )
    assert all("nonesuch" in refusal(answer, 404, "not_found_error") for answer in answers)


def test_a_text_is_completed(server: Server) -> None:
    """Whole and in events."""
    body = {"model": server.chat_model, "prompt": "Hi", "max_tokens": 2, "temperature": 0}
    whole = server.http.post("/v1/completions", json=body).json()
    assert (whole["object"], whole["choices"][0]["finish_reason"]) == ("text_completion", "length")
    *chunks, end = events(server.http.post("/v1/completions", json=body | {"stream": True}))
    assert end == "[DONE]"
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == whole["choices"][0]["text"]


def test_models_are_listed_in_openais_form(server: Server) -> None:
    """All, and one by name."""
    listed = server.http.get("/v1/models").json()
    assert {model["object"] for model in listed["data"]} == {"model"}
    assert f"{server.chat_model}:latest" in {model["id"] for model in listed["data"]}
    one = server.http.get(f"/v1/models/{server.chat_model}").json()
    assert (one["id"], one["owned_by"]) == (server.chat_model, "library")


def test_vectors_in_openais_form(server: Server) -> None:
    """As numbers, or packed as little-endian 32-bit floats; they are those of /api/embed."""
    body = {"model": server.embed_model, "input": ["a cat", "a dog"]}
    plain = server.http.post("/v1/embeddings", json=body).json()
    packed = server.http.post("/v1/embeddings", json=body | {"encoding_format": "base64"}).json()
    vectors = [one["embedding"] for one in plain["data"]]
    assert vectors == server.embed(["a cat", "a dog"]).json()["embeddings"]
    for vector, one in zip(vectors, packed["data"], strict=True):
        data = base64.b64decode(one["embedding"])
        assert list(struct.unpack(f"<{len(vector)}f", data)) == pytest.approx(vector, rel=1e-6)
    for fields, said in (({"input": []}, "invalid input"), ({"encoding_format": "hex"}, "Invalid value for 'encoding_format'")):
        assert said in refusal(server.http.post("/v1/embeddings", json=body | fields), 400, "invalid_request_error")


def test_the_older_route_of_vectors(server: Server) -> None:
    """One text, and no vector for none."""
    ask = lambda **fields: server.http.post("/api/embeddings", json={"model": server.embed_model, **fields})  # noqa: E731
    assert len(ask(prompt="a cat").json()["embedding"]) == len(server.embed("a cat").json()["embeddings"][0])
    assert ask().json() == {"embedding": []}
    assert ask(model="nonesuch", prompt="a").status_code == 404


def test_a_model_is_made_from_another(server: Server) -> None:
    """It has the same abilities, and is listed until it is deleted."""
    body = {"model": "contract-made", "from": server.tools_model, "system": "Be brief.", "parameters": {"temperature": 0.5}}
    lines = [json.loads(line) for line in server.http.post("/api/create", json=body).text.splitlines()]
    assert [line["status"] for line in lines][-2:] == ["writing manifest", "success"]
    made = server.show("contract-made")
    assert (made["capabilities"], made["system"]) == (["completion", "tools"], "Be brief.")
    assert "temperature" in made["parameters"]
    server.http.request("DELETE", "/api/delete", json={"model": "contract-made"})
    assert server.http.post("/api/show", json={"model": "contract-made"}).status_code == 404


def test_a_model_without_a_source_is_refused(server: Server) -> None:
    """And one without a name."""
    assert (
        server.http.post("/api/create", json={"model": "contract-made"}).json()["error"].startswith("neither 'from' or 'files'")
    )
    assert server.http.post("/api/create", json={"from": server.chat_model}).json()["error"] == "invalid model name"


def test_blobs_are_kept_by_their_hash(server: Server) -> None:
    """A wrong one is refused, an unknown one is missing."""
    data = b"a blob of the contract tests"
    path = f"/api/blobs/sha256:{hashlib.sha256(data).hexdigest()}"
    unknown = f"/api/blobs/sha256:{hashlib.sha256(b'no such blob').hexdigest()}"
    assert server.http.head(unknown).status_code == 404
    assert "digest mismatch" in server.http.post(unknown, content=data).json()["error"]
    assert server.http.post("/api/blobs/sha256:aa", content=data).json() == {"error": "invalid digest format"}
    assert server.http.post(path, content=data).status_code in (200, 201)  # 200: it was there
    assert server.http.head(path).status_code == 200


def test_the_account_and_a_push_need_the_cloud(server: Server) -> None:
    """Which is off here."""
    assert server.http.get("/api/status").json()["cloud"]["disabled"] is True
    assert server.http.post("/api/me").status_code == 503
    last = server.http.post("/api/push", json={"model": "nonesuch"}).text.splitlines()[-1]
    assert "error" in json.loads(last)


REFERRING = {"properties": {"a": {"$ref": "#/$defs/A"}}, "required": ["a"], "$defs": {"A": {"type": "string"}}}
ODD = {
    "no parameters": {"name": "f", "parameters": None},
    "required without properties": {"name": "f", "parameters": {"type": "object", "required": ["a"]}},
    "a reference into $defs": {"name": "f", "parameters": REFERRING},
    "no function": None,
}


@pytest.mark.parametrize("function", ODD.values(), ids=ODD)
def test_odd_functions_are_answered(server: Server, function: Any) -> None:
    """A connection is not dropped."""
    tools = [{"type": "function", "function": function}]
    assert server.converse([ASKED], model=server.tools_model, tools=tools).status_code == 200


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"context": "x"}, 400, "GenerateRequest.context of type []int"),
        ({"context": ["x"]}, 400, "GenerateRequest.context of type int"),
        ({"raw": True, "template": "x"}, 400, "raw mode does not support template, system, or context"),
        ({"raw": True, "system": "x"}, 400, "raw mode does not support template, system, or context"),
        ({"template": "{{ .Prompt"}, 500, "unclosed action"),
        ({"logprobs": True, "top_logprobs": 21}, 400, "top_logprobs must be between 0 and 20"),
    ],
)
def test_odd_completions_are_refused(server: Server, fields: dict[str, Any], status: int, said: str) -> None:
    """Before the model runs."""
    answer = server.generate("Hi", **fields)
    assert answer.status_code == status, answer.text
    assert said in answer.json()["error"]
