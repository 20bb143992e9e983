"""What servers answer to texts that shall be embedded."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from tests.contract.conftest import Server

Refusal = Callable[[httpx.Response], tuple[int, str]]
TEXTS = ["A cat sleeps on the sofa.", "The cat is sleeping on a sofa.", "Interest rates were raised in March."]
LONG = "word " * 3000
TOO_LONG = (400, "the input length exceeds the context length")


def test_a_batch_is_answered_in_order(server: Server) -> None:
    """Each vector is that of its text alone, whatever stands beside it."""
    together = _vectors(server, TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert math.dist(vector, _vectors(server, text)[0]) < 1e-3


def test_vectors_have_length_one(server: Server) -> None:
    """To the precision of what is written."""
    assert [math.hypot(*vector) for vector in _vectors(server, TEXTS)] == pytest.approx([1, 1, 1], abs=1e-4)


def test_similar_texts_have_similar_vectors(server: Server) -> None:
    """Nearer than one about something else."""
    cat, other_cat, rates = _vectors(server, TEXTS)
    assert math.dist(cat, other_cat) < math.dist(cat, rates)
    assert math.dist(cat, other_cat) < math.dist(other_cat, rates)


def test_the_answer_is_one_json_object_with_counts(server: Server) -> None:
    """It has a charset, no line end, and the tokens of the whole batch."""
    answer = server.embed(TEXTS)
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.content.endswith(b"}")
    members = ["model", "embeddings", "total_duration", "load_duration", "prompt_eval_count"]
    assert list(answer.json()) == members
    counts = [server.embed(text).json()["prompt_eval_count"] for text in TEXTS]
    assert answer.json()["prompt_eval_count"] == sum(counts)


def test_numbers_are_the_shortest_of_their_float(server: Server) -> None:
    """No number has more digits than a 32-bit float needs, and whole ones have no point."""
    body = server.embed(TEXTS[0]).text
    numbers = body[body.index("[[") + 2 : body.index("]]")].split(",")
    assert all(_is_shortest(number) for number in numbers)


@pytest.mark.parametrize("empty", ["", [], None])
def test_nothing_gives_no_vectors(server: Server, empty: Any) -> None:
    """It only loads the model, and has no counts."""
    assert server.embed(empty).json() == {"model": server.embed_model, "embeddings": []}


def test_an_absent_input_gives_no_vectors(server: Server) -> None:
    """The same as ``null``."""
    answer = server.http.post("/api/embed", json={"model": server.embed_model})
    assert answer.json()["embeddings"] == []


def test_empty_texts_in_a_list_have_a_vector(server: Server) -> None:
    """All of them the same, with two tokens each."""
    answer = server.embed(["", " "])
    first, second = answer.json()["embeddings"]
    assert first == second
    assert answer.json()["prompt_eval_count"] == 4


@pytest.mark.parametrize("wrong", [1, True, {"a": 1}, [1], ["a", 1], [["a"]], [None]])
def test_anything_but_texts_is_refused(server: Server, refusal: Refusal, wrong: Any) -> None:
    """It is found before the model is looked for, but after a bad name."""
    assert refusal(server.embed(wrong)) == (400, "invalid input type")
    assert refusal(server.embed(wrong, model="nope")) == (400, "invalid input type")
    assert refusal(server.embed(wrong, model="a b")) == (400, "invalid model name")


@pytest.mark.parametrize("dimensions", [1, 8])
def test_dimensions_cut_and_stretch(server: Server, dimensions: int) -> None:
    """A shorter vector is the beginning of the long one, with length one again."""
    whole = _vectors(server, TEXTS[0])[0]
    cut = _vectors(server, TEXTS[0], dimensions=dimensions)[0]
    norm = math.hypot(*whole[:dimensions])
    assert cut == pytest.approx([value / norm for value in whole[:dimensions]], abs=1e-3)


@pytest.mark.parametrize("dimensions", [0, -1, 1000, None])
def test_impossible_dimensions_are_ignored(server: Server, dimensions: int | None) -> None:
    """The vector comes whole, without an error."""
    assert len(_vectors(server, "Hi", dimensions=dimensions)[0]) == len(_vectors(server, "Hi")[0])


@pytest.mark.parametrize(("dimensions", "named"), [("8", "string"), (8.5, "number 8.5"), (8.0, "number 8.0")])
def test_dimensions_are_a_whole_number(server: Server, refusal: Refusal, dimensions: Any, named: str) -> None:
    """Anything else is a wrong type."""
    text = f"json: cannot unmarshal {named} into Go struct field EmbedRequest.dimensions of type int"
    assert refusal(server.embed("Hi", dimensions=dimensions)) == (400, text)


def test_a_text_too_long_is_refused_on_request(server: Server, refusal: Refusal) -> None:
    """One is enough to refuse the batch."""
    assert refusal(server.embed(["Hi", LONG], truncate=False)) == TOO_LONG


def test_a_chat_model_may_embed_or_not(server: Server) -> None:
    """What it gives is of little worth."""
    server.check("embeddings of a chat model", server.embed("Hi", model=server.chat_model))


def test_a_text_too_long_is_cut_silently(server: Server) -> None:
    """By default; the count is then the context length of the model."""
    info = server.show(server.embed_model)["model_info"]
    context = info[f"{info['general.architecture']}.context_length"]
    answer = server.embed(LONG)
    assert answer.status_code == 200
    assert answer.json()["prompt_eval_count"] == context


def test_the_reply_repeats_the_name_as_sent(server: Server) -> None:
    """In its own case."""
    name = server.embed_model.upper()
    assert server.embed("Hi", model=name).json()["model"] == name


def test_a_lone_surrogate_does_no_harm(server: Server) -> None:
    """It becomes another character."""
    body = b'{"model":"%s","input":"\\ud800"}' % server.embed_model.encode()
    assert len(server.http.post("/api/embed", content=body).json()["embeddings"]) == 1


def _vectors(server: Server, texts: Any, **fields: Any) -> list[list[float]]:
    return list(server.embed(texts, **fields).json()["embeddings"])


def _is_shortest(number: str) -> bool:
    """Whether one digit less would be another 32-bit float."""
    digits = number.partition("e")[0].strip("-").replace(".", "").strip("0")
    value = float(number)
    shorter = float(f"{value:.{max(len(digits) - 2, 0)}e}")
    return not number.endswith(".0") and (len(digits) <= 1 or _float32(shorter) != _float32(value))


def _float32(value: float) -> bytes:
    return struct.pack("<f", value)
