"""The stages of a check, each of which tests one thing and ends the check if it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from ollama_magics import messages
from ollama_magics.diagnosis import capability_tests
from ollama_magics.diagnosis.advice import Failure, explain
from ollama_magics.diagnosis.capability_tests import ModelUnderTest
from ollama_magics.diagnosis.environment import Environment
from ollama_magics.diagnosis.probes import ConnectAttempt, connect, look_up
from ollama_magics.diagnosis.report import CheckReport, CheckRequest, Stage
from ollama_magics.errors import Cancelled, ConnectionProblem, ModelProblem, OllamaMagicsError, RequestRefused
from ollama_magics.server.address import Address, address_told, parse
from ollama_magics.server.client import Client, Timeouts
from ollama_magics.server.identity import identified, identify
from ollama_magics.server.model_card import ModelCard, full_name
from ollama_magics.server.models import InstalledModels
from ollama_magics.server.transport import proxy_for
from ollama_magics.server.transport_errors import of_socket

# The stages before the load end within 10 s, whatever a server does. After _LAST_REQUEST_SECONDS no request is begun; those
# under way end within 2 s (a connection, a handshake); the search for an explanation has the rest.
_NAME_SECONDS, _CONNECT_SECONDS, _METADATA_SECONDS, _EXPLAIN_SECONDS = 1.5, 2.0, 2.0, 2.5
_LAST_REQUEST_SECONDS, _TOTAL_SECONDS = 6.5, 9.8
_LAST_OPTIONAL_SECONDS = 5.0  # after which nothing optional is requested
_FOREVER = float("inf")
_SLOW_MILLISECONDS = 1000  # a first address that takes longer is reported
_LOADING_SECONDS = 86_400.0

OnProgress = Callable[[CheckReport], None]


def check(
    request: CheckRequest,
    on_progress: OnProgress | None = None,
    *,
    environment: Environment | None = None,
    stop: threading.Event | None = None,
) -> CheckReport:
    """Check a server and, if the request is deep, its model; ``on_progress`` gets each report so far, ``stop`` ends the check."""
    return _Check(request, on_progress or (lambda _: None), environment or Environment(), _Stop(stop)).run()


class _Stop(threading.Event):
    """Is set when the check has ended, when the caller's event is set, and when the time is over."""

    def __init__(self, outer: threading.Event | None) -> None:
        super().__init__()
        self._outer = outer
        self.deadline = _FOREVER

    def is_set(self) -> bool:
        return super().is_set() or bool(self._outer and self._outer.is_set()) or self.is_late

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self.deadline


