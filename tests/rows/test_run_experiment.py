"""An experiment on the stand-in: what is asked in which order, what is kept, and what is wrong before the first request."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, TypedDict

import pandas as pd
import pytest

import ollama_magics as om
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.rows.options import RowOptions
from ollama_magics.rows.progress import RowsView
from ollama_magics.rows.run_experiment import PINNED, ExperimentPlan, Step, run_experiment
from ollama_magics.settings import form
from tests.shells import loaded_shell

LABELS = {"praise": "the writer is happy", "complaint": "something is broken"}
FRAME = pd.DataFrame({"text": ["I am happy!", "It is broken.", "Happy, not broken: fine"], "kind": ["praise", "complaint", None]})
MODELS = ["sandbox-chat", "sandbox-tools"]
PROMPTS = {"short": "{{text}}", "long": "What is this?\n\n{{text}}"}


@pytest.fixture(autouse=True)
def server() -> Iterator[FakeServer]:
    """Answer from a stand-in."""
    with FakeServer(delay=0) as server:
        om.configure(base_url=server.url)
        yield server


def asked(server: FakeServer) -> list[dict[str, Any]]:
    """Return the requests for rows."""
    return [body for _, path, body in server.requests if path == "/api/chat" and body]


def test_each_model_prompt_and_repeat(server: FakeServer) -> None:
    """Model by model, so that each is loaded once; the frame has a line for each, the summary one for each model and prompt."""
    found = om.experiment(FRAME, PROMPTS, models=MODELS, labels=LABELS, truth="kind", repeat=2)
    requests = asked(server)
    assert len(requests) == 3 * 2 * 2 * 2
    computed = [body["model"] for _, path, body in server.requests if path in ("/api/chat", "/api/generate") and body]
    assert [model for model, _ in itertools.groupby(name.split(":")[0] for name in computed)] == MODELS  # as often as loaded
    assert found.frame.groupby(["model", "prompt", "repeat"], sort=False).size().to_dict() == {
        (model, prompt, repeat): 3 for model in MODELS for prompt in PROMPTS for repeat in (0, 1)
    }
    summary = found.summary
    assert len(summary) == 4
    assert summary.accuracy.tolist() == [1] * 4
    assert summary.answered.tolist() == [6] * 4
    assert found.compare("sandbox-chat", "sandbox-tools", "short").rows == 2
    assert set(found.facts["models"]) == {f"{name}:latest" for name in MODELS} or set(found.facts["models"]) == set(MODELS)


def test_every_sampling_option_is_sent_and_recorded(server: FakeServer) -> None:
    """With the value of the cell, the settings or the model's file, else a fixed one; each repeat has its own seed."""
    om.configure(top_k=7)
    found = om.experiment(FRAME, PROMPTS["short"], models=MODELS[:1], repeat=2, temperature=0.5, seed=11, options={"min_p": 0.2})
    sent = [one["options"] for one in asked(server)]
    assert all(set(PINNED) | {"num_ctx", "num_predict", "seed"} <= set(one) for one in sent)
    assert {(one["temperature"], one["top_k"], one["min_p"], one["repeat_penalty"]) for one in sent} == {(0.5, 7, 0.2, 1.0)}
    assert sorted({one["seed"] for one in sent}) == [11, 12]
    assert found.facts["options"]["sandbox-chat · prompt · 1"]["seed"] == 12


