"""Run chat, a picture and embeddings in a real kernel, on your Ollama or on the stand-in if there is none."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbclient
import nbconvert
import nbformat

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server.address import parse
from ollama_magics.server.client import Client, Timeouts
from ollama_magics.settings.form import DEFAULT_ADDRESS

PAGE = Path("demo.html")
CAPABILITIES = {"completion": "sandbox-chat", "vision": "sandbox-vision", "embedding": "sandbox-embed"}
CHAT = """%%ollama --once --max-tokens 150
In one short paragraph: what is a notebook, and what is it good for?"""
DRAW = """from PIL import Image, ImageDraw

picture = Image.new("RGB", (240, 240), "red")
ImageDraw.Draw(picture).ellipse((190, 20, 220, 50), fill="white")
picture"""
LOOK = """%%ollama --once --max-tokens 100 -i picture
What is the main colour of this picture? Answer in one word."""
EMBED = """sentences = [
    "The cat sleeps on the warm sofa.",
    "Interest rates rose again this spring.",
    "A kitten is sleeping on the sofa.",
    "The central bank raised interest rates in spring.",
]
vectors = %embed sentences
print("array", vectors.shape, vectors.dtype)"""
NEAREST = """similarity = vectors @ vectors.T
similarity[range(4), range(4)] = -1
first, second = divmod(int(similarity.argmax()), 4)
print("nearest pair:", sentences[first], "·", sentences[second])"""


def models_of(url: str) -> dict[str, str]:
    """Return the smallest local model of the server for each capability; raises if no Ollama answers."""
    client = Client(parse(url), Timeouts(connect=2, metadata=5))
    found: dict[str, str] = {}
    try:
        for model in sorted(client.installed(), key=lambda model: model.size):
            card = client.card(model.name) if model.is_local else None
            if card and not card.remote_host:
                found |= {
                    capability: model.name for capability in CAPABILITIES if card.can(capability) and capability not in found
                }
    finally:
        client.close()
    return found


def steps(stack: ExitStack) -> dict[str, tuple[str, str]]:
    """Return the address and the model for each capability; starts the stand-in if one is missing."""
    url = os.environ.get("OLLAMA_HOST") or DEFAULT_ADDRESS
    try:
        found = models_of(url)
        print(f"Ollama answers at {parse(url).url}.")
    except OllamaMagicsError as error:
        found = {}
        print(f"{error.what} So everything runs on the built-in stand-in, which is not a language model.")
    chosen = {capability: (parse(url).url, found[capability]) for capability in CAPABILITIES if capability in found}
    if missing := [capability for capability in CAPABILITIES if capability not in found]:
        server = stack.enter_context(FakeServer(delay=0.03))
        chosen |= {capability: (server.url, CAPABILITIES[capability]) for capability in missing}
        if found:
            print(f"No installed local model does this: {', '.join(missing)}; the stand-in runs that step.")
    return chosen


def cells(chosen: dict[str, tuple[str, str]]) -> Iterator[Any]:
    """Yield the cells of the demo notebook."""
    yield nbformat.v4.new_markdown_cell("# ollama_magics: chat, a picture, embeddings")
    yield nbformat.v4.new_code_cell("%load_ext ollama_magics")
    for capability, sources in {"completion": [CHAT], "vision": [DRAW, LOOK], "embedding": [EMBED, NEAREST]}.items():
        url, model = chosen[capability]
        flag = "--embedding-model" if capability == "embedding" else "--model"
        yield nbformat.v4.new_code_cell(f"%ollama_config --base-url {url} {flag} {model}")
        yield from map(nbformat.v4.new_code_cell, sources)


class Text(HTMLParser):
    """The text of an HTML output, a line for each block."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a new line for a block."""
        del attrs
        if tag in ("div", "p", "li", "tr", "pre"):
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.pieces.append(data)

    def __str__(self) -> str:
        return "".join(self.pieces).strip()


class Demo(nbclient.NotebookClient):
    """Run a notebook and write its outputs to the terminal as they come."""

    shown = ""

    def process_message(self, message: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Write what is new in this message, then let nbclient keep it."""
        content = message["content"]
        if message["msg_type"] == "stream":
            self._write(content["text"].strip())
        elif html := content.get("data", {}).get("text/html"):
            self._grow(str(Text(html)))
        return super().process_message(message, cell, cell_index)

    def _grow(self, text: str) -> None:
        if messages.phrase("waiting") in text.partition("\n")[0]:
            return
        if self.shown and text.startswith(self.shown):
            sys.stdout.write(text.removeprefix(self.shown))
            sys.stdout.flush()
        else:
            self._write(text)
        self.shown = text

    def _write(self, text: str) -> None:
        sys.stdout.write(f"\n{text}")
        sys.stdout.flush()


def announce(cell: Any, cell_index: int) -> None:
    """Write the cell that is about to run."""
    del cell_index
    if cell.cell_type == "code":
        print("\n\n" + "\n".join(f"  │ {line}" for line in cell.source.splitlines()), end="", flush=True)


def run(notebook: Any) -> None:
    """Execute the notebook in a real kernel, in place."""
    options: dict[str, Any] = {"timeout": 600, "kernel_name": "python3", "extra_arguments": ["--log-level=ERROR"]}
    Demo(notebook, on_cell_start=announce, **options).execute()


def main() -> int:
    """Run the demo; return 0 if every step answered."""
    with ExitStack() as stack:
        chosen = steps(stack)
        for capability, (url, model) in chosen.items():
            print(f"  {capability:11} {model} at {url}")
        notebook = nbformat.v4.new_notebook(cells=list(cells(chosen)))
        try:
            run(notebook)
        except nbclient.exceptions.CellExecutionError as error:
            print(f"\n{error.ename}\n{error.evalue}")
            return 1
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    PAGE.write_text(page, encoding="utf-8")
    print(f"\n\nThe executed notebook: {PAGE.resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
