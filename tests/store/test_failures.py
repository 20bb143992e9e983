"""A file that fails costs a job only time and is reported in one sentence, and no file is ever deleted."""

from __future__ import annotations

import _thread
import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ollama_magics.store import vectors
from ollama_magics.store.vectors import VectorFile, VectorStore
from tests.store.rows import kept, keys_of, output_lines, put, started

Make = Callable[..., VectorStore]
HERE = b"what lay here before"


def changed(path: Path, *statements: str) -> None:
    """Run statements on the file past the store."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def aside(path: Path) -> list[Path]:
    """Return the files that were set aside, without their journals and segments."""
    others = (part for part in path.parent.iterdir() if not part.name.startswith(path.name + "-") and part != path)
    return [part for part in others if part.suffix != ".rows"]


@pytest.fixture
def filled(make: Make, path: Path) -> Path:
    """Return the path of a closed store that holds batch 1."""
    store = make()
    put(store, 1, count=50)
    store.close()
    return path


DAMAGES = {
    "a file of another kind": lambda path: path.write_bytes(HERE * 500),
    "a truncated file": lambda path: os.truncate(path, path.stat().st_size // 2),
    "a page of zeros": lambda path: path.write_bytes(path.read_bytes()[:4096] + bytes(4096) + path.read_bytes()[8192:]),
    "another application": lambda path: changed(path, "PRAGMA application_id=7"),
    "tables of another program": lambda path: changed(path, "CREATE TABLE mine (text)", "INSERT INTO mine VALUES ('hello')"),
    "a trigger": lambda path: changed(path, "CREATE TRIGGER t AFTER INSERT ON batches BEGIN DELETE FROM batches; END"),
    "a name that is no text": lambda path: changed(
        path,
        "CREATE TABLE mine (text)",
        "PRAGMA writable_schema=1",
        """UPDATE sqlite_master SET name=n, tbl_name=n, sql='CREATE TABLE "' || n || '" (text)'
        FROM (SELECT CAST(x'ff' AS TEXT) AS n) WHERE name='mine'""",
    ),
    "a segment that is a text": lambda path: changed(path, "UPDATE batches SET segment = 'x'"),
    "a start that is a text": lambda path: changed(path, "UPDATE batches SET start = 'x'"),
    "keys that are a text": lambda path: changed(path, "UPDATE batches SET keys = 'x'"),
    "a part of a key": lambda path: changed(path, "UPDATE batches SET keys = substr(keys, 2)"),
    "too few checksums": lambda path: changed(path, "UPDATE batches SET checksums = substr(checksums, 9)"),
    "a width of nothing": lambda path: changed(path, "UPDATE batches SET width = NULL"),
    "a width below nothing": lambda path: changed(path, "UPDATE batches SET width = -8"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_or_foreign_file_is_set_aside_and_a_new_one_begun(filled: Path, make: Make, damage: str) -> None:
    """The file is renamed and whole, its new name is reported, and the job goes on with a new one."""
    DAMAGES[damage](filled)
    before = filled.read_bytes()
    store = make()
    assert not any(kept(store, keys_of(1, 50)))
    (kept_file,) = aside(filled)
    assert kept_file.read_bytes()[100:] == before[100:]
    assert kept_file.name in store.problem
    assert store.problem.count(". ") == 0
    assert all(kept(store, put(store, 2)))
    assert aside(filled) == [kept_file]


@pytest.mark.parametrize(("version", "age"), [(1, "an older"), (3, "a newer")])
def test_the_file_of_another_version_is_set_aside(filled: Path, make: Make, version: int, age: str) -> None:
    """It may mean something else by the same tables; its segments go with it."""
    changed(filled, f"PRAGMA user_version={version}")
    store = make()
    assert all(kept(store, put(store, 2)))
    assert f"{age} version of ollama_magics wrote it" in store.problem
    assert not any(kept(store, keys_of(1)))
    (old,) = aside(filled)
    assert old.with_name(f"{old.name}-1.rows").stat().st_size == 50 * 4 * 8


def segment(path: Path) -> Path:
    """Return the first segment of a store."""
    return path.with_name(f"{path.name}-1.rows")


def _flip(path: Path) -> None:
    data = bytearray(segment(path).read_bytes())
    data[20 * 4 * 8 + 5] ^= 1
    segment(path).write_bytes(data)


ROW_DAMAGES = {
    "one flipped bit": (1, _flip),
    "a segment that is cut off": (25, lambda path: os.truncate(segment(path), segment(path).stat().st_size // 2)),
    "a hole": (50, lambda path: segment(path).write_bytes(bytes(segment(path).stat().st_size))),
    "a segment that is gone": (50, lambda path: segment(path).unlink()),
    "the wrong checksums": (50, lambda path: changed(path, "UPDATE batches SET checksums = zeroblob(length(checksums))")),
    "vectors of another text": (49, lambda path: segment(path).write_bytes(segment(path).read_bytes()[-32:] * 50)),
    "a start beyond the end": (50, lambda path: changed(path, "UPDATE batches SET start = 1000000")),
}


@pytest.mark.parametrize("damage", ROW_DAMAGES)
def test_damaged_rows_are_missing_and_the_others_are_found(filled: Path, make: Make, damage: str) -> None:
    """As after a loss of power; it is reported, and a row that is put again is found."""
    lost, do_damage = ROW_DAMAGES[damage]
    do_damage(filled)
    store = make()
    assert kept(store, keys_of(1, 50)).count(False) == lost
    assert store.problem.startswith(f"{lost} vectors in {filled} are not what was written")
    store.problem = ""
    assert all(kept(store, put(store, 1, count=50)))
    assert (store.problem, aside(filled)) == ("", [])


def test_the_log_goes_aside_with_its_file(filled: Path, make: Make) -> None:
    """A log that stayed next to the new file would be lost; whoever has the old one open goes on with it."""
    with closing(sqlite3.connect(filled, isolation_level=None)) as newer:
        newer.execute("PRAGMA user_version=3")
        newer.execute("CREATE TABLE more AS SELECT 'in the log' AS text")
        store = make()
        assert all(kept(store, put(store, 2)))
        assert newer.execute("SELECT text FROM more").fetchall() == [("in the log",)]
        (old,) = (part for part in aside(filled) if not part.name.endswith(("-wal", "-shm")))
        assert old.with_name(f"{old.name}-wal").exists()
    with closing(sqlite3.connect(old)) as again:
        assert again.execute("SELECT text FROM more").fetchall() == [("in the log",)]
    assert all(kept(make(), keys_of(2)))


def test_a_second_damaged_file_is_left_where_it_is(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that breaks every file must not be filled with them: the store stops, and the job goes on."""

    def spoilt(file: VectorFile, *_: object, **__: object) -> None:
        file.path.write_bytes(HERE * 500)
        file.count()

    monkeypatch.setattr(VectorFile, "put", spoilt)
    path.parent.mkdir()
    store = make()
    for batch in range(5):
        put(store, batch)
    store.close()
    assert len(aside(path)) == 1
    assert "cannot be used" in store.problem


