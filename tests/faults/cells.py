"""Run one cell of the matrix: let a server misbehave, and list what we did wrong then and afterwards."""

from __future__ import annotations

import json
import re
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

import ollama_magics as om
from ollama_magics.conversation.reply import answer_view
from ollama_magics.diagnosis import stages
from ollama_magics.errors import AnswerCut, OllamaMagicsError
from ollama_magics.jobs import queue
from ollama_magics.server.client import Timeouts
from ollama_magics.session import session as session_module
from ollama_magics.session.session import current
from ollama_magics.settings import form
from tests.canary import KEY
from tests.diagnosis.certificates import trust
from tests.embeddings.batch_server import right, vectors
from tests.faults.answers import fine, whole
from tests.faults.connection import Connection, Request
from tests.faults.server import FaultServer
from tests.faults.steps import Drip, Flood, Hold, Serve, Step
from tests.messages.test_remedies import magics_by_name, problems

COLUMNS = ("check", "chat", "rows", "embed")
ROWS = ["one", "poison", "three"]
_LIMIT = 30.0  # seconds for a cell on a busy machine; most take some milliseconds
_CUTS = "connection-broken|stream-incomplete|stream-unreadable|answer-unreadable"
_SHORT, _LONG = 0.8, 20.0  # seconds that stand for the limits of real use, where a server is slow and where it is not
_KEY_VARIABLE = "FAULT_KEY"


@dataclass(frozen=True)
class Fails:
    """The cell is an error of this code whose text matches ``words``.

    ``kept`` is the text that came before. In a job the row at fault has the error and the others their answers, unless ``all``
    says that the whole job fails. ``unsent``: nothing was asked of the model.
    """

    code: str
    words: str = ""
    kept: str = ""
    all: bool = False
    unsent: bool = False


@dataclass(frozen=True)
class Works:
    """The cell works all the same, with this text; ``warns`` matches what is reported below the answer."""

    text: str = "Hello"
    warns: str = ""


@dataclass(frozen=True)
class Cut:
    """The answer is cut somewhere: an error that says so, with a beginning of this text, or all of it if only its end is lost."""

    text: str = "Hello"


@dataclass(frozen=True)
class Dash:
    """The cell makes no sense, for this reason."""

    reason: str


@dataclass(frozen=True)
class Held:
    """A test of another folder holds the cell, since a script of a server cannot."""

    test: str


Outcome = Fails | Works | Cut | Dash | Held


@dataclass(frozen=True)
class Fault:
    """One row of the matrix.

    ``script`` answers the request for the version (in the check), for the chat, or for the row or text "poison"; with ``on``
    "all" every request, and with "connection" it meets every connection as soon as it is open. After ``times`` of it, the
    server is well again. ``place`` opens the address instead, where the fault is not in what a server says; ``variables`` are
    set in the environment, with the port of the server as ``{port}``.
    """

    key: str
    title: str
    script: Sequence[Step] = ()
    check: Outcome = Dash("the check asks no model")
    chat: Outcome = Dash("about jobs only")
    rows: Outcome = Dash("a row is asked for as a chat is")
    embed: Outcome = Dash("about text only")
    on: str = "request"
    times: int = 1_000_000
    url: str = "http://127.0.0.1:{port}"
    place: Callable[[], Any] | None = None
    variables: dict[str, str] = field(default_factory=dict)
    trusted: bool = False  # the authority of the test's certificates is trusted
    prompt: dict[str, Any] = field(default_factory=dict)  # further options of the chat
    before: str = ""  # stands before each prompt
    texts: Sequence[Any] = tuple(ROWS)  # that are embedded
    embedding: dict[str, Any] = field(default_factory=dict)  # further options of the embeddings
    card: dict[str, Any] | None = None  # of the model
    inside: Callable[[Callable[[], Any]], Any] = lambda call: call()  # makes the call, perhaps in a thread
    limit: float = 0.0  # seconds that stand for the limits of real use; 0: by the script

    @property
    def seconds(self) -> float:
        """The limits of this fault: a busy machine must not look like a slow server."""
        is_slow = self.place is not None or any(isinstance(step, Hold | Flood | Drip) for step in self.script)
        return self.limit or (_SHORT if is_slow else _LONG)

    def cells(self) -> Iterator[tuple[str, Outcome]]:
        """Yield each column with what is right there."""
        yield from ((column, getattr(self, column)) for column in COLUMNS)


