"""The pytest plugin in a project of its own: its fixtures, its options, and what it loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer

ROOT = Path(__file__).parents[2]

COUNT = """
import sys

def pytest_sessionfinish():
    print("loaded", *sorted(name for name in sys.modules if name.split(".")[0] in ("ollama_magics", "httpx", "numpy", "IPython")))
"""


def run(folder: Path, *options: str, **environment: str) -> str:
    """Run pytest with the plugin in a folder and return what it wrote; the project's own settings are not read."""
    alone = {
        "PYTHONPATH": str(ROOT),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
    }
    variables = {**os.environ, **alone, **environment}
    plugins = ["-p", "ollama_magics.integrations.pytest_plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "--rootdir", str(folder), *plugins, *options, str(folder)]
    found = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    return found.stdout + found.stderr


@pytest.mark.slow
def test_a_project_is_recorded_and_replayed_by_the_documented_commands() -> None:
    """Its tests and its notebook, as a user types them; .ci/run does the same where only the wheel is installed."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "tests/documented_workflow.py", "--named"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_plugin_loads_nothing_until_it_is_used(tmp_path: Path) -> None:
    """Projects that do not use it pay for two modules."""
    (tmp_path / "conftest.py").write_text(COUNT)
    (tmp_path / "test_nothing.py").write_text("def test_nothing(): pass")
    [loaded] = [line for line in run(tmp_path, "-s").splitlines() if "loaded" in line]
    assert loaded.split("loaded ")[1].split() == [
        "ollama_magics",
        "ollama_magics.integrations",
        "ollama_magics.integrations.pytest_plugin",
    ]


def test_an_answer_that_no_server_gives_fails_at_its_line(ollama_sandbox: Any) -> None:
    """And not as a broken connection in the call that is tested."""
    with pytest.raises(TypeError, match="an answer is a text, not NoneType"):
        ollama_sandbox.answer(None)
    for call in ({"nme": "f"}, {"name": "f", "arguments": "{}"}, {"function": {"name": "f"}}, "f"):
        with pytest.raises(TypeError, match="a call is"):
            ollama_sandbox.answer(calls=[call])
    for status in ("503", 200, 99999, 0, None, True):
        with pytest.raises(ValueError, match="a status from 400 to 599"):
            ollama_sandbox.fail(status)
    for lines in (0, -1, "3", None, 2.5):
        with pytest.raises(ValueError, match="after 1 or more lines"):
            ollama_sandbox.cut(lines)
    for times in (0, -1, "all"):
        with pytest.raises(ValueError, match="times is a number from 1"):
            ollama_sandbox.fail(503, times=times)
    with pytest.raises(TypeError, match="an error is a text"):
        ollama_sandbox.fail(503, None)
    assert om.chat("Hi", model="sandbox-chat").text  # and nothing of it holds


ALIKE = """
import pytest
import ollama_magics as om

def answer(text):
    assert f"\u201c{text}\u201d" in om.chat(text, model="sandbox-chat").text

@pytest.mark.parametrize("text", ["a/b", "a_b", "a:b", "x" * 300, "x" * 299 + "y"], ids=str)
def test_text(ollama_recording, text):
    answer(text)

class TestOne:
    def test_text(self, ollama_recording):
        answer("one")

class TestTwo:
    def test_text(self, ollama_recording):
        answer("two")

    class TestInner:
        def test_text(self, ollama_recording):
            answer("inner")
"""


def test_each_test_has_its_own_recording(tmp_path: Path, stand_in: FakeServer) -> None:
    """Also those of the same name in several classes, with parameters that no file can be called, and with long ones."""
    (tmp_path / "test_alike.py").write_text(ALIKE, encoding="utf-8")
    assert "8 passed" in run(tmp_path, "--ollama-record", OLLAMA_HOST=stand_in.url)
    assert "8 passed" in run(tmp_path, OLLAMA_HOST="127.0.0.1:1")
    names = {path.name for path in (tmp_path / "recordings").iterdir()}
    assert {"test_alike.test_text[a_b].json", "test_alike.TestTwo.TestInner.test_text.json"} <= names
    assert len(names) == 8


def test_record_and_replay_exclude_each_other(tmp_path: Path) -> None:
    """One run does one of them."""
    assert "one of them" in run(tmp_path, "--ollama-record", "--ollama-replay")
