"""Nothing that is finished is asked twice: after an error, an interrupt, another process, and SIGKILL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.session.session import current
from tests.rows.row_server import RowServer

JOB = Path(__file__).with_name("killed_job.py")
IN_FLIGHT, WAITING = 4, 8  # requests at a time, and answers that may wait to be written


def numbered(text: str) -> str:
    """Return the fields of a row that names its number."""
    return json.dumps({"text": text.partition(": ")[2], "size": int(text.rpartition(" ")[2])})


@pytest.fixture
def server() -> Iterator[RowServer]:
    """Run a server that answers every row."""
    with RowServer(str.upper) as server:
        om.configure(base_url=server.url, model="m")
        yield server
        current().close()


@pytest.mark.promise("N4")
@pytest.mark.slow
def test_killed_jobs_ask_again_only_for_rows_in_flight(tmp_path: Path, record_property: Any) -> None:
    """2 000 rows with fields, killed five times at any moment: complete, right, in order."""
    count, kills, out = 2000, 5, tmp_path / "out.json"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with RowServer(numbered, delay=0.004) as server:
        for kill in range(kills):
            job = subprocess.Popen([sys.executable, str(JOB), server.url, str(count), str(out)], env=environment)
            goal = count * (kill + 1) // (kills + 1)
            while len(set(server.asked)) < goal:
                assert job.poll() is None
                time.sleep(0.01)
            job.kill()
            job.wait()
        subprocess.run([sys.executable, str(JOB), server.url, str(count), str(out)], env=environment, check=True)
        asked = Counter(server.asked)
    found = json.loads(out.read_text(encoding="utf-8"))
    assert [(row["item"], row["text"], row["size"], row["error"]) for row in found] == [
        (f"row {number}", f"row {number}", number, "") for number in range(count)
    ]
    again = sum(asked.values()) - count
    assert again <= kills * (IN_FLIGHT + WAITING)
    assert max(asked.values()) <= 1 + kills
    record_property("figure", f"{count} rows, {kills} SIGKILLs, {again} asked again")


def test_a_finished_job_asks_anew_unless_it_may_reuse(server: RowServer) -> None:
    """--reuse takes what is stored; without it, and with another prompt, everything is asked."""
    rows = ["a", "b", "a"]
    first = om.map(rows, "{{item}}")
    assert sorted(server.asked) == ["a", "a", "b"]  # equal rows are asked one by one
    assert om.map(rows, "{{item}}", reuse=True) == first
    assert len(server.asked) == 3
    om.map(rows, "{{item}}")
    assert len(server.asked) == 6
    om.map(rows, "{{item}}!", reuse=True)
    om.map(rows, "{{item}}", reuse=True, seed=1)
    assert len(server.asked) == 12
    om.map(rows, "{{item}}", reuse=True, keep_alive="9m")  # which changes no answer
    assert len(server.asked) == 12


def test_nothing_is_kept_without_the_store(server: RowServer) -> None:
    """And nothing is found."""
    om.map(["a"], "{{item}}", store=False)
    om.map(["a"], "{{item}}", reuse=True)
    om.map(["a"], "{{item}}", reuse=True, store=False)
    assert len(server.asked) == 3


def test_an_interrupted_job_asks_for_the_rest(server: RowServer) -> None:
    """The interrupt has the rows so far; the next call reuses them, the one after that asks anew."""
    rows = [f"row {number}" for number in range(40)]

    class Stop:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(om.Interrupted) as caught:
        om.map([*rows[:20], Stop(), *rows[21:]], "{{item}}", parallel=2)
    done = [row for row in caught.value.partial if row["reply"]]
    errors = {row["error"] for row in caught.value.partial if not row["reply"]}
    assert errors == {"interrupted-rows-kept: Interrupted; finished rows are kept. Run the cell again to ask for the rest."}
    before = len(server.asked)
    assert 0 < len(done) <= before <= 22
    om.map(rows, "{{item}}")
    assert len(server.asked) - before == 40 - len(done)
    om.map(rows, "{{item}}")
    assert len(server.asked) - before == 80 - len(done)


def test_a_model_that_is_replaced_during_the_job_is_said(server: RowServer) -> None:
    """The answers may be of two models, and are not those of the first one when it comes back."""

    class Replaces:
        def __str__(self) -> str:
            server.digest = "e" * 64
            return "second"

    first = server.digest
    with pytest.warns(UserWarning, match="m was replaced on http.* during the job"):
        om.map(["first", Replaces()], "{{item}}")
    server.digest = first
    om.map(["first", "second"], "{{item}}", reuse=True)
    assert server.asked == ["first", "second", "first", "second"]


def test_a_store_that_fails_costs_no_row(server: RowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where the cache folder is a file: all rows are asked, and a warning says why none is kept."""
    (tmp_path / "cache").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.warns(UserWarning, match="Rows are not kept"):
        out = om.map(["a", "b"], "{{item}}")
    assert [row["reply"] for row in out] == ["A", "B"]
    assert len(server.asked) == 2


def test_a_damaged_store_is_set_aside(server: RowServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A new one is begun, and a warning names the old one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "ollama_magics"
    folder.mkdir()
    (folder / "rows.sqlite").write_bytes(b"no database at all" * 1000)
    with pytest.warns(UserWarning, match="was kept as rows.sqlite"):
        om.map(["a", "b"], "{{item}}")
    assert om.map(["a", "b"], "{{item}}", reuse=True)[1]["reply"] == "B"
    assert len(server.asked) == 2
