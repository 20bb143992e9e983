"""%load_ext never fails, whatever the environment holds; the first cell that uses it tells what is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ollama_magics.errors import OllamaMagicsError
from tests.session.test_bad_input import ENVIRONMENTS


@pytest.mark.parametrize("variables", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_loading_never_fails(bare: Any, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    """And after a fault that was said, the form still takes values."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert bare.run("%load_ext ollama_magics") == ""
    error = bare._run("%ollama_config --no-probes --base-url http://127.0.0.1:1")[1].error_in_exec
    assert error is None or isinstance(error, OllamaMagicsError)
    assert "✗" in bare.run("%ollama_check")
    bare.run("%unload_ext ollama_magics")


def test_the_last_good_profile_stays(shell: Any) -> None:
    """A line that is refused saves nothing, and neither does one with a name that leads elsewhere."""
    shell.run("%ollama_config --context 8k --save")
    folder = Path(os.environ["OLLAMA_MAGICS_CONFIG"])
    before = (folder / "default.toml").read_text()
    for line in ("--context -5 --save", "--ca-bundle /nowhere --save", "--seed 1 --save ../x", f"--model {'x' * 1000} --save"):
        error, _ = shell.fail(f"%ollama_config {line}")
        assert isinstance(error, OllamaMagicsError)
    assert (folder / "default.toml").read_text() == before
    assert sorted(path.name for path in folder.iterdir()) == [".lock", "default.toml"]
    assert not (folder.parent / "x.toml").exists()
