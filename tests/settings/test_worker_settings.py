"""In a worker process, what was set in the process that started it and is not there is named."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from joblib import Parallel, delayed
from joblib.externals.loky import get_reusable_executor

import ollama_magics as om
from ollama_magics.fake_server.server import FakeServer

FAR = "http://192.0.2.7:11434"  # for documentation; belongs to nobody


@pytest.fixture(autouse=True)
def _main_module(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the main module look as in Python: a shell of an earlier test may have put its own in the place."""
    monkeypatch.setattr(sys.modules["__main__"], "__spec__", None, raising=False)


def said(url: str = "", **options: Any) -> list[str]:
    """Return the warnings of a call in this process, and the error with its notes; ``url`` is set before it."""
    with warnings.catch_warnings(record=True, action="always") as caught:
        try:
            if url:
                om.configure(base_url=url)
            om.embed(["a"], **options)
        except om.OllamaMagicsError as error:
            return [*getattr(error, "__notes__", ()), error.code]
    return [str(one.message) for one in caught]


def by_joblib(*arguments: Any, **options: Any) -> list[str]:
    """Run it in a new process of joblib, which would keep it for the next test."""
    get_reusable_executor().shutdown(wait=True)
    found: list[str] = Parallel(n_jobs=2)(delayed(said)(*arguments, **options) for _ in range(2))[0]
    get_reusable_executor().shutdown(wait=True)
    return found


def in_process(start: str) -> Callable[..., list[str]]:
    """Run it in a process that is started in this way."""

    def run(*arguments: Any, **options: Any) -> list[str]:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(start)) as pool:
            return pool.submit(said, *arguments, **options).result()

    return run


@pytest.mark.parametrize("run", [by_joblib, in_process("spawn")])
def test_settings_that_do_not_reach_a_worker_are_named(
    run: Callable[..., list[str]], stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an answer as a warning, with an error as its note; what the call or the worker itself sets is not missing."""
    monkeypatch.setenv("OLLAMA_HOST", "http://127.0.0.1:9")  # where nothing listens
    om.configure(base_url=stand_in.url, embedding_model="sandbox-embed", temperature=0.5)
    named = f"What was set in process {os.getpid()} is not set in this worker process: "
    note, code = run()
    assert note.startswith(f"{named}base_url, embedding_model, temperature. Call om.configure")
    assert code == "address-refused"
    (warning,) = run(model="sandbox-embed", base_url=stand_in.url)
    assert warning.startswith(f"{named}temperature. ")
    (warning,) = run(stand_in.url)
    assert warning.startswith(f"{named}embedding_model, temperature. ")


def test_a_forked_process_has_the_settings(stand_in: FakeServer) -> None:
    """And nothing is missing where nothing was set, or where a worker sets all itself."""
    om.configure(base_url=stand_in.url)
    assert in_process("fork")() == []
    assert in_process("spawn")(stand_in.url) == []
    om.configure(base_url="")
    assert in_process("spawn")(model="sandbox-embed", base_url=stand_in.url) == []


@pytest.mark.parametrize("run", [by_joblib, in_process("spawn"), in_process("fork")])
def test_local_only_reaches_every_worker(
    run: Callable[..., list[str]], stand_in: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the one setting whose absence would send texts where they must not go."""
    monkeypatch.setenv("OLLAMA_HOST", FAR)
    om.configure(base_url=stand_in.url, local_only=True)
    assert run(model="m", base_url=FAR)[-1] == "local-only"
    om.configure(base_url="")
    assert run(model="m")[-1] == "local-only"