def test_what_is_left_out_of_a_row_is_said_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a warning in Python, below the figures in a cell, and in the file that is saved: not once for each model."""
    rows = [list(range(1000)), "short"]
    with pytest.warns(UserWarning, match="20 of 1.000 items") as caught:
        found = om.experiment(rows, "{{item}}", models=MODELS)
    assert len(caught) == len(found.facts["notes"]) == 1
    with loaded_shell(monkeypatch, tmp_path) as shell:
        shell.user_ns["rows"] = rows
        shell.run_cell("%%ollama --each rows -m sandbox-chat -m sandbox-tools -o found\n{{item}}").raise_error()
    assert len(re.findall("20 of 1.000 items", capsys.readouterr().out)) == 1


class Fields(TypedDict):
    """What is read from a message."""

    kind: Literal["praise", "complaint"]
    words: int


def test_a_field_is_compared_with_the_column_of_its_name() -> None:
    """Free answers are compared as they are; fields with the truth by name."""
    found = om.experiment(FRAME, "Read {{text}}", models=MODELS, format=Fields, truth="kind")
    assert found.summary.accuracy.tolist() == [0.5, 0.5]
    assert list(found.confusion("sandbox-chat").columns) == ["complaint", "praise"]
    replies = om.experiment(FRAME, "repeat after me: {{kind}}", models=MODELS[:1], truth="kind", sample=2)
    assert replies.summary.accuracy.tolist() == [1]


class Sign(Enum):
    """Labels that are not texts."""

    GOOD = "happy"
    BAD = "broken"


TRUTHS: list[tuple[Any, Any]] = [
    (LABELS, ["praise", "complaint", "praise"]),
    (LABELS, pd.Categorical(["praise", "complaint", None])),
    ({1: "happy", 2: "broken"}, [1, 2, None]),  # which pandas makes floats of
    ({"1": "happy", "2": "broken"}, [1, 2, None]),
    ({"1": "happy", "2": "broken"}, [1, 2, 1]),
    ({1.0: "happy", 2.0: "broken"}, [1, 2, 1]),
    ({True: "happy", False: "broken"}, [1, 0, 1]),
    ({True: "happy", False: "broken"}, [True, False, True]),
    (Sign, [Sign.GOOD, Sign.BAD, None]),
    (Sign, ["happy", "broken", None]),
]


@pytest.mark.parametrize(("labels", "truth"), TRUTHS)
def test_the_truth_is_compared_with_labels_of_any_kind(labels: Any, truth: Any, tmp_path: Path) -> None:
    """By value or by text; and a file keeps all of it."""
    frame = FRAME[:2].assign(kind=truth[:2]) if None not in list(truth) else FRAME.assign(kind=truth)
    found = om.experiment(frame, "{{text}}", models=MODELS[:1], labels=labels, truth="kind")
    assert found.summary.accuracy.tolist() == [1]
    found.save(tmp_path / "found.json")
    again = om.Experiment.load(tmp_path / "found.json")
    pd.testing.assert_frame_equal(again.summary, found.summary)
    assert again.reliability() == found.reliability()
    assert again.confusion().to_numpy().tolist() == found.confusion().to_numpy().tolist() == [[1, 0], [0, 1]]


def test_numbers_are_the_truth_of_texts() -> None:
    """A reply is a text, a column of numbers is not, and holds floats where a value is missing."""
    frame = pd.DataFrame({"text": ["3", "4", "5"], "count": [3, None, 6]})
    found = om.experiment(frame, "repeat after me: {{text}}", models=MODELS[:1], truth="count")
    assert found.summary.accuracy.tolist() == [0.5]


class Clash(TypedDict):
    """Fields that are called like the columns of an experiment."""

    model: Literal["x"]
    row: int
    error: str
    truth: bool


def test_fields_that_are_called_like_columns_of_the_experiment() -> None:
    """They get another name, as they do beside the data of om.map."""
    frame = pd.DataFrame({"text": ["a", "b"], "model": ["x", "y"]})
    found = om.experiment(frame, "{{text}}", models=MODELS, format=Clash, truth="model")
    assert found.summary.model.tolist() == MODELS
    assert found.summary.accuracy.tolist() == [0.5, 0.5]
    assert found.frame.row.tolist() == [0, 1, 0, 1]
    assert found.frame.model_reply.tolist() == ["x"] * 4
    assert {"row_reply", "error_reply", "truth_reply"} <= set(found.frame.columns)
    assert found.frame.error.tolist() == [""] * 4


def test_an_interrupted_experiment_asks_only_for_the_rest(server: FakeServer) -> None:
    """All jobs of it stay unfinished until the last one is; then everything is asked anew."""

    def make() -> om.Experiment:
        return om.experiment(FRAME, PROMPTS, models=MODELS, labels=LABELS, parallel=1)

    session = form.shared().session
    assert session
    steps: list[str] = []

    def stop(step: Step, view: RowsView) -> None:
        if step.model == MODELS[1] and view.state.done == 1:
            steps.append(step.model)
            raise KeyboardInterrupt

    plan, options = ExperimentPlan(MODELS, PROMPTS), RowOptions(labels=LABELS, parallel=1)
    server.delay = 0.2  # longer than between two looks at the job
    with pytest.raises(om.Interrupted) as caught:
        run_experiment(session, FRAME, plan, Prompt("", once=True), {}, options=options, watch=stop)
    server.delay = 0
    assert len(caught.value.partial.frame) == 6
    before = len(asked(server))
    assert 7 <= before <= 8
    make()
    assert len(asked(server)) in (12, 13)  # the row in flight is asked again
    done = len(asked(server))
    make()
    assert len(asked(server)) == done + 12


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"prompts": {}}, "experiment-invalid", "no prompt"),
    ({"prompts": ["{{text}}"]}, "experiment-invalid", "not list"),
    ({"prompts": {"a": 5}}, "experiment-invalid", "not int"),
    ({"models": ["sandbox-chat", "sandbox-chat:latest"]}, "experiment-invalid", "twice"),
    ({"repeat": "x"}, "experiment-invalid", "1 to 100"),
    ({"repeat": 2.5}, "experiment-invalid", "1 to 100"),
    ({"models": ["sandbox-chat", "sandbox-chat"]}, "experiment-invalid", "twice"),
    ({"repeat": 0}, "experiment-invalid", "1 to 100"),
    ({"repeat": 101}, "experiment-invalid", "1 to 100"),
    ({"truth": "none"}, "experiment-invalid", "no column none"),
    ({"labels": ["praise", "other"], "truth": "kind"}, "experiment-invalid", "'complaint'"),
    ({"models": ["sandbox-chat", "missing"]}, "model-missing", "missing"),
    ({"prompts": {"good": "{{text}}", "bad": "{{nothing}}"}}, "column-unknown", "nothing"),
    ({"labels": ["praise"]}, "labels-invalid", "two"),
    ({"data": FRAME[:0]}, "rows-missing", "empty"),
    ({"data": pd.concat([FRAME, FRAME[["kind"]]], axis=1), "truth": "kind"}, "column-twice", "kind"),
]


def test_bad_experiments_send_nothing(server: FakeServer) -> None:
    """Each is an error before the first row is asked."""
    for changes, code, words in BAD:
        given: dict[str, Any] = {"data": FRAME, "prompts": PROMPTS, "models": MODELS, **changes}
        with pytest.raises(om.OllamaMagicsError, match=words) as caught:
            om.experiment(given.pop("data"), given.pop("prompts"), **given)
        assert caught.value.code == code, changes
    assert not asked(server)
