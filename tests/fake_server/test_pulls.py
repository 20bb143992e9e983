"""What the stand-in server downloads: layers, what an interrupt leaves, and names that it does not know."""

from __future__ import annotations

import json
from typing import Any

import httpx

from ollama_magics.fake_server.server import FakeServer

NAME = "sandbox-mini"


def steps(http: httpx.Client, most: int | None = None) -> list[dict[str, Any]]:
    """Return the first lines of a pull, after which the client leaves."""
    found = []
    with http.stream("POST", "/api/pull", json={"model": NAME}) as answer:
        for line in answer.iter_lines():
            found.append(json.loads(line))
            if len(found) == most:
                break
    return found


def names(http: httpx.Client) -> list[str]:
    """Return what is installed."""
    return [entry["name"] for entry in http.get("/api/tags").json()["models"]]


def test_a_pull_goes_on_where_it_was_left() -> None:
    """The second one begins at the bytes that are there; then the model is listed and answers."""
    with FakeServer(delay=0.001) as server, httpx.Client(base_url=server.url, trust_env=False) as http:
        first = steps(http, 10)
        assert "completed" not in first[1]
        assert f"{NAME}:latest" not in names(http)
        second = steps(http)
        assert second[1]["completed"] >= first[-1]["completed"] > 0
        assert [step["status"] for step in second[-3:]] == ["verifying sha256 digest", "writing manifest", "success"]
        layers = {step["digest"]: step for step in second if "digest" in step}
        assert len(layers) == 3
        assert all(step["completed"] == step["total"] for step in layers.values())
        assert f"{NAME}:latest" in names(http)
        again = steps(http)
        assert all(step["completed"] == step["total"] for step in again if "digest" in step)
