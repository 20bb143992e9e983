"""Labels of a real Ollama, compared with the probabilities that the tiny model is made of."""

from __future__ import annotations

import pytest

import ollama_magics as om

# By the word in the text: the probabilities of praise, complaint, question, and of no letter (tests/real_ollama/graded_model.py).
KNOWN = {"wonderful": (0.7, 0.2, 0.1, 0.0), "awful": (0.1, 0.7, 0.2, 0.0), "unclear": (0.2, 0.1, 0.7, 0.0)}
KNOWN |= {"strange": (0.3 / 0.6, 0.2 / 0.6, 0.1 / 0.6, 0.4)}


def test_probabilities_are_those_of_the_model(real_url: str) -> None:
    """Within 0.02 for every row, with letters behind a space and mass outside the menu."""
    om.configure(base_url=real_url, model="graded")
    words = [*KNOWN] * 5
    texts = [f"{'word ' * (7 * place)}This was {word} today." for place, word in enumerate(words)]
    out = om.map({"text": texts}, "What is this?\n\n{{text}}", labels="praise,complaint,question", store=False)
    assert out["error"] == [""] * len(words)
    columns = ("p_praise", "p_complaint", "p_question", "p_none")
    for row, word in enumerate(words):
        found = tuple(out[column][row] for column in columns)
        assert found == pytest.approx(KNOWN[word], abs=0.02), (word, row)
    assert out["label"][:4] == ["praise", "complaint", "question", "praise"]


def test_a_model_that_knows_no_letters_gives_no_label(real_url: str) -> None:
    """It is an error of each row, or of the job, and never a random label."""
    om.configure(base_url=real_url, model="parrot")
    out = om.map(["a text"], "{{item}}", labels="praise,complaint", store=False)
    assert out[0]["label"] is None
    assert out[0]["error"].startswith("label-unknown")
