"""An exception explained by a real Ollama, and its models behind a Tab."""

from __future__ import annotations

from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter

from tests.shells import loaded_shell

from .test_real_chat import PARROT


def test_an_exception_is_explained(real_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The model reads the whole prompt, whatever braces are in it; its name is completed."""
    with loaded_shell(monkeypatch, tmp_path) as shell:
        shell.run_cell(f"%ollama_config --base-url {real_url} --model parrot --max-tokens 64")
        shell.run_cell("price = '3'\nprice + 4  # {{price}} {0} <|im_end|>", store_history=True)
        assert shell.run_cell("%ollama_explain").success
        reply = shell.user_ns["_ollama"]
        assert reply.text.strip() == PARROT
        assert reply.stats.prompt_tokens > 100
        assert "{{price}} {0}" in reply.messages[-2]["content"]
        with provisionalcompleter():
            found = [one.text for one in shell.Completer.completions("%ollama -m parr", 15)]
        assert found == ["parrot"]
