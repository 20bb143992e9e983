"""Whatever is typed on a magic line is read, or refused with a usage error or an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.error import UsageError

import ollama_magics as om
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.fake_server.models import MODELS
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.notebook.arguments import read, read_named
from ollama_magics.notebook.magics import MAGICS

# pieces from which lines that nearly mean something are made
PIECES = [
    "-m", "--model", "--model=", "-f", "-O", "seed=1", "-i", "$x", "$nothere", "--", "-", "--think", "--think=high", "'", '"',
    "{{x}}", "{{", "}}", "=", "-o", "--each", "--yes", "a b", "llama3.2:1b", "hf.co/a/b:Q4", "<b>", "\x1b[2J", "\u200b",
    "--base-url", "--api-key", "--labels", "a,b", "-1", "1e999", "--no-fill", "?", "#", "%", "!", "/", "C:\\new", "\t", "\ud800",
]  # fmt: skip
LINES = st.lists(st.sampled_from(PIECES) | st.text(max_size=12), max_size=8).flatmap(
    lambda words: st.sampled_from([" ".join(words), "".join(words)])
)
INSTALLED = len(MODELS)  # of the stand-in
ALLOWED = (UsageError, OllamaMagicsError)


@pytest.mark.parametrize("name", MAGICS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=LINES)
def test_any_line_is_read_or_refused(shell: Any, name: str, line: str) -> None:
    """What is no option comes back as it was typed."""
    magic = shell.ipython.magics_manager.magics["line"][name]
    for reader in (read, read_named):
        try:
            options, rest = reader(magic, line, {"x": "value"})
        except ALLOWED:
            continue
        assert vars(options)
        assert reader is read_named or line.rstrip().endswith(rest.rstrip())


@pytest.fixture(scope="module")
def server() -> Iterator[FakeServer]:
    """Run one stand-in for all examples."""
    with FakeServer(delay=0) as running:
        yield running


@pytest.mark.parametrize("name", ["ollama_models", "ollama_show", "ollama_stop", "ollama_rm"])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(line=LINES)
def test_any_name_of_a_model_is_answered(shell: Any, server: FakeServer, name: str, line: str) -> None:
    """By the magic itself, on a server; nothing is removed without a question."""
    shell.run(f"%ollama_config --base-url {server.url}")
    with suppress(*ALLOWED):
        shell.ipython.run_line_magic(name, line.replace("--yes", ""))
    assert len(om.models()) == INSTALLED
