"""A notebook that is open in JupyterLab, as a person uses it: run, read, interrupt, save, reopen."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page

LOAD = "%reload_ext ollama_magics"  # run again, it starts afresh

# Playwright itself would wait for a script for ever.
_BEFORE = """
async values => {
    const app = window.jupyterapp, panel = app.shell.currentWidget;
    const late = new Promise((_, refuse) => setTimeout(() => refuse(new Error('not within 30 s')), 30_000));
    const work = async () => {
"""
_AFTER = """
    };
    await Promise.race([work(), late]);
}
"""
_OPEN = """
const opened = await app.commands.execute('docmanager:open', {path: values.name, factory: 'Notebook'});
await opened.context.ready;
await opened.revealed;
await opened.sessionContext.ready;
await opened.sessionContext.session.kernel.info;
"""
_START = """
panel.content.activeCellIndex = values.index;
panel.content.deselectAll();
window.runs = {...window.runs, [values.index]: app.commands.execute('notebook:run-cell')};
"""
_CLOSE = """
await panel.sessionContext.shutdown();
panel.context.model.dirty = false;
panel.dispose();
"""


class Notebook:
    """One notebook file, its page and its kernel; cells are counted from 0, and cell 0 has loaded the extension."""

    def __init__(self, page: Page, folder: Path, *cells: str) -> None:
        self.page, self.folder = page, folder
        self._name = f"{secrets.token_hex(4)}.ipynb"
        (folder / self._name).write_text(json.dumps(_notebook(LOAD, *cells)))
        self._script(_OPEN, name=self._name)
        self.run(0)

    # Cells.

    def run(self, index: int) -> None:
        """Run a cell to its end."""
        self.start(index)
        self.wait(index)

    def start(self, index: int) -> None:
        """Run a cell without waiting for its end."""
        self._script(_START, index=index)

    def wait(self, index: int) -> None:
        """Wait for the end of a cell that was started."""
        self._script("await window.runs[values.index]", index=index)

    def start_all(self) -> None:
        """Run all cells, as the menu does, without waiting for their end."""
        self._script("window.runs = {all: app.commands.execute('notebook:run-all-cells')}")

    def wait_all(self) -> None:
        """Wait for the end of what start_all began."""
        self._script("await window.runs.all")

    def cell(self, index: int) -> Locator:
        """Return the cell."""
        return self._panel.locator(".jp-Cell").nth(index)

    def prompt(self, index: int) -> str:
        """Return what stands left of a cell: ``[3]:`` once it ran, ``[*]:`` while it runs, else ``[ ]:``."""
        return self.cell(index).locator(".jp-InputPrompt").inner_text().strip()

    def output(self, index: int) -> Locator:
        """Return the outputs of a cell."""
        return self.cell(index).locator(".jp-OutputArea-output")

    def answer(self, index: int) -> Locator:
        """Return the answer of a model below a cell."""
        return self.cell(index).locator(".ollama-magics")

    def question(self, index: int) -> Locator:
        """Return the box into which a line is typed for a running cell that asks for one."""
        return self.cell(index).locator(".jp-Stdin-input")

    def text(self, index: int) -> str:
        """Return the visible text of all outputs of a cell."""
        return "\n".join(self.output(index).all_inner_texts())

    # The toolbar, the menu and the file.

    def interrupt(self) -> None:
        """Click the stop button."""
        self._panel.locator(".jp-NotebookPanel-toolbar [data-command='notebook:interrupt-kernel']").click()

    @contextmanager
    def theme(self, name: str) -> Iterator[None]:
        """Show everything in another theme."""
        before = self.page.evaluate("document.body.dataset.jpThemeName")
        self._change_theme(name)
        yield
        self._change_theme(before)

    def settle(self) -> None:
        """Wait until the browser has painted and has nothing left to do."""
        self._script("await new Promise(done => requestAnimationFrame(() => requestIdleCallback(done)))")

    def save(self) -> Any:
        """Save the notebook and return the file as it is read back."""
        self._script("await panel.context.save()")
        return json.loads((self.folder / self._name).read_text())

    def reopen(self) -> None:
        """Close the notebook with its kernel and open the file again; nothing is run."""
        self.close()
        self._script(_OPEN, name=self._name)

    def close(self) -> None:
        """End the kernel and close the notebook without a question about changes."""
        self._script(_CLOSE)

    def _change_theme(self, name: str) -> None:
        self._script("await app.commands.execute('apputils:change-theme', {theme: values.name})", name=name)
        self.page.wait_for_function("name => document.body.dataset.jpThemeName === name", arg=name)

    @property
    def _panel(self) -> Locator:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def _script(self, script: str, **values: Any) -> None:
        self.page.evaluate(f"{_BEFORE}{script}{_AFTER}", values)


def _notebook(*sources: str) -> dict[str, Any]:
    empty: dict[str, Any] = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cells = [{**empty, "id": f"cell-{number}", "source": source} for number, source in enumerate(sources)]
    kernel = {"name": "python3", "display_name": "Python 3"}
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": cells}
