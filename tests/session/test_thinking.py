"""How a wish to think reaches a model that knows levels, and one that does not."""

from __future__ import annotations

import json
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.errors import SettingError
from ollama_magics.server.model_card import ModelCard
from ollama_magics.session.thinking import think_level
from tests.faults import FaultServer, fine, whole

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


def listing(values: list[object], *, default: object) -> ModelCard:
    """Return a card that lists thinking values and whose template and renderer would say something else."""
    thinking = {"values": values, "default": default}
    return ModelCard(model_info={"general.architecture": "gptoss"}, template="{{ .Think }}", renderer="r", thinking=thinking)


FOUR = listing([False, "low", "medium", "xhigh"], default="medium")
ALWAYS = listing(["low", "high"], default="low")
SWITCH = listing([False, True], default=True)
ONLY_ON = listing([True], default=True)
SCALE = listing(["minimal", "max", False], default=False)
OWN = listing([False, "brief", "deep"], default="brief")


@pytest.mark.finding("F1")
@pytest.mark.parametrize(
    ("card", "word", "sent", "noted"),
    [
        *((FOUR, word, word, "") for word in ("auto", "off", "low", "medium", "xhigh")),
        (FOUR, "on", "medium", ""),
        (FOUR, "max", "xhigh", 'm has the thinking levels low, medium, xhigh; "max" was sent as "xhigh"'),
        (FOUR, "high", "xhigh", 'm has the thinking levels low, medium, xhigh; "high" was sent as "xhigh"'),
        (FOUR, "minimal", "low", 'm has the thinking levels low, medium, xhigh; "minimal" was sent as "low"'),
        (ALWAYS, "off", "low", 'm always thinks; "off" was sent as "low"'),
        (ALWAYS, "on", "low", ""),
        (ALWAYS, "medium", "high", 'm has the thinking levels low, high; "medium" was sent as "high"'),
        (SWITCH, "on", "on", ""),
        (SWITCH, "off", "off", ""),
        (SWITCH, "xhigh", "on", 'm has no thinking levels; "xhigh" was sent as "on"'),
        (ONLY_ON, "off", "on", 'm always thinks; "off" was sent as "on"'),
        (SCALE, "on", "max", ""),
        (SCALE, "low", "minimal", 'm has the thinking levels minimal, max; "low" was sent as "minimal"'),
        (OWN, "deep", "deep", ""),
        (OWN, "high", "brief", 'm has the thinking levels brief, deep; "high" was sent as "brief"'),
        (GPT_OSS, "xhigh", "high", 'm has the thinking levels low, medium, high; "xhigh" was sent as "high"'),
        (LEVELLED, "xhigh", "max", 'm has the thinking levels low, medium, high, max; "xhigh" was sent as "max"'),
        (listing([], default="low"), "max", "high", 'm has the thinking levels low, medium, high; "max" was sent as "high"'),
        (ModelCard(template="{{ .ThinkLevel }}", thinking="odd"), "max", "max", ""),
    ],
)
def test_the_list_of_the_server_decides(card: ModelCard, word: str, sent: str, noted: str) -> None:
    """Over architecture, template and renderer; what is not in it is sent as the nearest, with a note."""
    found, notes = think_level(word, card, "m")
    assert (found, [note.phrase.text("en") for note in notes]) == (sent, [noted] if noted else [])


@pytest.mark.finding("F1")
@pytest.mark.parametrize(
    ("card", "word", "listed"),
    [(OWN, "loud", "off, brief, deep"), (SWITCH, "lots", "off, on"), (LEVELLED, "hihg", "off, on, low, medium, high, max")],
)
def test_a_word_that_no_level_is_near_to_is_refused(card: ModelCard, word: str, listed: str) -> None:
    """With the words of the model."""
    with pytest.raises(SettingError, match=listed) as caught:
        think_level(word, card, "m")
    assert caught.value.code == "setting-invalid"


@pytest.mark.finding("F1")
@pytest.mark.parametrize(("think", "sent"), [("xhigh", "xhigh"), ("max", "xhigh"), (True, "medium"), (False, False)])
def test_a_level_goes_from_the_option_to_the_request(think: Any, sent: object) -> None:
    """The option takes every word, since only the server knows those of a model."""
    show = {"capabilities": ["completion", "thinking"], "thinking": FOUR.thinking, "model_info": {}}
    with FaultServer(fine(show=whole(show))) as server:
        om.configure(base_url=server.url, model="m", think=think)
        assert om.chat("Hi").text == "Hello"
        assert json.loads(server.requests[-1].body)["think"] == sent
