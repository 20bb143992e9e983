"""One JupyterLab and one Chromium for all browser tests; each test has a notebook and a kernel of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from ollama_magics.fake_server.server import FakeServer

from .gate import Gate
from .lab_notebook import Notebook
from .lab_server import Lab

_QUICK = 0.005  # seconds before each token
_READY = "() => window.jupyterapp && window.jupyterapp.restored.then(() => true)"
_SECONDS = 20

Opening = Callable[..., Notebook]


@pytest.fixture(scope="package")
def server() -> Iterator[FakeServer]:
    """Give the stand-in that every kernel is pointed at."""
    with FakeServer(delay=_QUICK) as server:
        yield server


@pytest.fixture(scope="package")
def lab(server: FakeServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Give the running JupyterLab."""
    with Lab(tmp_path_factory.mktemp("lab"), {"OLLAMA_HOST": server.url}) as lab:
        yield lab


# Playwright keeps an event loop running in this thread as long as it lives; other tests want theirs, hence "package".
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Give the browser, or fail: a suite that skips these tests would say nothing about notebooks."""
    path = shutil.which(os.environ.get("OLLAMA_MAGICS_CHROMIUM") or "chromium")
    if path is None:
        pytest.fail(
            "no Chromium: set OLLAMA_MAGICS_CHROMIUM to its path, or install it (apt-get install chromium)", pytrace=False
        )
    expect.set_options(timeout=1000 * _SECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def context(browser: Browser) -> BrowserContext:
    """Give the window that all notebooks share; loading JupyterLab anew for each would take seconds."""
    return browser.new_context(viewport={"width": 1200, "height": 900})


@pytest.fixture(scope="package")
def page(context: BrowserContext, lab: Lab) -> Page:
    """Give the page with JupyterLab in it."""
    page = context.new_page()
    page.set_default_timeout(1000 * _SECONDS)
    page.goto(lab.page)
    page.wait_for_function(_READY)
    return page


@pytest.fixture
def opened(page: Page, lab: Lab, server: FakeServer) -> Iterator[Opening]:
    """Give a function that opens a notebook with the given cells below the one that loads the extension."""
    with ExitStack() as ends:
        ends.callback(setattr, server, "delay", _QUICK)
        yield lambda *cells: ends.enter_context(closing(Notebook(page, lab.root, *cells)))


@pytest.fixture(scope="module")
def shared(page: Page, lab: Lab) -> Iterator[Opening]:
    """Give the same for a notebook that all tests of a module share."""
    with ExitStack() as ends:
        yield lambda *cells: ends.enter_context(closing(Notebook(page, lab.root, *cells)))


@pytest.fixture
def gate(server: FakeServer) -> Iterator[Gate]:
    """Give a door to the stand-in that a test can shut."""
    with Gate(server.url) as gate:
        yield gate
