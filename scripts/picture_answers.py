"""Pictures of answers for docs/: light and dark, thinking, in columns, functions and data, rows, and in a terminal."""

import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from playwright.sync_api import Page, ViewportSize, sync_playwright
from rich.console import Console
from rich.text import Text

from ollama_magics.fake_server.server import FakeServer
from tests.browser.corpus import ANSWERS
from tests.browser.lab_notebook import Notebook
from tests.browser.lab_server import Lab
from tests.notebook.display.window import Window, left

DOCS = Path(__file__).parents[1] / "docs"
SIZE, HIGH = ViewportSize(width=900, height=700), ViewportSize(width=900, height=2000)
ANSWER = """repeat after me: The largest group is **setosa**; the two others overlap in petal width.

| species | mean | count |
|---|---:|---:|
| setosa | 0.25 | 50 |
| versicolor | 1.33 | 50 |

```python
means = df.groupby("species")["petal_width"].mean()  # one row for each
```

The spread is $s = \\sqrt{\\frac{1}{n-1} \\sum_i (x_i - \\bar x)^2}$, and a coffee costs $5 or $6. See [the manual](https://pandas.pydata.org/docs/).
"""
PLOT = """import matplotlib.pyplot as plt
figure, axes = plt.subplots(figsize=(4, 3)); axes.scatter([1, 2, 3, 4], [2, 1, 4, 3], c=[1, 2, 3, 4]); plt.close()"""
TYPES = """from dataclasses import dataclass

@dataclass
class Group:
    species: str
    petal_width: float
    is_separate: bool

def means(column: str) -> dict[str, float]:
    "Return the mean of a column for each species."
    return {"setosa": 0.25, "versicolor": 1.33, "virginica": 2.03}"""
GROUPS = """petal_width of each species; repeat after me: [{"species": "setosa", "petal_width": 0.25, "is_separate": true},
{"species": "versicolor", "petal_width": 1.33, "is_separate": false},
{"species": "virginica", "petal_width": 2.03, "is_separate": false}]"""
CELLS = (
    PLOT,
    f"%%ollama -m sandbox-chat --once\n{ANSWER}",
    "%%ollama -m sandbox-think --once\nWhich species has the widest petals?",
    "%%ollama -m sandbox-chat -m sandbox-think -m sandbox-vision\nName the largest group.",
    "%%ollama -m sandbox-vision --once -i figure\nWhat does the plot show?",
    TYPES,
    f"%%ollama -m sandbox-tools --once -t means -f list[Group]\n{GROUPS}",
)
LETTERS = """import pandas as pd
df = pd.DataFrame([(text, kind) for kind, texts in {
    "praise": ["We are happy with the new slide", "Thanks for the lessons", "A lovely place", "The showers are great"],
    "complaint": ["The lockers are broken again", "The music is far too loud", "The floor is dirty", "I had to wait for an hour"],
    "question": ["When do you open on Sundays?", "Is there a discount?", "How warm is the water?", "May I bring a ball?"],
}.items() for text in texts], columns=["text", "kind"])"""
KINDS = """kinds = {
    "praise": "thanks, happy, lovely, great",
    "complaint": "broken, dirty, too loud, wait",
    "question": "when, how, is there, may I",
}"""
ROWS = (
    f"{LETTERS}\n{KINDS}",
    "%%ollama -m sandbox-chat --each df --labels $kinds -o out\nWhat kind of letter is this?\n\n{{text}}",
    "%%ollama -m sandbox-chat -m sandbox-vision --each df --labels $kinds --truth kind -o exp\n{{text}}",
)


COMPARED = (
    "bars in formulas",
    "bars in code",
    "money",
    "Chinese",
    "Japanese",
    "label twice",
    "scripts and keys",
    "tasks",
    "Hebrew",
)
COMPARE = f"""texts = {[ANSWERS[name] for name in COMPARED]!r}
from IPython.display import HTML, Markdown
from ipywidgets import HBox, Layout, Output, VBox
from ollama_magics.render import answer, markdown

def column(title, shown):
    outputs = [Output() for _ in texts]
    for output, text in zip(outputs, texts):
        output.append_display_data(shown(text))
    head = Output()
    head.append_display_data(Markdown(f"*{{title}}*"))
    return [head, *outputs]

left = column("JupyterLab's Markdown", Markdown)
right = column("ollama_magics", lambda text: HTML(answer.answer_html(markdown.to_html(text))))
for output in (*left, *right):
    output.layout = Layout(width="48%")
VBox([HBox(row) for row in zip(left, right)])"""


