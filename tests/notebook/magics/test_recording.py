"""%ollama_config --record: one line that records, and with OLLAMA_MAGICS_REPLAY=1 replays."""

from pathlib import Path
from typing import Any

import pytest

from ollama_magics.errors import RecordingProblem
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.settings import form


def test_the_same_cells_show_the_same_with_and_without_a_server(
    shell: Any, stand_in: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line itself, too, whose output a notebook keeps; it says where prompts stand in clear."""
    cells = [f"%ollama_config --record {tmp_path}/r.json", "%ollama Hi", "print(_ollama.text)", "v = %embed ['a', 'b']\nprint(v)"]
    first = [shell.run(cell) for cell in cells]
    assert "prompts and answers in clear" in first[0]
    assert "This is turn 1" in first[2]
    stand_in.stop()
    monkeypatch.setenv("OLLAMA_MAGICS_REPLAY", "1")
    again = [shell.run(cell) for cell in ("%ollama_config --record " + f"{tmp_path}/r.json", "%ollama --new Hi", *cells[2:])]
    assert (again[0], again[2:]) == (first[0], first[2:])


def test_a_prompt_that_was_not_recorded_fails_in_a_few_lines(shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the nearest one and no traceback."""
    shell.run(f"%ollama_config --record {tmp_path}/r.json")
    shell.run("%ollama --once What is a cat?")
    monkeypatch.setenv("OLLAMA_MAGICS_REPLAY", "1")
    shell.run(f"%ollama_config --record {tmp_path}/r.json")
    error, shown = shell.fail("%ollama --once What is a dog?")
    assert isinstance(error, RecordingProblem)
    assert "messages[0].content is 'What is a cat?' in the recording and 'What is a dog?' now" in shown
    assert len(shown.strip().splitlines()) == 4


def test_a_recording_is_no_setting(shell: Any, tmp_path: Path) -> None:
    """It is in no profile, and the next notebook does not go on with it."""
    shell.run(f"%ollama_config --record {tmp_path}/r.json --export {tmp_path}/s.toml")
    assert "record" not in (tmp_path / "s.toml").read_text()
    assert "record" not in form.names()


def test_a_recording_needs_a_file_name(shell: Any) -> None:
    """An empty one would be the folder of the kernel."""
    assert "The name of a file is needed." in shell.fail('%ollama_config --record ""')[1]


def test_a_recording_and_a_replay_can_be_ended(
    shell: Any, stand_in: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is asked afterwards goes to the server and not into the file; the error of a replay says how."""
    shell.run(f"%ollama_config --record {tmp_path}/r.json\n%ollama --once one")
    assert "ended" in shell.run("%ollama_config --record off")
    shell.run("%ollama --once two")
    assert "two" not in (tmp_path / "r.json").read_text()
    monkeypatch.setenv("OLLAMA_MAGICS_REPLAY", "1")
    shell.run(f"%ollama_config --record {tmp_path}/r.json")
    assert "--record off" in shell.fail("%ollama --once two")[1]
    shell.run("%ollama_config --record off\n%ollama --once two")
    asked = [body["messages"][-1]["content"] for _, path, body in stand_in.requests if path == "/api/chat" and body]
    assert asked == ["one", "two", "two"]
