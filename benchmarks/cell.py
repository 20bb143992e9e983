"""What runs in a kernel: the same one-token question as a %%ollama cell, through the ollama client and through bare httpx."""

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


def _httpx(url: str, question: dict[str, Any]) -> Callable[[], Any]:
    client = import_module("httpx").Client(base_url=url)

    def ask() -> list[bytes]:
        with client.stream("POST", "/api/chat", json=question) as response:
            return list(response.iter_raw())

    return ask


def _ollama(url: str, question: dict[str, Any]) -> Callable[[], Any]:
    client = import_module("ollama").Client(host=url)
    return lambda: list(client.chat(**question))


def main(url: str, model: str, times: int) -> None:
    """Print the seconds of each way, after two rounds to warm up, as a line of JSON."""
    messages = [{"role": "user", "content": "Count."}]
    question = {"model": model, "messages": messages, "options": {"num_predict": 1}, "stream": True}
    ways = {"httpx": _httpx(url, question), "%%ollama": _cell(url, model)}
    try:
        ways["ollama"] = _ollama(url, question)
    except ImportError:
        print("  left out: ollama (it is not installed)")
    found: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(times + 2):
        for name, ask in ways.items():
            start = time.perf_counter()
            ask()
            if turn > 1:
                found[name].append(time.perf_counter() - start)
    print(json.dumps(found))
