"""What a Tab offers on the lines and in the cells of the magics, through IPython's own completer."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import IPython
import pytest
from IPython.core.completer import provisionalcompleter

from ollama_magics.fake_server.server import FakeServer
from tests.faults.answers import fine, whole
from tests.faults.server import FaultServer
from tests.faults.steps import Hold

KNOWS_CELLS = IPython.version_info >= (8, 6)  # before, a completer knows no more than the line, and adds no quotes
VARIABLES = """
import math
class Ticket: ...
def weather(city): ...
df = {"text": ["a", "b"], "kind": ["c", "d"], "two words": [1, 2]}
rows = [{"question": "a"}]
price, _hidden = 3, 4
df_alone = [1, 2]
"""
MODELS = [
    {"name": "hf.co/bartowski/Llama-3.2-3B-GGUF:Q4_K_M", "size": 3},
    {"name": "team/parrot:latest", "size": 2},
    {"name": "llama3.2:1b", "size": 1, "capabilities": ["completion"]},
    {"name": "nomic:latest", "size": 1, "capabilities": ["embedding"]},
    {"name": "a b\x1b[31m", "size": 1},
]
MANY = fine(tags=whole({"models": MODELS}))


def tab(shell: Any, typed: str) -> list[str]:
    """Return the line or cell as each completion at the ``|`` would leave it, without what follows it."""
    text = typed.replace("|", "")
    place = typed.index("|")
    with provisionalcompleter():
        return [f"{text[: one.start]}{one.text}" for one in shell.ipython.Completer.completions(text, place)]


def offered(shell: Any, typed: str) -> list[str]:
    """Return the completions at the ``|`` without the cell before them: what stands after its last space, brace or ``=``."""
    before = typed[: typed.index("|")]
    start = max(before.rfind(mark) for mark in (" ", "{", "=", "\n")) + 1
    return [found[start:] for found in tab(shell, typed)]


@pytest.fixture
def full(shell: Any) -> Any:
    """Give a shell with some variables, without jedi, which would read the standard library where nothing else is found."""
    shell.ipython.Completer.use_jedi = False
    shell.run(VARIABLES)
    return shell


LINES = {
    "%ollama_mod|": ["%ollama_models"],
    "r = %ollama_sh|": ["%ollama_show"],
    "%%ollama --ea|": ["--each"],
    "%%ollama -m sandbox-chat --next|": ["--next-cell"],
    "r = %ollama --no-f|": ["--no-fill"],
    "%embed --dim|": ["--dimensions"],
    "%ollama_config --embedding|": ["--embedding-model"],
    "%ollama_rm --|": ["--yes"],
    "%%ollama -m sandbox-v|": ["sandbox-vision"],
    "%%ollama --model=sandbox-v|": ["sandbox-vision"],
    "%%ollama -m sandbox-vision:|": ["sandbox-vision:latest"],
    "%embed -m |": ["sandbox-embed"],
    "%ollama_stop sandbox-v|": ["sandbox-vision"],
    "%ollama_config --embedding-model |": ["sandbox-embed"],
    "%ollama_config --type |": ["chat", "completion", "embedding"],
    "%ollama_config --language |": ["auto", "en", "zh"],
    "%ollama_config --think hi|": ["high"],
    "%%ollama --think=m|": ["medium", "max"],
    "%ollama_config --unset top|": ["top-p", "top-k"],
    "%embed --on-error s|": ["skip"],
    "%%ollama --rows |": ["all"],
    "%%ollama -O num_g|": ["num_gpu="],
    "%%ollama --each d|": ["df", "df_alone"],
    "%%ollama --each df --truth k|": ["kind"],
    "%%ollama --each df --truth t|": ["text", '"two words"'],
    '%%ollama --each df["two words"] --trut|': ["--truth"],
    '%%ollama -f {"enum": ["a b"]} -t w|': ["weather"],
    "%%ollama -t w|": ["weather"],
    "%%ollama -t math.sq|": ["math.sqrt"],
    "%%ollama -f T|": ["Ticket"],
    "%%ollama -f list[T|": ["list[Ticket"],
    "%%ollama -f j|": ["json"],
    "%%ollama -o p|": ["price"],
    "%%ollama --seed $p|": ["$price"],
    "%ollama price of {{p|": ["price"],
    "%ollama --each rows {{|": ["question", "Ticket", "df", "df_alone", "price", "rows", "weather"],
    "%ollama {{math.pi}} and {{math.ta|": ["math.tan", "math.tanh", "math.tau"],
}


def test_a_tab_on_a_line(full: Any) -> None:
    """Each kind of word: magics, options, models, labels, variables, columns."""
    found = {line: offered(full, line) for line in LINES}
    assert found == {line: [text for text in texts if KNOWS_CELLS or text[0] != '"'] for line, texts in LINES.items()}


CELLS = {
    "%%ollama -m SANDBOX-VISION:|": ["sandbox-vision:latest"],
    "%%ollama --each df\nWhat is\n\n{{te|": ["text"],
    "\n%%ollama --each df\nWhat is {{|}}": ["text", "kind", "Ticket", "df", "df_alone", "price", "rows", "weather"],
    "%%ollama\n{{price}} {{ro|": ["rows"],
    "%%ollama -s {{pri|\nHello": ["price"],
    '%%ollama\n{{df["two|': ['df["two words'],
    "%%time\nr = %ollama -m sandbox-v|": ["sandbox-vision"],
    "x = 1\nif x:\n    %ollama_show sandbox-v|\n": ["sandbox-vision"],
    "r = %ollama \\\n    --sys|": ["--system"],
}


@pytest.mark.skipif(not KNOWS_CELLS, reason="IPython before 8.6 gives a matcher the line only")
def test_a_tab_in_a_cell(full: Any) -> None:
    """In the body too, and on later lines."""
    assert {cell: offered(full, cell) for cell in CELLS} == CELLS


SILENT = [
    "%%ollama --no-fill\n{{pri|",
    "%%ollama\n\\{{pri|",
    "%%ollama hello --sys|",
    "%%ollama\n--sys|",
    "ollama = 3; {{pri|",
    "%%ollama --nonsense=|",
    "%%embed\n{{pri|",
    "%ollama_models sandbox-v|",
    "%%ollama --chat |",
    "%ollama_config --profile |",
    "%%ollama -p /nowhere/|",
]


@pytest.mark.skipif(not KNOWS_CELLS, reason="as above")
def test_elsewhere_nothing_of_ours_is_offered(full: Any) -> None:
    """A prompt is text, and a mistake is reported by the line itself; what IPython offers is its own."""
    from IPython.core.completer import CompletionContext  # noqa: PLC0415 - older versions have none

    matchers = full.ipython.Completer.custom_matchers
    (matcher,) = (one for one in matchers if one.matcher_identifier == "ollama_magics")
    found = {}
    for cell in SILENT:
        before = cell[: cell.index("|")].split("\n")
        place = {"cursor_line": len(before) - 1, "cursor_position": len(before[-1])}
        found[cell] = matcher(CompletionContext(token="", full_text=cell.replace("|", ""), limit=None, **place))
    assert not [cell for cell, result in found.items() if result["completions"]]


def test_chats_and_profiles(full: Any) -> None:
    """The conversations of this notebook, and the profiles on the disk."""
    full.run("%ollama --chat recipes hello")
    full.run("%ollama_config --save work")
    assert offered(full, "%%ollama --chat r|") == ["recipes"]
    assert offered(full, "%ollama_history r|") == ["recipes"]
    assert offered(full, "%ollama_config --profile w|") == ["work"]
    assert offered(full, "%ollama_config --forget w|") == ["work"]


def test_paths(full: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files and folders; a name with a space comes in quotes."""
    quoted = ['"pictures two.png"'] if KNOWS_CELLS else []
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts" / "one.txt").touch()
    (tmp_path / "pictures two.png").touch()
    assert offered(full, "%%ollama -p p|") == [*quoted, "prompts/"]
    assert offered(full, "%%ollama -s @prompts/|") == ["@prompts/one.txt"]
    assert offered(full, "%%ollama -i p|") == [*quoted, "prompts/"]
    for typed in ("prompts/", "/nowhere/", "~/", "prompts\\"):  # behind a separator stands no variable
        assert not [text for text in offered(full, f"%%ollama -i {typed}|") if "price" in text or "rows" in text]
    if KNOWS_CELLS:
        assert tab(full, '%%ollama -i "pict|') == ['%%ollama -i "pictures two.png"']
    assert tab(full, "%ollama_history --save prompts/o|") == ["%ollama_history --save prompts/one.txt"]
    assert tab(full, "%ollama_config --import prompts/o|") == ["%ollama_config --import prompts/one.txt"]