def test_a_file_that_another_process_set_aside_is_left_to_it(filled: Path, make: Make) -> None:
    """A process that finds a new file there uses it; what is put from then on is not lost in the old one."""
    store, other = make(), make()
    put(store, 2)
    assert store.count()
    filled.rename(filled.with_name("elsewhere.sqlite"))
    names = put(other, 3)
    assert all(kept(other, names))
    names += put(store, 4)
    assert all(kept(store, names))
    store.close()
    other.close()
    assert all(kept(make(), names))
    assert (store.problem, other.problem) == ("", "")


def test_a_file_that_another_process_has_just_begun_is_not_set_aside(filled: Path) -> None:
    """Two processes find a damaged file at once: only the first gives it another name."""
    filled.write_bytes(HERE * 500)
    first, second = (VectorFile(filled, 10**9, own_folder=False) for _ in range(2))
    for file in (first, second):
        with pytest.raises(sqlite3.DatabaseError):
            file.count()
    assert first.set_aside() in aside(filled)
    (name,) = keys_of(2, 1)
    first.put([([name], b"1234", 1)])
    assert second.set_aside() is None
    assert second.find([name]) == {name: b"1234"}
    first.close()
    second.close()


def test_a_folder_that_is_deleted_during_the_job_is_made_again(filled: Path, make: Make) -> None:
    """Users empty their caches."""
    store = make()
    assert all(kept(store, keys_of(1, 50)))
    for part in filled.parent.iterdir():
        part.unlink()
    filled.parent.rmdir()
    assert all(kept(store, put(store, 2)))
    assert store.problem == ""


FULL_DISK = """
import resource
store = VectorStore(Path(sys.argv[1]))
put(store, 1, count=100)
print(store.count(), store.problem)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
for batch in range(2, 7):
    put(store, batch, count=100, width=1000)
print(all(kept(store, keys_of(1, 100))), store.count())
print(store.problem)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(all(kept(store, put(store, 7))))
store.close()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot limit the size of a file")
def test_a_full_disk_costs_the_rows_that_do_not_fit(path: Path) -> None:
    """What was written stays readable, the rest is computed again another time, and space that is freed is used."""
    first, then, problem, later = output_lines(started(FULL_DISK, path))
    assert (first, then, later) == ("100 ", "True 100", "True")
    assert problem.startswith(f"Some vectors were not kept: there is no room left for {path}")


def test_a_full_database_is_a_full_disk(make: Make, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite's own code for a full disk is recognised too."""
    small = replace(vectors._FORMAT, pragmas=("max_page_count=4",))
    monkeypatch.setattr(vectors, "_FORMAT", small)
    store = make()
    names = put(store, 1)
    assert kept(store, names) == [True] * 4
    names += put(store, 2, count=1000)
    assert not any(kept(store, names[4:]))
    assert store.problem == f"Some vectors were not kept: there is no room left for {path} (database or disk is full)."


