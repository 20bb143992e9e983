"""The two servers on which every fact of the protocol is tested: the stand-in, and a real Ollama if there is one."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from ollama_magics.fake_server.server import FakeServer
from tests.contract import facts

OLDER, NEWEST = facts.RELEASES
SHORT = {"num_ctx": 512, "temperature": 0}  # always the same, since another context length loads the model anew


@dataclass(frozen=True)
class Server:
    """A server and its models by purpose; ``endless_prompt`` is a prompt to which its model answers without end."""

    http: httpx.Client
    chat_model: str
    vision_model: str
    embed_model: str
    think_model: str
    endless_model: str
    tools_model: str
    endless_prompt: str = field(default="never stop")
    version: str = NEWEST
    is_real: bool = False

    def fact(self, name: str) -> Any:
        """Return what holds of the version of this server."""
        return facts.fact(name, self.version)

    def check(self, name: str, answer: httpx.Response) -> None:
        """Check that a request is refused as the fact says: with a status and a text, or (None) not at all."""
        expected = self.fact(name)
        status, text = expected or (200, "")
        assert answer.status_code == status, answer.text
        if expected:
            assert re.fullmatch(".*".join(map(re.escape, text.split("*"))), answer.json()["error"], re.DOTALL), answer.text

    def chat(self, prompt: str = "Hi", **fields: Any) -> httpx.Response:
        """Return the answer to one prompt, not streamed if ``fields`` do not say otherwise."""
        return self.converse([{"role": "user", "content": prompt}], **fields)

    def converse(self, messages: list[dict[str, Any]], **fields: Any) -> httpx.Response:
        """Return the answer to a conversation."""
        request = {"model": self.chat_model, "messages": messages, "stream": False, "options": SHORT}
        return self.http.post("/api/chat", json=request | fields)

    def generate(self, prompt: str = "Hi", **fields: Any) -> httpx.Response:
        """Return the continuation of a prompt."""
        request = {"model": self.chat_model, "prompt": prompt, "stream": False, "options": SHORT}
        return self.http.post("/api/generate", json=request | fields)

    def embed(self, texts: Any, **fields: Any) -> httpx.Response:
        """Return the vectors of some texts."""
        return self.http.post("/api/embed", json={"model": self.embed_model, "input": texts} | fields)

    def show(self, model: str) -> dict[str, Any]:
        """Return what the server says about a model."""
        return dict(self.http.post("/api/show", json={"model": model}).json())

    def loaded(self) -> dict[str, dict[str, Any]]:
        """Return the entries of /api/ps by name."""
        return {entry["name"]: entry for entry in self.http.get("/api/ps").json()["models"]}


@pytest.fixture(scope="session", params=["stand-in", f"stand-in as {OLDER}", "real"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Yield the stand-in as each release, then the Ollama at OLLAMA_TEST_URL, whose version says which facts hold."""
    if request.param == "real":
        yield from _ollama()
    else:
        yield from _stand_in(OLDER if OLDER in request.param else NEWEST)


def _stand_in(version: str) -> Iterator[Server]:
    models = ("sandbox-chat", "sandbox-vision", "sandbox-embed", "sandbox-think", "sandbox-chat", "sandbox-tools")
    with FakeServer(delay=0.001, version=version) as stand_in, _client(stand_in.url) as http:
        yield Server(http, *models, version=version)


def _ollama() -> Iterator[Server]:
    with _client(_ollama_url()) as http:
        version = http.get("/api/version").json()["version"]
        yield Server(http, "parrot", "colours", "all-minilm", "thinker", "endless", "caller", version=version, is_real=True)


def _ollama_url() -> str:
    url = os.environ.get("OLLAMA_TEST_URL", "")
    reason = "OLLAMA_TEST_URL is not set: no real Ollama with the test models to compare with"
    if not url and os.environ.get("OLLAMA_MAGICS_REQUIRE_REAL"):
        pytest.fail(reason)
    if not url:
        pytest.skip(reason)
    return url


def _client(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, trust_env=False, timeout=60)


@pytest.fixture
def refusal() -> Any:
    """Return a function that reads status and error text of an answer, which must be one JSON object."""

    def read(response: httpx.Response) -> tuple[int, str]:
        assert response.headers["content-type"] == "application/json; charset=utf-8"
        assert list(response.json()) == ["error"]
        return response.status_code, response.json()["error"]

    return read


@pytest.fixture
def lines() -> Any:
    """Return a function that reads the lines of a stream."""

    def read(response: httpx.Response) -> list[dict[str, Any]]:
        assert response.content.endswith(b"\n")
        return [json.loads(line) for line in response.content.split(b"\n")[:-1]]

    return read


@pytest.fixture
def eventually() -> Any:
    """Return a function that waits until something is so, for what a server does after it has answered."""

    def wait(reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not reached():
            assert time.monotonic() < deadline, "it did not happen within 15 seconds"
            time.sleep(0.02)

    return wait