def test_names_of_models_with_colons_and_slashes(full: Any) -> None:
    """What a terminal would obey is left out; a name is completed after its colon too."""
    with FaultServer(MANY) as server:
        full.run(f"%ollama_config --base-url {server.url}")
        known = ["hf.co/bartowski/Llama-3.2-3B-GGUF:Q4_K_M", "team/parrot", "llama3.2:1b"]
        assert tab(full, "%%ollama -m |")[:3] == [f"%%ollama -m {name}" for name in known]
        assert tab(full, "%%ollama -m hf.co/b|") == [f"%%ollama -m {known[0]}"]
        assert tab(full, "%%ollama -m hf.co/bartowski/Llama-3.2-3B-GGUF:Q|") == [f"%%ollama -m {known[0]}"]
        assert tab(full, "%%ollama -m team/parrot:|") == ["%%ollama -m team/parrot:latest"]
        assert tab(full, "%ollama_show llama3.2:|") == ["%ollama_show llama3.2:1b"]
        assert not [line for line in tab(full, "%%ollama -m a|") if "\x1b" in line]
        assert "%embed -m llama3.2:1b" not in tab(full, "%embed -m |")
        assert server.paths().count("/api/tags") == 1
        assert set(server.paths()) == {"/api/tags"}
    with FaultServer(fine(version=whole({"version": "0.5.0"}))) as old:  # which chat refuses
        full.run(f"%ollama_config --base-url {old.url}")
        assert "%%ollama -m m" in tab(full, "%%ollama -m m|")


