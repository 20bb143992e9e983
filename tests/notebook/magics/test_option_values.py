"""Values of options that look like options."""

from __future__ import annotations

from typing import Any

import pytest

from ollama_magics.fake_server.server import FakeServer

VALUES = [
    ('--stop "---"', "options.stop", ["---"]),
    ("--stop '---'", "options.stop", ["---"]),
    ("--stop ---", "options.stop", ["---"]),
    ("--stop=---", "options.stop", ["---"]),
    ("--stop -a --stop --b", "options.stop", ["-a", "--b"]),
    ('--stop "--model"', "options.stop", ["--model"]),
    ("--keep-alive -1m", "keep_alive", -1),
    ("--keep-alive=-1m", "keep_alive", -1),
    ("--keep-alive -1", "keep_alive", -1),
    ("--seed -1", "options.seed", -1),
    ("--max-tokens -2", "options.num_predict", -2),
    ("-O num_keep=-1", "options.num_keep", -1),
    ("-O seed=-5", "options.seed", -5),
    ("-s -x", "system", "-x"),
    ('-s "- be kind"', "system", "- be kind"),
    ("-s-x", "system", "-x"),
]


@pytest.mark.finding("C17")
@pytest.mark.parametrize(("typed", "wire", "value"), VALUES)
def test_a_value_that_begins_with_a_dash_is_taken(typed: str, wire: str, value: Any, shell: Any, stand_in: FakeServer) -> None:
    """Of long options, letters, numbers and texts, with a space or an equals sign, in a line and in a cell."""
    for cell in (f"%ollama --once {typed} Hi", f"%%ollama --once {typed}\nHi"):
        shell.run(cell)
        body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
        if wire == "system":
            assert (body["messages"][0]["role"], body["messages"][0]["content"]) == ("system", value)
        else:
            place, _, option = wire.rpartition(".")
            assert (body[place] if place else body)[option] == value


@pytest.mark.finding("C17")
def test_settings_and_embeddings_take_them_too(shell: Any, stand_in: FakeServer) -> None:
    """By the same reading of the line."""
    shell.run("%ollama_config --stop --- --keep-alive -1m --seed -3\n%ollama --once Hi")
    body = [body for _, path, body in stand_in.requests if path == "/api/chat" and body][-1]
    assert (body["options"]["stop"], body["keep_alive"], body["options"]["seed"]) == (["---"], -1, -3)
    shell.run("%embed --keep-alive -2m ['a']")
    assert next(body for _, path, body in reversed(stand_in.requests) if path == "/api/embed")["keep_alive"] == -1


@pytest.mark.finding("C17")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%ollama --stop --model x Hi", "put it in quotes"),
        ("%ollama --stop --model=x Hi", "put it in quotes"),
        ("%ollama --stop -- Hi", "put it in quotes"),
        ("%ollama -m -s kind Hi", "put it in quotes"),
        ("%ollama --stop", "a value is missing"),
        ("%ollama --sedd -1 Hi", "did you mean --seed?"),
    ],
)
def test_a_missing_value_is_not_filled_by_the_next_option(line: str, said: str, shell: Any) -> None:
    """It would be silently lost."""
    _, shown = shell.fail(line)
    assert said in shown
