"""How a server is reached, on its way into other processes: what goes along, what stays, and what is refused."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import ollama_magics as om
from ollama_magics.errors import SettingError
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.integrations.remote_session import RemoteSession, describe_session
from ollama_magics.session.session import Session, current


def test_what_differs_from_the_defaults_and_matters_elsewhere_goes_along() -> None:
    """The system prompt, for one, does not."""
    om.configure(base_url="gpu-box", model="m", idle_timeout=9, system="Be brief.", seed=3)
    assert dict(describe_session().settings) == {"base_url": "gpu-box", "model": "m", "idle_timeout": 9}
    assert pickle.loads(pickle.dumps(describe_session())) == describe_session()  # noqa: S301 - our own


def test_an_address_from_the_environment_stays_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is each machine's own, and is read there."""
    monkeypatch.setenv("OLLAMA_HOST", "http://ann:sesame@gpu-box")
    assert describe_session() == RemoteSession()
    assert describe_session().open().address.host == "gpu-box"


def test_what_is_set_here_counts_more_than_what_came_along() -> None:
    """And what was typed for this one call counts most."""
    before = {"base_url": "old-box", "idle_timeout": 9}
    assert dict(describe_session(before=before).settings) == before
    om.configure(base_url="gpu-box")
    assert dict(describe_session(before=before).settings) == {"base_url": "gpu-box", "idle_timeout": 9}
    assert dict(describe_session("near-box", before=before).settings)["base_url"] == "near-box"


def test_one_session_serves_all_threads_of_a_process_and_ends_with_it() -> None:
    """However many begin at once."""
    found: list[Session] = []
    reached = RemoteSession((("base_url", "gpu-box"),))
    threads = [threading.Thread(target=lambda: found.append(reached.open())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(map(id, found)) == {id(current().others[reached])}
    client = found[0].client
    current().close()
    assert client.is_cancelled


def test_a_key_goes_to_the_address_that_it_was_named_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not to the notebook's own."""
    monkeypatch.setenv("BOX_KEY", "sesame")
    assert describe_session("gpu-box", "BOX_KEY").open().settings.api_key_env == "BOX_KEY"
    assert current().settings.api_key_env == ""


def test_a_variable_that_is_not_set_is_an_error_that_names_it() -> None:
    """In the process where it is missing."""
    with pytest.raises(SettingError) as caught:
        describe_session(api_key_env="BOX_KEY").open()
    assert f"BOX_KEY is not set in process {os.getpid()}" in caught.value.how_we_know


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
def test_a_forked_process_has_connections_of_its_own(stand_in: FakeServer) -> None:
    """Two processes on one connection would read each other's vectors."""
    code = (
        "import os, sys, ollama_magics as om\n"
        "from ollama_magics.session.session import current\n"
        "om.configure(base_url=sys.argv[1])\n"
        "before = current().client\n"
        "child = os.fork()\n"
        "if not child: os._exit(current().client is before)\n"
        "assert os.waitpid(child, 0)[1] == 0 and current().client is before"
    )
    subprocess.run([sys.executable, "-c", code, stand_in.url], check=True)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only where processes fork")
@pytest.mark.parametrize("opened", [True, False])
def test_a_forked_process_shares_no_store_that_is_open(stand_in: FakeServer, tmp_path: Path, *, opened: bool) -> None:
    """It goes on without; what its parent has not opened yet is its own."""
    code = (
        "import os, sys, ollama_magics as om\n"
        "from ollama_magics.session.session import current\n"
        "om.configure(base_url=sys.argv[1], embedding_model='sandbox-embed')\n"
        "store = current().store\n"
        "if sys.argv[2] == 'True': om.embed(['before'])\n"
        "child = os.fork()\n"
        "om.embed(['in the child', 'again'] if not child else ['in the parent'])\n"
        "found = store.count()\n"
        "if not child: store.close(); os._exit(found)\n"
        "print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), found >= 1, store.problem == '')"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", code, stand_in.url, str(opened)]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()
    childs, *parents = told
    assert int(childs) == 0 if opened else int(childs) >= 2
    assert parents == ["True", "True"]
