"""A chat, a picture and an embedding in a plain IPython shell, to be run where only the wheel is installed."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

import ollama_magics


def main() -> None:
    """Say what each step saw; an assertion or the magic's own error ends it."""
    assert Path(ollama_magics.__file__).is_relative_to(sys.prefix), f"{ollama_magics.__file__} is not the wheel's"
    shell = InteractiveShell.instance()
    run(shell, "%load_ext ollama_magics")
    run(shell, "%ollama_config --sandbox")
    chat(shell)
    picture(shell)
    embedding(shell)


def chat(shell: InteractiveShell) -> None:
    """Ask the model for text."""
    run(shell, "%%ollama -o answer\nSay hello.")
    answer = str(shell.user_ns["answer"])
    assert answer.strip(), "the answer is empty"
    print("chat:", answer)


def picture(shell: InteractiveShell) -> None:
    """Ask the model what it sees."""
    shell.user_ns["picture"] = Image.new("RGB", (64, 48), "red")
    run(shell, "%%ollama -m sandbox-vision -i picture -o seen\nWhich colour is this?")
    seen = str(shell.user_ns["seen"])
    assert "red" in seen.lower(), f"a red picture was called {seen!r}"
    print("picture:", seen)


def embedding(shell: InteractiveShell) -> None:
    """Embed two texts."""
    run(shell, 'texts = ["a", "b"]\nx = %embed texts')
    vectors = shell.user_ns["x"]
    assert (vectors.dtype, vectors.shape) == (np.float32, (2, 256)), f"{vectors.dtype} {vectors.shape}"
    print("embedding:", vectors.dtype, vectors.shape)


def run(shell: Any, cell: str) -> None:  # IPython's methods carry no types
    """Run a cell as a notebook would; raise what it raised."""
    shell.run_cell(cell).raise_error()


if __name__ == "__main__":
    main()
