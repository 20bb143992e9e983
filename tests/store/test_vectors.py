"""The store of vectors: what was put is found again, in this process and in the next."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ollama_magics.store.keys import key
from ollama_magics.store.sqlite_file import FileFormat, SqliteFile
from ollama_magics.store.vector_index import VectorIndex
from ollama_magics.store.vectors import Batch, VectorFile, VectorStore
from tests.store.rows import kept, keys_of, put, row_of, rows_of

Make = Callable[..., VectorStore]
WIDER = 16


def test_what_was_put_is_found_bit_for_bit(store: VectorStore) -> None:
    """Each key gives its own row, also right after put(), and a key that was never put is absent."""
    names = put(store, 1, count=256)
    found = store.find([*reversed(names), *keys_of(2)])
    assert found == {name: row_of(name) for name in names}
    assert store.find([]) == {}


def test_rows_that_were_just_put_are_found_unless_the_caller_does_without(store: VectorStore) -> None:
    """A job reads the list at its start, and later not for each thousand of its texts."""
    old = put(store, 1)
    assert all(kept(store, old))
    new = put(store, 2)
    assert store.find(new, max_age=60) == {}
    assert store.find([*new, old[0]], max_age=60).keys() == {*new, old[0]}  # the list is read if anything is known
    assert all(kept(store, new))


def test_a_store_that_is_opened_again_has_every_row(make: Make) -> None:
    """close() writes what waits; another store on the same file finds it."""
    first = make()
    names = [name for batch in range(10) for name in put(first, batch)]
    first.close()
    assert all(kept(make(), names))


def test_a_few_rows_of_large_batches_are_read_alone(store: VectorStore) -> None:
    """The memory that rows hold is theirs, not that of their batches."""
    batches = [put(store, batch, count=100) for batch in range(3)]
    found = store.find([names[50] for names in batches])
    assert found == {names[50]: row_of(names[50]) for names in batches}
    assert all(memoryview(row.obj).nbytes == row.nbytes for row in found.values())


def test_batches_of_different_widths_lie_in_one_store(store: VectorStore) -> None:
    """Models of several widths share it."""
    wide, narrow = put(store, 1, width=1024), put(store, 2, width=3)
    assert all(kept(store, wide, 1024))
    assert all(kept(store, narrow, 3))


def test_a_row_that_is_put_again_replaces_the_older_one(store: VectorStore) -> None:
    """Two kernels may embed the same text at the same time."""
    names = put(store, 1)
    store.put(names[:1], b"\1" * 4 * WIDER, WIDER)
    assert store.find(names)[names[0]] == b"\1" * 4 * WIDER
    assert store.count() == len(names)


def test_rows_that_do_not_fit_their_keys_are_a_programming_error(store: VectorStore) -> None:
    """Rows shifted by one would be wrong vectors for ever."""
    with pytest.raises(ValueError, match="64 bytes are not 3 rows of 8"):
        store.put(keys_of(1)[:3], bytes(64), 8)


def test_nothing_is_opened_before_the_first_use(path: Path, make: Make) -> None:
    """A job without texts, or without a store, leaves no file."""
    before = threading.active_count()
    store = make()
    store.put([], b"", 8)
    store.close()
    assert not path.parent.exists()
    assert threading.active_count() == before


def test_at_most_four_batches_wait_and_none_is_lost(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are being written count: put() of the fifth one returns only after they were."""
    gate, arrived, write = threading.Event(), threading.Semaphore(0), VectorFile.put
    together: list[int] = []

    def slow_put(file: VectorFile, batches: Sequence[Batch]) -> None:
        gate.wait()
        together.append(len(batches))
        write(file, batches)

    def hand_over() -> None:
        for batch in range(9):
            put(store, batch)
            arrived.release()

    monkeypatch.setattr(VectorFile, "put", slow_put)
    job = threading.Thread(target=hand_over)
    job.start()
    try:
        for _ in range(4):
            assert arrived.acquire(timeout=20)
        assert not arrived.acquire(timeout=0.3)
    finally:
        gate.set()
        job.join()
    assert all(kept(store, [name for batch in range(9) for name in keys_of(batch)]))
    assert (sum(together), max(together)) == (9, 4)


