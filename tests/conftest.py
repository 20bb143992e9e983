"""Fixtures and hooks for all tests: a clean environment, the servers, the search for the canary key, and the summary."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import signal
import subprocess
import threading
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from ollama_magics.fake_server.releases import Release
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.secret import Secret
from ollama_magics.server.address import parse
from ollama_magics.server.client import Client, Timeouts
from ollama_magics.settings import form
from tests.canary import KEY, files_with_it
from tests.wedged import is_silent, run_once_more

pytest_plugins = ["tests.findings", "tests.faults.printed"]
collect_ignore = ["sample_project"]  # a project of its own, see tests/documented_workflow.py
_OURS = {"OLLAMA_TEST_URL", "OLLAMA_MAGICS_REQUIRE_REAL", "OLLAMA_MAGICS_CHROMIUM"}  # they speak to the tests themselves
_LANGUAGES = ("LC_ALL", "LC_MESSAGES", "LANGUAGE")
_BROWSER_TESTS = Path(__file__).parent / "browser"
_NUMBERS = count()  # for the names of each test's own profiles and store; the folders are made by what writes into them
_TEMPORARY = pytest.StashKey[Path]()  # the folder of all that tests write
_TALKATIVE = ("httpcore", "httpx", "ollama_magics")  # whose logs must not hold a key, however much they say
_leaks: list[str] = []  # outputs, logs and files with the canary key; in a worker of pytest-xdist its own
_PLACES = {"real": "real Ollama", "stand-in": "stand-in", "browser": "browser", "notebooks": "notebooks"}

hypothesis.settings.register_profile("shared machine", deadline=None)  # a busy one must not fail a test
hypothesis.settings.load_profile("shared machine")


@pytest.fixture(autouse=True, scope="session")
def _kernels_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the person's own profiles and store out of kernels that live longer than a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OLLAMA_MAGICS_CONFIG", str(tmp_path_factory.getbasetemp() / "profiles-of-kernels"))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache-of-kernels")))
        yield


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the machine's own Ollama, profiles, store, proxies and language out of a test, and its session out of the next."""
    for name in os.environ:
        if (name.startswith("OLLAMA_") and name not in _OURS) or name.lower().endswith("_proxy") or name in _LANGUAGES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("LANG", "C")
    folder, number = tmp_path_factory.getbasetemp(), next(_NUMBERS)
    monkeypatch.setenv("OLLAMA_MAGICS_CONFIG", str(folder / f"profiles-{number}"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / f"cache-{number}"))
    yield
    session = form.shared().session
    if session is not None:
        session.close()
    form.forget()


@pytest.fixture
def stand_in(request: pytest.FixtureRequest) -> Iterator[FakeServer]:
    """Run a stand-in server without delays; as an older Ollama with ``@pytest.mark.release("0.24.0")``."""
    marker = request.node.get_closest_marker("release")
    with FakeServer(delay=0, version=marker.args[0] if marker else Release.NEWEST.value) as server:
        yield server


@pytest.fixture
def connect() -> Iterator[Callable[..., Client]]:
    """Return a function that makes a client of an address; all are closed in the end."""
    with ExitStack() as clients:

        def make(url: str, *, key: str = "", cancelled: threading.Event | None = None, **limits: float) -> Client:
            client = Client(parse(url), Timeouts(**limits), key=Secret(key), cancelled=cancelled)
            clients.callback(client.close)
            return client

        yield make