def main() -> int:
    """Write the pictures; return 0."""
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, FakeServer(delay=0.005) as server, _page(home, server) as (page, folder):
        with closing(Notebook(page, folder, *CELLS)) as notebook:
            _take(notebook)
        _take_comparison(page, folder)
        with closing(Notebook(page, folder, *ROWS)) as notebook:
            _take_rows(notebook)
        _take_terminal(page, server, home)
    return 0


def _take(notebook: Notebook) -> None:
    for index in range(1, len(CELLS)):
        notebook.run(index)
    _run_and_say_yes(notebook, len(CELLS))
    notebook.answer(3).locator("summary").click()
    notebook.settle()
    _picture(notebook, 2, "chat-answer.png")
    _picture(notebook, 3, "chat-thoughts.png")
    _picture(notebook, 4, "chat-columns.png")
    _picture(notebook, 5, "chat-picture.png")
    _picture(notebook, len(CELLS), "chat-tools.png")
    with notebook.theme("JupyterLab Dark"):
        notebook.settle()
        _picture(notebook, 2, "chat-answer-dark.png")


def _take_comparison(page: Page, folder: Path) -> None:
    page.set_viewport_size(HIGH)
    with closing(Notebook(page, folder, COMPARE)) as notebook:
        notebook.run(1)
        notebook.settle()
        page.wait_for_timeout(2000)  # formulas are typeset a little later
        notebook.output(1).first.screenshot(path=DOCS / "chat-markdown.png")
    page.set_viewport_size(SIZE)


def _take_rows(notebook: Notebook) -> None:
    for index in range(1, len(ROWS) + 1):
        notebook.run(index)
    _picture(notebook, 2, "rows.png")
    _picture(notebook, 3, "experiment.png")
    with notebook.theme("JupyterLab Dark"):
        notebook.settle()
        _picture(notebook, 3, "experiment-dark.png")


def _run_and_say_yes(notebook: Notebook, index: int) -> None:
    notebook.start(index)
    notebook.question(index).fill("y")
    notebook.question(index).press("Enter")
    notebook.wait(index)


def _picture(notebook: Notebook, index: int, name: str) -> None:
    notebook.page.wait_for_timeout(500)  # formulas are typeset a little later
    shown = notebook.output(index) if "answer" in name else notebook.cell(index)  # its prompt only repeats it
    if "tools" in name:  # likewise; the question is an output of its own
        shown = shown.locator(".jp-OutputArea").first
    shown.screenshot(path=DOCS / name)


@contextmanager
def _page(home: str, server: FakeServer) -> Iterator[tuple[Page, Path]]:
    with Lab(Path(home), {"OLLAMA_HOST": server.url}) as lab, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=os.environ.get("OLLAMA_MAGICS_CHROMIUM") or shutil.which("chromium"),
            args=["--disable-gpu", "--no-sandbox"],
        )
        page = browser.new_page(viewport=SIZE)
        page.goto(lab.page)
        page.wait_for_function("() => window.jupyterapp && window.jupyterapp.restored.then(() => true)")
        page.evaluate("window.jupyterapp.commands.execute('application:toggle-left-area')")
        yield page, lab.root
        browser.close()


def _take_terminal(page: Page, server: FakeServer, home: str) -> None:
    with Window(home, server.url) as window:
        window.enter(f"answer = {ANSWER.removeprefix('repeat after me: ')!r}")
        asked = "%ollama --once -m sandbox-chat repeat after me: {{answer}}"
        written = window.enter(asked).rpartition("In [")[0]
    console = Console(record=True, width=82, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"In [2]: {asked}", style="green"))
    for line in left(written, styled=True):
        console.print(Text.from_ansi(line))
    page.set_content(console.export_svg(title="IPython"))
    page.locator("svg").screenshot(path=DOCS / "chat-terminal.png")


if __name__ == "__main__":
    sys.exit(main())
