"""%embed: an expression of the notebook, one array."""

from typing import Any

import numpy as np
import pytest
from IPython.core.error import UsageError

from ollama_magics.errors import EmbeddingProblem
from ollama_magics.standin import StandIn


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ('["a text", "another"]', 2),
        ('("a", "b", "c")', 3),
        ('"one string"', 1),
        ('df["text"]', 3),
        ("(word for word in 'a b c d'.split())", 4),
        ("np.array(['x', 'y'], dtype=object)", 2),
    ],
)
def test_an_expression_gives_an_array_with_a_row_for_each_text(shell: Any, expression: str, rows: int) -> None:
    """The result is a plain float32 array, in order."""
    shell.run("import numpy as np, pandas as pd\ndf = pd.DataFrame({'text': ['p', 'q', 'r']}, index=[9, 8, 7])")
    shell.run(f"vectors = %embed {expression}")
    vectors = shell.names["vectors"]
    assert type(vectors) is np.ndarray
    assert (vectors.shape, vectors.dtype) == ((rows, 256), np.float32)
    assert vectors.flags.c_contiguous


def test_texts_go_out_in_batches_and_come_back_in_order(shell: Any, stand_in: StandIn) -> None:
    """Batches of the given size; each text's vector is the one that it has alone."""
    shell.run("texts = [f'text number {i}' for i in range(10)]\nvectors = %embed --batch 4 texts\nlast = %embed texts[-1]")
    bodies = [body for _, path, body in stand_in.requests if path == "/api/embed" and body]
    sizes = [len(body["input"]) for body in bodies]
    assert sizes == [4, 4, 2, 1]
    assert np.array_equal(shell.names["vectors"][-1], shell.names["last"][0])
    assert all(body["truncate"] is False for body in bodies)


def test_the_array_can_be_bound_with_an_option(shell: Any) -> None:
    """-o binds and shows nothing."""
    assert shell.run("%embed -o vectors ['a']") == ""
    assert shell.names["vectors"].shape == (1, 256)


@pytest.mark.parametrize(
    ("expression", "rows", "told"),
    [
        ("[]", (), "nothing to embed"),
        ("['a', None, 3, float('nan')]", (1, 2, 3), "Row 1 is None"),
        ("['a', '  ']", (1,), "Row 1 is empty"),
        ("42", (), "int"),
        ("None", (), "NoneType"),
        ("{'a', 'b'}", (), "sorted"),
        ("{'a': 1}", (), "dict"),
        ("df", (), "df['text']"),
        ("np.array([['a'], ['b']])", (), "2 dimensions"),
        ("b'bytes'", (), "bytes"),
    ],
)
def test_what_is_no_list_of_texts_is_named(
    shell: Any, stand_in: StandIn, expression: str, rows: tuple[int, ...], told: str
) -> None:
    """Nothing is sent, the rows are named by position, and the variable is untouched."""
    shell.run("import numpy as np, pandas as pd\ndf = pd.DataFrame({'text': ['p'], 'n': [1]})\nvectors = 'untouched'")
    error, shown = shell.fail(f"vectors = %embed {expression}")
    assert isinstance(error, EmbeddingProblem)
    assert error.rows == rows
    assert told in shown
    assert shell.names["vectors"] == "untouched"
    assert not [path for _, path, _ in stand_in.requests if path == "/api/embed"]


def test_a_missing_expression_and_a_wrong_one_are_told_apart(shell: Any) -> None:
    """Nothing after the magic is a usage mistake; an unknown name is Python's own error."""
    assert isinstance(shell.fail("%embed")[0], UsageError)
    assert isinstance(shell.fail("%embed nowhere")[0], NameError)


def test_a_text_over_the_models_context_is_an_error(shell: Any) -> None:
    """The server is told not to cut, and its refusal names the rows of the batch."""
    error, shown = shell.fail("%embed --batch 2 ['short', 'short', 'short', 'long ' * 5000]")
    assert isinstance(error, EmbeddingProblem)
    assert error.rows == (2, 3)
    assert "rows 2 to 3" in shown
