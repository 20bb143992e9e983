"""The readers of vectors that make no Python numbers: to the last bit what a plain reading gives, or nothing."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ollama_magics.embeddings.decoding import Decoder, Scanner

SHAPES = st.tuples(st.integers(1, 4), st.integers(40, 60))
POSITIVE = st.floats(2**-19, 1, width=32, exclude_max=True)
USUAL = st.one_of(POSITIVE, POSITIVE.map(lambda number: -number))


def written(number: np.float32) -> str:
    """Return a number as Go writes it: the fewest digits, with an exponent below 1e-6."""
    return np.format_float_positional(number, trim="-") if abs(number) >= 1e-6 else np.format_float_scientific(number, trim="-")


def answer(vectors: np.ndarray[Any, Any]) -> bytes:
    """Return what Ollama answers."""
    rows = ",".join("[" + ",".join(map(written, row)) + "]" for row in vectors)
    return f'{{"model":"m","embeddings":[{rows}],"total_duration":12,"prompt_eval_count":3}}'.encode()


def plainly(body: bytes) -> np.ndarray[Any, Any] | None:
    """Return the vectors as the standard library reads them, or None where they are none."""
    try:
        with np.errstate(over="ignore"):
            return np.array(json.loads(body)["embeddings"], np.float64).astype(np.float32)
    except (ValueError, KeyError, TypeError):
        return None


READERS = pytest.mark.parametrize("fast", [True, False], ids=["fast", "plain"])


def reader(*, fast: bool) -> Any:
    """Return the reader of the extra, which is there where tests run, or the other one."""
    return Decoder()._reader if fast else Scanner()


def scanned(body: bytes, count: int, *, fast: bool) -> np.ndarray[Any, Any] | None:
    """Return what a reader makes of an answer."""
    found: np.ndarray[Any, Any] | None = reader(fast=fast).answer(memoryview(body), count)
    return found


@READERS
@given(vectors=arrays(np.float32, SHAPES, elements=USUAL))
def test_every_bit_of_a_float32_comes_back(fast: bool, vectors: np.ndarray[Any, Any]) -> None:  # noqa: FBT001 - both ways
    """Also of numbers whose shortest decimals have three digits or fifteen."""
    found = scanned(answer(vectors), len(vectors), fast=fast)
    assert found is not None
    assert found.tobytes() == vectors.tobytes()


@READERS
def test_an_answer_of_megabytes_is_read_piece_by_piece(fast: bool) -> None:  # noqa: FBT001 - both ways
    """Numbers and vectors go on from one piece to the next, and some are too small to be written without an exponent."""
    random = np.random.default_rng(0)
    vectors = random.normal(0, 0.04, (300, 389)).astype(np.float32)
    vectors.flat[:: 389 * 7] *= np.float32(1e-6)
    body = answer(vectors)
    assert len(body) > 1_000_000
    assert b"e-0" in body
    kept = reader(fast=fast)
    for _ in range(2):
        found = kept.answer(memoryview(body), 300)
        assert found is not None
        assert found.tobytes() == vectors.tobytes()


FIXED = np.random.default_rng(1).normal(0, 0.3, (3, 40)).astype(np.float32).clip(-0.9, 0.9)


@READERS
@given(at=st.integers(0, len(answer(FIXED)) - 1), sign=st.sampled_from(b'0123456789.,-+eE[]{}" \\n'), count=st.integers(2, 4))
def test_one_wrong_sign_never_makes_a_wrong_number(fast: bool, at: int, sign: int, count: int) -> None:  # noqa: FBT001 - as above
    """The reader gives what a plain reading gives, or leaves the answer to it."""
    body = bytearray(answer(FIXED))
    body[at] = sign
    found, plain = scanned(bytes(body), count, fast=fast), plainly(bytes(body))
    if found is not None:
        assert plain is not None
        assert found.shape == plain.shape == (count, 40)
        assert found.tobytes() == plain.tobytes()


@READERS
@pytest.mark.parametrize(
    "body",
    [
        b'{"embeddings":[[0.5,0.25],[0.5]]}',
        b'{"embeddings":[[0.5],[0.5],[0.5]]}',
        b'{"embeddings":[[0.5],[0.5]],"embeddings":null}',
        b'{"x":{"embeddings":[[0.5],[0.5]]}}',
        b'{"model":"[[0.5],[0.5]]","embeddings":[[0.25],[0.25] ]}',
        b'{"embeddings":[[0.5],[0.]]}',
        b'{"embeddings":[[0.5],[00.5]]}',
        b'{"embeddings":[[[0.5],[0.5]]]}',
        b'{"embeddings":[[0.5],[0.5]]',
        b'{"data":[[0.5],[0.5]]}',
    ],
)
def test_what_is_not_the_usual_answer_is_left_to_the_plain_reading(fast: bool, body: bytes) -> None:  # noqa: FBT001 - both
    """Ragged, too many, said twice, in another place, within a text, not JSON."""
    assert scanned(body, 2, fast=fast) is None
