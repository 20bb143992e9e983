"""%embed with a dask collection: the same lazy array that om.embed gives."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

from ollama_magics.errors import EmbeddingProblem, SettingError
from ollama_magics.fake_server.server import FakeServer

_FRAME = """
import dask.dataframe as dd, pandas as pd
ddf = dd.from_pandas(pd.DataFrame({"text": [f"text {number}" for number in range(6)]}), npartitions=2)
"""


@pytest.fixture
def frame(shell: Any) -> Any:
    """Give a shell with a dask frame, whose arrays are computed in this thread."""
    shell.run(_FRAME)
    with dask.config.set(scheduler="synchronous"):
        yield shell


def asked(server: FakeServer) -> list[str]:
    """Return the texts that were sent to be embedded."""
    return [text for _, path, body in server.requests if path == "/api/embed" and body for text in body["input"]]


def test_a_column_gives_a_lazy_array_and_says_nothing(frame: Any, stand_in: FakeServer) -> None:
    """Options go along; nothing is sent where they say how wide a vector is."""
    assert frame.run('vectors = %embed --dimensions 8 --batch 2 ddf["text"]') == ""
    lazy = frame.names["vectors"]
    assert isinstance(lazy, da.Array)
    assert asked(stand_in) == []
    found = lazy.compute()
    assert sorted(asked(stand_in)) == [f"text {number}" for number in range(6)]
    frame.run("plain = %embed --dimensions 8 ddf['text'].compute()")
    assert np.array_equal(found, frame.names["plain"])


def test_the_lazy_array_can_be_bound_with_an_option(frame: Any) -> None:
    """As any other."""
    frame.run("%embed -o vectors ddf['text']")
    assert frame.names["vectors"].shape[1] == 256


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("--report told ddf['text']", SettingError),
        ("--on-error skip ddf['text']", SettingError),
        ("ddf", EmbeddingProblem),
    ],
)
def test_what_a_lazy_array_cannot_follow_is_refused(frame: Any, line: str, kind: type[BaseException]) -> None:
    """There are no rows yet that could be told of."""
    error, _ = frame.fail(f"%embed {line}")
    assert isinstance(error, kind)
