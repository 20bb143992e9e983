"""Errors in Chinese are Chinese to the last clause."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ollama_magics import messages
from ollama_magics.settings import form

CELLS = [
    "%embed ['a', None, '', float('nan'), b'x', '\\ud800']",
    "%embed {1, 2}",
    "%embed 5",
    "%embed --lines /nowhere.txt",
    "%embed --batch 0 ['a']",
    "%embed --parallel 99 ['a']",
    "%embed --on-error never ['a']",
    "%embed -O num_threads=3 ['a']",
    "%embed --dimensions 9999 ['a']",
    "%embed --query --document ['a']",
    "%embed -m sandbox-chat ['a']",
    "%ollama Hello {{missing}}",
    "%ollama -i /nowhere/x.png hi",
    "%ollama -i . hi",
    "picture = b'%PDF-1.7'\n%ollama -i picture hi",
    "picture = b'<html>'\n%ollama -i picture hi",
    "picture = None\n%ollama -i picture hi",
    "picture = re\n%ollama -i picture hi",
    "picture = numpy.zeros((3, 9, 9), 'uint8')\n%ollama -i picture hi",
    "picture = numpy.full((9, 9), 300.0)\n%ollama -i picture hi",
    "%ollama -m nope hi",
    "%ollama --context -5 hi",
    "%ollama_config --temperature hot",
    "%ollama_config --base-url ftp://x",
    "%ollama_config --import nowhere.toml",
    "%ollama_history nope",
]
ENGLISH = re.compile(r"\b[A-Z]?[a-z]+ [a-z]+ [a-z]+\b")  # three words in a row
OTHERS = re.compile(r"No such file or directory|Failed to load document \(PDFium: [^)]*\)")  # words of the system and of PDFium


@pytest.mark.parametrize("cell", CELLS)
def test_an_error_in_chinese_says_nothing_in_english(shell: Any, cell: str) -> None:
    """Neither what is wrong nor how we know; commands are commands in every language."""
    shell.run("import re, numpy\n%ollama_config --language zh")
    error, _ = shell.fail(cell)
    what, why = error.lines()[:2]
    assert re.search("[\u4e00-\u9fff]", what)
    assert not ENGLISH.search(OTHERS.sub("", f"{what} {why}"))


def test_the_table_of_settings_is_chinese_and_aligned(shell: Any) -> None:
    """Labels, sources and choices, the latter with the word that is typed; Chinese characters take two columns."""
    shell.run("%ollama_config --language zh --tools yes")
    lines = [line for line in shell.run("%ollama_config --show").splitlines() if re.search("[一-鿿]", line)]
    assert len(lines) == len(form.names()) + 2
    assert any("是（yes）" in line for line in lines)
    starts = {messages.terminal_width(line[: line.rindex("  ")]) for line in lines}
    assert len(starts) == 1
