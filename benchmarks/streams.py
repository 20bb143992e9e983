"""Read a streamed answer token by token with each client, and measure it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from bare import Connection

MODEL = "bench-chat"
PROMPT = "Count."
LIMIT = "bare socket"
DECODED = "socket and msgspec"  # the least that any client can do which gives the words

Read = Callable[[int], Iterable[str]]


def request(tokens: int) -> dict[str, Any]:
    """Return the request for an answer of so many tokens."""
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": PROMPT}],
        "options": {"num_predict": tokens},
        "stream": True,
    }


def _bare(url: str) -> Read:
    connection = Connection(url)

    def read(tokens: int) -> Iterator[str]:
        connection.send("/api/chat", json.dumps(request(tokens)).encode())
        connection.read()
        return iter(())

    return read


def _decoded(url: str) -> Read:
    connection = Connection(url)
    decode = import_module("msgspec").json.Decoder(import_module("ollama_magics.server.wire").Chunk).decode

    def read(tokens: int) -> Iterator[str]:
        connection.send("/api/chat", json.dumps(request(tokens)).encode())
        for lines in connection.lines():
            for line in lines:
                yield decode(line).text

    return read


def _openai(url: str) -> Read:
    client = import_module("openai").OpenAI(base_url=f"{url}/v1", api_key="none")
    messages = [{"role": "user", "content": PROMPT}]

    def read(tokens: int) -> Iterator[str]:
        for part in client.chat.completions.create(model=MODEL, messages=messages, max_tokens=tokens, stream=True):
            yield part.choices[0].delta.content or ""

    return read


def _httpx(url: str) -> Read:
    client = import_module("httpx").Client(base_url=url)

    def read(tokens: int) -> Iterator[str]:
        with client.stream("POST", "/api/chat", json=request(tokens)) as response:
            for line in response.iter_lines():
                yield json.loads(line)["message"]["content"]

    return read


def _ollama(url: str) -> Read:
    client = import_module("ollama").Client(host=url)
    return lambda tokens: (part.message.content for part in client.chat(**request(tokens)))


def _langchain(url: str) -> Read:
    model = import_module("langchain_ollama").ChatOllama(model=MODEL, base_url=url)
    return lambda tokens: (part.content for part in model.bind(options={"num_predict": tokens}).stream(PROMPT))


def _ours(url: str) -> Read:
    address, client, wire = (import_module(f"ollama_magics.server.{name}") for name in ("address", "client", "wire"))
    ours = client.Client(address.parse(url))

    def read(tokens: int) -> Iterator[str]:
        message = wire.Message("user", PROMPT)
        chat_request = wire.ChatRequest(model=MODEL, messages=(message,), options={"num_predict": tokens})
        return (chunk.text for chunk in ours.chat(chat_request))

    return read


CLIENTS: dict[str, Callable[[str], Read]] = {
    LIMIT: _bare,
    DECODED: _decoded,
    "httpx": _httpx,
    "ollama": _ollama,
    "langchain-ollama": _langchain,
    "openai": _openai,
    "ours": _ours,
}


def runner(name: str, url: str) -> Callable[..., dict[str, float]]:
    """Return the function that reads an answer of so many tokens with that client and returns what was measured."""
    read = CLIENTS[name](url)

    def run(tokens: int) -> dict[str, float]:
        start = time.perf_counter()
        characters = sum(map(len, read(tokens)))
        return {"seconds": time.perf_counter() - start, "characters": characters}

    return run
