"""The Tab key in a cell, and an exception that is explained, with its fix as a cell."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, expect

from ollama_magics.fake_server.server import FakeServer

from .conftest import Opening
from .lab_notebook import Notebook

MODEL = "team/parrot:7b"
FIX = "`price` is a text.\n\n```python\nprice = '3'\nint(price) + 4\n```"


@pytest.fixture
def parrot() -> Iterator[FakeServer]:
    """Give a server with one model, whose name has a slash and a colon."""
    with FakeServer(delay=0) as server:
        yield server.install(MODEL).answer(FIX, when="TypeError")


def tab(notebook: Notebook, typed: str) -> Locator:
    """Type into the last cell and press Tab, as a user does; return the texts that are offered."""
    notebook.cell(3).locator(".cm-content").click()
    keyboard = notebook.page.keyboard
    keyboard.press("ControlOrMeta+a")
    keyboard.press("Delete")
    keyboard.insert_text(typed)
    keyboard.press("Tab")
    return notebook.page.locator(".jp-Completer-item .jp-Completer-match")


def test_tab_completes_models_options_and_columns(opened: Opening, parrot: FakeServer) -> None:
    """Behind a slash and a colon too, and in the body of a cell; the first one is taken."""
    notebook = opened(f"%ollama_config --base-url {parrot.url}", "df = {'text': ['a'], 'kind': ['b']}", "")
    notebook.run(1)
    notebook.run(2)
    for typed, offered, line in (
        ("%%ollama -m team/p", [MODEL], f"%%ollama -m {MODEL}"),
        ("%%ollama -m team/parrot:", [MODEL], f"%%ollama -m {MODEL}"),
        ("%%ollama --each df --lab", ["--labels"], "%%ollama --each df --labels"),
        ("%%ollama --each df\n\nWhat is {{", ["text", "kind", "df"], "What is {{text"),
    ):
        expect(tab(notebook, typed)).to_have_text(offered)
        notebook.page.locator(".jp-Completer-item.jp-mod-active").click()
        expect(notebook.cell(3).locator(".cm-line").last).to_have_text(line)
    assert {path for _, path, _ in parrot.requests} == {"/api/tags"}


def test_an_explanation_puts_its_fix_into_a_new_cell(opened: Opening, parrot: FakeServer) -> None:
    """Below, and not run."""
    notebook = opened(
        f"%ollama_config --base-url {parrot.url} --model {MODEL}", "price = '3'\nprice + 4", "%ollama_explain --next-cell"
    )
    notebook.run(1)
    notebook.run(2)
    notebook.run(3)
    expect(notebook.answer(3)).to_contain_text("price is a text.")
    expect(notebook.cell(4).locator(".cm-content")).to_have_text("price = '3'int(price) + 4")
    assert notebook.prompt(4) == "[ ]:"
