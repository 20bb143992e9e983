"""A refused line with a secret: what IPython remembers of it afterwards, in memory and on the disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.canary import KEPT_KEY, KEY

PLAIN = KEY.replace("-", "")  # of no form that is known
SAFE = (  # what only looks like a secret
    "%ollama_config --base-url http://127.0.0.1:11434/ --proxy none --max-tokens 20",
    "%ollama_config --api-key-env OLLAMA_KEY_2",
    '%ollama_config --system "write to ada@example.org: a token, please"',
    "%ollama --once Why is http://u:p@host refused, and what is --api-key abc?",
    "%ollama --once -s 'mail ada@example.org' Which key: sk-0123456789?",
    "%%ollama --once\npassword = 'abc'",
    "%%ollama --once -f {'password': 'str', 'token': 'str'}\nHi",
    "%embed ['http://u:p@host']",
)

CELLS = {
    "a line": f"%ollama_config --api-key {KEY}",
    "a line among others": f"a = 1\n%ollama_config --seed 7 --api-key='{KEY}'  \nb = 2",
    "a value": f"x = %ollama_config --proxy http://me:{KEY}@host:1",
    "a header": f'%ollama_config --headers "X-Token: {KEY}"',
    "both quotes": f"""%ollama_config --system "it's" --api-key "{KEY}" """,
    # mistyped
    "another option": f"%ollama_config --key {PLAIN}",
    "an underscore": f"%ollama_config --api_key={PLAIN}",
    "a letter missing": f"%ollama_config --api-ky {PLAIN} --show",
    "a dash": f"%ollama_config —api-key {PLAIN}",
    "no dash": f"%ollama_config api-key {PLAIN}",
    "another one of an address": f"%ollama_config --base_url http://u:{PLAIN}@h",
    "a space": f"%ollama_config --base-url http://u:pw {PLAIN}@h",
    "a space behind a number": f"%ollama_config --base-url http://u:12 {PLAIN}@h --seed 7",
    "no scheme": f"%ollama_config --base-ulr u:{PLAIN}@h",
    "a profile": f"%ollama_config --profile http://u:{PLAIN}@h",
    "a user": f"%ollama_config --base-url http://{PLAIN}@h",
    "a header of another name": f'%ollama_config --header "X-Token: {PLAIN}"',
    "a system prompt": f'%ollama_config --system "my key {KEY}"',
    # of other magics
    "rows": f"%%ollama --each ['a'] --base-url http://u:{PLAIN}@h\n{{{{item}}}}",
    "a system prompt of a cell": f'%%ollama -s "my key {KEY}"\nHi',
    "a picture": f"%ollama --allow-url -i https://u:{PLAIN}@h/a.png What?",
    "a signed picture": f"%ollama --allow-url -i https://h/a.png?sig={PLAIN} What?",
    "a key of a prompt": f"%ollama --api-key {PLAIN} Hi",
    "vectors": f"%embed --base-url http://u:{PLAIN}@h ['a']",
    "vectors and a space": f"%embed --base-url http://u:pw {PLAIN}@h ['a']",
    "a model": f"%ollama_pull https://u:{PLAIN}@hf.co/a/b",
    "a check": f"%ollama_check --api-key {PLAIN}",
    "an explanation": f"%ollama_explain --token {PLAIN}",
    "a conversation": f"%ollama_history --password {PLAIN}",
}


def texts_of(shell: Any) -> Iterator[str]:
    """Yield all that IPython keeps of what was typed."""
    history = shell.ipython.history_manager
    yield from (*history.input_hist_raw, *history.input_hist_parsed, *map(str, history.db_input_cache))
    yield from (str(getattr(history, name)) for name in ("_i00", "_i", "_ii", "_iii"))
    yield from (str(value) for name, value in shell.names.items() if name.startswith("_i") or name in ("In", "_ih"))


def files_of(shell: Any) -> bytes:
    """Return all that IPython has on the disk."""
    shell.ipython.history_manager.writeout_cache()
    return b"".join(path.read_bytes() for path in Path(os.environ["IPYTHONDIR"]).rglob("*") if path.is_file())


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_refused_line_leaves_the_history(shell: Any, cell: str) -> None:
    """The error says what remains to do; other lines of the cell, and other cells, stay."""
    shell.ipython.run_cell("before = 'api-key'", store_history=True)
    shell.ipython.history_manager.writeout_cache()
    result = shell.ipython.run_cell(cell, store_history=True)
    error = result.error_in_exec
    assert error.code == "secret-on-line"
    assert error.how_we_know == (
        "The line stays in the notebook; it was removed from IPython's history, and its values were not used."
    )
    assert not [text for text in (str(error), *texts_of(shell)) if KEY in text or PLAIN in text]
    found = files_of(shell)
    assert KEY.encode() not in found
    assert PLAIN.encode() not in found
    assert b"before = 'api-key'" in found
    assert "••••" in shell.names["In"][-1]
    shell.ipython.run_cell("after = 1", store_history=True)
    assert KEY not in shell.names["_i"] + shell.names["_ii"]


def test_a_line_without_a_secret_is_not_refused(shell: Any) -> None:
    """An address, a variable or the name of an option is none, and a prompt may speak of keys."""
    for cell in SAFE:
        error = shell.ipython.run_cell(cell, store_history=True).error_in_exec
        assert getattr(error, "code", "") != "secret-on-line", cell
        assert "••••" not in shell.names["In"][-1]
    error = shell.ipython.run_cell(f"%ollama_config --api-key-env {PLAIN}0a1b2c3d", store_history=True).error_in_exec
    assert error.code == "setting-invalid"
    assert not [text for text in (str(error), *texts_of(shell)) if PLAIN in text]


def test_a_malformed_header_is_explained_and_leaves_the_history_too(shell: Any) -> None:
    """It may be a secret whose colon was forgotten."""
    result = shell.ipython.run_cell(f'%ollama_config --headers "X-Token {KEY}"', store_history=True)
    error = result.error_in_exec
    assert error.code == "setting-invalid"
    assert error.how_we_know.startswith("A header is its name, a colon and $")
    assert "removed from IPython's history" in error.how_we_know
    assert not [text for text in texts_of(shell) if KEY in text]


def test_a_line_that_was_written_already_is_taken_out_of_the_file(shell: Any) -> None:
    """IPython's own thread may have been faster."""
    cell = f"%ollama_config --api-key {KEY}"
    shell.ipython.history_manager.store_inputs(99, cell)
    assert KEY.encode() in files_of(shell)
    shell.ipython.run_cell(cell, store_history=True)
    assert KEY.encode() not in files_of(shell)


def test_a_line_in_pieces_is_said_to_stay(shell: Any) -> None:
    """What cannot be found cannot be taken out, and nothing else is claimed."""
    error = shell.ipython.run_cell(f"%ollama_config --seed 7 \\\n --api-key {KEPT_KEY}", store_history=True).error_in_exec
    assert "and in IPython's history" in error.how_we_know
    shell.ipython.history_manager.reset()


def test_a_shell_without_a_file_of_past_sessions_has_no_trace_either(shell: Any) -> None:
    """Whoever switched it off."""
    shell.ipython.history_manager.enabled = False
    error = shell.ipython.run_cell(f"%ollama_config --api-key {KEY}", store_history=True).error_in_exec
    assert "removed from IPython's history" in error.how_we_know
    assert not [text for text in texts_of(shell) if KEY in text]
