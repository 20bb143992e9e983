"""The models of one server: what is installed, what each can do, which one a cell means, and downloads."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice

import msgspec

from ollama_magics import messages
from ollama_magics.errors import AnswerCut, ModelProblem, OllamaMagicsError, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.server.client import Client
from ollama_magics.server.http_errors import EXTRAS, quote
from ollama_magics.server.wire import OLDEST_SERVER, InstalledModel, LoadedModel, ModelCard, full_name, version_number

_SUGGESTIONS = {"completion": "llama3.2", "vision": "gemma3", "embedding": "all-minilm"}
_NAMED = 9  # models that are looked for, of which an error names all but the last
_MOST_OFFERED = 3
_UNSAID = ("", "0", "unknown")
_UNITS = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


class InstalledModels:
    """Remembers the cards of a server's models, so that a cell costs no request that was answered before."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._host = client.address.host
        self._cards: dict[str, ModelCard] = {}
        self._digests: dict[str, str] = {}
        self._is_recent = False
        self.server_version = ""  # known once require_recent() has asked

    def require_recent(self) -> None:
        """Raise RequestRefused where the server is older than 0.12.6, the first that can be told not to cut prompts."""
        if self._is_recent:
            return
        version = self._client.version()
        if version_number(version) < OLDEST_SERVER:
            raise RequestRefused("server-too-old", status=200, version=version, host=self._host)
        self._is_recent, self.server_version = True, version

    def card(self, model: str) -> ModelCard:
        """Return what the model can do; raises ModelProblem with the nearest installed names where it is missing."""
        key = full_name(model)
        if key not in self._cards:
            try:
                self._cards[key] = self._client.card(model)
            except ModelProblem:
                raise self.missing(model) from None
        return self._cards[key]

    def digest(self, model: str) -> str:
        """Return the digest of the model, 64 hexadecimal digits; empty where the server does not say."""
        key = full_name(model)
        if key not in self._digests:
            with suppress(OllamaMagicsError):  # an answer matters more than where it came from
                self._digests = {full_name(found.name): found.digest for found in self._client.installed()}
        return self._digests.setdefault(key, "")

    def is_elsewhere(self, model: str) -> bool:
        """Return whether the server passes the model on to another, as far as that is known without asking."""
        known = self._cards.get(full_name(model))
        return bool(known and known.remote_host) or not InstalledModel(model).is_local

    def choose(self, model: str, ability: str) -> str:
        """Return the model if it can do it, or the only installed one that can where none is named.

        Raises ModelProblem where it cannot, where none can, and where several can.
        """
        if not model:
            return self._only_one(ability)
        card = self.card(model)
        if card.capabilities is not None and not card.can(ability):
            found = self.able(ability, _NAMED)
            able = Phrase("able_to", models=", ".join(found)) if found else Phrase("none_able")
            listed = ", ".join(card.capabilities) or "none"
            code = "model-not-able" if ability in EXTRAS else "model-wrong-type"
            error = ModelProblem(code, model=model, ability=ability, capabilities=listed, installed=able)
            raise error.with_repair("model", *found[:_MOST_OFFERED])
        return model

    def able(self, ability: str, most: int | None = None) -> list[str]:
        """Return the installed models with the ability, the smallest first; none that runs in a cloud, unless it is named.

        Each costs a request where its card is not known, so that ``most`` ends the look when so many are found.
        """
        models = sorted((model for model in self._client.installed() if model.is_local), key=lambda model: model.size)
        able = (short(model.name) for model in models if self.card(model.name).can(ability))
        return list(islice(able, most))

    def missing(self, model: str) -> ModelProblem:
        """Return the error for a model that is not installed, with what is."""
        names = [short(installed.name) for installed in self._client.installed()]
        near = _nearest(model, names)
        nearest = Phrase("or_use", model=near[0]) if near else ""
        seen = _seen(names)
        error = ModelProblem("model-missing", model=model, host=self._host, installed=seen, nearest=nearest)
        return error.with_repair("model", *near)

    def forget(self) -> None:
        """Ask again next time: a model may have been pulled or replaced."""
        self._cards.clear()
        self._digests.clear()

    def _only_one(self, ability: str) -> str:
        able = self.able(ability, _NAMED)
        if len(able) == 1:
            return able[0]
        if able:
            error = ModelProblem("model-ambiguous", ability=ability, models=_listed(able), first=able[0])
            raise error.with_repair("model", *able[:_MOST_OFFERED])
        names = [short(model.name) for model in self._client.installed()]
        seen = _seen(names)
        pull = f"%ollama_pull {_SUGGESTIONS.get(ability, 'llama3.2')}"
        raise ModelProblem("no-model-able", host=self._host, ability=ability, installed=seen, pull=pull)


def _nearest(model: str, names: list[str]) -> list[str]:
    """Return up to three names that may be meant: the case, the registry, and the sign before the tag do not count."""
    plain = {_plain(name): name for name in names}
    return [plain[near] for near in difflib.get_close_matches(_plain(model), plain, n=_MOST_OFFERED, cutoff=0.5)]


