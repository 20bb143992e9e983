"""%embed: an expression of the notebook, one array."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.error import UsageError

from ollama_magics.errors import EmbeddingProblem, ModelProblem, SettingError
from ollama_magics.fake_server.server import FakeServer


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


def test_texts_go_out_in_batches_and_come_back_in_order(shell: Any, stand_in: FakeServer) -> None:
    """Batches of the given size; each text's vector is the one that it has alone."""
    shell.run("texts = [f'text number {i}' for i in range(10)]\nvectors = %embed --batch 4 --parallel 1 texts")
    shell.run("last = %embed --no-store texts[-1]")
    bodies = [body for _, path, body in stand_in.requests if path == "/api/embed" and body]
    sizes = [len(body["input"]) for body in bodies]
    assert sizes == [4, 4, 2, 1]
    assert np.array_equal(shell.names["vectors"][-1], shell.names["last"][0])
    assert all(body["truncate"] is False for body in bodies)


def test_the_array_can_be_bound_with_an_option(shell: Any) -> None:
    """-o binds and shows nothing."""
    assert shell.run("%embed -o vectors ['a text of its own']") == ""
    assert shell.names["vectors"].shape == (1, 256)


def test_no_texts_give_an_array_without_rows(shell: Any, stand_in: FakeServer) -> None:
    """As a filter may leave none, which the cell says in one line; a cell without a text is a mistake."""
    shown = shell.run("import pandas as pd\nfound = pd.Series(['a'], dtype='string')\nvectors = %embed found[found == 'b']")
    assert shown == "There are no texts: the array has no rows.\n"
    assert (shell.names["vectors"].shape, shell.names["vectors"].dtype) == ((0, 256), np.float32)
    error, _ = shell.fail("%%embed -o vectors\n  \n")
    assert isinstance(error, EmbeddingProblem)
    assert error.code == "texts-empty"
    assert "/api/embed" not in [path for _, path, _ in stand_in.requests]


@pytest.mark.parametrize(
    ("expression", "rows", "output"),
    [
        ("['a', None, 3, float('nan')]", (1, 2, 3), "Row 1 is None"),
        ("['a', '  ']", (1,), "Row 1 is empty"),
        ("42", (), "int"),
        ("None", (), "NoneType"),
        ("{'a', 'b'}", (), "sorted"),
        ("{'a': 1}", (), "dict"),
        ("df", (), "df['text']"),
        ("np.array([['a', 'b']])", (), "2 dimensions"),
        ("b'bytes'", (), "bytes"),
    ],
)
def test_what_is_no_list_of_texts_is_named(
    shell: Any, stand_in: FakeServer, expression: str, rows: tuple[int, ...], output: str
) -> None:
    """Nothing is sent, the rows are named by position, and the variable is untouched."""
    shell.run("import numpy as np, pandas as pd\ndf = pd.DataFrame({'text': ['p'], 'n': [1]})\nvectors = 'untouched'")
    error, shown = shell.fail(f"vectors = %embed {expression}")
    assert isinstance(error, EmbeddingProblem)
    assert error.rows == rows
    assert output in shown
    assert shell.names["vectors"] == "untouched"
    assert not [path for _, path, _ in stand_in.requests if path == "/api/embed"]


def test_a_missing_expression_and_a_wrong_one_are_told_apart(shell: Any) -> None:
    """Nothing after the magic is a usage mistake; an unknown name is Python's own error, told without our own lines."""
    assert isinstance(shell.fail("%embed")[0], UsageError)
    error, shown = shell.fail("%embed nowhere")
    assert isinstance(error, NameError)
    assert "name 'nowhere' is not defined" in shown
    assert "ollama_magics" not in shown


def test_a_text_over_the_models_context_is_an_error(shell: Any) -> None:
    """The server is told not to cut; the row is found, and the others are kept."""
    error, shown = shell.fail("%embed --batch 2 ['p', 'q', 'r', 'long ' * 5000]")
    assert isinstance(error, EmbeddingProblem)
    assert error.rows == (3,)
    assert "Row 3 is too long." in shown
    assert "1 of 4 texts" in shown


def test_the_lines_of_a_cell_are_texts(shell: Any) -> None:
    """Blank ones are none."""
    assert shell.run("%%embed -o vectors\none line\n\n  another line\n") == ""
    assert shell.names["vectors"].shape == (2, 256)
    shell.run("line = %embed 'one line'")
    assert np.array_equal(shell.names["vectors"][0], shell.names["line"][0])


def test_a_name_with_a_dollar_is_taken_from_the_notebook(shell: Any) -> None:
    """As the texts, and as a value of an option."""
    shell.run("docs = ['a', 'b', 'c']\nn = 2\nvectors = %embed --batch $n $docs")
    assert shell.names["vectors"].shape == (3, 256)


def test_options_of_the_runner_take_values_of_the_notebook(shell: Any, stand_in: FakeServer) -> None:
    """As in %ollama."""
    shell.run("threads = 2")
    shell.run("x = %embed --no-store -O num_thread=$threads ['a']")
    sent = [body for _, path, body in stand_in.requests if path == "/api/embed" and body]
    assert sent[-1]["options"] == {"num_thread": 2}


@pytest.mark.parametrize("cell", ["%embed --store ['a']", "%embed --forget ['a']", "%%embed --store\na", "%%embed --lines f\na"])
def test_texts_that_would_be_left_out_are_refused(shell: Any, cell: str) -> None:
    """Nobody types them for nothing."""
    assert isinstance(shell.fail(cell)[0], UsageError)


