"""A shell in this process with the extension loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

import ollama_magics


@contextmanager
def loaded_shell(monkeypatch: pytest.MonkeyPatch, ipython_dir: Path) -> Iterator[Any]:
    """Yield a new shell without history that has loaded the extension, and unload it at the end."""
    monkeypatch.setenv("IPYTHONDIR", str(ipython_dir))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)  # of the shell that started the tests, about which IPython would warn
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(config=Config(HistoryManager={"enabled": False}))
    ollama_magics.load_ipython_extension(shell)
    yield shell
    ollama_magics.unload_ipython_extension(shell)
    InteractiveShell.clear_instance()
