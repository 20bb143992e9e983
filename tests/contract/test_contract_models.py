"""What servers say about themselves and their models, and how models come into memory and leave it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Server

Eventually = Callable[[Callable[[], bool]], None]
LOAD = {"num_ctx": 512}
CHAT_LOAD = ["model", "created_at", "message", "done", "done_reason"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_root_answers(server: Server, method: str) -> None:
    """It is plain text, of the same length for GET and HEAD."""
    answer = server.http.request(method, "/")
    assert answer.text == ("Ollama is running" if method == "GET" else "")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-length"] == "17"


def test_the_version_is_compact_json(server: Server) -> None:
    """Not a space in it."""
    answer = server.http.get("/api/version")
    assert answer.text == f'{{"version":"{server.version}"}}'
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_tags_list_models(server: Server) -> None:
    """An entry has exactly these members, and its name always has a tag."""
    listed = {entry["name"]: entry for entry in server.http.get("/api/tags").json()["models"]}
    entry = listed[f"{server.embed_model}:latest"]
    assert list(entry) == ["name", "model", "modified_at", "size", "digest", "details", *server.fact("an entry of tags also has")]
    assert entry["model"] == entry["name"]
    assert len(bytes.fromhex(entry["digest"])) == 32
    assert datetime.fromisoformat(entry["modified_at"]).tzinfo


def test_models_are_recommended(server: Server) -> None:
    """Those in a cloud say how long their answers may be, the others what memory they need; nothing says what they can."""
    recommended = server.http.get("/api/experimental/model-recommendations").json()["recommendations"]
    assert recommended
    for one in recommended:
        figures = ("context_length", "max_output_tokens") if one["model"].endswith(":cloud") else ("vram_bytes",)
        assert (set(one) - {"required_plan"}, bool(one["description"])) == ({"model", "description", *figures}, True)


def test_details_have_the_same_members_everywhere(server: Server) -> None:
    """Also in what is shown of one model."""
    members = ["parent_model", "format", "family", "families", "parameter_size", "quantization_level"]
    assert list(server.show(server.chat_model)["details"]) == members
    listed = server.http.get("/api/tags").json()["models"][0]["details"]
    assert list(listed) == [*members, *server.fact("details in tags also have")]


def test_show_names_the_capabilities(server: Server) -> None:
    """An embedding model has no completion, and a model with eyes has both."""
    capabilities = {
        server.chat_model: ["completion"],
        server.vision_model: ["completion", "vision"],
        server.embed_model: ["embedding"],
        server.think_model: ["completion", "thinking"],
    }
    assert {model: server.show(model)["capabilities"] for model in capabilities} == capabilities


def test_show_says_context_and_embedding_length_under_the_architecture(server: Server) -> None:
    """Both are whole numbers, and a vector is as long as it says."""
    info = server.show(server.embed_model)["model_info"]
    architecture = info["general.architecture"]
    assert type(info[f"{architecture}.context_length"]) is int
    vector = server.embed("Hi").json()["embeddings"][0]
    assert len(vector) == info[f"{architecture}.embedding_length"]


def test_show_takes_the_old_member_name(server: Server) -> None:
    """``name`` means ``model``."""
    answer = server.http.post("/api/show", json={"name": server.chat_model})
    assert answer.json()["capabilities"] == ["completion"]


@pytest.mark.parametrize("form", ["{}:latest", "library/{}", "registry.ollama.ai/library/{}:LATEST", " {} "])
def test_a_model_has_many_names(server: Server, form: str) -> None:
    """Tag, registry and spaces may be there or not, and every name is echoed as it was sent."""
    name = form.format(server.chat_model)
    assert server.converse([], model=name, options=LOAD).json()["model"] == name


def test_names_are_not_case_sensitive(server: Server) -> None:
    """The reply repeats the case of the request."""
    answer = server.chat(model=server.chat_model.upper())
    assert answer.json()["model"] == server.chat_model.upper()


@pytest.mark.parametrize("stream", [True, False])
def test_no_messages_only_load_the_model(server: Server, *, stream: bool) -> None:
    """The reply is one object without counts, even if a stream was requested."""
    answer = server.converse([], stream=stream, options=LOAD)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert list(answer.json()) == CHAT_LOAD
    assert answer.json()["message"] == {"role": "assistant", "content": ""}
    assert (answer.json()["done"], answer.json()["done_reason"]) == (True, "load")


def test_no_prompt_only_loads_the_model(server: Server) -> None:
    """Generate says the same in its own shape."""
    answer = server.generate("", options=LOAD)
    assert list(answer.json()) == ["model", "created_at", "response", "done", "done_reason"]
    assert answer.json()["done_reason"] == "load"


def test_a_loaded_model_is_in_memory(server: Server) -> None:
    """Its entry says how long it stays, and the context length that was really taken."""
    server.converse([], options=LOAD, keep_alive="5m")
    entry = server.loaded()[f"{server.chat_model}:latest"]
    members = ["name", "model", "size", "digest", "details", "expires_at", "size_vram", "context_length"]
    assert list(entry) == members
    assert entry["context_length"] == 512
    stays = datetime.fromisoformat(entry["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=4) < stays < timedelta(minutes=6)


def test_a_context_over_the_maximum_is_clamped_silently(server: Server) -> None:
    """Only the list of models in memory shows it."""
    server.converse([], model=server.think_model, options={"num_ctx": 999_999})
    assert server.loaded()[f"{server.think_model}:latest"]["context_length"] == 8192


def test_keep_alive_zero_unloads(server: Server, eventually: Eventually) -> None:
    """The reply says so, and soon the model is in memory no more."""
    server.converse([], model=server.think_model, options=LOAD)
    answer = server.converse([], model=server.think_model, keep_alive=0)
    assert list(answer.json()) == CHAT_LOAD
    assert answer.json()["done_reason"] == "unload"
    eventually(lambda: f"{server.think_model}:latest" not in server.loaded())


def test_any_model_may_be_unloaded_by_generate(server: Server) -> None:
    """Also one that cannot generate, and one that is not loaded."""
    for _ in range(2):
        answer = server.generate("", model=server.embed_model, keep_alive=0)
        assert answer.json()["done_reason"] == "unload"


@pytest.mark.parametrize("keep_alive", [-1, "-1m", 90, 1.5, "1h30m", ".5h", None, "5m"])
def test_keep_alive_has_many_forms(server: Server, keep_alive: Any) -> None:
    """Seconds and Go's durations, where anything negative is for ever."""
    answer = server.converse([], keep_alive=keep_alive, options=LOAD)
    assert answer.json()["done_reason"] == "load"


