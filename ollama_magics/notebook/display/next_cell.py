"""A block of code offered to the person as the next cell, which nobody runs for them."""

from __future__ import annotations

import sys
from typing import Any

from ollama_magics import messages
from ollama_magics.render.markdown import markdown


def offer(text: str, shell: Any, language: str) -> None:
    """Put the first block of code of an answer into a new cell below, or the next line of a terminal, or say why not."""
    code = markdown.first_code(text)
    if code is None:
        _say("no_code", language)
    elif not _has_cells(shell):
        _say("no_next_cell", language)
    else:
        shell.set_next_input(code.rstrip("\n"))


def _has_cells(shell: Any) -> bool:
    # Who runs a notebook without a person (nbclient, papermill, nbval) says that there is nobody to ask, and drops the cell.
    if getattr(shell, "kernel", None) is None:
        return hasattr(shell, "pt_app")
    return bool((shell.get_parent() or {}).get("content", {}).get("allow_stdin"))


def _say(key: str, language: str) -> None:
    sys.stdout.write(messages.phrase(key, language) + "\n")