class _Faulty:
    """Answers as a healthy server, and with the fault where the column meets it; counts what was asked and answered."""

    def __init__(self, fault: Fault, column: str) -> None:
        self.left = fault.times if fault.script and not fault.place else 0
        self.asked: list[str] = []  # the rows and texts, as they came
        self.answered: list[str] = []  # those with a healthy answer
        self._fault, self._column = fault, column
        self._lock = threading.Lock()
        self.flaws: list[str] = []  # of the requests
        more = {"show": whole(fault.card)} if fault.card else {}
        (serve,) = fine(tags=whole({"models": [{"name": "m:latest", "size": 1, "digest": "sha256:1"}]}), **more)
        assert isinstance(serve, Serve)
        self._healthy = serve.scripts

    def run(self, connection: Connection) -> None:
        """Do it."""
        if self._fault.on == "connection" and self._is_met():
            for step in self._fault.script:
                step.run(connection)
            return
        while True:
            for step in self._answer(connection.receive()):
                step.run(connection)

    def _answer(self, request: Request) -> Sequence[Step]:
        texts = self._texts(request)
        self.asked += texts
        if self._is_at_fault(request, texts) and self._is_met():
            return self._fault.script
        self.answered += texts
        return right(texts) if request.path == "/api/embed" else self._healthy[request.path]

    def _texts(self, request: Request) -> list[str]:
        if request.path not in ("/api/chat", "/api/embed"):
            return []
        body = json.loads(request.body)
        if body["truncate"] is not False:
            self.flaws.append("the server may cut what it gets")
        return (
            list(body["input"])
            if request.path == "/api/embed"
            else [body["messages"][-1]["content"].removeprefix(self._fault.before)]
        )

    def _is_at_fault(self, request: Request, texts: list[str]) -> bool:
        if self._fault.on != "request":
            return self._fault.on == "all"
        if self._column in ("rows", "embed"):
            return "poison" in texts
        return request.path == {"check": "/api/version", "chat": "/api/chat"}[self._column]

    def _is_met(self) -> bool:
        with self._lock:
            self.left -= 1
            return self.left >= 0


