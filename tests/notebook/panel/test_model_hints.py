"""What the server says about a model, and what the form says."""

import pytest

from ollama_magics.notebook.panel.model_list import detected_settings, model_notes
from ollama_magics.server.model_card import ModelCard
from ollama_magics.settings.form import OllamaSettings

CARD = ModelCard(capabilities=["completion", "vision"], model_info={"general.architecture": "x", "x.context_length": 8192})


@pytest.mark.parametrize(
    ("name", "value", "text", "is_warning"),
    [
        ("vision", "auto", "detected: yes", False),
        ("vision", "yes", "set by you, as the server says", False),
        ("vision", "no", "set by you; the server says yes", True),
        ("tools", "auto", "detected: no", False),
        ("tools", "yes", "set by you; the server says no", True),
        ("model_type", "chat", "detected: completion · vision", False),
        ("model_type", "embedding", "the server lists this model for: completion · vision", True),
        ("context_length", 8192, "the model's maximum: 8\u202f192", False),
        ("context_length", 8193, "more than the model's maximum: 8\u202f192", True),
        ("max_tokens", 8192, "more than the context (4\u202f096): so long an answer would push the prompt out", True),
        ("think", "high", "set by you; the server says no", True),
        ("think", "off", "detected: no", False),
    ],
)
def test_detected_and_chosen_values_have_different_notes(name: str, value: object, text: str, is_warning: bool) -> None:  # noqa: FBT001
    """A contradiction is a warning."""
    form = OllamaSettings()
    setattr(form, name, value)
    note, warning = model_notes(CARD, form, "en")[name]
    assert note.endswith(text)
    assert warning is is_warning


def test_an_old_server_says_nothing() -> None:
    """It lists no capabilities."""
    assert model_notes(ModelCard(), OllamaSettings(), "en") == {}
    assert model_notes(ModelCard(capabilities=[]), OllamaSettings(), "zh")["vision"] == ("检测到：不支持", False)


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
    """As far as the server says; the default is the limit."""
    card = ModelCard(capabilities=capabilities, model_info={"general.architecture": "x", "x.context_length": length})
    form = OllamaSettings(model_type=kind)
    assert detected_settings(card, form) == values
