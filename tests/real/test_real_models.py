"""The models of a real Ollama from Python, and calls of an event loop that ask it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

import ollama_magics as om
from ollama_magics.session.session import current


@pytest.fixture(autouse=True)
def _here(real_url: str) -> None:
    om.configure(base_url=real_url, model="parrot", context_length=512, max_tokens=64, temperature=0, first_token_timeout=60)


@pytest.fixture
def name(real_url: str) -> Iterator[str]:
    """Give a model of our own, made of the parrot; it is gone in the end."""
    name = f"parrot-{secrets.token_hex(4)}"
    made = {"model": name, "from": "parrot", "parameters": {"temperature": 0.5}, "system": "Be brief.", "stream": False}
    assert httpx.post(f"{real_url}/api/create", json=made, timeout=60, trust_env=False).json() == {"status": "success"}
    yield name
    with suppress(om.ModelProblem):
        om.rm(name)


def listed(name: str) -> dict[str, Any] | None:
    """Return the entry of a model in the list, if it is there."""
    return next((model for model in om.models() if model["name"] == f"{name}:latest"), None)


def test_a_model_is_listed_shown_stopped_and_deleted(name: str) -> None:
    """As the server itself has it at every step."""
    entry, parrot = listed(name), listed("parrot")
    assert entry is not None
    assert parrot is not None
    assert (entry["capabilities"], entry["context_length"]) == (parrot["capabilities"], parrot["context_length"])
    assert entry["digest"] != parrot["digest"]

    shown = om.show(f"ollama run {name}")
    assert (shown["name"], shown["system"], shown["requires"]) == (name, "Be brief.", None)
    assert float(shown["modelfile_parameters"]["temperature"][0]) == 0.5
    assert any("temperature" in conflict for conflict in shown["conflicts"])  # the settings say 0

    # its weights are the parrot's: where somebody else asks that one at the same time, it takes the place in memory
    assert any(om.chat("Hi", model=name).text and om.stop(name) for _ in range(5))

    om.rm(name)
    assert listed(name) is None
    for call in (om.show, om.stop, om.rm):
        with pytest.raises(om.ModelProblem) as caught:
            call(name)
        assert caught.value.code == "model-missing"


def test_calls_of_an_event_loop() -> None:
    """They answer at once what the others answer, and cancelled ones do not keep the server busy."""

    async def ask() -> list[str]:
        replies = await asyncio.gather(*(om.achat("Hi") for _ in range(4)))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await om.achat("Hi", max_tokens=-1)
        return [reply.text for reply in replies]

    assert asyncio.run(ask()) == [om.chat("Hi").text] * 4
    assert current().client.version()
