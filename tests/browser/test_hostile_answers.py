"""Texts that would run code or call home, wherever a text of others is shown, live and again when the file is reopened."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, Route, expect

from tests.faults import FaultServer, fine

from .conftest import Opening
from .lab_notebook import Notebook
from .lab_server import Lab
from .payloads import PAYLOADS, Telling, answers, calls, data, refusals

FORBIDDEN = (
    "script, iframe, object, embed, style, form, button, svg, img, video, audio, link, meta, base, input, math, "
    "[data-commandlinker-command], a:not([href^='http:']):not([href^='https:']):not([href^='mailto:'])"
)
HANDLERS = "cell => [...cell.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(name => name.startsWith('on'))"
# Not ours: MathJax draws with elements of its own, and JupyterLab makes links of what looks like an address or a path in a text.
INSIDE = """
(outputs, forbidden) => [...outputs.querySelectorAll(forbidden)]
    .filter(e => !e.closest('mjx-container, .jp-OutputArea-promptOverlay'))
    .filter(e => !(e.localName == 'a' && e.closest('.jp-RenderedText')))
    .map(e => e.outerHTML)
"""
POKE = """
outputs => {
    for (const e of outputs.querySelectorAll('.jp-OutputArea-output *')) {
        e.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}));
        if (!e.closest('a[href^="http"], .jp-RenderedText a')) e.dispatchEvent(new MouseEvent('click', {bubbles: true}));
    }
}
"""

PREPARE = f"""payloads = {PAYLOADS!r}
rows = list[dict[str, str]]
ask = lambda line: get_ipython().run_line_magic('ollama', '--once ' + line)
def add(a: int): ...
def echo(text: str): return text
def fail(text: str): raise ValueError(text)
"""
SAFELY = "    try: ask('{line}')\n    except Exception: get_ipython().showtraceback()\n"
# Where a text of others is shown: what the server answers, and the cell that shows all of them.
WAYS: dict[str, tuple[Callable[[], Iterator[bytes]], str]] = {
    "answers and thoughts": (answers, "for _ in payloads: ask('-m m hello')"),
    "plain answers": (answers, "for _ in payloads: ask('--raw -m m hello')"),
    "model names": (answers, f"for name in payloads:\n{SAFELY.format(line='-m $name hello')}"),
    "names of columns": (answers, f"for name in payloads:\n{SAFELY.format(line='-m $name -m m hello')}"),
    "errors": (refusals, f"for _ in payloads:\n{SAFELY.format(line='-m m hello')}"),
    "errors of columns": (refusals, f"for name in payloads:\n{SAFELY.format(line='-m $name -m nobody hello')}"),
    "calls and results of functions": (calls, "for _ in payloads: ask('-m m --yes -t echo -t fail -t add hello')"),
    "rows and broken data": (
        data,
        f"for _ in payloads:\n{SAFELY.format(line='-m m -f rows hello')}{SAFELY.format(line='-m m -f json hello')}",
    ),
}


@pytest.fixture
def escapes(page: Page, lab: Lab) -> Iterator[list[str]]:
    """Give the list of the requests to other origins, none of which leaves."""
    found: list[str] = []

    def stop(route: Route) -> None:
        found.append(route.request.url)
        route.abort()

    def is_foreign(url: str) -> bool:
        return not url.startswith((f"{lab.origin}/", f"ws{lab.origin[4:]}/", "data:", "blob:"))

    page.context.route(is_foreign, stop)
    page.evaluate("window.canary = 'untouched'")
    yield found
    page.context.unroute(is_foreign, stop)


def assert_harmless(notebook: Notebook, index: int, escapes: list[str]) -> None:
    """Check that nothing of the output has run or can run, and that nothing was asked of anybody."""
    theme = notebook.page.evaluate("document.body.dataset.jpThemeName")
    outputs = notebook.cell(index).locator(".jp-OutputArea")
    outputs.evaluate(POKE)  # what a curious person does: point at everything, and click on what does not lead to the web
    notebook.settle()
    assert outputs.evaluate(INSIDE, FORBIDDEN) == []
    assert outputs.evaluate(HANDLERS) == []
    assert notebook.page.evaluate("window.canary") == "untouched"
    assert notebook.page.evaluate("document.body.dataset.jpThemeName") == theme
    assert escapes == []


def test_there_are_enough_payloads() -> None:
    """At least forty, none twice."""
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 40


@pytest.mark.parametrize("way", WAYS)
def test_nothing_of_others_runs_or_calls_home(opened: Opening, escapes: list[str], way: str) -> None:
    """Neither while it comes, nor when it is complete, nor when the saved notebook is opened again."""
    printed, cell = WAYS[way]
    with FaultServer(fine(chat=[Telling(printed())])) as answering:
        notebook = opened(f"%ollama_config --base-url {answering.url}\n{PREPARE}", cell)
        notebook.run(1)
        notebook.run(2)
    last = notebook.cell(2).locator(".jp-OutputArea-child").last
    expect(last).to_be_attached()
    count = notebook.cell(2).locator(".jp-OutputArea-child").count()
    assert count >= (1 if way == "plain answers" else len(PAYLOADS))
    assert_harmless(notebook, 2, escapes)
    notebook.save()
    notebook.reopen()
    expect(notebook.cell(2).locator(".jp-OutputArea-child")).to_have_count(count)
    assert_harmless(notebook, 2, escapes)


def test_the_canary_would_notice(opened: Opening, page: Page, escapes: list[str]) -> None:
    """The same texts shown as Markdown do run in JupyterLab, so that the tests above mean something."""
    shown = [text for text in PAYLOADS if "refresh" not in text and "jupyterapp" not in text]  # which would end the page
    notebook = opened(f"from IPython.display import Markdown, display\nfor text in {shown!r}: display(Markdown(text))")
    notebook.run(1)
    page.wait_for_function("window.canary !== 'untouched'")
    notebook.settle()
    assert any("leak.invalid" in url for url in escapes)
