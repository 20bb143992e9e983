"""Labels: the menu that a model sees, and the probabilities of its letters."""

import math
from collections.abc import Mapping
from enum import Enum
from typing import Any

import numpy as np
import pytest

from ollama_magics.errors import OllamaMagicsError
from ollama_magics.rows.labels import LabelSet, label_set


def answer(shares: Mapping[str, float]) -> dict[str, Any]:
    """Return the log probabilities of a first token, as a server gives them."""
    entries = [{"token": token, "logprob": math.log(share), "bytes": list(token.encode())} for token, share in shares.items()]
    return {**entries[0], "top_logprobs": entries}


def chosen(labels: LabelSet, *firsts: dict[str, Any]) -> Any:
    """Return what the labels make of these first tokens, one for each menu."""
    return labels.result(firsts)


THREE = label_set("praise, complaint, question")


def test_the_menu_names_each_label_once() -> None:
    """Letters are single characters in a fixed order; descriptions stand behind their labels."""
    menu = label_set({"praise": "the writer is happy", "complaint": ""}).menus[0]
    assert "A: praise (the writer is happy)\nB: complaint\n" in menu.text
    assert (menu.letter("praise"), menu.letter("complaint")) == ("A", "B")
    assert "I" not in label_set([str(one) for one in range(20)]).menus[0].letters


def test_probabilities_with_and_without_a_space() -> None:
    """Both spellings of a letter count; what is no letter is the mass outside."""
    found = chosen(THREE, answer({" A": 0.4, "A": 0.2, "B": 0.2, "C": 0.1, "An": 0.06, " Hello": 0.04}))
    assert found.label == "praise"
    assert found.probabilities == pytest.approx((0.6 / 0.9, 0.2 / 0.9, 0.1 / 0.9))
    assert found.none == pytest.approx(0.1)


def test_odd_entries_are_left_out() -> None:
    """Empty tokens, entries without numbers and certain tokens do no harm."""
    logprobs = answer({"A": 0.7, "B": 0.3})
    logprobs["top_logprobs"] += [{"token": "", "logprob": -0.1}, {"token": "C"}, {"token": "C", "logprob": None}, {}]
    assert chosen(THREE, logprobs).probabilities == pytest.approx((0.7, 0.3, 0))
    certain = {"token": "B", "logprob": 0.0, "top_logprobs": [{"token": "A", "logprob": -math.inf}]}
    assert chosen(THREE, certain).label == "complaint"
    beyond = {"token": "B", "logprob": math.log(0.01), "top_logprobs": [{"token": "A", "logprob": math.log(0.9)}]}
    assert chosen(THREE, beyond).probabilities == pytest.approx((0.9 / 0.91, 0.01 / 0.91, 0))


@pytest.mark.parametrize(
    ("firsts", "code"),
    [([], "labels-need-logprobs"), ([{}], "labels-need-logprobs"), ([answer({"Hello": 0.9})], "label-unknown")],
)
def test_no_label(firsts: list[dict[str, Any]], code: str) -> None:
    """An answer without probabilities, and one without a letter, are errors of the row."""
    with pytest.raises(OllamaMagicsError) as caught:
        chosen(THREE, *firsts)
    assert caught.value.code == code


def test_abstain() -> None:
    """Below the threshold the label is missing; the probabilities stay."""
    labels = label_set(["yes", "no"], abstain=0.7)
    unsure, sure = chosen(labels, answer({"A": 0.6, "B": 0.4})), chosen(labels, answer({"A": 0.7, "B": 0.3}))
    assert (unsure.label, sure.label) == (None, "yes")
    assert unsure.probabilities == pytest.approx((0.6, 0.4))


@pytest.mark.parametrize("count", [21, 40, 45, 399, 400])
def test_more_than_twenty_in_two_rounds(count: int) -> None:
    """Groups of at most 20 of about the same size; every label can win, and the probabilities sum to 1."""
    labels = label_set([f"label {number}" for number in range(count)])
    sizes = [len(menu.labels) for menu in labels.menus]
    assert sum(sizes) == count
    assert max(sizes) <= 20
    assert max(sizes) - min(sizes) <= len(sizes)
    for wanted in (0, count // 2, count - 1):
        firsts: list[dict[str, Any]] = []
        while menu := labels.next_menu(firsts):
            share = 0.1 / len(menu.letters)
            best = menu.letter(f"label {wanted}") if f"label {wanted}" in menu.labels else ""
            firsts.append(answer({letter: 0.9 if letter == best else share for letter in menu.letters}))
        found = labels.result(firsts)
        assert len(firsts) == len(labels.menus) + 1
        assert found.label == f"label {wanted}"
        assert sum(found.probabilities) == pytest.approx(1)
        assert len(found.probabilities) == count


class Kind(Enum):
    """Labels as a user may have them already."""

    PRAISE = "praise"
    OTHER = "something else"


def test_kinds_of_labels() -> None:
    """Texts, numbers, members of an Enum, arrays and dicts keep their values."""
    assert label_set(Kind).labels == (Kind.PRAISE, Kind.OTHER)
    assert "B: something else" in label_set(Kind).menus[0].text
    assert label_set([0, 1]).labels == (0, 1)
    assert label_set(np.array(["a", "b"])).labels == ("a", "b")
    assert label_set([True, False]).labels == (True, False)
    assert label_set("yes,no , maybe").labels == ("yes", "no", "maybe")


BAD: list[tuple[Any, str]] = [
    ("praise", "at least two"),
    ("", "at least two"),
    ([], "at least two"),
    (["a", "a"], "occurs twice"),
    (["a", " a"], "occurs twice"),
    ([1, "1"], "occurs twice"),
    (["a", ""], "1 to 200"),
    (["a", "b" * 201], "1 to 200"),
    ([str(one) for one in range(401)], "at most 400"),
    (7, "not int"),
    (None, "not NoneType"),
]


def test_bad_labels() -> None:
    """Each is an error before anything is sent, with the reason."""
    for given, reason in BAD:
        with pytest.raises(OllamaMagicsError, match=reason) as caught:
            label_set(given)
        assert caught.value.code == "labels-invalid", given


@pytest.mark.parametrize("threshold", ["x", -0.1, 1.1, "nan", "70%"])
def test_bad_thresholds(threshold: object) -> None:
    """A threshold is a probability."""
    with pytest.raises(OllamaMagicsError, match="0 to 1"):
        label_set(["a", "b"], abstain=threshold)
