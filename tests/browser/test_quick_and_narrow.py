"""The form where a user clicks at once, where the window is narrow, and where it is shown again and again."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from .conftest import Opening
from .gate import Gate
from .lab_notebook import Notebook
from .lab_server import Lab
from .the_form import button, field, fill, label, note

ROUNDS = 12
WIDTHS = (900, 700, 560)
COUNT = "import ipywidgets\nprint('widgets:', len(ipywidgets.Widget.get_manager_state()['state']))"


@pytest.fixture(scope="module")
def notebook(shared: Opening) -> Notebook:
    """Give the notebook of this module."""
    return shared("%ollama_config", COUNT, "%ollama_config", "%ollama_config --sandbox")


@pytest.fixture
def saved(lab: Lab) -> Iterator[Callable[[], dict[str, Any]]]:
    """Give a function that reads the saved profile; it is gone in the end, as other notebooks would read it."""
    path = lab.profiles / "default.toml"
    yield lambda: tomllib.loads(path.read_text())["settings"]
    path.unlink(missing_ok=True)


@pytest.fixture
def window(page: Page) -> Iterator[Callable[[int], None]]:
    """Give a function that sets the width of the window, which is wide again in the end."""
    before = page.viewport_size or {"width": 1200, "height": 900}
    yield lambda width: page.set_viewport_size({"width": width, "height": before["height"]})
    page.set_viewport_size(before)


@pytest.mark.finding("C12")
def test_what_is_typed_just_before_a_click_is_checked_and_saved(
    notebook: Notebook, saved: Callable[[], dict[str, Any]], record_property: Callable[[str, object], None]
) -> None:
    """A number twice in the same field, a key, and Save with nothing between: every time."""
    notebook.run(0)
    notebook.run(1)
    fill(notebook, "Model name", "sandbox-chat")
    expect(note(notebook, "Model name")).to_contain_text("completion")
    wrong = []
    for number in range(1, ROUNDS + 1):
        length, longest = field(notebook, label("context_length")), field(notebook, label("max_tokens"))
        longest.fill(f"{number}")
        for text in (f"{number + 5000}", f"{number + 4}k"):
            length.fill(text)
            length.press("Enter")
        field(notebook, label("api_key")).fill(f"sk-{number}")
        button(notebook, "Save").click()
        expect(notebook.output(1).first).to_contain_text("key or password sent")
        expect(notebook.output(1).first).to_contain_text("saved as")
        found = saved()
        if (found["context_length"], found["max_tokens"]) != (1024 * (number + 4), number):
            wrong.append(f"round {number}: {found}")
        fill(notebook, label("context_length"), "4k")  # which takes the report away
        expect(notebook.output(1).first).not_to_contain_text("key or password sent")
    record_property("figure", f"{ROUNDS} clicks, {len(wrong)} with a dropped value")
    assert wrong == []


def _top(notebook: Notebook, name: str) -> float:
    notebook.settle()
    box = button(notebook, name).bounding_box()
    assert box is not None
    return box["y"]


@pytest.mark.finding("C12")
def test_the_buttons_stay_where_they_are_while_notes_change(notebook: Notebook, saved: Callable[[], dict[str, Any]]) -> None:
    """A note of two lines is no higher than its field: nothing moves away from the pointer."""
    notebook.run(0)
    notebook.run(1)
    fill(notebook, "Model name", "sandbox-chat")
    expect(note(notebook, "Model name")).to_contain_text("completion")
    before = _top(notebook, "Save")
    fill(notebook, label("context_length"), "15k")
    expect(note(notebook, label("context_length"))).to_contain_text("more than the model's maximum")
    assert _top(notebook, "Save") == before
    button(notebook, "Save").click()
    expect(note(notebook, label("profile"))).to_contain_text("saved in")
    assert _top(notebook, "Save") == before
    assert saved()["context_length"] == 15 * 1024


@pytest.mark.finding("C12")
@pytest.mark.parametrize("moved", [70, 400])
def test_a_button_that_moves_while_it_is_pressed_is_clicked(
    notebook: Notebook, saved: Callable[[], dict[str, Any]], moved: int
) -> None:
    """A note that grows between press and release takes the button away, but not the click."""
    notebook.run(0)
    notebook.run(1)
    fill(notebook, "Model name", "sandbox-chat")
    expect(note(notebook, "Model name")).to_contain_text("completion")
    before = _top(notebook, "Save")
    button(notebook, "Save").hover()
    notebook.page.mouse.down()
    note(notebook, label("context_length")).evaluate(f"note => note.style.height = '{moved}px'")
    assert _top(notebook, "Save") > before
    notebook.page.mouse.up()
    expect(notebook.output(1).first).to_contain_text("saved as")
    assert saved()["model"] == "sandbox-chat"


@pytest.mark.finding("C12")
def test_a_button_that_is_released_outside_of_the_form_is_not_clicked(notebook: Notebook, lab: Lab) -> None:
    """So a press can be taken back."""
    notebook.run(0)
    notebook.run(1)
    fill(notebook, "Model name", "sandbox-chat")
    expect(note(notebook, "Model name")).to_contain_text("completion")
    button(notebook, "Save").hover()
    notebook.page.mouse.down()
    notebook.cell(0).hover()
    notebook.page.mouse.up()
    button(notebook, "Check").click()
    expect(notebook.output(1).first).to_contain_text("Ask the model")
    assert not (lab.profiles / "default.toml").exists()


@pytest.mark.finding("C12")
@pytest.mark.parametrize("name", ["model", "embedding_model", "base_url", "context_length"])
def test_what_is_being_typed_stays_when_the_server_answers(opened: Opening, gate: Gate, name: str) -> None:
    """However late it answers: its models are offered without taking away the text of a field that is being filled."""
    notebook = opened("%ollama_config", f"%ollama_config --base-url {gate.host}")
    notebook.run(2)
    gate.shut()
    notebook.run(1)
    field(notebook, label(name)).fill("sandbox-c")
    gate.open()
    expect(notebook.output(1).first).to_contain_text("Installed models (5)")
    expect(field(notebook, label(name))).to_have_value("sandbox-c")
    fill(notebook, label(name), "sandbox-chat")
    expect(field(notebook, label(name))).to_have_value("sandbox-chat")


@pytest.mark.finding("C13")
def test_notes_and_errors_are_seen_in_a_narrow_window(
    notebook: Notebook, window: Callable[[int], None], record_property: Callable[[str, object], None]
) -> None:
    """Beside the field where there is room, else below it, and never outside of the cell."""
    notebook.run(0)
    notebook.run(1)
    fill(notebook, "Context length", "many")
    beside = note(notebook, "Context length")
    expect(beside).to_contain_text("A whole number of tokens is needed")
    seen = {}
    for width in WIDTHS:
        window(width)
        notebook.settle()
        text, box, cell = beside.bounding_box(), field(notebook, "Context length").bounding_box(), notebook.cell(1).bounding_box()
        assert text is not None
        assert box is not None
        assert cell is not None
        assert text["x"] + text["width"] <= cell["x"] + cell["width"] + 1, width
        assert text["width"] > 60, width
        seen[width] = "below" if text["y"] >= box["y"] + box["height"] - 1 else "beside"
    record_property("figure", ", ".join(f"{width}: {where}" for width, where in seen.items()))
    assert seen[700] == seen[560] == "below"


@pytest.mark.finding("E8")
def test_one_form_is_live_and_the_earlier_ones_are_pictures(notebook: Notebook) -> None:
    """However often it is shown, the kernel holds the widgets of one; the file holds what the others showed."""
    notebook.run(0)
    notebook.run(1)
    notebook.run(2)
    first = notebook.text(2)
    expect(field(notebook, "Model name")).to_be_visible()
    for _ in range(4):
        notebook.run(3)
        notebook.run(1)
    notebook.run(3)
    expect(notebook.output(1)).to_contain_text("A picture of the form as it was")
    expect(notebook.output(1)).to_contain_text("Context length")
    expect(notebook.cell(1).locator("input")).to_have_count(0)
    expect(notebook.cell(3).get_by_label("Model name", exact=True)).to_be_visible()
    notebook.run(2)
    assert notebook.text(2) == first
