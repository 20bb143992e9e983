"""Conversations from the cells of a notebook: by name, shown, exported, emptied, gone on with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from ollama_magics.errors import PromptProblem
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.settings import form


def lengths(stand_in: FakeServer) -> list[int]:
    """Return how many messages each chat had."""
    return [len(body["messages"]) for _, path, body in stand_in.requests if path == "/api/chat" and body]


def test_a_named_conversation_has_its_own_memory(shell: Any, stand_in: FakeServer) -> None:
    """And its own system prompt."""
    for line in ("one", "--chat poems -s 'Rhyme.' two", "--chat poems three", "four"):
        shell.run(f"%ollama {line}")
    assert lengths(stand_in) == [1, 2, 4, 3]


def test_the_history_shows_the_turns(shell: Any) -> None:
    """As text in a terminal and as HTML in a notebook; what a person or a model wrote is shown letter by letter."""
    shell.run("%ollama <b>one</b>")
    shell.run("%ollama --max-tokens 2 two")
    shell.run("%ollama --chat poems three")
    shown = shell.run("%ollama_history")
    assert "1  <b>one</b>" in shown
    assert "2  two" in shown
    assert "(cut)" in shown
    assert "others: poems" in shown
    stats = form.shared().session.conversation_named("").stats
    assert f"{stats.prompt_tokens} tokens read in the prompts, {stats.tokens} written in the answers" in shown
    assert stats.tokens > 2
    page = shell.ipython.run_line_magic("ollama_history", "")._repr_html_()
    assert "&lt;b&gt;one&lt;/b&gt;" in page
    assert "<b>" not in page
    assert "three" in shell.run("%ollama_history poems")
    assert "no turns yet" in shell.run("%ollama_history --clear\n%ollama_history")


def test_the_history_is_exported_as_messages(shell: Any) -> None:
    """What the model knows: the system prompt, then the whole turns; the name may stand before or after the option."""
    shell.run("%ollama --chat poems -s Rhyme. two")
    for line in ("poems --export", "--export poems", "--export 'poems'"):
        shell.run(f"messages = %ollama_history {line}")
        messages = shell.names["messages"]
        assert [message["role"] for message in messages] == ["system", "user", "assistant"]
        assert messages[1] == {"role": "user", "content": "two"}
        assert messages[2]["content"] == shell.names["_ollama"].text
    shell.run("messages = %ollama_history --export")
    assert shell.names["messages"] == []


def test_a_history_is_emptied(shell: Any, stand_in: FakeServer) -> None:
    """The one that is named, and no other."""
    shell.run("%ollama one")
    shell.run("%ollama --chat poems two")
    assert "(1)" in shell.run("%ollama_history poems --clear")
    shell.run("%ollama --chat poems three")
    shell.run("%ollama four")
    assert lengths(stand_in) == [1, 1, 1, 3]


def test_an_unknown_history_is_an_error(shell: Any) -> None:
    """With the nearest name; two names are too many."""
    shell.run("%ollama --chat poems two")
    error, shown = shell.fail("%ollama_history poem")
    assert isinstance(error, PromptProblem)
    assert "poems" in shown
    error, shown = shell.fail("%ollama_history poems prose")
    assert isinstance(error, UsageError)


def test_a_cut_answer_goes_on(shell: Any) -> None:
    """An empty cell is enough; the reply is bound whole."""
    shell.run("%ollama --max-tokens 4 never stop")
    shell.run("%%ollama -o whole --continue --max-tokens 2")
    assert shell.names["whole"].text.split() == ["and", "on"] * 3
    shell.run("%%ollama --continue --max-tokens 2 -o whole\n")
    assert shell.names["whole"].text.split() == ["and", "on"] * 4
    error, shown = shell.fail("%ollama --continue never start")
    assert (type(error), "continue-with-prompt" in shown) == (PromptProblem, True)


def test_a_strict_cell_that_is_too_long_is_refused_with_numbers(shell: Any, stand_in: FakeServer) -> None:
    """Instead of losing its oldest turns; without the option they are left out, which is said."""
    for _ in range(4):
        shell.run("%ollama " + "word " * 60)
    _, shown = shell.fail("%ollama --strict --context 256 And now?")
    assert "With 4 earlier turns it has about" in shown
    assert "[conversation-too-long]" in shown
    assert len(lengths(stand_in)) == 4
    assert "the start of the conversation was left out to fit" in shell.run("%ollama --context 256 And now?")


@pytest.mark.parametrize(
    "line",
    ["--once --new", "--once --chat a", "--continue --new", "--continue --once", "--generate --new", "--suffix x --chat a"],
)
def test_options_that_contradict_each_other_are_refused(shell: Any, stand_in: FakeServer, line: str) -> None:
    """Nothing is sent."""
    error, shown = shell.fail(f"%ollama {line} hi")
    assert isinstance(error, UsageError)
    assert "contradict" in shown
    assert lengths(stand_in) == []


def test_a_prompt_can_be_completed_instead(shell: Any, stand_in: FakeServer) -> None:
    """By /api/generate, for this cell."""
    shell.run("%ollama --generate Once upon a time")
    assert [path for _, path, _ in stand_in.requests][-1] == "/api/generate"
    shell.run("%ollama hello")
    assert lengths(stand_in) == [1]


def test_logprobs_take_a_number_after_their_sign(shell: Any, stand_in: FakeServer) -> None:
    """Without it the next word belongs to the prompt."""
    shell.run("%ollama --logprobs=3 hi")
    shell.run("%ollama --logprobs 3 little words")
    bodies = [body for _, path, body in stand_in.requests if path == "/api/chat" and body]
    assert [body.get("top_logprobs") for body in bodies] == [3, None]
    assert bodies[1]["messages"][-1]["content"] == "3 little words"


@pytest.mark.finding("B14")
def test_dropped_turns_come_back(shell: Any, stand_in: FakeServer) -> None:
    """After --new and --clear, one step after the other; the model gets them again."""
    for number in range(3):
        shell.run(f"%ollama number {number}")
    shell.run("%ollama --new anew")
    assert "turns that came back: 3; turns removed for them: 1" in shell.run("%ollama_history --undo")
    shell.run("%ollama_history --clear")
    assert "turns that came back: 3" in shell.run("%ollama_history --undo")
    shell.run("%ollama and now?")
    assert lengths(stand_in)[-1] == 7
    error, shown = shell.fail("%ollama_history --undo")
    assert error.code == "nothing-to-undo"
    assert "--chats" in shown


@pytest.mark.finding("B14")
def test_conversations_are_listed(shell: Any) -> None:
    """With their turns and last prompts."""
    shell.run("%ollama one")
    shell.run("%ollama --chat poems two")
    shell.run("%ollama --chat poems three")
    assert "(without a name)  1  one\npoems  2  three" in shell.run("%ollama_history --chats")


def test_a_conversation_is_saved_and_loaded(shell: Any, stand_in: FakeServer, tmp_path: Path) -> None:
    """By name too; a failed load changes nothing, and one that replaced turns can be undone."""
    shell.run(f"file = {str(tmp_path / 'my chat.json')!r}")
    shell.run("%ollama --chat poems one")
    shell.run("%ollama --chat poems two")
    assert "my chat.json: 2" in shell.run("%ollama_history poems --save $file")
    assert "turns loaded: 2" in shell.run(f"%ollama_history --load '{tmp_path / 'my chat.json'}'")
    shell.run("%ollama three")
    assert lengths(stand_in)[-1] == 5
    assert "to bring back those that were here (3)" in shell.run("%ollama_history --load $file")
    error, shown = shell.fail(f"%ollama_history --load {tmp_path / 'chat.json'}")
    assert (getattr(error, "code", ""), "contains my chat.json" in shown) == ("conversation-unreadable", True)
    assert "%ollama_history --load" in shown
    assert len(shell.run("r = %ollama_history --export") + str(shell.names["r"])) > 10
    assert len(shell.names["r"]) == 4
    assert "turns that came back: 3" in shell.run("%ollama_history --undo")
    assert "turns loaded: 2" in shell.run("%ollama_history fresh --load $file")
    for line in ("--save a --load b", "--clear --save a", "--save", "--load 7 8", "--save $number"):
        shell.run("number = 7")
        shell.fail(f"%ollama_history {line}")
    assert [name.name for name in tmp_path.glob("*.json")] == ["my chat.json"]
