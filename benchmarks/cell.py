"""Measure one-token answers in a kernel: with a %%ollama cell, the ollama client and bare httpx."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from IPython import get_ipython


def _cell(url: str, model: str) -> Callable[[], Any]:
    shell = get_ipython()
    shell.run_line_magic("load_ext", "ollama_magics")
    import_module("ollama_magics").configure(base_url=url, model=model)
    return lambda: shell.run_cell_magic("ollama", "--once --max-tokens 1", "Count.")


def _httpx(url: str, request: dict[str, Any]) -> Callable[[], Any]:
    client = import_module("httpx").Client(base_url=url)

    def send() -> list[bytes]:
        with client.stream("POST", "/api/chat", json=request) as response:
            return list(response.iter_raw())

    return send


def _ollama(url: str, request: dict[str, Any]) -> Callable[[], Any]:
    client = import_module("ollama").Client(host=url)
    return lambda: list(client.chat(**request))


def main(url: str, model: str, times: int) -> None:
    """Print the seconds of each client, after two warm-up rounds, as a line of JSON."""
    messages = [{"role": "user", "content": "Count."}]
    request = {"model": model, "messages": messages, "options": {"num_predict": 1}, "stream": True}
    clients = {"httpx": _httpx(url, request), "%%ollama": _cell(url, model)}
    try:
        clients["ollama"] = _ollama(url, request)
    except ImportError:
        print("  left out: ollama (it is not installed)")
    found: dict[str, list[float]] = {name: [] for name in clients}
    for turn in range(times + 2):
        for name, send in clients.items():
            start = time.perf_counter()
            send()
            if turn > 1:
                found[name].append(time.perf_counter() - start)
    print(json.dumps(found))
