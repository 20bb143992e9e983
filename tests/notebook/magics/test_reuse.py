"""--reuse: the stored answer of the same request to the same model, marked; and stored only where a cell says so."""

from pathlib import Path
from typing import Any

import platformdirs
import pytest

from ollama_magics.fake_server.server import FakeServer


def asked(stand_in: FakeServer, path: str = "/api/chat") -> int:
    """Return how often the model was asked."""
    return len([one for _, one, body in stand_in.requests if one == path and body and body.get("messages") != []])


def test_the_same_request_is_answered_from_the_store_and_says_so(shell: Any, stand_in: FakeServer) -> None:
    """With the day; the first one came from the server."""
    first = shell.run("%ollama --once --reuse --seed 1 Hi")
    assert (shell.names["_ollama"].stored, "stored answer" in first) == ("", False)
    text, tokens = shell.names["_ollama"].text, shell.names["_ollama"].stats.tokens
    shell.run("%unload_ext ollama_magics\n%load_ext ollama_magics")
    shell.run(f"%ollama_config --base-url {stand_in.url} --model sandbox-chat")
    again = shell.run("%ollama --once --reuse --seed 1 Hi")
    reply = shell.names["_ollama"]
    assert asked(stand_in) == 1
    assert (reply.text, reply.stats.tokens, reply.complete) == (text, tokens, True)
    assert f"stored answer of {reply.stored}" in again
    assert "tok/s" not in again
    assert reply.stored.startswith("20")


def test_a_cell_that_does_not_say_so_neither_reads_nor_keeps_answers(shell: Any, stand_in: FakeServer) -> None:
    """An answer may be private, and a repeated question may want another answer."""
    for line in ("Hi", "--reuse Hi", "Hi"):
        shell.run(f"%ollama --once {line}")
    assert asked(stand_in) == 3
    shell.run("%ollama --once --reuse Hi")
    assert asked(stand_in) == 3


@pytest.mark.parametrize(
    "other",
    ["--seed 2 Hi", "--seed 1 Hi!", "-s Kindly. --seed 1 Hi", "-m sandbox-vision --seed 1 Hi", "-m sandbox-think --seed 1 Hi"],
)
def test_another_request_is_asked(shell: Any, stand_in: FakeServer, other: str) -> None:
    """Options, prompt, system prompt and model all count."""
    for line in ("--seed 1 Hi", other):
        shell.run(f"%ollama --once --reuse {line}")
    assert asked(stand_in) == 2


def test_earlier_turns_and_pictures_count_and_how_long_a_model_stays_does_not(shell: Any, stand_in: FakeServer) -> None:
    """What can change the answer."""
    shell.run("from PIL import Image\nred, blue = (Image.new('RGB', (9, 9), name) for name in ('red', 'blue'))")
    for line in ("-i red", "-i blue", "-i red"):
        shell.run(f"%ollama --once --reuse -m sandbox-vision {line} Which?")
    assert asked(stand_in) == 2
    for line in ("--new", "", "--new --keep-alive 5m"):
        shell.run(f"%ollama --reuse {line} Hello")
    assert asked(stand_in) == 4


def test_a_stored_answer_is_a_turn_of_the_conversation(shell: Any, stand_in: FakeServer) -> None:
    """The next prompt knows it."""
    shell.run("%ollama --once --reuse Hi")
    shell.run("%ollama --reuse Hi")
    shell.run("%ollama And now?")
    body = stand_in.requests[-1][2]
    assert body is not None
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert asked(stand_in) == 2


def test_a_cut_answer_is_not_stored(shell: Any, stand_in: FakeServer) -> None:
    """Half an answer is none."""
    stand_in.delay = 0.05
    shell.run("from ollama_magics.session.session import current\nfrom ollama_magics.conversation.prompt import Prompt")
    shell.run("with current().ask(Prompt('Tell me more', reuse=True)) as r:\n    for _ in r.chunks(): break")
    stand_in.delay = 0
    shell.run("%ollama --once --reuse Tell me more")
    assert (asked(stand_in), shell.names["_ollama"].complete) == (2, True)


def test_the_file_holds_no_prompt_in_clear(shell: Any) -> None:
    """Prompts stand there by their hash, answers as text that is compressed."""
    shell.run("%ollama --once --reuse xylophone-prompt-word")
    folder: Path = platformdirs.user_cache_path("ollama_magics", appauthor=False)
    assert b"sandbox" not in (folder / "answers.sqlite").read_bytes()
    assert b"xylophone-prompt-word" not in (folder / "answers.sqlite").read_bytes()


def test_forgetting_empties_the_store(shell: Any, stand_in: FakeServer) -> None:
    """Alone, or before a prompt."""
    shell.run("%ollama --once --reuse Hi")
    assert shell.run("%ollama --forget") == "stored answers forgotten: 1\n"
    shell.run("%ollama --once --reuse Hi")
    shell.run("%ollama --once --forget --reuse Hi")
    assert asked(stand_in) == 3


def test_a_store_that_fails_is_told_and_costs_no_answer(shell: Any, stand_in: FakeServer) -> None:
    """In one line under the answer, once."""
    folder: Path = platformdirs.user_cache_path("ollama_magics", appauthor=False)
    folder.mkdir(parents=True)
    (folder / "answers.sqlite").mkdir()
    assert "Answers are not kept" in shell.run("%ollama --once --reuse Hi")
    assert "Answers are not kept" not in shell.run("%ollama --once Hi")
    assert asked(stand_in) == 2


def test_while_exchanges_are_recorded_no_answer_is_stored(shell: Any, stand_in: FakeServer, tmp_path: Path) -> None:
    """The recording must hold all that its notebook needs."""
    shell.run("%ollama --once --reuse Hi")
    shell.run(f"%ollama_config --record {tmp_path}/r.json")
    shell.run("%ollama --once --reuse Hi")
    shell.run("%ollama --once --reuse Other")
    assert asked(stand_in) == 3
