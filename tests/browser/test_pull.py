"""A download in a cell and from the form: one bar with bytes, speed and time left, which can be cancelled."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from ollama_magics.fake_server.server import FakeServer

from .conftest import Opening
from .the_form import button, fill, note

FIGURES = re.compile(r"\d+ MB of 250 MB · \d+ MB/s · [\d.]+ s left")


@pytest.fixture
def slow(server: FakeServer) -> Iterator[FakeServer]:
    """Give the stand-in, which takes seconds for a download; in the end it has the models that it began with."""
    server.delay = 0.1
    yield server
    server.endpoints.installed.delete("sandbox-mini")


def test_a_download_in_a_cell_and_from_the_form(opened: Opening, slow: FakeServer) -> None:
    """The stop button and Cancel end it, and the next one goes on there."""
    notebook = opened("%ollama_config", "%ollama_pull sandbox-mini")
    notebook.run(1)
    fill(notebook, "Model name", "sandbox-mini")
    expect(button(notebook, "Pull")).to_be_visible()
    notebook.start(2)
    expect(notebook.answer(2)).to_contain_text(FIGURES)
    notebook.interrupt()
    notebook.wait(2)
    assert "interrupted-pull" in notebook.text(2)

    button(notebook, "Pull").click()
    expect(notebook.answer(1)).to_contain_text(FIGURES)
    button(notebook, "Cancel").click()
    expect(notebook.output(1).first).to_contain_text("Cancelled; what was downloaded is kept")
    slow.delay = 0.01
    button(notebook, "Pull").click()
    expect(notebook.output(1).first).to_contain_text("sandbox-mini is installed (250 MB)")
    expect(button(notebook, "Pull")).to_have_count(0)
    expect(note(notebook, "Model name")).to_contain_text("completion")
    notebook.run(2)
    assert "already installed" in notebook.text(2)