@contextmanager
def small_limits(seconds: float = _SHORT) -> Iterator[None]:
    """Let every limit be so short, and no retry wait."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue.RetryPolicy, "delay", lambda *_: 0.01)
        patch.setattr(session_module, "Timeouts", partial(Timeouts, metadata=seconds))
        for name in ("_METADATA_SECONDS", "_CONNECT_SECONDS", "_LOADING_SECONDS"):
            patch.setattr(stages, name, seconds)
        yield


@dataclass
class Outcomes:
    """What a call came to: the error, the text or rows, and what was reported."""

    error: OllamaMagicsError | None = None
    text: str = ""
    rows: list[Any] = field(default_factory=list)
    warnings: str = ""


def _call(column: str, fault: Fault) -> Outcomes:
    """Make the call of a column; any error that is not ours goes through."""
    found = Outcomes()
    try:
        if column == "check":
            report = om.check()
            found.error, found.text = report.error, "Hello" if report else ""
            found.warnings = str(report)
        elif column == "chat":
            reply = om.chat(f"{fault.before}Hi", **fault.prompt)
            found.text = reply.text
            view = answer_view(reply)
            found.warnings = "\n".join((*view.warnings, *view.figures))
        else:
            with warnings.catch_warnings(record=True, action="always") as said:
                if column == "rows":
                    rows = sorted(ROWS, key="poison".__eq__)  # what the poison ends comes before it
                    found.rows = om.map(rows, fault.before + "{{item}}", parallel=1, **fault.prompt)
                else:
                    found.rows = list(om.embed(list(fault.texts), model="m", batch=len(ROWS), **fault.embedding))
            found.warnings = "\n".join(str(one.message) for one in said)
    except OllamaMagicsError as error:
        found.error = error
        partial = getattr(error, "partial", None)
        found.text = partial.text if isinstance(partial, om.Reply) else ""
    return found


def run_cell(fault: Fault, column: str) -> list[str]:
    """Return what is wrong in a cell, nothing where it holds."""
    before, faulty = set(threading.enumerate()), _Faulty(fault, column)
    with (
        TemporaryDirectory() as folder,
        FaultServer([faulty]) as server,
        small_limits(fault.seconds),
        pytest.MonkeyPatch.context() as patch,
    ):
        own = {"OLLAMA_MAGICS_CONFIG": f"{folder}/config", "OLLAMA_MAGICS_CACHE": f"{folder}/cache", _KEY_VARIABLE: KEY}
        for name, value in (own | fault.variables).items():
            patch.setenv(name, value.format(port=server.port))
        with fault.place() if fault.place else nullcontext(fault.url.format(port=server.port)) as url:
            try:
                flaws = list(_flaws_of_calls(fault, column, faulty, server, url, trust(Path(folder)) if fault.trusted else ""))
            finally:
                current().close()
                form.forget()
        if not server.wait_until_left(2):
            flaws.append("a connection stays open")
    deadline = time.monotonic() + 2
    while (left := set(threading.enumerate()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    return flaws + faulty.flaws + [f"a thread stays: {one.name}" for one in left]


def _flaws_of_calls(  # noqa: PLR0913, PLR0917 - all that a cell has
    fault: Fault, column: str, faulty: _Faulty, server: FaultServer, url: str, certificates: str
) -> Iterator[str]:
    """Make the call of a column, and again when the server is well; yield what is wrong."""
    expected = getattr(fault, column)
    limits: dict[str, Any] = dict.fromkeys(("first_token_timeout", "idle_timeout", "connect_timeout"), fault.seconds)
    start, found = time.monotonic(), Outcomes()
    try:
        om.configure(base_url=url, model="m", api_key_env=_KEY_VARIABLE, probes=False, **limits)
        if certificates:
            om.configure(ca_bundle=certificates)
        found = fault.inside(lambda: _call(column, fault))
    except OllamaMagicsError as error:  # the address is refused at once
        found.error = error
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a flaw
        yield f"not one of our errors: {error!r}"
        return
    if (seconds := time.monotonic() - start) > _LIMIT:
        yield f"took {seconds:.1f} s"
    stays = any(isinstance(step, Hold | Flood | Drip) for step in fault.script)
    if isinstance(found.error, AnswerCut) and stays and not server.wait_until_left(1):
        yield "the connection of a cut answer stays open"
    yield from _flaws(expected, found, column)
    if getattr(expected, "unsent", False) and faulty.asked:
        yield f"sent: {faulty.asked}"

    done = set(faulty.answered)
    faulty.left = 0
    faulty.asked.clear()
    if not fault.card:  # with such a model it is refused again
        yield from (f"next call: {flaw}" for flaw in _next_call(column, server.url, elsewhere=url != server.url))
    if found.error and column in ("rows", "embed"):  # a job that ended with an error in a row is over, and asks anew
        yield from (f"asked again: {text}" for text in faulty.asked if text in done)


def _next_call(column: str, url: str, *, elsewhere: bool) -> Iterator[str]:
    """Yield what is wrong with the same call on the server, which is well now."""
    if elsewhere:
        with warnings.catch_warnings(action="ignore"):  # that the key was for the former address
            om.configure(base_url=url, proxy="none", ca_bundle="")
    found = _call(column, Fault("", ""))
    yield from _flaws(Works(), found, column)


def _flaws(expected: Outcome, found: Outcomes, column: str) -> Iterator[str]:
    """Yield how a call differs from what is right."""
    if isinstance(expected, Works):
        yield from _flaws_of_success(expected, found, column)
        return
    if isinstance(expected, Cut):
        yield from _flaws_of_cut(expected, found, column)
        return
    assert isinstance(expected, Fails)
    if column == "rows" and not expected.all and found.error is None:
        yield from _flaws_of_rows(expected, found.rows)
        return
    error = found.error
    if error is None:
        yield f"no error, instead of {expected.code}: {found.text or found.rows!r}"
        return
    if not re.fullmatch(expected.code, error.code):
        yield f"{error.code} instead of {expected.code}: {error}"
    elif not re.search(expected.words, str(error)):
        yield f"{expected.words!r} is not in: {error}"
    if expected.kept and found.text != expected.kept:
        yield f"kept {found.text!r} instead of {expected.kept!r}"
    yield from flaws_of_error(error)


def _flaws_of_cut(expected: Cut, found: Outcomes, column: str) -> Iterator[str]:
    """Yield what is wrong with an answer of which a part is lost: neither an error nor whole, or other text than was sent."""
    failed = [row for row in found.rows if row["error"]] if column == "rows" else []
    if failed:
        yield from _flaws_of_rows(Fails(_CUTS), found.rows)
    elif found.error is None:
        yield from _flaws_of_success(Works(expected.text), found, column)
    else:
        yield from _flaws(Fails(_CUTS), found, "")
        if not expected.text.startswith(found.text):
            yield f"kept {found.text!r}, which is no beginning of {expected.text!r}"


def _flaws_of_success(expected: Works, found: Outcomes, column: str) -> Iterator[str]:
    if found.error is not None:
        yield f"{found.error.code}: {found.error}"
    elif column == "rows":
        yield from (f"row {row['item']}: {row['error'] or row['reply']}" for row in found.rows if row["reply"] != expected.text)
    elif column == "embed":
        if [list(row) for row in found.rows] != [list(row) for row in vectors(ROWS)]:
            yield f"wrong vectors: {found.rows}"
    elif found.text != expected.text:
        yield f"{found.text!r} instead of {expected.text!r}"
    if not re.search(expected.warns, found.warnings):
        yield f"{expected.warns!r} is not in: {found.warnings}"


def _flaws_of_rows(expected: Fails, rows: list[Any]) -> Iterator[str]:
    for row in rows:
        error, reply = str(row["error"] or ""), row["reply"]
        if row["item"] == "poison":
            if not re.match(f"(?:{expected.code}):", error):
                yield f"the row has {error!r} and {reply!r} instead of {expected.code}"
            elif not re.search(expected.words, error):
                yield f"{expected.words!r} is not in: {error}"
        elif reply != "Hello" or error:
            yield f"another row has {error!r} and {reply!r}"


def flaws_of_error(error: OllamaMagicsError) -> Iterator[str]:
    """Yield what an error has that none may have: too many lines, a key, a cause, advice that cannot be typed."""
    if error.__cause__ is not None or not (error.__suppress_context__ or error.__context__ is None):
        yield f"raised with {error.__cause__ or error.__context__!r}"
    texts = [error.debug, "".join(traceback.format_exception(error))]
    for language in ("en", "zh"):
        for place in ("notebook", "python"):
            error.language, error.place = language, place
            texts.append(str(error))
            if not 3 <= len(error.lines()) <= 7:
                yield f"{len(error.lines())} lines: {error}"
            if not error.remedy.strip():
                yield "no remedy"
            yield from problems(error.remedy, place, magics_by_name())
    if not re.search("[一-鿿]", error.what):
        yield f"not in Chinese: {error.what}"
    if any(KEY in text for text in texts):
        yield "the key is shown"
