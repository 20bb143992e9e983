"""What is seen of an answer besides its text: thoughts, thumbnails, columns, its end, and the file that is left of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import nbconvert
import pytest
from playwright.sync_api import Locator, Page, Route, expect

from ollama_magics.fake_server.server import FakeServer
from tests.notebook.display.streams import recorded, serving

from .conftest import Opening
from .test_answers import CONTRAST

PICTURES = "import numpy as np\npictures = [np.full((90, 300, 3), 17 * n, 'uint8') for n in range(14)]"
LOOK = "%%ollama -m sandbox-vision -i pictures --once --seed 3\nWhat is there to see?"
LONG = 25_500  # tokens: 107 kB


def widths(pictures: Locator) -> list[int]:
    """Return the natural widths of pictures, 0 for one that did not load."""
    found: list[int] = pictures.evaluate_all("found => found.map(picture => picture.naturalWidth)")
    return found


def test_thumbnails_and_provenance_outlive_the_kernel(opened: Opening, page: Page, tmp_path: Path) -> None:
    """Live, reopened, and in the HTML of nbconvert, twelve small pictures; the file says where the answer came from."""
    notebook = opened(PICTURES, LOOK)
    notebook.run(1)
    notebook.run(2)
    expect(notebook.answer(2)).to_contain_text("and 2 more")
    assert widths(notebook.answer(2).locator("img")) == [64] * 12
    saved = notebook.save()
    (output,) = saved["cells"][2]["outputs"]
    kept = output["metadata"]["ollama_magics"]
    assert (kept["model"], kept["server"], kept["seed"]) == ("sandbox-vision", "Ollama 0.34.4", 3)
    notebook.reopen()
    expect(notebook.answer(2).locator("img")).to_have_count(12)
    assert widths(notebook.answer(2).locator("img")) == [64] * 12
    assert_exported(page, saved, tmp_path / "exported.html")


def assert_exported(page: Page, notebook: dict[str, Any], path: Path) -> None:
    """Check that the page made by nbconvert shows the pictures and figures, and asks no one for a part of our output."""
    import nbformat  # noqa: PLC0415 - only here

    path.write_text(nbconvert.HTMLExporter().from_notebook_node(nbformat.reads(json.dumps(notebook), as_version=4))[0])
    page = page.context.new_page()

    def stop(route: Route) -> None:
        route.abort()

    page.route(re.compile("^https?:"), stop)
    page.goto(path.as_uri())
    expect(page.locator(".ollama-magics")).to_contain_text("and 2 more")
    assert widths(page.locator(".ollama-magics img")) == [64] * 12
    page.close()


def test_thoughts_are_open_while_they_come_and_folded_afterwards(opened: Opening, server: FakeServer) -> None:
    """Also when the file is opened again."""
    notebook = opened("%%ollama -m sandbox-think --once\nhello you out there in the wide wide world")
    server.delay = 0.1
    notebook.start(1)
    expect(notebook.answer(1).locator("details[open] summary")).to_have_text("thinking …")
    expect(notebook.answer(1).locator("details div")).to_be_visible()
    notebook.wait(1)
    folded = notebook.answer(1).locator("details:not([open]) summary")
    expect(folded).to_have_text(re.compile(r"^thought for \d+\.\d s$"))
    expect(notebook.answer(1).locator("details div")).to_be_hidden()
    notebook.save()
    notebook.reopen()
    expect(folded).to_have_count(1)


def test_columns_stand_side_by_side_and_wrap_where_it_is_narrow(opened: Opening, page: Page) -> None:
    """Two models, one output."""
    notebook = opened("%%ollama -m sandbox-chat -m sandbox-think\nhello")
    notebook.run(1)
    left, right = (notebook.answer(1).locator("strong", has_text=name) for name in ("sandbox-chat", "sandbox-think"))
    assert _top(left) == _top(right)
    size = page.viewport_size
    page.set_viewport_size({"width": 620, "height": 900})
    notebook.settle()
    narrow = _top(left), _top(right)
    page.set_viewport_size(size or {"width": 1200, "height": 900})
    assert narrow[0] < narrow[1]
    (output,) = notebook.save()["cells"][1]["outputs"]
    assert [kept["model"] for kept in output["metadata"]["ollama_magics"]] == ["sandbox-chat", "sandbox-think"]


def _top(place: Locator) -> float:
    box = place.bounding_box()
    assert box
    return box["y"]


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark"])
def test_columns_and_thoughts_can_be_read_in_both_themes(opened: Opening, theme: str) -> None:
    """Names, errors, figures, thoughts."""
    notebook = opened("%%ollama -m sandbox-think -m nope\nhello")
    notebook.run(1)
    notebook.answer(1).locator("summary").click()
    with notebook.theme(theme):
        contrasts = notebook.answer(1).evaluate(CONTRAST)
    assert len(contrasts) >= 6
    assert {text: round(contrast, 1) for text, contrast in contrasts.items() if contrast < 3} == {}


def test_a_long_answer_is_whole_in_the_page(opened: Opening) -> None:
    """107 kB that come faster than the page can be painted; how soon it is whole is measured by benchmarks/browser.py."""
    tokens = recorded(LONG)
    with serving(tokens, 10_000, []) as answering:
        notebook = opened(f"%ollama_config --base-url {answering.url}", "%ollama -m m --once hello")
        notebook.run(1)
        notebook.run(2)
        expect(notebook.answer(2)).to_contain_text("tok/s")
    assert notebook.answer(2).locator("h2").count() == "".join(tokens).count("## Part ")
