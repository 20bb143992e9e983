"""A prompt for each row, asked of a real Ollama."""

from __future__ import annotations

from typing import Any, TypedDict

import pandas as pd
import pytest
from PIL import Image

import ollama_magics as om

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "white": (255, 255, 255), "black": (0, 0, 0)}


class Ticket(TypedDict):
    """What cannot be read from a parrot."""

    name: str
    age: int


@pytest.fixture(autouse=True)
def point_at(real_url: str) -> None:
    """Point the session at the real server."""
    om.configure(base_url=real_url)


def test_a_picture_in_each_row_is_seen() -> None:
    """50 pictures in a column, and each row has the colour of its own."""
    names = list(COLOURS) * 10
    frame = pd.DataFrame({"photo": [Image.new("RGB", (48, 48), COLOURS[name]) for name in names]})
    out = om.map(frame, "What colour is it?", images=["photo"], model="colours", temperature=0, store=False)
    assert list(out["error"]) == [""] * 50
    assert [reply.split()[0].strip(" .").lower() for reply in out["reply"]] == names


def test_a_model_that_cannot_answer_fails_honestly() -> None:
    """200 rows: the job stops after the first ones, with the reason; of a few, each row has its error and no value."""
    rows = [f"row {number}" for number in range(200)]

    def ask(count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = om.map(
            rows[:count], "Fill in: {{item}}", format=Ticket, model="parrot", max_tokens=40, store=False
        )
        return found

    with pytest.raises(om.RowsProblem) as caught:
        ask(200)
    assert caught.value.code == "rows-mostly-failed"
    assert caught.value.facts["same"] in ("object-cut", "object-invalid")
    for row in ask(5):
        assert row["error"].startswith("object-")
        assert (row["name"], row["age"]) == (None, None)


def test_replies_are_those_of_the_rows() -> None:
    """Each row has a reply, its tokens and its seconds."""
    out = om.map([f"row {number}" for number in range(20)], "{{item}}", model="parrot", store=False)
    assert all(row["reply"] and row["tokens"] > 0 and row["seconds"] > 0 and not row["error"] for row in out)