@pytest.mark.parametrize("keep_alive", ["0", "0s", 0])
def test_zero_has_many_forms_too(server: Server, keep_alive: Any) -> None:
    """A text of zero needs no unit."""
    answer = server.converse([], model=server.embed_model, keep_alive=keep_alive)
    assert answer.json()["done_reason"] == "unload"


@pytest.fixture
def copied(server: Server) -> Iterator[str]:
    """Yield the name of a copy of the chat model, which the test may delete."""
    name = f"copy-{os.getpid()}"
    answer = server.http.post("/api/copy", json={"source": server.chat_model, "destination": name})
    assert (answer.status_code, answer.content) == (200, b"")
    yield name
    server.http.request("DELETE", "/api/delete", json={"model": name})


def test_a_copy_is_a_model_of_its_own(server: Server, copied: str) -> None:
    """It is listed with the digest of the original, shown, loaded and unloaded under its own name."""
    digests = {entry["name"]: entry["digest"] for entry in server.http.get("/api/tags").json()["models"]}
    assert digests[f"{copied}:latest"] == digests[f"{server.chat_model}:latest"]
    assert server.show(copied)["capabilities"] == ["completion"]
    assert server.converse([], model=copied, keep_alive=0).json()["done_reason"] == "unload"


def test_a_deleted_model_is_gone(server: Server, copied: str) -> None:
    """The answer is empty; the original stays, and the second time there is nothing to delete."""
    answers = [server.http.request("DELETE", "/api/delete", json={"model": copied}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 404]
    assert (answers[0].content, answers[1].json()) == (b"", {"error": f"model '{copied}' not found"})
    names = [entry["name"] for entry in server.http.get("/api/tags").json()["models"]]
    assert f"{copied}:latest" not in names
    assert f"{server.chat_model}:latest" in names


REFUSED = [
    ("POST", "/api/copy", {"source": "nope", "destination": "x"}, 404, 'model "nope" not found'),
    ("POST", "/api/copy", {"destination": "x"}, 400, 'source "" is invalid'),
    ("POST", "/api/copy", {"source": "a", "destination": "a b"}, 400, 'destination "a b" is invalid'),
    ("POST", "/api/copy", None, 400, "missing request body"),
    ("DELETE", "/api/delete", {}, 400, "model is required"),
    ("DELETE", "/api/delete", {"name": "nope"}, 404, "model 'nope' not found"),
    ("DELETE", "/api/delete", {"model": "a b"}, 400, 'name "a b" is invalid'),
    ("DELETE", "/api/delete", None, 400, "missing request body"),
    ("POST", "/api/pull", {}, 400, "invalid model name"),
    ("POST", "/api/pull", {"model": "a b"}, 400, "invalid model name"),
    ("POST", "/api/pull", None, 400, "missing request body"),
]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_bad_requests_about_models_are_refused(server: Server, case: tuple[str, str, Any, int, str]) -> None:
    """Before anything is done, with these words."""
    method, path, body, status, text = case
    answer = server.http.request(method, path, json=body) if body is not None else server.http.request(method, path)
    assert (answer.status_code, answer.json()) == (status, {"error": text})


def test_a_pull_that_fails_says_so_in_its_stream(server: Server) -> None:
    """After a first step, under a status of 200; without a stream the status is 500."""
    answer = server.http.post("/api/pull", json={"model": "no-such-model"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert lines[0] == {"status": "pulling manifest"}
    assert lines[1]["error"].startswith("pull model manifest: ")
    whole = server.http.post("/api/pull", json={"model": "no-such-model", "stream": False})
    assert (whole.status_code, whole.json()["error"][:21]) == (500, "pull model manifest: ")
