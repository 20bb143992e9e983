"""A long answer in JupyterLab: how soon the page holds all of it, next to showing the same answer at once."""

# OLLAMA_MAGICS_CHROMIUM=/usr/bin/chromium python -m benchmarks.browser [--tokens 25500] [--rate 2000] [--rounds 3]

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median

from playwright.sync_api import Page, sync_playwright

from benchmarks.figures import keep
from tests.browser.lab_notebook import Notebook
from tests.browser.lab_server import Lab
from tests.notebook.display.streams import recorded, serving

READY = "() => window.jupyterapp && window.jupyterapp.restored.then(() => true)"
# When the page first held a figure that stands under a complete answer only, in milliseconds since 1970.
WATCH_END = """
cell => {
    window.watch?.disconnect();
    window.ended = 0;
    window.watch = new MutationObserver(() => {
        if (!window.ended && cell.querySelector('.ollama-magics')?.textContent.includes('first after')) window.ended = Date.now();
    });
    window.watch.observe(cell, {subtree: true, childList: true, characterData: true});
}
"""
ASK = "%ollama -m m --once hello"
# Shows the last answer once more, and prints the time before.
STILL = """
import time
data, metadata = get_ipython().display_formatter.format(_ollama)
print(time.time())
display(data, metadata=metadata, raw=True)
"""


def main() -> int:
    """Print the seconds of both in each round, and the median of their ratios; return 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=25_500)
    parser.add_argument("--rate", type=float, default=2000, help="tokens a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round")
    options = parser.parse_args()
    options.rounds = 1 if options.quick else options.rounds
    tokens, sent = recorded(options.tokens), list[float]()
    print(f"{len(''.join(tokens)) / 1000:.0f} kB, {options.rate:.0f} tokens a second")
    print(f"  {'whole after the last token':>28}{'shown at once':>20}{'ratio':>8}")

    with serving(tokens, options.rate, sent) as server, page_of_lab() as (page, folder):
        cells = [f"%ollama_config --base-url {server.url}", *[ASK, STILL, STILL] * options.rounds]
        with closing(Notebook(page, folder, *cells)) as notebook:
            notebook.run(1)
            ratios = [measured(notebook, 2 + 3 * number, sent) for number in range(options.rounds)]
    print(f"Median ratio: {median(ratios):.2f}")
    keep(
        "browser",
        ["107 kB at 2,000 tokens a second", ""],
        [["page whole after the last token, times of showing it at once", f"{median(ratios):.2f}"]],
    )
    return 0


@contextmanager
def page_of_lab() -> Iterator[tuple[Page, Path]]:
    """Give a page with JupyterLab in it, and the folder of its notebooks."""
    chromium = shutil.which(os.environ.get("OLLAMA_MAGICS_CHROMIUM") or "chromium")
    with tempfile.TemporaryDirectory() as home, Lab(Path(home), {}) as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--disable-gpu"])
        page = browser.new_context(viewport={"width": 1200, "height": 900}).new_page()
        page.goto(lab.page)
        page.wait_for_function(READY)
        yield page, lab.root
        browser.close()


def measured(notebook: Notebook, cell: int, sent: list[float]) -> float:
    """Stream an answer in a cell, show it again in the next two, and return the ratio of the seconds; also print all three."""
    late = whole_at(notebook, cell) - sent[-1]
    still = min(whole_at(notebook, again) - float(notebook.output(again).first.inner_text()) for again in (cell + 1, cell + 2))
    print(f"  {late:26.2f} s{still:18.2f} s{late / still:8.2f}")
    return late / still


def whole_at(notebook: Notebook, cell: int) -> float:
    """Run a cell that shows a whole answer, and return when the page held it, in seconds since 1970."""
    notebook.settle()
    notebook.cell(cell).evaluate(WATCH_END)
    notebook.run(cell)
    notebook.page.wait_for_function("window.ended")
    return float(notebook.page.evaluate("window.ended")) / 1000


if __name__ == "__main__":
    sys.exit(main())
