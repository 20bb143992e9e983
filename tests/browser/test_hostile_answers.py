"""Answers that would run code or call home, live in the notebook and again when its file is reopened."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Request, expect

from .conftest import Opening
from .lab_notebook import Notebook
from .lab_server import Lab

HOSTILE = """\
<script>window.canary = 'script'</script>
<img src=x onerror="window.canary = 'onerror'">
<details open ontoggle="window.canary = 'ontoggle'"><summary>open</summary></details>
<svg onload="window.canary = 'onload'"></svg>
<iframe srcdoc="<script>parent.canary = 'iframe'</script>"></iframe>
<style>body { background: url(http://leak.invalid/style) }</style>
<form action="javascript:window.canary = 'form'"><button data-target>send</button></form>

<button data-commandlinker-command="apputils:change-theme" data-commandlinker-args='{"theme": "JupyterLab Dark"}'>go</button>

[a link](javascript:window.canary='link') [data](data:text/html,<script>window.canary='data'</script>)
<javascript:window.canary='autolink'>

![a picture](http://leak.invalid/picture.png) ![another](//leak.invalid/relative.png) <img src="http://leak.invalid/img.png">

```html"onmouseover="window.canary='fence'
<script>window.canary = 'code'</script>
```

$\\href{javascript:window.canary='math'}{x}$ `<script>window.canary = 'span'</script>`

the end
"""
FORBIDDEN = (
    "script, iframe, object, embed, style, form, button, svg, img, [data-commandlinker-command], "
    "a:not([href^='http:']):not([href^='https:']):not([href^='mailto:'])"
)
HANDLERS = "answer => [...answer.querySelectorAll('*')].flatMap(e => e.getAttributeNames()).filter(name => name.startsWith('on'))"


@pytest.fixture
def escapes(page: Page, lab: Lab) -> Iterator[list[str]]:
    """Give the list of the requests to other origins."""
    found: list[str] = []

    def ask(request: Request) -> None:
        if not request.url.startswith((f"{lab.origin}/", "data:", "blob:")):
            found.append(request.url)

    page.on("request", ask)
    page.evaluate("window.canary = 'untouched'")
    yield found
    page.remove_listener("request", ask)


def poke(notebook: Notebook) -> None:
    """Do what a curious person does: point at and click on everything in the answer that may react."""
    for element in notebook.answer(1).locator("a, summary, [onclick], button, pre").all():
        element.dispatch_event("mouseover")
        element.dispatch_event("click")


def assert_harmless(notebook: Notebook, escapes: list[str]) -> None:
    """Check that the answer is there, and that nothing of it has run or can run."""
    answer = notebook.answer(1)
    expect(answer).to_contain_text("the end")
    expect(answer).to_contain_text("<script>window.canary = 'script'</script>")
    theme = notebook.page.evaluate("document.body.dataset.jpThemeName")
    poke(notebook)
    notebook.settle()
    assert answer.locator(FORBIDDEN).count() == 0
    assert answer.evaluate(HANDLERS) == []
    assert notebook.page.evaluate("window.canary") == "untouched"
    assert notebook.page.evaluate("document.body.dataset.jpThemeName") == theme
    assert escapes == []


def test_nothing_in_an_answer_runs_or_calls_home(opened: Opening, escapes: list[str]) -> None:
    """Neither while it comes, nor when it is complete, nor when the saved notebook is opened again."""
    notebook = opened(f"%%ollama -m sandbox-chat\nrepeat after me: {HOSTILE}")
    notebook.run(1)
    assert_harmless(notebook, escapes)
    notebook.save()
    notebook.reopen()
    assert_harmless(notebook, escapes)


def test_the_canary_would_notice(opened: Opening, page: Page, escapes: list[str]) -> None:
    """The same text shown as Markdown does run in JupyterLab, so that the test above means something."""
    notebook = opened(f"from IPython.display import Markdown\nMarkdown({HOSTILE!r})")
    notebook.run(1)
    page.wait_for_function("window.canary !== 'untouched'")
    notebook.settle()
    assert any("leak.invalid" in url for url in escapes)
