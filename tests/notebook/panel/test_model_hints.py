"""What the server says about a model beside what the form says."""

import pytest

from ollama_magics.notebook.panel.models import found, remarks
from ollama_magics.server.wire import ModelCard
from ollama_magics.settings.form import OllamaSettings

CARD = ModelCard(capabilities=["completion", "vision"], model_info={"general.architecture": "x", "x.context_length": 8192})


@pytest.mark.parametrize(
    ("name", "value", "text", "is_loud"),
    [
        ("vision", "auto", "detected: yes", False),
        ("vision", "yes", "set by you, as the server says", False),
        ("vision", "no", "set by you; the server says yes", True),
        ("tools", "auto", "detected: no", False),
        ("tools", "yes", "set by you; the server says no", True),
        ("model_type", "chat", "detected: completion · vision", False),
        ("model_type", "embedding", "the server lists this model for: completion · vision", True),
        ("context_length", 8192, "the model's maximum: 8\u202f192", False),
        ("context_length", 8193, "less than --context", True),
        ("max_tokens", 8192, "more than the context (4\u202f096): so long an answer would push the prompt out", True),
        ("think", "high", "set by you; the server says no", True),
        ("think", "off", "detected: no", False),
    ],
)
def test_what_is_detected_is_told_from_what_is_yours(name: str, value: object, text: str, is_loud: bool) -> None:  # noqa: FBT001
    """And a contradiction is loud."""
    form = OllamaSettings()
    setattr(form, name, value)
    found, loud = remarks(CARD, form, "en")[name]
    assert found.endswith(text)
    assert loud is is_loud


def test_an_old_server_says_nothing() -> None:
    """It lists no capabilities."""
    assert remarks(ModelCard(), OllamaSettings(), "en") == {}
    assert remarks(ModelCard(capabilities=[]), OllamaSettings(), "zh")["vision"] == ("检测到：不支持", False)


@pytest.mark.parametrize(
    ("capabilities", "length", "kind", "values"),
    [
        (["completion"], 8192, "chat", {"context_length": 4096, "max_tokens": 4096}),
        (["completion"], 2048, "chat", {"context_length": 2048, "max_tokens": 2048}),
        (["completion"], 2048, "embedding", {"model_type": "chat", "context_length": 2048, "max_tokens": 2048}),
        (["completion"], 8192, "completion", {"context_length": 4096, "max_tokens": 4096}),
        (["embedding"], 512, "chat", {"model_type": "embedding"}),
        (["embedding"], 512, "embedding", {}),
        (["image"], 0, "chat", {}),
        (None, 512, "chat", {}),
    ],
)
def test_a_model_decides_about_its_type_and_the_most_context(
    capabilities: list[str] | None, length: int, kind: str, values: dict[str, object]
) -> None:
    """As far as the server says; more than the default is nobody's wish."""
    card = ModelCard(capabilities=capabilities, model_info={"general.architecture": "x", "x.context_length": length})
    form = OllamaSettings(model_type=kind)
    assert found(card, form) == values
