"""Takes the pictures under docs/: the panel and a check in a real JupyterLab, both themes, both languages, on the stand-in."""

import os
import shutil
import sys
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from ollama_magics.fake_server.models import MODELS
from ollama_magics.fake_server.server import FakeServer
from tests.browser.lab_notebook import Notebook
from tests.browser.lab_server import Lab
from tests.browser.the_form import button, choose, field, fill, note, signs

DOCS = Path(__file__).parents[1] / "docs"
READY = "() => window.jupyterapp && window.jupyterapp.restored.then(() => true)"
FADED = 800  # milliseconds until the splash screen of a new theme is gone


def main() -> int:
    """Take the pictures into docs/, or into the folder that is named; return 0."""
    folder = Path(sys.argv[1]) if sys.argv[1:] else DOCS
    with ExitStack() as stack:
        server = stack.enter_context(FakeServer())
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        lab = stack.enter_context(Lab(home, {"OLLAMA_HOST": server.url}))
        browser = stack.enter_context(chromium(stack))
        page = opened(browser, lab)
        light(page, lab, folder)
        dark(page, lab, folder)
        chinese(page, lab, folder)
        report(page, lab, folder, server.url)
    return 0


def chromium(stack: ExitStack) -> Browser:
    """Return the browser of the browser tests."""
    path = shutil.which(os.environ.get("OLLAMA_MAGICS_CHROMIUM") or "chromium")
    return stack.enter_context(sync_playwright()).chromium.launch(executable_path=path, args=["--disable-gpu"])


def opened(browser: Browser, lab: Lab) -> Page:
    """Return a page with JupyterLab in it, high enough for the whole form."""
    page = browser.new_context(viewport={"width": 1280, "height": 1800}).new_page()
    page.goto(lab.page)
    page.wait_for_function(READY)
    return page


def light(page: Page, lab: Lab, folder: Path) -> None:
    """Take the form with the list of models, before anything was checked."""
    with closing(Notebook(page, lab.root, "%ollama_config")) as form:
        form.run(1)
        fill(form, "Model name", "sandbox-vision")
        expect(note(form, "Vision support")).to_have_text("detected: yes")
        button(form, f"▸ Installed models ({len(MODELS)})").click()
        expect(form.cell(1).locator("select")).to_be_visible()
        form.output(1).screenshot(path=folder / "panel-light.png")


def dark(page: Page, lab: Lab, folder: Path) -> None:
    """Take a form with contradictions, and a check that failed with what a click repairs."""
    with closing(Notebook(page, lab.root, "%ollama_config")) as form, form.theme("JupyterLab Dark"):
        form.run(1)
        fill(form, "Model name", "sandbox-vison")
        fill(form, "Upper bound for max tokens", "16k")
        button(form, "Save").click()
        expect(button(form, "Use sandbox-vision")).to_be_visible()
        page.wait_for_timeout(FADED)
        form.output(1).screenshot(path=folder / "panel-dark.png")


def chinese(page: Page, lab: Lab, folder: Path) -> None:
    """Take a form in Chinese whose model has proved what it can do."""
    with closing(Notebook(page, lab.root, "%ollama_config")) as form:
        form.run(1)
        choose(form, "Language", "中文")
        fill(form, "模型名称", "sandbox-vision")
        expect(note(form, "是否支持 Vision")).to_contain_text("检测到")
        button(form, "检查").click()
        button(form, "询问模型").click()
        expect(signs(form)).to_have_text(["✓"] * 8)
        expect(field(form, "模型名称")).to_be_visible()
        page.wait_for_timeout(FADED)
        form.output(1).screenshot(path=folder / "panel-zh.png")


def report(page: Page, lab: Lab, folder: Path, url: str) -> None:
    """Take the report of a check that fails and knows why."""
    lines = f"%ollama_config --base-url {url.replace('http', 'https')} --model sandbox-chat", "%ollama_check"
    with closing(Notebook(page, lab.root, *lines)) as notebook:
        notebook.run(1)
        notebook.run(2)
        notebook.output(2).last.screenshot(path=folder / "check-report.png")


if __name__ == "__main__":
    sys.exit(main())
