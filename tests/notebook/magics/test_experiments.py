"""%%ollama --each with labels, a truth and several models: the experiment, what is shown of it, and bad input."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from IPython.core.error import UsageError

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer

FRAME = pd.DataFrame({"text": ["I give praise", "a complaint"], "kind": ["praise", "complaint"]})


@pytest.fixture
def ready(shell: Any, stand_in: FakeServer) -> Any:
    """Return a shell with the data and the stand-in."""
    om.configure(base_url=stand_in.url, model="sandbox-chat")
    shell.names["df"] = FRAME
    return shell


def test_labels_as_columns(ready: Any) -> None:
    """Bound to the name, in the order of the labels."""
    ready.run("%%ollama --each df --labels praise,complaint -o out\n{{text}}")
    assert list(ready.names["out"].label) == ["praise", "complaint"]
    ready.run("%%ollama --each df --labels praise,complaint --abstain 0.999 -o out\n{{text}}")
    assert ready.names["out"].label.isna().all()


def test_several_models_are_an_experiment(ready: Any) -> None:
    """It is bound, and its summary is shown once."""
    line = "--each df --labels praise,complaint --truth kind --repeat 2 -m sandbox-chat -m sandbox-tools -o exp"
    shown = ready.run(f"%%ollama {line}\n{{{{text}}}}")
    experiment = ready.names["exp"]
    assert experiment is ready.names["_ollama"]
    assert len(experiment.frame) == 8
    assert experiment.summary.accuracy.tolist() == [1, 1]
    assert shown.count("sandbox-tools") == 1
    assert "100.0% [34.2% – 100.0%]" in shown


def test_truth_alone_is_an_experiment(ready: Any) -> None:
    """Of the one model of the settings."""
    ready.run("%%ollama --each df --labels praise,complaint --truth kind -o exp\n{{text}}")
    assert ready.names["exp"].summary.model.tolist() == ["sandbox-chat"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("--each df --labels praise", "labels-invalid"),
        ("--each df --labels praise,complaint --abstain 3", "labels-invalid"),
        ("--each df --labels praise,other --truth kind", "experiment-invalid"),
        ("--each df --labels praise,complaint --truth none", "experiment-invalid"),
        ("--each df --repeat 0", "setting-invalid"),
        ("--each df --repeat 1000", "experiment-invalid"),
        ("--each df -m sandbox-chat -m sandbox-chat", "experiment-invalid"),
        ("--each df -m sandbox-chat -m missing", "model-missing"),
    ],
)
def test_bad_input_sends_nothing(ready: Any, stand_in: FakeServer, line: str, code: str) -> None:
    """Each is an error before the first row."""
    error, _ = ready.fail(f"%%ollama {line}\n{{{{text}}}}")
    assert getattr(error, "code", "") == code
    assert not [path for _, path, _ in stand_in.requests if path == "/api/chat"]


@pytest.mark.parametrize("option", ["--labels a,b", "--truth kind", "--repeat 2", "--abstain 0.5"])
def test_options_of_rows_need_rows(ready: Any, option: str) -> None:
    """Without --each they are a mistake."""
    error, shown = ready.fail(f"%%ollama {option}\na prompt")
    assert isinstance(error, UsageError)
    assert "--each" in shown
