"""The vectors of the stand-in's embedding model."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollama_magics.fake_server import embeddings

LENGTH = 256
IN_ANOTHER_PROCESS = """
from ollama_magics.fake_server import embeddings
print(embeddings.as_json(embeddings.embed("A cat on the sofa", 256)))
"""


@given(st.text())
def test_every_text_has_a_vector_of_length_one(text: str) -> None:
    """Also one without any word, as it is read from the answer."""
    assert math.hypot(*_read(embeddings.embed(text, LENGTH))) == pytest.approx(1, abs=1e-4)


@given(st.text())
def test_written_numbers_are_those_of_a_32_bit_float(text: str) -> None:
    """A reader of 32-bit floats gets exactly what was written."""
    for value in _read(embeddings.embed(text, LENGTH)):
        packed = struct.unpack("<f", struct.pack("<f", value))[0]
        assert float(f"{packed:.6g}") == value


def test_the_vector_is_the_same_in_every_process() -> None:
    """Whatever the seed of Python's own hashes."""
    command = [sys.executable, "-c", IN_ANOTHER_PROCESS]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env={"PYTHONHASHSEED": "7"})
    assert done.stdout.strip() == embeddings.as_json(embeddings.embed("A cat on the sofa", LENGTH))


@pytest.mark.parametrize(
    ("one", "like", "unlike"),
    [
        ("How do I train a neural network?", "Training of neural networks", "The soup needs more salt."),
        ("embedding", "embeddings", "sandwich"),
        ("我喜欢吃苹果", "他也喜欢吃苹果", "今天股票下跌"),
    ],
)
def test_like_texts_lie_near_each_other(one: str, like: str, unlike: str) -> None:
    """Like words and like spelling, in any script."""
    a, b, c = (embeddings.embed(text, LENGTH) for text in (one, like, unlike))
    assert math.dist(a, b) < math.dist(a, c)
    assert math.dist(a, b) < math.dist(b, c)


def test_case_and_punctuation_do_not_matter() -> None:
    """They are no words."""
    assert embeddings.embed("Hello, World!", LENGTH) == embeddings.embed("hello world", LENGTH)


def test_numbers_are_written_like_go_writes_them() -> None:
    """Without exponents, and whole ones without a point."""
    assert embeddings.as_json([1.0, 0.0, -0.5, 0.00001, 0.1234567]) == "[1,0,-0.5,0.00001,0.123457]"


def test_a_cut_vector_is_scaled() -> None:
    """To length one; more dimensions than there are change nothing."""
    whole = embeddings.unit([3.0, 4.0, 12.0])
    assert embeddings.cut(whole, 2) == pytest.approx([0.6, 0.8])
    assert embeddings.cut(whole, 3) == embeddings.cut(whole, 0) == whole


def _read(vector: list[float]) -> list[float]:
    return list(json.loads(embeddings.as_json(vector)))