def test_a_report_needs_a_name(shell: Any) -> None:
    """The option is named that is wrong."""
    assert "--report takes a name" in str(shell.fail("%embed --report 3x ['a']")[0])


def test_the_lines_of_a_file_are_texts(shell: Any, tmp_path: Path) -> None:
    """Each of them."""
    file = tmp_path / "texts.txt"
    file.write_text("one\ntwo\n", encoding="utf-8")
    shell.run(f'vectors = %embed --lines "{file}"')
    assert shell.names["vectors"].shape == (2, 256)
    assert isinstance(shell.fail(f"%embed --lines '{file}' texts")[0], UsageError)
    assert isinstance(shell.fail(f"%embed --lines '{file}x'")[0], EmbeddingProblem)


def test_what_was_left_out_or_cut_or_reused_is_told_and_bound(shell: Any) -> None:
    """In one line; nothing is said where nothing was."""
    shell.run("texts = ['p', None, 'q', 'long ' * 5000]")
    assert shell.run("%embed -o vectors ['p', 'q']") == ""
    shown = shell.run("%embed -o vectors --report output --on-error skip --truncate texts")
    assert shown.splitlines()[-1] == "3 rows · 2 reused · 1 cut (3) · 1 without a vector (1)"
    output = shell.names["output"]
    assert (list(output.kept), output.failed, output.truncated, output.reused) == ([0, 2, 3], (1,), (3,), 2)
    assert "3 rows, 2 reused" in repr(output)


def test_the_store_shows_its_size_and_can_be_emptied(shell: Any, stand_in: FakeServer) -> None:
    """After that every text is asked for again."""
    shell.run("%embed -o vectors ['p', 'q']")
    assert "the store holds 2 vectors" in shell.run("%embed --store")
    assert "the store holds 0 vectors" in shell.run("%embed --forget")
    stand_in.requests.clear()
    shell.run("%embed -o vectors --no-store ['p', 'q']")
    shell.run("%embed -o vectors ['p', 'q']")
    assert [path for _, path, _ in stand_in.requests].count("/api/embed") == 2


def test_several_servers_share_the_work(shell: Any, stand_in: FakeServer) -> None:
    """Only for this line; one that does not answer is left out with a word."""
    with FakeServer(delay=0) as other:
        where = f"{stand_in.url},{other.url}"
        shell.run(f"vectors = %embed --no-store --base-url {where} --batch 1 [str(i) for i in range(40)]")
        assert any(path == "/api/embed" for _, path, _ in other.requests)
    shown = shell.run(f"vectors = %embed --no-store --base-url {where} --batch 1 [str(i) for i in range(40)]")
    assert f"not using {other.url}" in shown
    assert shell.names["vectors"].shape == (40, 256)


@pytest.mark.release("0.24.0")  # newer ones refuse
def test_a_model_that_does_not_embed_is_refused_unless_it_is_wished(shell: Any) -> None:
    """Some servers give vectors of little worth then."""
    assert isinstance(shell.fail("%embed -m sandbox-chat ['a']")[0], ModelProblem)
    shell.run("vectors = %embed -m sandbox-chat --any-model ['a']")
    assert shell.names["vectors"].shape == (1, 256)


@pytest.mark.parametrize(
    ("options", "output"),
    [
        ("--on-error ignore", "raise, nan, skip"),
        ("--dimensions 300", "have 256 numbers"),
        ("-O num_thred=2", "num_thread"),
        ("--query", "sandbox-embed"),
        ("--batch 0", "at least 1"),
    ],
)
def test_a_bad_value_is_refused(shell: Any, stand_in: FakeServer, options: str, output: str) -> None:
    """Before anything is embedded."""
    error, shown = shell.fail(f"%embed {options} ['a']")
    assert isinstance(error, SettingError)
    assert output in shown
    assert not [path for _, path, _ in stand_in.requests if path == "/api/embed"]


def test_fewer_dimensions_are_asked_for(shell: Any) -> None:
    """And checked."""
    shell.run("vectors = %embed --dimensions 64 --verify ['p', 'q']")
    assert shell.names["vectors"].shape == (2, 64)


def test_a_password_in_an_address_is_refused_unless_it_comes_from_a_variable(shell: Any, stand_in: FakeServer) -> None:
    """A line stays in the history, and in the notebook."""
    where = stand_in.url.replace("//", "//ann:sesame@")
    error, shown = shell.fail(f"%embed --base-url {stand_in.url},{where} ['a']")
    assert isinstance(error, SettingError)
    assert "%embed --base-url $name" in shown
    assert "sesame" not in shown
    assert stand_in.requests == []
    shell.names["where"] = [where]
    shell.run("vectors = %embed --base-url $where ['a', '--api-key is a word of a text']")
    assert shell.names["vectors"].shape == (2, 256)


def test_trouble_with_the_store_is_said_once(shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The array comes all the same; asked for its size, the store does not claim to be empty."""
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "not kept" in shell.run("%embed -o vectors ['p', 'q']")
    assert shell.run("%embed -o vectors --report output ['p', 'q']") == ""
    assert shell.names["output"].notes
    assert shell.names["vectors"].shape == (2, 256)
    for option in ("--store", "--forget"):
        shown = shell.run(f"%embed {option}")
        assert "not kept" in shown
        assert "holds" not in shown
