"""The context length that a prompt has: what was asked for, as far as the model and the server give it."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_magics.conversation.prompt import Prompt
from ollama_magics.conversation.reply import answer_view
from ollama_magics.server.model_card import InstalledModel, ModelCard
from tests.faults import FaultServer, chunk, fine, whole

from .conftest import Open

OLDER, NEWEST = "0.24.0", "0.34.4"
TEXT = {"capabilities": ["completion"], "model_info": {"general.architecture": "llama", "llama.context_length": 8192}}
SEES = TEXT | {"capabilities": ["completion", "vision"]}
SHORT = TEXT | {"model_info": {"general.architecture": "llama", "llama.context_length": 1000}}


@pytest.mark.finding("F5", "F6")
@pytest.mark.parametrize(
    ("card", "version", "asked", "loaded", "usable"),
    [
        (TEXT, NEWEST, 1000, 1000, 1024),
        (TEXT, NEWEST, 1024, 1024, 1024),
        (TEXT, NEWEST, 1, 4, 256),
        (TEXT, NEWEST, 257, 257, 512),
        (TEXT, NEWEST, 9000, 8192, 8192),
        (SHORT, NEWEST, 4096, 1000, 1024),
        (TEXT, "0.30.0", 1000, 1000, 1024),
        (TEXT, OLDER, 1000, 1000, 1000),
        (TEXT, OLDER, 1, 4, 4),
        (TEXT, OLDER, 9000, 8192, 8192),
        (SEES, OLDER, 512, 2048, 2048),
        (SEES, NEWEST, 512, 2048, 2048),
        (SEES, NEWEST, 3000, 3000, 3072),
        ({}, NEWEST, 4096, 4096, 4096),
    ],
)
def test_a_server_gives_what_it_can(card: dict[str, Any], version: str, asked: int, loaded: int, usable: int) -> None:
    """At least 4 tokens, 2048 where it sees, at most what the model has; and since 0.30 a multiple of 256."""
    found = ModelCard(**card)
    assert (found.loaded_context(asked), found.usable_context(asked, version)) == (loaded, usable)


@pytest.mark.parametrize("figure", [-5, 0, 2.5, 1e308, 10**30, 2**31, "8", True, None, [8]])
def test_a_figure_that_no_model_has_is_unknown(figure: Any) -> None:
    """A hostile server may send any; nothing is divided by it or reserved for it."""
    info = {"general.architecture": "a", "a.context_length": figure, "a.embedding_length": figure}
    cards = (
        ModelCard(model_info=info),
        InstalledModel("m", capabilities=[], details={"family": "a", "context_length": figure}).card,
    )
    assert [(card.context_length, card.embedding_length) for card in cards if card] == [(None, None)] * 2


@pytest.mark.finding("F5")
@pytest.mark.parametrize(
    ("version", "asked", "written", "size"),
    [
        (NEWEST, 1000, 1010, 1024),
        (NEWEST, 1000, 1018, 1024),
        (NEWEST, 9000, 8185, 8192),
        (OLDER, 1000, 1010, 1000),
        (OLDER, 1000, 993, 1000),
    ],
)
def test_an_answer_is_shifted_where_it_ran_past_that(
    open_session: Open, version: str, asked: int, written: int, size: int
) -> None:
    """And the footer names the same number."""
    last = chunk(done=True, done_reason="stop", prompt_eval_count=7, eval_count=written)
    answer = whole(chunk("Hello") + last, kind="application/x-ndjson")
    with FaultServer(fine(version=whole({"version": version}), show=whole(TEXT), chat=answer)) as server:
        reply = open_session(base_url=server.url, model="m").ask(Prompt("Hi", overrides={"context_length": asked}))
        assert reply.text == "Hello"
    used, whole_context = f"{7 + written:,}", f"{size:,}"
    assert reply.shifted is (7 + written > size)
    assert f"context {used} of {whole_context}".replace(",", "\u202f") in answer_view(reply).figures