def _plain(name: str) -> str:
    bare = short(name.lower().removeprefix("registry.ollama.ai/").removeprefix("library/"))
    return re.sub(r"[:_ ]", "-", bare)


def _seen(names: list[str]) -> Phrase:
    return Phrase("installed_there", models=_listed(names)) if names else Phrase("none_installed")


def _listed(names: list[str], most: int = _NAMED - 1) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")


@dataclass(frozen=True)
class ModelRegistry:
    """What is installed on a server, what is known of it by its full name, and what is in memory."""

    models: tuple[InstalledModel, ...] = ()
    cards: dict[str, ModelCard] = field(default_factory=dict)
    loaded: dict[str, LoadedModel] = field(default_factory=dict)

    def card(self, model: str) -> ModelCard | None:
        """Return what is known of a model."""
        return self.cards.get(full_name(model))

    def has(self, model: str) -> bool:
        """Return whether a model is installed, by whichever of its names; one with a registry in it may be."""
        return "/" in model or any(full_name(one.name) == full_name(model) for one in self.models)

    @property
    def names(self) -> list[str]:
        """The installed models."""
        return [short(one.name) for one in self.models]

    def able(self, ability: str) -> list[str]:
        """Return the names of the models that have the ability, or of which nothing is known."""
        return [short(one.name) for one in self.models if _may(self.card(one.name), ability)]

    def described(self, model: str, language: str) -> str:
        """Return size, kind and abilities of a model, and whether it is in memory; empty where nothing is known."""
        entry = next((one for one in self.models if full_name(one.name) == full_name(model)), None)
        parts = [*(_kind(entry) if entry else ()), *self._known(model, language)]
        return " · ".join(messages.strip_controls(part) for part in parts if part)

    def _known(self, model: str, language: str) -> Iterator[str]:
        card, loaded = self.card(model), self.loaded.get(full_name(model))
        if card:
            yield ", ".join(card.capabilities or ())
            if card.can("embedding") and card.embedding_length:
                yield messages.phrase("dimension", language, count=card.embedding_length)
        if loaded:
            yield _in_memory(loaded, language)


def short(name: str) -> str:
    """Return the name of a model without a tag that says nothing."""
    return name.removesuffix(":latest")


def _may(card: ModelCard | None, ability: str) -> bool:
    return card is None or card.capabilities is None or card.can(ability)


def _kind(model: InstalledModel) -> Iterator[str]:
    if model.size:
        factor, unit = next(((factor, unit) for factor, unit in _UNITS if model.size >= factor), (1, "B"))
        yield f"{model.size / factor:.{1 if factor == 1e9 else 0}f} {unit}"
    details = model.details if isinstance(model.details, dict) else {}
    for name in ("parameter_size", "quantization_level"):
        if isinstance(said := details.get(name), str) and said not in _UNSAID:
            yield said


def _in_memory(model: LoadedModel, language: str) -> str:
    share = model.size_vram / model.size if model.size else 0
    key = "loaded_gpu" if share >= 1 else "loaded_partly" if share else "loaded_cpu"
    return "● " + messages.phrase(key, language, share=f"{100 * share:.0f} %")


def look_over(client: Client, chosen: str) -> Iterator[ModelRegistry]:
    """Yield what is installed, first with what is known of the chosen model, last of all; raises ConnectionProblem."""
    chosen = full_name(chosen)
    models = tuple(client.installed())
    stock = ModelRegistry(models, {}, {full_name(one.name): one for one in client.loaded()})
    for name in sorted((full_name(one.name) for one in models), key=lambda name: name != chosen):
        with suppress(OllamaMagicsError):  # a model that was removed meanwhile
            stock = replace(stock, cards={**stock.cards, name: client.card(name)})
        if name == chosen:
            yield stock
    yield stock


class Progress(msgspec.Struct, frozen=True):
    """One line of the answer; ``total`` and ``completed`` in bytes of the part that ``status`` names, 0 where it has none."""

    status: str = ""
    total: int = 0
    completed: int = 0
    error: str = ""


def pull(client: Client, model: str) -> Iterator[Progress]:
    """Yield how far the server is; to leave the iteration ends the download, and what has come stays there.

    Raises RequestRefused where the server or the registry refuses, or the answer ends early.
    """
    try:
        for line in client.lines("/api/pull", {"model": model}):
            step = _read(line)
            if step.error:
                raise _failed(model, Phrase("server_said", said=quote(step.error)))
            yield step
            if step.status == "success":
                return
    except AnswerCut as cut:
        raise _failed(model, Phrase("pull_ended")) from cut
    raise _failed(model, Phrase("pull_ended"))


def _read(line: bytes) -> Progress:
    try:
        return msgspec.json.decode(line, type=Progress)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Progress(error=line[:80].decode("utf-8", "replace"))


def _failed(model: str, reason: Phrase) -> RequestRefused:
    return RequestRefused("pull-failed", status=200, model=model, reason=reason)
