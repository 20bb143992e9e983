"""The deep check on a real Ollama with the tiny models of tests/real_ollama: what each can do is proved, or not."""

from __future__ import annotations

import time
from typing import Any

import pytest

from ollama_magics.diagnosis import capability_tests
from ollama_magics.diagnosis.capability_tests import ModelUnderTest
from ollama_magics.diagnosis.report import CheckReport, CheckRequest
from ollama_magics.diagnosis.stages import check
from ollama_magics.errors import EmbeddingProblem
from ollama_magics.server.address import parse
from ollama_magics.server.client import Client


def deep(url: str, model: str, *abilities: str, **more: Any) -> CheckReport:
    """Return the deep check of a model; every context is of one size, as another one loads the model anew."""
    request = CheckRequest(url, "notebook", model, abilities or ("completion",), context_length=512, deep=True, **more)
    return check(request)


def sentence_of(report: CheckReport, stage: str) -> str:
    """Return the sentence of a stage."""
    return next(one.sentence for one in report.stages if one.name == stage)


@pytest.mark.parametrize(
    ("model", "ability", "result"),
    [
        ("colours", "completion", "vision: works"),
        ("caller", "completion", "tools: function called"),
        ("thinker", "completion", "thinking: works"),
        ("all-minilm", "embedding", "embedding: similar texts are close (dimension 384"),
        ("parrot", "completion", "no more capabilities to test"),
    ],
)
def test_what_a_model_can_do_is_proved(real_url: str, model: str, ability: str, result: str) -> None:
    """Every stage passes, the last with the result."""
    report = deep(real_url, model, ability)
    assert report, report
    assert sentence_of(report, "tests").startswith(result)
    assert sentence_of(report, "load").startswith(f"{model} loaded in")


def test_a_blind_model_that_takes_pictures_is_found_out(real_url: str) -> None:
    """The form says that it sees; 0.24.0 ignores the picture, later ones refuse it."""
    report = deep(real_url, "parrot", "completion", "vision")
    assert report.error is not None
    assert report.error.code in {"vision-blind", "vision-refused"}
    assert "vision" in sentence_of(report, "abilities")


def test_the_vectors_of_a_chat_model_are_found_out(real_url: str) -> None:
    """The check stops before it is loaded; asked all the same, its vectors prove to be of no use."""
    report = deep(real_url, "parrot", "embedding")
    assert report.error is not None
    assert (report.error.code, sentence_of(report, "load")) == ("model-wrong-type", "not asked yet")
    client = Client(parse(real_url))
    model = ModelUnderTest(client, CheckRequest(real_url, abilities=("embedding",)), "parrot", client.card("parrot"))
    with pytest.raises(EmbeddingProblem) as caught:
        capability_tests.embedding(model)
    client.close()
    assert caught.value.code == "vectors-useless"


def test_a_wrong_name_is_answered_with_the_nearest_and_loads_nothing(real_url: str) -> None:
    """In less than 100 ms, the promised bound, taken as the best of three on a busy machine."""
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        report = deep(real_url, "pparot")
        spent.append(time.perf_counter() - start)
        assert report.error is not None
        assert report.error.code == "model-missing"
        assert "--model parrot" in report.error.remedy
        assert sentence_of(report, "load") == "not asked yet"
    assert min(spent) < 0.1