@dataclass
class _Check:
    request: CheckRequest
    on_progress: OnProgress
    environment: Environment
    stop: _Stop
    done: dict[str, Stage] = field(default_factory=dict)
    attempts: list[ConnectAttempt] = field(default_factory=list)
    notes: list[OllamaMagicsError] = field(default_factory=list)  # of the stage that runs
    parsed: Address | None = None
    # results of stages, for later ones
    addresses: list[str] = field(default_factory=list)
    client: Client = field(init=False)
    models: InstalledModels = field(init=False)
    installed_count: int = 0
    model: str = ""

    def run(self) -> CheckReport:
        """Run the stages in order, up to the first that fails."""
        self.started = time.monotonic()
        self.stop.deadline = self.started + _LAST_REQUEST_SECONDS
        try:
            passed = self.run_stage("address")
            for name in self.stages_after_address(deep=self.request.deep):
                passed = passed and self.run_stage(name)
        except BaseException:
            self.stop.set()
            self.on_progress(self.report(complete=False))  # no request is under way any more
            raise
        finally:
            if hasattr(self, "client"):
                self.client.close()
        return self.report(complete=True)

    def stages_after_address(self, *, deep: bool) -> list[str]:
        """Return the stages that apply to the address, in order; ``deep`` adds those that run the model."""
        address = self.parsed
        is_recorded = self.request.is_recorded  # a replay has only an address, a connection and answers
        is_direct = address is not None and not is_recorded and not proxy_for(address, self.request.connection)
        is_name = address is not None and not address.host.replace(".", "").isdigit() and ":" not in address.host
        left_out = {"address", "proxy" if is_direct or is_recorded else "connection"}
        if not (is_direct and is_name):
            left_out.add("name")
        if not (is_direct and address and address.scheme != "http"):
            left_out.add("encryption")
        return [name for name in (_CHECKS if deep else _PLAIN_CHECKS) if name not in left_out]

    def report(self, *, complete: bool, running: Stage | None = None) -> CheckReport:
        """Return what is known now."""
        known = [*self.done.values(), *([running] if running else [])]
        names = {stage.name for stage in known}
        not_asked = self.phrase("not_asked")
        later = [name for name in ("address", *self.stages_after_address(deep=True)) if name not in names]
        stages = (*known, *(Stage(name, "not run", not_asked) for name in later))
        return CheckReport(stages, self.request.language, complete, is_recorded=self.request.is_recorded)

    def run_stage(self, name: str) -> bool:
        """Run one stage and report it; return whether it passed."""
        start = time.perf_counter()
        self.notes = []
        error: OllamaMagicsError | None = None
        sentence = ""
        try:
            sentence = _CHECKS[name](self)
        except Cancelled:
            error = self.cancelled()
        except OllamaMagicsError as failure:
            error = self.explained(failure)
        spent = None if self.request.is_recorded else 1000 * (time.perf_counter() - start)
        for one in (*self.notes, *([error] if error else [])):
            one.language, one.place = self.request.language, "notebook check"
        state = "failed" if error else "ok"
        self.done[name] = Stage(name, state, error.what if error else sentence, spent, error, tuple(self.notes))
        self.on_progress(self.report(complete=False))
        return error is None

    def report_progress(self, name: str, sentence: str, note: OllamaMagicsError | None = None) -> None:
        """Report a stage that is still running."""
        if note:
            note.language, note.place = self.request.language, "notebook check"
        running = Stage(name, "running", sentence, notes=(note,) if note else ())
        self.on_progress(self.report(complete=False, running=running))

    # Stages that find the server

    def check_address(self) -> str:
        if self.request.refused:
            raise self.request.refused
        address = self.parsed = parse(self.request.typed)
        if self.request.is_recorded:
            return self.phrase("address_unshown")
        if address.from_bind:
            self.notes.append(ConnectionProblem("address-is-wildcard", host=address.typed, port=address.port))
        return address_told(address, self.request.source, self.request.overridden, self.request.language)

    def check_name(self) -> str:
        self.addresses = look_up(self.environment, self.address, _NAME_SECONDS, self.stop)
        return self.phrase("name_is", host=self.address.host, addresses=", ".join(self.addresses))

    def check_proxy(self) -> str:
        self.open_client()
        return self.phrase("reached", where=self.client.try_connect())

    def check_connection(self) -> str:
        limits, address = self.open_client(), self.address
        if self.request.is_recorded:
            self.client.try_connect()
            return self.phrase("reached_unshown")

        self.attempts = connect(self.addresses or [address.host], address.port, limits.connect, self.stop)
        if not any(one.error is None for one in self.attempts):
            error = next((one for one in self.attempts if one.is_refused), self.attempts[0]).error
            raise of_socket(error or OSError(), address, limits.connect)
        self.note_slow_address()
        outcomes = ["accepts" if one.error is None else "refuses" if one.is_refused else "silent" for one in self.attempts]
        return "; ".join(self.phrase(key, where=one.endpoint) for key, one in zip(outcomes, self.attempts, strict=True))

    def open_client(self) -> Timeouts:
        """Make the client of the later stages, and return its limits."""
        request, address = self.request, self.address
        limits = Timeouts(min(request.timeout, _CONNECT_SECONDS), _LOADING_SECONDS, metadata=_METADATA_SECONDS)
        self.client = Client(
            address,
            limits,
            key=request.key,
            connection=request.connection,
            cancelled=self.stop,
            resolve=self.environment.resolve,
            recorder=request.recorder,
        )
        self.models = InstalledModels(self.client)
        return limits

    def note_slow_address(self) -> None:
        """Note where the first address of a name costs time, and a later one works."""
        first, working = self.attempts[0], next(one for one in self.attempts if one.error is None)
        timed_out = first.error is not None and not first.is_refused
        if timed_out or first.milliseconds > _SLOW_MILLISECONDS > working.milliseconds:
            url = f"{self.address.scheme}://{working.endpoint}{self.address.path}"
            slow, fast = first.endpoint, working.endpoint
            self.notes.append(ConnectionProblem("address-family-slow", host=self.address.host, slow=slow, fast=fast, url=url))

    def check_encryption(self) -> str:
        return self.phrase("tls_is", version=self.client.tls_version())

    # Stages that identify the server and its models

    def check_server(self) -> str:
        self.models.require_recent()
        try:
            self.installed_count = len(self.models.installed())
        except ConnectionProblem as error:
            raise identified(error, identify(self.client), self.client) from None
        sentence = self.phrase("is_ollama", version=self.models.server_version)
        has_key = bool(self.request.key or self.address.username or self.address.password)
        return self.phrase("key_sent", sentence=sentence) if has_key and not self.request.is_recorded else sentence

    def check_model(self) -> str:
        requested, ability = self.request.model, self.request.abilities[0]
        if not self.installed_count:
            pull = f"%ollama_pull {requested}" if requested else self.models.pull_advice(ability)
            none = messages.Phrase("none_installed")
            raise ModelProblem(
                "no-model-able", host=self.address.host, ability=messages.Capability(ability), installed=none, pull=pull
            )
        self.model = requested or self.models.choose("", ability)
        self.models.card(self.model)  # raises where there is no such model
        if self.request.deep and self.request.local_only:
            self.models.require_local(self.model)
        return self.phrase("model_installed" if requested else "model_only", model=self.model, count=self.installed_count)

    def check_abilities(self) -> str:
        card = self.models.card(self.model)
        self.models.choose(self.model, self.request.abilities[0])
        claims = [claim for claim in self.request.abilities[1:] if not card.can(claim)]
        if not self.request.deep:
            for claim in claims:
                self.models.choose(self.model, claim)
        if self.request.abilities[0] != "embedding":
            self.note_context(card)

        named = messages.Joined(map(messages.Capability, card.capabilities or ("?",)), " · ")
        parts = [messages.strip_controls(named.text(self.request.language))]
        if card.context_length:
            parts.append(self.phrase("takes_context", count=messages.group_digits(card.context_length)))
        if card.can("embedding") and card.embedding_length:
            parts.append(self.phrase("dimension", count=card.embedding_length))
        parts += [self.phrase("claimed", ability=messages.Capability(claim)) for claim in claims]
        return ", ".join(
            parts + [self.phrase("denied", ability=messages.Capability(one)) for one in self.request.denied if card.can(one)]
        )

    def note_context(self, card: ModelCard) -> None:
        """Note where the context is longer than the model allows, or another than it is loaded with."""
        requested, limit = self.request.context_length, card.context_length
        if limit and requested > limit:
            self.notes.append(ModelProblem("context-above-maximum", model=self.model, asked=requested, limit=limit))
        loaded = self.loaded_context()
        if loaded and loaded != card.loaded_context(requested):
            self.notes.append(ModelProblem("context-reload", model=self.model, asked=requested, loaded=loaded))

    def loaded_context(self) -> int:
        """Return the context that the model is loaded with; 0 where it is not loaded, or where the time is short."""
        if time.monotonic() - self.started > _LAST_OPTIONAL_SECONDS:
            return 0
        try:
            loaded = (one for one in self.client.loaded() if full_name(one.name) == full_name(self.model))
            return next((one.context_length for one in loaded), 0)
        except OllamaMagicsError:
            return 0  # optional, and no reason to fail
        except Cancelled:
            if self.stop.is_late:
                return 0
            raise

    # Stages that run the model

    def check_load(self) -> str:
        self.stop.deadline = _FOREVER  # only the user ends a load
        sentence, note = capability_tests.load(self.model_under_test(), partial(self.report_progress, "load"))
        self.notes += [note] if note else []
        return sentence

    def check_answer(self) -> str:
        self.report_progress("answer", self.phrase("asking"))
        return capability_tests.answer(self.model_under_test())

    def check_tests(self) -> str:
        self.report_progress("tests", self.phrase("asking"))
        return capability_tests.run_tests(self.model_under_test())

    def model_under_test(self) -> ModelUnderTest:
        return ModelUnderTest(self.client, self.request, self.model, self.models.card(self.model))

    # Failures

    def explained(self, error: OllamaMagicsError) -> OllamaMagicsError:
        """Return the error with advice for this environment."""
        if self.parsed is None or self.request.replays:
            return error
        seconds = _EXPLAIN_SECONDS
        if self.stop.deadline < _FOREVER:
            self.stop.deadline = self.started + _TOTAL_SECONDS
            seconds = max(0.1, min(seconds, self.stop.deadline - 0.1 - time.monotonic()))
        client, attempts = getattr(self, "client", None), tuple(self.attempts)
        probes = self.request.probes and not self.request.local_only
        return explain(Failure(error, self.parsed, self.environment, client, attempts, probes), seconds)

    def cancelled(self) -> OllamaMagicsError:
        """Return the error of a check that was stopped, or whose time is over."""
        address = self.parsed
        if address is None or not self.stop.is_late:
            return RequestRefused("check-stopped", status=0)
        seconds = f"{time.monotonic() - self.started:.0f}"
        late = ConnectionProblem("server-silent", url=address.url, host=address.host, seconds=seconds)
        return self.explained(late.with_advice(messages.Phrase("too_slow", seconds=seconds)))

    @property
    def address(self) -> Address:
        """Where the server is, known after the first stage."""
        return self.parsed or parse(self.request.typed)

    def phrase(self, key: str, **facts: object) -> str:
        return messages.phrase(key, self.request.language, **facts)


# The check of each stage, in the order in which they run. The deep ones run the model.
_PLAIN_CHECKS: dict[str, Callable[[_Check], str]] = {
    "address": _Check.check_address,
    "name": _Check.check_name,  # where the address holds a host name
    "proxy": _Check.check_proxy,  # where there is one, instead of the connection to the server
    "connection": _Check.check_connection,
    "encryption": _Check.check_encryption,  # of https
    "server": _Check.check_server,
    "model": _Check.check_model,
    "abilities": _Check.check_abilities,
}
_DEEP_CHECKS: dict[str, Callable[[_Check], str]] = {
    "load": _Check.check_load,
    "answer": _Check.check_answer,
    "tests": _Check.check_tests,
}
_CHECKS = {**_PLAIN_CHECKS, **_DEEP_CHECKS}
PLAIN_STAGES, DEEP_STAGES = tuple(_PLAIN_CHECKS), tuple(_DEEP_CHECKS)
