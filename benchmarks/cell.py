"""Ask in a kernel, and show the answer, as a cell of each client does; chat.py runs and measures it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from IPython import get_ipython
from IPython.display import DisplayHandle

Ask = Callable[[int], object]  # takes the number of tokens
FLOOR, PLAIN, OURS = "one display, one update", "httpx", "%%ollama"
PROMPT = "Count."


def _request(model: str, tokens: int) -> dict[str, Any]:
    message = {"role": "user", "content": PROMPT}
    return {"model": model, "messages": [message], "options": {"num_predict": tokens}, "stream": True}


def _print(pieces: Iterable[str]) -> None:
    for piece in pieces:
        print(piece, end="", flush=True)


def _httpx(url: str, model: str) -> Ask:
    client = import_module("httpx").Client(base_url=url)

    def ask(tokens: int) -> list[bytes]:
        with client.stream("POST", "/api/chat", json=_request(model, tokens)) as response:
            return list(response.iter_raw())

    return ask


def _floor(url: str, model: str) -> Ask:
    send = _httpx(url, model)

    def ask(tokens: int) -> None:
        handle = DisplayHandle()
        handle.display({"text/html": "<p>waiting</p>", "text/plain": "…"}, raw=True)
        send(tokens)
        handle.update({"text/html": "<p>token</p>", "text/plain": "token"}, raw=True)

    return ask


def _ours(url: str, model: str) -> Ask:
    shell = get_ipython()
    shell.run_line_magic("load_ext", "ollama_magics")
    import_module("ollama_magics").configure(base_url=url, model=model)
    return lambda tokens: shell.run_cell_magic("ollama", f"--once --max-tokens {tokens}", PROMPT)


def _ollama(url: str, model: str) -> Ask:
    client = import_module("ollama").Client(host=url)
    return lambda tokens: _print(part.message.content for part in client.chat(**_request(model, tokens)))


def _openai(url: str, model: str) -> Ask:
    client = import_module("openai").OpenAI(base_url=f"{url}/v1", api_key="none")

    def ask(tokens: int) -> None:
        parts = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": PROMPT}], max_tokens=tokens, stream=True
        )
        _print(part.choices[0].delta.content or "" for part in parts)

    return ask


def _langchain(url: str, model: str) -> Ask:
    chat = import_module("langchain_ollama").ChatOllama(model=model, base_url=url)
    return lambda tokens: _print(part.content for part in chat.bind(options={"num_predict": tokens}).stream(PROMPT))


def _chatlas(url: str, model: str) -> Ask:
    chat = import_module("chatlas").ChatOllama(model=model, base_url=url)

    def ask(tokens: int) -> None:
        chat.set_turns([])
        chat.chat(PROMPT, echo="output", kwargs={"max_tokens": tokens})

    return ask


def _llm(url: str, model: str) -> Ask:
    os.environ["OLLAMA_HOST"] = url
    chat = import_module("llm").get_model(f"ollama/{model}:latest")
    return lambda tokens: _print(chat.prompt(PROMPT, num_predict=tokens))


def _jupyter_ai(url: str, model: str) -> Ask:
    shell = get_ipython()
    shell.run_line_magic("load_ext", "jupyter_ai_magics")

    def ask(tokens: int) -> Any:  # it shows nothing before the end of an answer; a line is cut at each space
        options = json.dumps({"base_url": url, "num_predict": tokens}, separators=(",", ":"))
        return shell.run_cell_magic("ai", f"ollama:{model} --model-parameters {options}", PROMPT)

    return ask


_CLIENTS: dict[str, Callable[[str, str], Ask]] = {
    PLAIN: _httpx,
    FLOOR: _floor,
    OURS: _ours,
    "ollama": _ollama,
    "chatlas": _chatlas,
    "langchain-ollama": _langchain,
    "openai": _openai,
    "llm": _llm,
    "jupyter-ai-magics": _jupyter_ai,
}
asks: dict[str, Ask] = {}  # of the clients that could be set up


def set_up(url: str, model: str) -> None:
    """Set up every client that is installed, and print which are and, as JSON, why others are not."""
    missing = {}
    for name, make in _CLIENTS.items():
        try:
            asks[name] = make(url, model)
        except Exception as error:  # noqa: BLE001 - whatever a peer raises, it is left out
            missing[name] = f"{type(error).__name__}: {error}"[:200]
    print(json.dumps({"ready": list(asks), "missing": missing}))


def measure(times: int) -> None:
    """Print the seconds of each client for an answer of one token, after two warm-up rounds in turn, as a line of JSON."""
    found: dict[str, list[float]] = {name: [] for name in asks}
    for turn in range(times + 2):
        for name, ask in asks.items():
            start = time.perf_counter()
            ask(1)
            if turn > 1:
                found[name].append(time.perf_counter() - start)
    print("\n" + json.dumps(found))