@pytest.fixture
def unprivileged(make: Make) -> Iterator[Path]:
    """Return a folder that belongs to this process while it is not the superuser, for whom modes do not matter."""
    del make  # its folder must be made before
    with tempfile.TemporaryDirectory() as name:
        superuser = os.geteuid() == 0
        if superuser:
            os.chown(name, 65534, -1)
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            Path(name).chmod(0o700)
            if superuser:
                os.seteuid(0)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode bits")
def test_a_folder_that_cannot_be_written_leaves_the_job_working(unprivileged: Path, make: Make) -> None:
    """Nothing is found, nothing is kept, and the problem names the file."""
    unprivileged.chmod(0o500)
    store = make(unprivileged / "vectors.sqlite")
    assert not any(kept(store, put(store, 1)))
    assert (store.count(), store.size()) == (0, 0)
    assert store.problem == f"Vectors are not kept: {unprivileged / 'vectors.sqlite'} cannot be written (Permission denied)."
    deeper = make(unprivileged / "deeper" / "vectors.sqlite")
    assert not any(kept(deeper, put(deeper, 1)))
    assert deeper.problem.endswith("vectors.sqlite cannot be written (Permission denied).")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode bits")
def test_a_file_that_cannot_be_written_is_still_read(unprivileged: Path, make: Make) -> None:
    """What is in it need not be computed again."""
    path = unprivileged / "vectors.sqlite"
    first = make(path)
    names = put(first, 1)
    first.close()
    path.chmod(0o400)
    store = make(path)
    assert not any(kept(store, put(store, 2)))
    assert all(kept(store, names))
    assert store.problem == f"Vectors are not kept: {path} cannot be written (attempt to write a readonly database)."
    store.close()


def test_a_folder_where_a_file_lies_leaves_the_job_working(tmp_path: Path, make: Make) -> None:
    """No folder can be made there."""
    (tmp_path / "cache").write_bytes(HERE)
    store = make()
    assert not any(kept(store, put(store, 1)))
    folder = tmp_path / "cache"
    assert store.problem == f"Vectors are not kept: {folder / 'vectors.sqlite'} cannot be used ({folder} is not a folder.)."
    assert (tmp_path / "cache").read_bytes() == HERE


def test_a_file_that_another_process_locks_is_done_without(filled: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first batch waits a little, what is in the file is found all the same, and later batches are kept again."""
    monkeypatch.setattr("ollama_magics.store.sqlite_file.BUSY_TIMEOUT", 0.1)
    monkeypatch.setattr("ollama_magics.store.background_store.BUSY_TIMEOUT", 0.1)
    monkeypatch.setattr("ollama_magics.store.background_store.LOCK_TIMEOUT", 0.2)
    store = make()
    with closing(sqlite3.connect(filled, isolation_level=None)) as greedy:
        greedy.execute("BEGIN IMMEDIATE")
        assert not any(kept(store, put(store, 2)))
        assert store.problem == f"Some vectors were not kept: another process has locked {filled}."
        assert all(kept(store, keys_of(1, 50)))
        put(store, 3)
        store.close()
        assert store._busy_timeout < 0.1  # the next one waits less
    assert all(kept(store, put(store, 4)))
    assert store._busy_timeout == 0.1


def test_an_interrupt_lands_while_a_lock_is_waited_for(filled: Path, make: Make) -> None:
    """SQLite cannot be interrupted while it waits, so it waits in slices."""
    store = make()
    with closing(sqlite3.connect(filled, isolation_level=None)) as greedy:
        greedy.execute("PRAGMA journal_mode=DELETE")
        greedy.execute("BEGIN EXCLUSIVE")
        press = threading.Timer(0.3, _thread.interrupt_main)
        press.start()
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            kept(store, keys_of(1, 50))
        assert time.monotonic() - began < 1.3
    press.join()


def test_a_file_that_is_locked_from_the_start_is_done_without(path: Path, make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even its format can be read then; nothing is set aside for that."""
    monkeypatch.setattr("ollama_magics.store.background_store.BUSY_TIMEOUT", 0.1)
    monkeypatch.setattr("ollama_magics.store.background_store.LOCK_TIMEOUT", 0.2)
    path.parent.mkdir()
    store = make()
    with closing(sqlite3.connect(path, isolation_level=None)) as greedy:
        greedy.execute("BEGIN EXCLUSIVE")
        assert not any(kept(store, put(store, 1)))
    assert store.problem == f"Some vectors were not kept: another process has locked {path}."
    assert aside(path) == []
    assert all(kept(store, put(store, 2)))


def test_a_file_that_is_locked_for_a_moment_is_waited_for(filled: Path, make: Make) -> None:
    """Also by the use that opens it, which goes on as soon as the lock is gone."""
    store = make()
    with closing(sqlite3.connect(filled, isolation_level=None, check_same_thread=False)) as greedy:
        greedy.execute("PRAGMA journal_mode=DELETE")
        greedy.execute("BEGIN EXCLUSIVE")
        end = threading.Timer(0.5, greedy.execute, ["COMMIT"])
        end.start()
        assert all(kept(store, keys_of(1, 50)))
        end.join()
    assert store.problem == ""
