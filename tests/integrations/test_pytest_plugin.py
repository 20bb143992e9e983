"""The pytest plugin in a project of its own: its fixtures, its options, and what it loads."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import ollama_magics
from ollama_magics.fake_server.server import FakeServer

PROJECT = """
import os
import pytest
import ollama_magics as om

def test_an_answer_by_pattern(ollama_sandbox):
    ollama_sandbox.install("llama3.2").answer("I do not know.").answer("Paris", when="capital of france")
    assert om.chat("What is the Capital of France?", model="llama3.2").text == "Paris"
    assert om.chat("What is the capital of Spain?", model="llama3.2").text == "I do not know."
    sent = ollama_sandbox.requests[-1]
    assert (sent.path, sent.body["messages"][0]["content"]) == ("/api/chat", "What is the capital of Spain?")

def test_faults(ollama_sandbox):
    om.configure(model="sandbox-chat")
    ollama_sandbox.fail(400, "we are closed", when="hello")
    with pytest.raises(om.RequestRefused, match="we are closed"):
        om.chat("Hello").text
    ollama_sandbox.cut(2)
    with pytest.raises(om.AnswerCut) as caught:
        om.chat("Hello").text
    assert caught.value.partial.text
    ollama_sandbox.refuse()
    with pytest.raises(om.ConnectionProblem):
        om.chat("Hello").text
    ollama_sandbox.start()
    assert om.chat("Hello").text

def test_settings_and_stores_are_those_of_the_test(ollama_sandbox):
    with pytest.raises(om.ModelProblem):
        om.chat("Hello").text  # the model of the test before is not set here
    for _ in range(2):
        om.embed(["a text"], model="sandbox-embed")
    assert sum(one.path == "/api/embed" for one in ollama_sandbox.requests) == 1
    assert os.listdir(os.environ["OLLAMA_MAGICS_CACHE"])
"""

RECORDED = """
import ollama_magics as om

def test_reply(ollama_recording):
    assert "“Hello”" in om.chat("Hello", model="sandbox-chat").text
"""

COUNT = """
import sys

def pytest_sessionfinish():
    print("loaded", *sorted(name for name in sys.modules if name.split(".")[0] in ("ollama_magics", "httpx", "numpy", "IPython")))
"""


def run(folder: Path, *options: str, **environment: str) -> str:
    """Run pytest with the plugin in a folder and return what it wrote; the project's own settings are not read."""
    alone = {
        "PYTHONPATH": str(Path(ollama_magics.__file__).parents[1]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_ADDOPTS": "",
    }
    variables = {**os.environ, **alone, **environment}
    plugins = ["-p", "ollama_magics.integrations.pytest_plugin", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", "--rootdir", str(folder), *plugins, *options, str(folder)]
    found = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    return found.stdout + found.stderr


def test_the_sandbox_answers_as_it_is_told_and_fails_on_request(tmp_path: Path) -> None:
    """Each test has a server, settings and stores of its own."""
    (tmp_path / "test_project.py").write_text(PROJECT)
    assert "3 passed" in (found := run(tmp_path)), found


def test_a_test_is_recorded_once_and_replayed_without_a_server(tmp_path: Path, stand_in: FakeServer) -> None:
    """What is missing is said with the line that records it."""
    (tmp_path / "test_recorded.py").write_text(RECORDED)
    assert "pytest --ollama-record 'test_recorded.py::test_reply'" in run(tmp_path)
    assert "1 passed" in run(tmp_path, "--ollama-record", OLLAMA_HOST=stand_in.url)
    assert [path.name for path in (tmp_path / "recordings").iterdir()] == ["test_recorded.test_reply.json"]
    sent = len(stand_in.requests)
    assert "1 passed" in run(tmp_path, OLLAMA_HOST="127.0.0.1:9")
    assert (sent, len(stand_in.requests)) == (4, 4)


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


def test_record_and_replay_exclude_each_other(tmp_path: Path) -> None:
    """One run does one of them."""
    assert "one of them" in run(tmp_path, "--ollama-record", "--ollama-replay")