@pytest.fixture(scope="session")
def real_url() -> str:
    """Return the address of a real Ollama with the models of tests/real_ollama, or skip."""
    url = os.environ.get("OLLAMA_TEST_URL", "")
    if not url:
        reason = "needs a real Ollama: set OLLAMA_TEST_URL to the address that tests/real_ollama/start.py prints"
        if os.environ.get("OLLAMA_MAGICS_REQUIRE_REAL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return url.rstrip("/")


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays until the end: every shell that is reset would look through all of it."""
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Give a test on the real Ollama a second run where the server did not answer in time."""
    if "OLLAMA_TEST_URL" not in os.environ or not ("tests/real/" in item.nodeid or "[real" in item.nodeid):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if is_silent(reports):
        reports = run_once_more(item, nextitem)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


# The canary: no file, output or log of a run holds the key that tests type.


@pytest.fixture(scope="session", autouse=True)
def _files(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Remember where the tests write, for the search at the end."""
    request.config.stash[_TEMPORARY] = tmp_path_factory.getbasetemp()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Look through what a test wrote and logged; the logs, which are long, are not shown with a failure."""
    if report.when == "teardown":  # which has the outputs of all three
        _leaks.extend(f"{report.nodeid}: {name}" for name, text in report.sections if KEY in text)
        _leaks.extend(["the name of a test"] if KEY in report.nodeid else [])
    report.sections = [(name, text) for name, text in report.sections if not name.startswith("Captured log")]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Search the files of the run, and fail it where the key was found; a worker passes on what it found."""
    folder = session.config.stash.get(_TEMPORARY, None)
    _leaks.extend(map(str, files_with_it(folder) if folder else ()))
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["leaks"] = _leaks
    if _leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Add what a worker of pytest-xdist found; one that crashed has no output."""
    _leaks.extend(leak for leak in getattr(node, "workeroutput", {}).get("leaks", []) if leak not in _leaks)


# The last word: each test says where it runs, and the reports carry it (also from the workers of pytest-xdist).


def pytest_configure() -> None:
    """Listen to the stop button, which a run that a shell put into the background was told to ignore; log all there is."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.DEBUG)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Note for each test on what it runs, and mark it for -m; in a process of pytest-xdist, sort them."""
    for item in items:
        if place := _place(item):
            item.user_properties.append(("runs on", place))
        if place in ("browser", "real"):
            item.add_marker(place)
    if "PYTEST_XDIST_WORKER" in os.environ:
        from tests import scheduling  # noqa: PLC0415 - needs pytest-xdist

        scheduling.sort(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Return what gives the tests to the processes of pytest-xdist."""
    from tests import scheduling  # noqa: PLC0415 - needs pytest-xdist

    return scheduling.Scheduling(config, log)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the servers, the browser, and the number of tests that ran on each."""
    reports = [report for key in ("passed", "failed") for report in terminalreporter.stats.get(key, [])]
    ran = Counter(place for report in reports if report.when == "call" for place in _places(report))
    servers = {
        "real": _real_server(),
        "stand-in": f"as Ollama {Release.NEWEST.value}",
        "browser": _browser(),
        "notebooks": "on the stand-in",
    }
    terminalreporter.section("what ran on what")
    for key, name in _PLACES.items():
        terminalreporter.write_line(f"{name:12} {ran[key]:5} tests   {servers[key]}")
    terminalreporter.write_line(f"canary key   {len(_leaks):5} times found in files, outputs, logs and names of this run")
    for place in _leaks:
        terminalreporter.write_line(f"  {place}", red=True)


def _place(item: pytest.Item) -> str:
    fixtures = set(getattr(item, "fixturenames", ()))
    variants = set(map(str, getattr(getattr(item, "callspec", None), "params", {}).values()))
    if item.path.suffix == ".ipynb":
        return "notebooks"
    if item.path.is_relative_to(_BROWSER_TESTS):
        return "browser"
    if "real_url" in fixtures or "real" in variants:
        return "real"
    return "stand-in" if "stand_in" in fixtures or "stand-in" in variants else ""


def _places(report: pytest.TestReport) -> list[str]:
    return [str(value) for name, value in report.user_properties if name == "runs on"]


def _real_server() -> str:
    url = os.environ.get("OLLAMA_TEST_URL", "")
    if not url:
        return "none: set OLLAMA_TEST_URL"
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"{url.rstrip('/')}/api/version", timeout=5) as answer:
            return f"Ollama {json.load(answer)['version']} at {url}"
    except OSError as error:
        return f"none answers at {url}: {error}"


def _browser() -> str:
    found = os.environ.get("OLLAMA_MAGICS_CHROMIUM") or shutil.which("chromium")
    if not found or not Path(found).exists():
        return "none: set OLLAMA_MAGICS_CHROMIUM"
    ran = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=20, check=False)
    return f"{ran.stdout.strip() or 'unknown version'}, {found}"
