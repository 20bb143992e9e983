"""Labels for each row of a table, through om.map: what is asked, and what stands in the columns."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Any

import pandas as pd
import pytest

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer


@pytest.fixture(autouse=True)
def server() -> Iterator[FakeServer]:
    """Answer from a stand-in, whose letters follow the words that a text shares with a label."""
    with FakeServer(delay=0) as server:
        om.configure(base_url=server.url, model="sandbox-chat")
        yield server


LABELS = {"praise": "the writer is happy", "complaint": "something is broken", "question": "asks for help"}
FRAME = pd.DataFrame({"text": ["I am happy!", "It is broken, what a complaint.", "A question: who can help?"]}, index=list("xyz"))


def test_a_label_and_probabilities_for_each_row() -> None:
    """The columns are typed, sum to 1, and stand beside the data with its index."""
    out = om.map(FRAME, "What is this message?\n\n{{text}}", labels=LABELS)
    assert list(out.columns) == ["text", "label", "p_praise", "p_complaint", "p_question", "p_none", "error", "seconds", "tokens"]
    assert list(out.index) == ["x", "y", "z"]
    assert list(out.label) == ["praise", "complaint", "question"]
    assert out[["p_praise", "p_complaint", "p_question"]].sum(axis=1).tolist() == pytest.approx([1, 1, 1])
    assert out.p_none.tolist() == pytest.approx([0.01] * 3)
    assert list(out.error) == [""] * 3
    assert list(out.tokens) == [1] * 3


def test_below_the_threshold_the_label_is_missing() -> None:
    """The probabilities stay; nothing is an error."""
    out = om.map({"text": ["nothing known", "happy"]}, "{{text}}", labels=LABELS, abstain=0.5)
    assert out["label"] == [None, "praise"]
    assert out["p_praise"][0] == pytest.approx(1 / 3)
    assert out["error"] == ["", ""]


class Stars(Enum):
    """Labels that are not texts."""

    BAD = 1
    GOOD = 2


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ("yes,no", "yes"),
        ("好，坏、中", "好"),
        (["yes", "no"], "yes"),
        (["a, b", "c"], "a, b"),
        (["👨‍👩‍👧", "😡"], "👨‍👩‍👧"),
        (["B", "A"], "B"),
        ([1, 2], 1),
        ([True, False], True),
        ({"b", "a"}, "a"),
        (Stars, Stars.BAD),
    ],
)
def test_labels_keep_their_type(labels: Any, expected: object) -> None:
    """In the column stands the label that was given."""
    assert om.map(["something"], "{{item}}", labels=labels)[0]["label"] == expected


def test_a_label_that_is_called_none() -> None:
    """It keeps its probability; the share of answers that are no label stands under another name."""
    out = om.map(pd.DataFrame({"text": ["none of it", "some"]}), "{{text}}", labels=["none", "some"])
    assert out.label.tolist() == ["none", "some"]
    assert (out.p_none + out.p_some).tolist() == pytest.approx([1, 1])
    assert out.p_none_reply.tolist() == pytest.approx([0.01] * 2)


@pytest.mark.filterwarnings("error")
def test_hundreds_of_labels_are_columns_without_a_warning() -> None:
    """Beside an index that holds a value twice; what pandas keeps about the frame stays."""
    data = pd.DataFrame({"text": ["about k299", "about k007"]}, index=["x", "x"])
    data.attrs["source"] = "letters"
    out = om.map(data, "{{text}}", labels=[f"k{number:03}" for number in range(300)])
    assert out.label.tolist() == ["k299", "k007"]
    assert out.filter(regex="^p_k").sum(axis=1).tolist() == pytest.approx([1, 1])
    assert (list(out.index), out.attrs) == (["x", "x"], {"source": "letters"})


def test_more_than_twenty_labels(server: FakeServer) -> None:
    """Two rounds: a request for each group and one among the winners."""
    labels = [f"subject{number:03}" for number in range(45)]
    om.map(["warm up"], "{{item}}", labels=labels)  # the letters of this model are known from now on
    before = len(server.requests)
    out = om.map(["This is about subject044."], "{{item}}", labels=labels, store=False)
    asked = [path for _, path, _ in server.requests[before:] if path == "/api/chat"]
    assert len(asked) == 4
    assert sum(out[0][f"p_{label}"] for label in labels) == pytest.approx(1)


def test_examples_are_turns_before_the_row(server: FakeServer) -> None:
    """Each with the letter of its label; the row comes last."""
    om.map(["row"], "{{item}}", labels=LABELS, examples=[("Thanks!", "praise"), ("Why?", "question")], system="Be strict.")
    sent = next(body for _, path, body in reversed(server.requests) if path == "/api/chat")
    assert sent
    roles = [(message["role"], message["content"]) for message in sent["messages"]]
    assert roles[0][0] == "system"
    assert roles[0][1].startswith("Be strict.\n\nChoose the label that fits best.\n\nA: praise (the writer is happy)")
    assert roles[1:] == [("user", "Thanks!"), ("assistant", "A"), ("user", "Why?"), ("assistant", "C"), ("user", "row")]
    assert (sent["logprobs"], sent["top_logprobs"], sent["options"]["num_predict"]) == (True, 20, 1)
    assert not sent.get("think")


BAD: list[tuple[dict[str, Any], str]] = [
    ({"labels": "praise"}, "labels-invalid"),
    ({"labels": ["a"] * 2}, "labels-invalid"),
    ({"labels": [str(one) for one in range(401)]}, "labels-invalid"),
    ({"labels": LABELS, "abstain": 2}, "labels-invalid"),
    ({"labels": LABELS, "examples": [("text", "unknown")]}, "labels-invalid"),
    ({"labels": LABELS, "examples": ["text"]}, "labels-invalid"),
    ({"labels": LABELS, "format": int}, "labels-invalid"),
    ({"labels": LABELS, "tools": [len]}, "labels-invalid"),
    ({"abstain": 0.5}, "labels-invalid"),
]


def test_bad_labels_send_nothing(server: FakeServer) -> None:
    """Each is an error before the first request."""
    for options, code in BAD:
        with pytest.raises(om.OllamaMagicsError) as caught:
            om.map(["text"], "{{item}}", **options)
        assert caught.value.code == code, options
    assert not server.requests