def test_who_needs_the_batches_does_not_wait_for_more_of_them(store: VectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """find(), count() and close() have what waits written at once."""
    monkeypatch.setattr(VectorStore, "gathering", 3600.0)
    names = put(store, 1) + put(store, 2)
    assert all(kept(store, names))
    put(store, 3)
    assert store.count() == len(names) + len(keys_of(3))
    put(store, 4)
    store.close()
    assert all(kept(store, keys_of(4)))


def test_a_batch_is_written_soon_after_it_came(make: Make) -> None:
    """A kernel that is killed a moment later has lost nothing: another process finds the batch without any end of the first."""
    store, other = make(), make()
    names = put(store, 1)
    deadline = time.monotonic() + 20
    while not all(kept(other, names)):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    store.close()
    other.close()


def test_close_ends_the_thread_and_the_next_use_begins_again(store: VectorStore) -> None:
    """No thread and no open journal stays behind; a closed store is as good as a new one."""
    before = threading.active_count()
    first = put(store, 1)
    store.close()
    assert threading.active_count() == before
    second = put(store, 2)
    assert all(kept(store, first + second))


def test_many_threads_use_one_store(store: VectorStore) -> None:
    """Batches in flight come back in several threads."""

    def work(thread: int) -> None:
        for batch in range(5):
            assert all(kept(store, put(store, 10 * thread + batch)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.count() == 4 * 5 * 4


def test_the_oldest_batches_go_when_the_file_reaches_its_limit(make: Make, path: Path) -> None:
    """The newest stay, each as a whole, and the file does not grow beyond its limit."""
    limit = 400_000
    store = make(limit=limit)
    batches = [put(store, batch, count=10, width=1000) for batch in range(30)]
    there = [set(kept(store, names, 1000)) for names in batches]
    assert there == sorted(there, key=lambda whole: whole == {True})
    assert there[0] == {False}
    assert there[-5:] == [{True}] * 5
    store.close()
    assert sum(part.stat().st_size for part in path.parent.iterdir()) <= limit + 10 * 4 * 1000 + 8192


def test_a_batch_larger_than_the_limit_is_kept_alone(make: Make) -> None:
    """The newest batch never goes: the job that runs is the one that may be interrupted."""
    store = make(limit=10_000)
    old = put(store, 1, width=5000)
    assert store.count() == len(old)  # it is written, not waiting for the next one
    new = put(store, 2, width=5000)
    assert not any(kept(store, old, 5000))
    assert all(kept(store, new, 5000))


def test_a_lower_limit_is_reached_step_by_step(make: Make, path: Path) -> None:
    """A file that is far too large shrinks by several segments, here batches, with each one that comes in."""
    large = make(limit=64 * 10 * 4 * 1000)
    for batch in range(60):
        put(large, batch, count=10, width=1000)
        assert large.count() == 10 * (batch + 1)
    large.close()
    small = make(limit=200_000)
    counts = []
    for batch in range(60, 69):
        put(small, batch, count=10, width=1000)
        counts.append(small.count())
    assert counts == [530, 460, 390, 320, 250, 180, 110, 40, 40]
    small.close()
    assert len(list(path.parent.glob("*.rows"))) == 4


def test_writing_and_finding_take_few_statements_and_no_sync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows there are: a batch is a write to its segment and a line in the list, and is not forced to the disk."""
    statements: list[str] = []
    synced: list[int] = []
    sync = os.fsync

    def counted_sync(number: int) -> None:
        synced.append(number)
        sync(number)

    monkeypatch.setattr(os, "fsync", counted_sync)
    file = VectorFile(path, 2**30, own_folder=False)
    file.put([(keys_of(0, 256), rows_of(keys_of(0, 256)), 8)])
    assert file._connection
    file._connection.set_trace_callback(statements.append)
    for batch in range(1, 9):
        file.put([(keys_of(batch, 256), rows_of(keys_of(batch, 256)), 8)])
    assert (len(statements), synced) == (8 * 4, [])  # BEGIN, where the last batch ends, INSERT, COMMIT
    statements.clear()
    file.put([(keys_of(batch, 256), rows_of(keys_of(batch, 256)), 8) for batch in range(1, 9)])
    assert (len(statements), synced) == (8 + 3, [])

    statements.clear()
    assert not file.find(keys_of(9, 1000))
    assert len(statements) == 4  # BEGIN, the oldest batch, new batches, COMMIT
    statements.clear()
    assert len(file.find(keys_of(1, 256) + keys_of(2, 256))) == 512
    assert len(statements) == 4 + 2  # and each batch

    # a list that was just read says that keys are not there, until the file is closed
    statements.clear()
    assert file.has_none(keys_of(9, 1000), max_age=60)
    assert not file.has_none(keys_of(9, 1) + keys_of(1, 1), max_age=60)
    assert not statements
    file.close()
    assert not file.has_none(keys_of(9, 1), max_age=60)
    assert len(synced) == 1


def test_rows_are_found_in_any_number_and_after_the_oldest_went() -> None:
    """The index grows, names the newest batch of a key, and compares the first half of a key only."""
    index, batches = VectorIndex(), [(10 + number, b"".join(keys_of(number, 700))) for number in range(12)]
    index.add(batches[:1])
    index.add(batches[1:])
    index.add([(30, batches[3][1])])
    for number, keys in batches:
        queries, found, positions = index.find(bytes(16) + keys)
        assert queries.tolist() == list(range(1, 701))
        assert set(found.tolist()) == {30 if number == 13 else number}
        assert positions.tolist() == list(range(700))
    assert (index.newest, index.count_from(0), index.count_from(20), index.count_from(31)) == (30, 8400, 2 * 700 + 700, 0)
    assert (index.is_mostly_before(15), index.is_mostly_before(18)) == (False, True)


def test_keys_that_begin_alike_are_not_taken_for_each_other(store: VectorStore) -> None:
    """The whole key counts."""
    (name,) = keys_of(1, 1)
    alike = name[:8] + bytes(8)
    store.put([name], row_of(name), 8)
    assert store.find([alike]) == {}
    assert all(kept(store, [name]))
    assert store.problem == ""


def test_segments_without_their_list_are_removed(path: Path, make: Make) -> None:
    """Users empty a part of their caches."""
    path.parent.mkdir()
    for number in (1, 7):
        path.with_name(f"{path.name}-{number}.rows").write_bytes(b"old" * 100)
    store = make()
    assert all(kept(store, put(store, 1)))
    assert [part.name for part in path.parent.glob("*.rows")] == ["vectors.sqlite-1.rows"]


@pytest.mark.skipif(os.name == "nt", reason="needs links")
def test_a_segment_that_another_process_has_just_removed_is_no_trouble(make: Make, path: Path) -> None:
    """Segments are removed without a lock, once they are in no list."""
    store = make(limit=64 * 128)
    put(store, 1)
    assert store.count() == 4
    path.with_name(f"{path.name}-0.rows").symlink_to(path.with_name("gone"))
    assert all(kept(store, put(store, 2)))
    assert store.problem == ""


def test_size_and_count_say_what_is_there(store: VectorStore, path: Path) -> None:
    """Nothing at first; then the rows, and the bytes of the file with its journal."""
    assert (store.count(), path.exists()) == (0, True)
    put(store, 1, count=100, width=1000)
    assert store.count() == 100
    assert store.size() >= 100 * 4 * 1000
    assert store.size() == sum(part.stat().st_size for part in path.parent.iterdir())


def test_forget_removes_every_row_from_the_disk(make: Make, path: Path) -> None:
    """Another open store sees it too, and both go on."""
    store, other = make(), make()
    names = put(store, 1, count=100, width=1000)
    assert store.count() == 100
    assert all(kept(other, names, 1000))
    store.forget()
    assert (other.count(), store.problem, other.problem) == (0, "", "")
    assert all(row_of(names[0], 1000) not in part.read_bytes() for part in path.parent.iterdir())
    assert store.size() < 100_000
    assert all(kept(other, put(other, 2)))
    assert all(kept(store, keys_of(2)))


def test_no_text_is_written(store: VectorStore, path: Path) -> None:
    """The files hold hashes and numbers."""
    text = "a very private sentence"
    store.put([key("digest", {"prefix": text})(text)], rows_of([bytes(16)]), 8)
    store.close()
    assert path.stat().st_size
    assert all(b"private" not in part.read_bytes() for part in path.parent.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode bits: the cache folder is the user's own there")
def test_folder_and_files_are_private_whatever_the_umask(store: VectorStore, path: Path) -> None:
    """The file, its log and its index are 0600, and the folder 0700, under umask 000."""
    before = os.umask(0)
    try:
        put(store, 1)
        assert store.count()
        assert {part.name: _mode(part) for part in [path.parent, *path.parent.iterdir()]} == {
            "cache": 0o700,
            "vectors.sqlite": 0o600,
            "vectors.sqlite-1.rows": 0o600,
            "vectors.sqlite-wal": 0o600,
            "vectors.sqlite-shm": 0o600,
        }
    finally:
        os.umask(before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no variable moves the cache folder")
def test_a_wider_mode_is_tightened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folder and file that others could read are closed to them; a folder only where it is our own in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ours, elsewhere = (tmp_path / name / "vectors.sqlite" for name in ("ollama_magics", "elsewhere"))
    for path, store, folder in ((ours, VectorStore(), 0o700), (elsewhere, VectorStore(elsewhere), 0o755)):
        path.parent.mkdir()
        sqlite3.connect(path).close()
        path.parent.chmod(0o755)
        path.chmod(0o644)
        put(store, 1)
        store.close()
        assert (_mode(path.parent), _mode(path), store.problem) == (folder, 0o600, "")


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.finding("E17")
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes and links")
@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal", "-lock"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "device"])
def test_a_store_that_is_no_file_of_ours_is_left_alone(kind: str, ending: str, path: Path, tmp_path: Path) -> None:
    """Nothing waits for a pipe, and the target of a link keeps its mode and content; SQLite's own files are a part of it."""
    file_format = FileFormat("vectors", 1, 1, ())
    path.parent.mkdir()
    if ending:
        before = SqliteFile(path, file_format, own_folder=True)
        with before.transaction():
            pass
        before.close()
        path = path.with_name(f"{path.name}{ending}")
    (target := tmp_path / "target").write_text("mine")
    target.chmod(0o644)
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(target if kind == "link" else "/dev/zero")
    mode = path.lstat().st_mode
    file = SqliteFile(path.with_name(path.name.removesuffix(ending)), file_format, own_folder=True)
    with pytest.raises(OSError, match="not a regular file"), file.transaction():
        pass
    assert path.lstat().st_mode == mode
    assert (target.read_text(), target.stat().st_mode & 0o777) == ("mine", 0o644)


@pytest.mark.finding("E17")
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give files away")
def test_a_store_of_another_user_is_left_alone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever owns the folder could exchange what is stored in it; 0777 alone is closed."""
    path.parent.mkdir(mode=0o777)
    path.parent.chmod(0o777)
    file = SqliteFile(path, FileFormat("vectors", 1, 1, ()), own_folder=True)
    with file.transaction():
        assert _mode(path.parent) == 0o700
    file.close()
    monkeypatch.setattr(os, "geteuid", lambda: 999)
    with pytest.raises(OSError, match="belongs to another user"), file.transaction():
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="no other system takes back the memory of a file on request")
def test_the_memory_of_what_was_written_is_given_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each 4 MB, and at the end of a segment."""
    asked: list[int] = []
    give_back = os.posix_fadvise

    def counted(number: int, start: int, size: int, advice: int) -> None:
        asked.append(advice)
        give_back(number, start, size, advice)

    monkeypatch.setattr(os, "posix_fadvise", counted)
    file = VectorFile(path, 2**30, own_folder=False)
    for batch in range(12):
        file.put([(keys_of(batch, 256), rows_of(keys_of(batch, 256), 1024), 1024)])  # 1 MB
    assert asked == [os.POSIX_FADV_DONTNEED] * 3
    file.close()
    assert asked == [os.POSIX_FADV_DONTNEED] * 4
