"""The question before a function runs, as a person meets it: a box of JupyterLab below the cell that is running."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import Opening
from .lab_notebook import Notebook

FUNCTION = """ran = []
def add(a: int, b: int) -> int:
    "Add two numbers."
    ran.append((a, b))
    return a + b"""
CELLS = FUNCTION, "%%ollama -m sandbox-tools -t add\nWhat is 2 plus 3?", "print(ran)"
CALL = "add(a=2, b=3)"
NOT_ALLOWED = "error: the user did not allow this call"


def asked(opened: Opening) -> Notebook:
    """Return a notebook whose cell 2 asks; the call is shown by then, and nothing has run."""
    notebook = opened(*CELLS)
    notebook.run(1)
    notebook.start(2)
    expect(notebook.question(2)).to_be_visible()
    expect(notebook.cell(2).locator(".jp-Stdin-prompt")).to_have_text(
        f"run {CALL}? [y/N/a; a: every call of add in this turn, with any arguments]"
    )
    expect(notebook.answer(2).locator("code")).to_have_text(CALL)
    return notebook


@pytest.mark.parametrize(("typed", "outcome", "ran"), [("y", "5", "[(2, 3)]"), ("n", NOT_ALLOWED, "[]")])
def test_what_is_typed_into_the_box_decides(opened: Opening, typed: str, outcome: str, ran: str) -> None:
    """Only a yes runs it; the card has what came of it, and the answer follows in the same output, also in the file."""
    notebook = asked(opened)
    notebook.question(2).fill(typed)
    notebook.question(2).press("Enter")
    notebook.wait(2)
    expect(notebook.answer(2)).to_contain_text(f"The functions returned: {outcome}")
    assert notebook.answer(2).inner_text().split("\n")[:2] == [CALL, outcome]
    notebook.run(3)
    assert notebook.text(3).strip() == ran
    answer, *_ = (output for output in notebook.save()["cells"][2]["outputs"] if "data" in output)
    assert "".join(answer["data"]["text/plain"]) == f"{CALL} → {outcome}\nThe functions returned: {outcome}"


def test_the_stop_button_at_the_question_ends_the_cell(opened: Opening) -> None:
    """With one line and no traceback; nothing runs, and the next cell works. The empty box stays: it is JupyterLab's."""
    notebook = asked(opened)
    notebook.interrupt()
    notebook.wait(2)
    expect(notebook.answer(2)).to_contain_text("error: interrupted")
    (error,) = (output for output in notebook.save()["cells"][2]["outputs"] if output["output_type"] == "error")
    (line,) = error["traceback"]
    assert line == "Interrupted; the text so far is in _ollama.  [interrupted-answer-kept]"
    assert line in notebook.text(2).splitlines()
    notebook.run(3)
    assert notebook.text(3).strip() == "[]"
