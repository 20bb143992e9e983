"""The stages of a check, each of which asks one thing and stops the check where it fails; no model is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ollama_magics import texts
from ollama_magics.address import Address, parse
from ollama_magics.client import Client, Timeouts
from ollama_magics.diagnosis.report import CheckReport, Stage
from ollama_magics.errors import OllamaMagicsError, RequestRefused
from ollama_magics.installed import InstalledModels
from ollama_magics.wire import OLDEST_SERVER, version_number

STAGES = ("address", "connection", "server", "model", "abilities")
_METADATA_SECONDS = 2.5  # for each of the four requests, so that the whole check ends within 10 s at the worst


@dataclass(frozen=True)
class Question:
    """What a check has to find out: the typed address and its source, the model and what it must be able to do."""

    typed: str
    source: str = "default"
    model: str = ""
    abilities: tuple[str, ...] = ("completion",)
    timeout: float = 5
    language: str = "en"
    context_length: int = 4096


def check(question: Question, report: Callable[[CheckReport], None] | None = None) -> CheckReport:
    """Return what was found; ``report`` is called with what is known after every stage."""
    done: list[Stage] = []
    for stage in _Probe(question).stages():
        done.append(stage)
        if report:
            report(_so_far(done, question, complete=False))
        if stage.error:
            break
    return _so_far(done, question, complete=True)


def _so_far(done: list[Stage], question: Question, *, complete: bool) -> CheckReport:
    waiting = texts.phrase("not_asked", question.language)
    rest = [Stage(name, "not asked", waiting) for name in STAGES[len(done) :]]
    return CheckReport((*done, *rest), question.language, complete)


@dataclass
class _Probe:
    question: Question
    clients: list[Client] = field(default_factory=list)

    def stages(self) -> Iterator[Stage]:
        """Yield the finished stages; the first that fails is the last that makes sense."""
        try:
            for name in STAGES:
                yield self._timed(name, getattr(self, f"_{name}"))
        finally:
            for client in self.clients:
                client.close()

    def _timed(self, name: str, ask: Callable[[], str]) -> Stage:
        start = time.perf_counter()
        try:
            sentence, error = ask(), None
        except OllamaMagicsError as failure:
            failure.language = self.question.language
            sentence, error = failure.what, failure
        spent = 1000 * (time.perf_counter() - start)
        return Stage(name, "failed" if error else "ok", sentence, spent, error)

    def _address(self) -> str:
        self.address: Address = parse(self.question.typed)
        return self.address.explain() or self._say(f"address_{self.question.source}", url=self.address.url)

    def _connection(self) -> str:
        times = Timeouts(connect=self.question.timeout, metadata=_METADATA_SECONDS)
        client = Client(self.address, times)
        self.clients.append(client)
        self.models = InstalledModels(client)
        return self._say("reached", where=client.reach())

    def _server(self) -> str:
        version = self.clients[0].version()
        if version_number(version) < OLDEST_SERVER:
            raise RequestRefused("OM-D35", status=200, version=version, host=self.address.host)
        return self._say("is_ollama", version=version)

    def _model(self) -> str:
        wanted, installed = self.question.model, self.clients[0].installed()
        self.model = wanted or self.models.choose("", self.question.abilities[0])
        self.models.card(self.model)
        key = "model_installed" if wanted else "model_only"
        return self._say(key, model=self.model, count=len(installed))

    def _abilities(self) -> str:
        card = self.models.card(self.model)
        for ability in self.question.abilities:
            self.models.choose(self.model, ability)
        parts = [texts.harmless(" · ".join(card.capabilities or ("?",)))]
        if card.context_length:
            parts.append(self._say("takes_context", count=f"{card.context_length:,}".replace(",", "\u202f")))
        if card.can("embedding") and card.embedding_length:
            parts.append(self._say("dimension", count=card.embedding_length))
        return ", ".join(parts)

    def _say(self, key: str, **facts: object) -> str:
        return texts.phrase(key, self.question.language, **facts)