def test_a_tab_waits_for_no_server(full: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """One that is silent, refuses or is too old is asked by a thread; nothing is shown, and no model is loaded."""
    with FaultServer(fine(tags=[Hold()])) as server:
        full.run(f"%ollama_config --base-url {server.url}")
        for _ in range(3):
            assert not [line for line in tab(full, "%%ollama -m m|") if line == "%%ollama -m m"]
        assert server.wait_for("/api/tags")
        assert [one.name for one in threading.enumerate()].count("ollama-completion") == 1
    capsys.readouterr()
    for address in ("http://127.0.0.1:1", "http://user:secret@127.0.0.1:1", "http://"):
        full.ipython.run_cell(f"import ollama_magics.settings.form as form\nform.shared().base_url = {address!r}", silent=True)
        tab(full, "%%ollama -m m|")
    assert capsys.readouterr() == ("", "")


def test_a_recording_holds_no_request_of_a_tab(full: Any, stand_in: FakeServer, tmp_path: Path) -> None:
    """Else it would not replay."""
    full.run(f"%ollama_config --record {tmp_path / 'tape.jsonl'}")
    assert "%%ollama -m sandbox-chat" not in tab(full, "%%ollama -m sandbox-c|")
    assert not stand_in.requests


@pytest.mark.skipif(not KNOWS_CELLS, reason="as above")
def test_the_plain_calls_complete_by_their_signatures(shell: Any) -> None:
    """By jedi, which IPython brings."""
    shell.run("import ollama_magics as om")
    assert tab(shell, "om.cha|") == ["om.chat"]
    assert tab(shell, "om.chat('x', mod|") == ["om.chat('x', model="]


def test_it_ends_with_the_extension(shell: Any) -> None:
    """And is there once after a second load."""
    completer = shell.ipython.Completer

    def count() -> int:
        return len(completer.custom_matchers) + len(completer.custom_completers.regexs)

    before = count()
    shell.run("%reload_ext ollama_magics")
    assert count() == before
    shell.run("%unload_ext ollama_magics")
    assert count() == before - 1
    shell.run("%load_ext ollama_magics")
