"""How a wish to think reaches a model that knows levels, and one that does not."""

from __future__ import annotations

import pytest

from ollama_magics.server.wire import ModelCard
from ollama_magics.session.build_request import think_level

GPT_OSS = ModelCard(model_info={"general.architecture": "gptoss"}, template="{{ if .Thinking }}Reasoning: {{ .ThinkLevel }}")
SWITCHED = ModelCard(model_info={"general.architecture": "qwen3"}, template="{{ if and .IsThinkSet .Think }}/think{{ end }}")
LEVELLED = ModelCard(model_info={}, template="{{ if .Think }}{{ .ThinkLevel }}{{ end }}")
HIDDEN = ModelCard(model_info={}, template="{{ .Prompt }}", renderer="some-renderer")


@pytest.mark.parametrize(
    ("card", "word", "instead"),
    [
        (SWITCHED, "high", "on"),
        (SWITCHED, "max", "on"),
        (GPT_OSS, "off", "low"),
        (GPT_OSS, "max", "high"),
    ],
)
def test_what_a_model_does_not_know_is_translated_and_told(card: ModelCard, word: str, instead: str) -> None:
    """The server would take the word without saying that it means nothing."""
    found, notes = think_level(word, card, "m")
    assert found == instead
    assert len(notes) == 1
    assert "m " in notes[0].phrase.text("en")
    assert notes[0].phrase.text("zh") != notes[0].phrase.text("en")


@pytest.mark.parametrize(
    ("card", "word"),
    [
        *((card, word) for card in (SWITCHED, GPT_OSS, LEVELLED, HIDDEN) for word in ("auto", "on")),
        *((GPT_OSS, word) for word in ("low", "medium", "high")),
        *((card, word) for card in (LEVELLED, HIDDEN) for word in ("low", "max", "off")),
        (SWITCHED, "off"),
    ],
)
def test_what_a_model_knows_or_may_know_stays(card: ModelCard, word: str) -> None:
    """Nothing is said about it."""
    assert think_level(word, card, "m") == (word, ())
