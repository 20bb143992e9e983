"""Answers kept by --reuse: found again, private, bounded, and never the reason for an error."""

from __future__ import annotations

import _thread
import os
import re
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import platformdirs
import pytest

from ollama_magics.store.answers import AnswerStore
from ollama_magics.store.keys import key

_FIND = """
import sys
from pathlib import Path
from ollama_magics.store.answers import AnswerStore
print(AnswerStore(Path(sys.argv[1])).find(bytes.fromhex(sys.argv[2])))
"""
KEYS = [key("sha256:a", {})(str(number)) for number in range(100)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return where the file will be."""
    return tmp_path / "folder" / "answers.sqlite"


def test_an_answer_is_found_with_its_day_by_another_process(path: Path) -> None:
    """The newest one where there were two; and nothing under another key."""
    store = AnswerStore(path)
    for answer in (b"old", b"new"):
        store.put(KEYS[0], answer)
    found = subprocess.run([sys.executable, "-c", _FIND, path, KEYS[0].hex()], capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"\(b'new', '\d{4}-\d\d-\d\d'\)\n", found)
    assert store.find(KEYS[1]) is None
    assert store.problem == ""


def test_the_file_is_for_this_user_alone(path: Path) -> None:
    """Also one that was opened to others."""
    store = AnswerStore(path)
    store.put(KEYS[0], b"x")
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    path.chmod(0o644)
    store.find(KEYS[0])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_path_it_lies_in_the_cache_folder() -> None:
    """Beside the vectors."""
    AnswerStore().put(KEYS[0], b"x")
    assert (platformdirs.user_cache_path("ollama_magics", appauthor=False) / "answers.sqlite").exists()


def test_the_oldest_answers_go_when_there_are_too_many(path: Path) -> None:
    """The limit is one of bytes on the disk."""
    store = AnswerStore(path, limit=300_000)
    for number in range(100):
        store.put(KEYS[number], bytes.fromhex("".join(f"{(i * 7919 + number) % 251:02x}" for i in range(300))) * 40)
        store.put(key("d", {})(f"noise {number}"), os.urandom(10_000))
    assert store.find(KEYS[0]) is None
    assert store.find(KEYS[99]) is not None
    assert path.stat().st_size < 600_000


def test_forgetting_leaves_no_byte_of_an_answer(path: Path) -> None:
    """And says how many there were."""
    store = AnswerStore(path)
    for number in range(5):
        store.put(KEYS[number], os.urandom(50_000))
    assert store.forget() == 5
    assert path.stat().st_size < 50_000
    assert store.find(KEYS[0]) is None
    assert store.forget() == 0


@pytest.mark.parametrize("content", [b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_damaged_file_is_set_aside_and_the_next_use_begins_anew(path: Path, content: bytes) -> None:
    """The cell goes on, and it is reported once."""
    path.parent.mkdir()
    path.write_bytes(content)
    store = AnswerStore(path)
    assert store.find(KEYS[0]) is None
    assert "could not be read" in store.problem
    store.put(KEYS[0], b"x")
    assert store.find(KEYS[0]) is not None
    [aside] = path.parent.glob("answers.sqlite.*")
    assert aside.read_bytes() == content


def test_a_foreign_database_is_not_written_to(path: Path) -> None:
    """It is kept under another name."""
    path.parent.mkdir()
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE mine (x)")
    other.close()
    store = AnswerStore(path)
    store.put(KEYS[0], b"x")
    assert "no store of answers" in store.problem
    [aside] = path.parent.glob("answers.sqlite.*")
    with sqlite3.connect(aside) as kept:
        assert kept.execute("SELECT name FROM sqlite_master").fetchall() == [("mine",)]
    kept.close()


def test_an_answer_with_a_flipped_bit_is_not_given(path: Path) -> None:
    """A wrong answer must never be shown as right."""
    store = AnswerStore(path)
    store.put(KEYS[0], b"the answer")
    with sqlite3.connect(path) as file:
        [blob] = file.execute("SELECT answer FROM answers").fetchone()
        file.execute("UPDATE answers SET answer = ?", (blob[:-1] + bytes([blob[-1] ^ 1]),))
    file.close()
    assert store.find(KEYS[0]) is None
    assert "is not what was written" in store.problem


def test_a_place_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    """It is reported in one sentence."""
    (tmp_path / "file").write_text("")
    store = AnswerStore(tmp_path / "file" / "answers.sqlite")
    store.put(KEYS[0], b"x")
    assert store.find(KEYS[0]) is None
    assert re.fullmatch(r"Answers are not kept: .+ cannot be used \(.+\)\.", store.problem)


def test_an_interrupt_lands_while_a_lock_is_waited_for(path: Path) -> None:
    """As with the vectors."""
    store = AnswerStore(path)
    store.put(KEYS[0], b"x")
    with closing(sqlite3.connect(path, isolation_level=None)) as greedy:
        greedy.execute("BEGIN EXCLUSIVE")
        press = threading.Timer(0.3, _thread.interrupt_main)
        press.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            store.find(KEYS[0])
        assert time.monotonic() - began < 1.3
    press.join()
    assert store.find(KEYS[0])
