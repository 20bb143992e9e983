"""The stages of a check, each of which tests one thing and ends the check if it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ollama_magics import messages
from ollama_magics.diagnosis import capability_tests
from ollama_magics.diagnosis.advice import Failure, explained
from ollama_magics.diagnosis.connectivity import ConnectAttempt, connect, look_up
from ollama_magics.diagnosis.environment import Environment
from ollama_magics.diagnosis.report import CheckReport, CheckRequest, Stage
from ollama_magics.errors import Cancelled, ConnectionProblem, ModelProblem, OllamaMagicsError, RequestRefused
from ollama_magics.server.address import Address, address_told, parse
from ollama_magics.server.client import Client, Timeouts
from ollama_magics.server.models import InstalledModels
from ollama_magics.server.transport import proxy_for
from ollama_magics.server.transport_errors import of_socket
from ollama_magics.server.wire import OLDEST_SERVER, ModelCard, full_name, version_number

STAGES = ("address", "name", "connection", "encryption", "server", "model", "abilities")
DEEP_STAGES = ("load", "answer", "proofs")
# The metadata stages end within 10 s at the worst, whatever a server does: after _ENOUGH nothing new is asked, what waits
# then ends within 2 s (a connection, a handshake), and the look around has the rest.
_NAME_SECONDS, _CONNECT_SECONDS, _METADATA_SECONDS, _LOOK_SECONDS = 1.5, 2.0, 2.0, 2.5
_ENOUGH_SECONDS, _ALL_SECONDS = 6.5, 9.8
_LATE = 5.0  # seconds after which what is only good to know is not asked any more
_EVER = float("inf")
_SLOW = 1000  # milliseconds: longer, and the first address of a name is a nuisance
_LOADING_SECONDS = 86_400.0

Report = Callable[[CheckReport], None]


def check(
    question: CheckRequest,
    report: Report | None = None,
    *,
    world: Environment | None = None,
    stop: threading.Event | None = None,
) -> CheckReport:
    """Return what was found; ``report`` is called with what is known after every stage, and while one takes its time.

    Loads no model unless the question is deep. Setting ``stop`` ends the check within 0.2 s.
    """
    return _Probe(question, report or (lambda _: None), world or Environment(), _Stop(stop)).run()


class _Stop(threading.Event):
    """Set where the check itself, or whoever started it, has stopped, and where the time is over."""

    def __init__(self, outer: threading.Event | None) -> None:
        super().__init__()
        self._outer = outer
        self.until = _EVER

    def is_set(self) -> bool:
        return super().is_set() or bool(self._outer and self._outer.is_set()) or self.is_late

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self.until


@dataclass
class _Probe:
    question: CheckRequest
    report: Report
    world: Environment
    stop: _Stop
    done: dict[str, Stage] = field(default_factory=dict)
    knocks: list[ConnectAttempt] = field(default_factory=list)
    notes: list[OllamaMagicsError] = field(default_factory=list)
    parsed: Address | None = None

    @property
    def address(self) -> Address:
        """Where the server is, known after the first stage."""
        return self.parsed or parse(self.question.typed)

    def run(self) -> CheckReport:
        self.started = time.monotonic()
        self.stop.until = self.started + _ENOUGH_SECONDS
        try:
            for name in self._names():
                self.done[name] = self._timed(name, getattr(self, f"_{name}"))
                self.report(self._so_far(complete=False))
                if self.done[name].error:
                    break
        except BaseException:
            self.stop.set()
            self.report(self._so_far(complete=False))  # nothing is being asked any more
            raise
        finally:
            if "connection" in self.done and hasattr(self, "client"):
                self.client.close()
        return self._so_far(complete=True)

    def _names(self) -> Iterator[str]:
        yield "address"
        yield from self._rest()
        if self.question.deep:
            yield from DEEP_STAGES

    def _rest(self) -> tuple[str, ...]:
        """Return the stages after the first that make sense for the address."""
        address = self.parsed
        unseen = self.question.replays or bool(address and proxy_for(address, self.question.way))
        none_for = {
            "name": address is None or unseen or address.host.replace(".", "").isdigit() or ":" in address.host,
            "encryption": address is None or unseen or address.scheme == "http",
        }
        return tuple(name for name in STAGES[1:] if not none_for.get(name))

    def _so_far(self, *, complete: bool, now: Stage | None = None) -> CheckReport:
        done = [*self.done.values(), *([now] if now else [])]
        waiting = self._say("not_asked")
        names = ("address", *self._rest(), *DEEP_STAGES)
        rest = [Stage(name, "not asked", waiting) for name in names if name not in {stage.name for stage in done}]
        return CheckReport((*done, *rest), self.question.language, complete)

    def _timed(self, name: str, ask: Callable[[], str]) -> Stage:
        start = time.perf_counter()
        self.notes = []
        error: OllamaMagicsError | None = None
        sentence = ""
        try:
            sentence = ask()
        except Cancelled:
            error = self._stopped()
        except OllamaMagicsError as failure:
            error = self._explained(failure)
        spent = 1000 * (time.perf_counter() - start)
        for one in (*self.notes, *([error] if error else [])):
            one.language = self.question.language
        return Stage(name, "failed" if error else "ok", error.what if error else sentence, spent, error, tuple(self.notes))

    def _tick(self, name: str, sentence: str, note: OllamaMagicsError | None = None) -> None:
        if note:
            note.language = self.question.language
        self.report(self._so_far(complete=False, now=Stage(name, "asking", sentence, notes=(note,) if note else ())))

    # The stages. Where.

    def _address(self) -> str:
        address = self.parsed = parse(self.question.typed)
        if address.from_bind:
            self.notes.append(ConnectionProblem("address-is-wildcard", host=address.typed, port=address.port))
        return address_told(address, self.question.source, self.question.overridden, self.question.language)

    def _name(self) -> str:
        self.addresses = look_up(self.world, self.address, _NAME_SECONDS, self.stop)
        return self._say("name_is", host=self.address.host, addresses=", ".join(self.addresses))

    def _connection(self) -> str:
        times = Timeouts(min(self.question.timeout, _CONNECT_SECONDS), _LOADING_SECONDS, metadata=_METADATA_SECONDS)
        asked = self.question
        self.client = Client(
            self.address, times, key=asked.key, way=asked.way, cancelled=self.stop, resolve=self.world.resolve, tape=asked.tape
        )
        self.models = InstalledModels(self.client)
        if asked.replays or proxy_for(self.address, asked.way):
            return self._say("reached", where=self.client.reach())
        self.knocks = connect(getattr(self, "addresses", [self.address.host]), self.address.port, times.connect, self.stop)
        if not any(one.error is None for one in self.knocks):
            error = next((one for one in self.knocks if one.is_refused), self.knocks[0]).error
            raise of_socket(error or OSError(), self.address, times.connect)
        self._note_slowness()
        return "; ".join(self._say(_outcome(one), where=one.where) for one in self.knocks)

    def _note_slowness(self) -> None:
        first, good = self.knocks[0], next(one for one in self.knocks if one.error is None)
        is_silent = first.error is not None and not first.is_refused
        if is_silent or first.milliseconds > _SLOW > good.milliseconds:
            url = f"{self.address.scheme}://{good.where}{self.address.path}"
            slow, fast = first.where, good.where
            self.notes.append(ConnectionProblem("address-family-slow", host=self.address.host, slow=slow, fast=fast, url=url))

    def _encryption(self) -> str:
        return self._say("tls_is", version=self.client.shake_hands())

    # Who.

    def _server(self) -> str:
        version = self.client.version()
        if version_number(version) < OLDEST_SERVER:
            raise RequestRefused("server-too-old", status=200, version=version, host=self.address.host)
        self.listed = self.client.installed()
        sentence = self._say("is_ollama", version=version)
        has_key = bool(self.question.key or self.address.username or self.address.password)
        return self._say("key_sent", sentence=sentence) if has_key else sentence

    def _model(self) -> str:
        wanted, ability = self.question.model, self.question.abilities[0]
        if not self.listed:
            pull = f"%ollama_pull {wanted or capability_tests.SUGGESTIONS.get(ability, 'llama3.2')}"
            none = messages.Phrase("none_installed")
            raise ModelProblem("no-model-able", host=self.address.host, ability=ability, installed=none, pull=pull)
        self.model = wanted or self.models.choose("", ability)
        self.models.card(self.model)
        return self._say("model_installed" if wanted else "model_only", model=self.model, count=len(self.listed))

    def _abilities(self) -> str:
        card = self.models.card(self.model)
        self.models.choose(self.model, self.question.abilities[0])
        claims = [claim for claim in self.question.abilities[1:] if not card.can(claim)]
        if not self.question.deep:
            for claim in claims:
                self.models.choose(self.model, claim)
        self._note_context(card)
        parts = [messages.strip_controls(" · ".join(card.capabilities or ("?",)))]
        if card.context_length:
            parts.append(self._say("takes_context", count=messages.group_digits(card.context_length)))
        if card.can("embedding") and card.embedding_length:
            parts.append(self._say("dimension", count=card.embedding_length))
        parts += [self._say("claimed", ability=claim) for claim in claims]
        return ", ".join(parts + [self._say("denied", ability=one) for one in self.question.denied if card.can(one)])

    def _note_context(self, card: ModelCard) -> None:
        asked, limit = self.question.context_length, card.context_length
        if self.question.abilities[0] == "embedding":
            return
        if limit and asked > limit:
            self.notes.append(ModelProblem("context-above-maximum", model=self.model, asked=asked, limit=limit))
        loaded = self._loaded_context()
        if loaded and loaded != min(asked, limit or asked):
            self.notes.append(ModelProblem("context-reload", model=self.model, asked=asked, loaded=loaded))

    def _loaded_context(self) -> int:
        """Return the context that the model is in memory with; 0 where it is not, or where asking would take long."""
        if time.monotonic() - self.started > _LATE:
            return 0
        try:
            mine = (one for one in self.client.loaded() if full_name(one.name) == full_name(self.model))
            return next((one.context_length for one in mine), 0)
        except OllamaMagicsError:
            return 0  # good to know, and no reason to fail
        except Cancelled:
            if self.stop.is_late:
                return 0
            raise

    # The model itself.

    def _load(self) -> str:
        self.stop.until = _EVER  # the load has a budget of its own, which only a person ends
        sentence, note = capability_tests.load(self._talk(), lambda words, slow: self._tick("load", words, slow))
        self.notes += [note] if note else []
        return sentence

    def _answer(self) -> str:
        self._tick("answer", self._say("asking"))
        return capability_tests.answer(self._talk())

    def _proofs(self) -> str:
        self._tick("proofs", self._say("asking"))
        return capability_tests.prove(self._talk())

    def _talk(self) -> capability_tests.Talk:
        return capability_tests.Talk(self.client, self.question, self.model, self.models.card(self.model))

    # Why not.

    def _explained(self, error: OllamaMagicsError) -> OllamaMagicsError:
        if self.parsed is None or self.question.replays:
            return error
        seconds = _LOOK_SECONDS
        if self.stop.until < _EVER:  # the look around is a part of the metadata stages
            self.stop.until = self.started + _ALL_SECONDS
            seconds = max(0.1, min(seconds, self.stop.until - 0.1 - time.monotonic()))
        client = getattr(self, "client", None)
        failure = Failure(error, self.parsed, self.world, client, tuple(self.knocks), self.question.probes)
        return explained(failure, seconds)

    def _stopped(self) -> OllamaMagicsError:
        address = self.parsed
        if address is None or not self.stop.is_late:
            return RequestRefused("check-stopped", status=0)
        seconds = f"{time.monotonic() - self.started:.0f}"
        late = ConnectionProblem("server-silent", url=address.url, host=address.host, seconds=seconds)
        return self._explained(late.with_advice(messages.Phrase("too_slow", seconds=seconds)))

    def _say(self, key: str, **facts: object) -> str:
        return messages.phrase(key, self.question.language, **facts)


def _outcome(one: ConnectAttempt) -> str:
    return "accepts" if one.error is None else "refuses" if one.is_refused else "silent"
