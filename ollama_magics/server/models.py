"""The models of one server: what is installed, what each can do, and which one to use."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice
from urllib.parse import urlsplit

from msgspec import Struct, field
from msgspec.structs import replace

from ollama_magics import messages
from ollama_magics.errors import Cancelled, ConnectionProblem, ModelProblem, OllamaMagicsError, RequestRefused, SettingError
from ollama_magics.messages import Capability, Joined, Phrase
from ollama_magics.server.background import in_parallel
from ollama_magics.server.client import Client
from ollama_magics.server.failures import EXTRAS, quote
from ollama_magics.server.identity import require_ollama
from ollama_magics.server.model_card import InstalledModel, LoadedModel, ModelCard, Recommendation, full_name, version_number
from ollama_magics.server.model_names import is_name

# models that need little memory
_SMALL, _SMALL_ABLE = "llama3.2", {"vision": "gemma3", "audio": "gemma4:e4b", "embedding": "all-minilm"}
# What the server's words about a model that it recommends say of its abilities; of others they say nothing.
_DESCRIBED = {"completion": "", "vision": "vision|visual|multimodal", "tools": r"\btools?\b|agent", "thinking": "reason|think"}
_MAX_LISTED = 8  # models that an error names
_MAX_OFFERED = 3
_AT_ONCE = _MAX_LISTED + 1  # cards that are requested at the same time; so many as an error needs
_CARD_SECONDS = 10.0  # for these
_UNKNOWN = ("", "0", "unknown")
_CLOUD = "ollama.com"  # where models go whose name ends in "cloud", if their server does not say


class InstalledModels:
    """The models of a server; remembers their cards, so that each is requested once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._host = client.address.host
        self._cards: dict[str, ModelCard] = {}
        self._digests: dict[str, str] = {}
        self._remote: set[str] = set()  # full names of those that the server lists as running elsewhere
        self._is_listed = self._is_recent = False
        self._unread: OllamaMagicsError | None = None  # why a card could not be read
        self.server_version = ""  # known after require_recent()

    def require_recent(self) -> None:
        """Raise an error where the server is not Ollama, or older than 0.12.6, the first that can refuse a prompt."""
        if self._is_recent:
            return
        self.server_version = require_ollama(self._client)
        self._is_recent = True

    def card(self, model: str) -> ModelCard:
        """Return the card of a model; raises ModelProblem with the closest installed names where it is missing."""
        key = full_name(model)
        if key not in self._cards:
            self._list_once()  # so that the request has the name that the server lists
            try:
                self._cards[key] = card = self._client.card(model)
            except (ModelProblem, RequestRefused) as refusal:
                if isinstance(refusal, RequestRefused) and is_name(model):
                    raise
                try:
                    error: OllamaMagicsError = self.missing(model)
                except (ConnectionProblem, RequestRefused):  # the list is optional
                    error = refusal
                raise error from None
            self._require_version(model, card)
        return self._cards[key]

    def _require_version(self, model: str, card: ModelCard) -> None:
        """Raise RequestRefused where the model says that it needs a newer server."""
        own = self.server_version
        if card.requires and own and version_number(card.requires) > version_number(own):
            said = Phrase("model_requires", version=quote(card.requires), own=own)
            raise RequestRefused("model-needs-newer-server", status=200, model=model, said=said)

    def digest(self, model: str) -> str:
        """Return the digest of a model, 64 hexadecimal digits; empty where the server does not report it."""
        self._list_once()
        return self._digests.get(full_name(model), "")

    @property
    def is_listed(self) -> bool:
        """Whether the list of models was read; another process may have changed it since."""
        return self._is_listed

    def _list_once(self) -> None:
        """Read the list of models where it was not read yet; it is optional, some proxies forbid it."""
        if not self._is_listed:
            self._is_listed = True
            with suppress(OllamaMagicsError):
                self.installed()

    def installed(self) -> list[InstalledModel]:
        """Return the installed models as they are now, newest first."""
        models = self._client.installed()
        self._is_listed, self._digests = True, {name: found.digest for found in models for name in found.full_names}
        self._remote = {name for found in models if not found.is_local for name in found.full_names}
        return models

    def is_remote(self, model: str) -> bool:
        """Return whether the server sends prompts for the model on to another, as far as is known without a request."""
        name = full_name(model)
        known = self._cards.get(name)
        return bool(known and known.remote_host) or name in self._remote or not InstalledModel(model).is_local

    def remote_host(self, model: str) -> str:
        """Return the host to which the server sends prompts for the model on, or an empty text where it runs the model itself."""
        card = self.card(model)
        with suppress(ValueError):  # what a server calls a host need be none
            if card.remote_host and (host := urlsplit(card.remote_host).hostname):
                return quote(host)
        return quote(card.remote_host or "") or (_CLOUD if self.is_remote(model) else "")

    def require_local(self, model: str) -> None:
        """Raise SettingError (local-only) where the server sends prompts for the model on to another.

        The server is asked anew: since the last prompt, a model that runs elsewhere may have got the name.
        """
        self._cards.pop(full_name(model), None)
        self._is_listed = False
        if host := self.remote_host(model):
            raise SettingError("local-only", what=host)

    def choose(self, model: str, ability: str) -> str:
        """Return the model, or the only installed one with the ability; raises ModelProblem where there is no such model."""
        card = self.card(model) if model else None
        # a sound ends some servers whose model does not hear
        if card and (card.can(ability) or (card.capabilities is None and ability != "audio")):
            return model
        found = self.able(ability, _MAX_LISTED + 1)
        setting = "embedding-model" if ability == "embedding" else "model"
        if card:
            able = Phrase("none_able", pull=self.pull_advice(ability))
            if found:
                able = Phrase("able_to", models=", ".join(found), first=found[0], setting=setting)
            listed = Joined(map(Capability, card.capabilities or ("none",)), ", ")
            code = "model-not-able" if ability in EXTRAS else "model-wrong-type"
            error = ModelProblem(code, model=model, ability=Capability(ability), capabilities=listed, installed=able)
            raise error.with_repair("model", *found[:_MAX_OFFERED])

        if len(found) == 1:
            return found[0]
        if not found and self._unread:
            raise self._unread
        if found:
            error = ModelProblem(
                "model-ambiguous", ability=Capability(ability), models=_listed(found), first=found[0], setting=setting
            )
            raise error.with_repair("model", *found[:_MAX_OFFERED])
        installed = self.installed()
        names, pull = [short(model.name) for model in installed], self.pull_advice(ability)
        if installed and not any(model.is_local for model in installed):
            error = ModelProblem("only-cloud-models", host=self._host, models=_listed(names), first=names[0], pull=pull)
            raise error.with_repair("model", *names[:_MAX_OFFERED])
        listing = _listing(names)
        raise ModelProblem("no-model-able", host=self._host, ability=Capability(ability), installed=listing, pull=pull)

    def pull_advice(self, ability: str) -> Phrase | str:
        """Return what to type to get a model with the ability: one that the server recommends, and a small one.

        Of those that the server recommends and that run on it, the one that needs the least memory counts.
        """
        small = _SMALL_ABLE.get(ability, _SMALL)
        found: list[Recommendation] = []
        with suppress(OllamaMagicsError):
            found = [one for one in self._client.recommendations() if _recommends(one, ability)]
        best = min(found, key=lambda one: one.vram_bytes or math.inf, default=None)
        if best is None or full_name(best.model) == full_name(small):
            return f"%ollama_pull {small}"
        memory = Phrase("needs_memory", size=messages.bytes_text(best.vram_bytes)) if best.vram_bytes else ""
        return Phrase("pull_recommended", model=best.model, memory=memory, small=small)

    def able(self, ability: str, most: int | None = None) -> list[str]:
        """Return at most so many installed local models with the ability, the smallest first.

        A server before 0.30 lists no capabilities, so that each model costs a request, some of which are sent at once.
        """
        self._unread = None
        models = sorted((model for model in self.installed() if model.is_local), key=lambda model: model.size)
        able = (short(model.name) for model, card in self._cards_of(models) if card and card.can(ability))
        return list(islice(able, most))

    def _cards_of(self, models: Sequence[InstalledModel]) -> Iterator[tuple[InstalledModel, ModelCard | None]]:
        """Yield each model with what is known of its abilities; None where the server does not tell."""
        for part in (models[start : start + _AT_ONCE] for start in range(0, len(models), _AT_ONCE)):
            for name, card in read_cards(self._client, [one for one in part if not self._known_card(one)]):
                if isinstance(card, ModelCard):
                    self._cards[name] = card
                elif not isinstance(card, ModelProblem):  # which was removed meanwhile
                    self._unread = card
            yield from ((one, self._known_card(one)) for one in part)

    def _known_card(self, model: InstalledModel) -> ModelCard | None:
        return self._cards.get(full_name(model.name)) or model.card

    def missing(self, model: str) -> ModelProblem:
        """Return the error for a model that is not installed, or cannot be, with the nearest that is."""
        names = [short(installed.name) for installed in self.installed()]
        plain = {_without_separators(name): name for name in names}
        matches = difflib.get_close_matches(_without_separators(model), plain, n=_MAX_OFFERED, cutoff=0.5)
        near = [plain[match] for match in matches]
        if is_name(model):
            nearest = Phrase("or_use", model=near[0]) if near else ""
            error = ModelProblem("model-missing", model=model, host=self._host, installed=_listing(names), nearest=nearest)
        else:
            error = ModelProblem("model-name-invalid", model=model, nearest=Phrase("use_nearest", model=near[0]) if near else "")
        return error.with_repair("model", *near)

    def forget(self) -> None:
        """Drop all cards and digests, since a model may have been pulled or replaced."""
        self._cards.clear()
        self._digests.clear()
        self._is_listed = False


def _recommends(one: Recommendation, ability: str) -> bool:
    """Return whether a recommendation is for a model with the ability that runs on the server itself."""
    words = _DESCRIBED.get(ability)
    is_described = words is not None and re.search(words, one.description, re.IGNORECASE) is not None
    return is_described and is_name(one.model) and InstalledModel(one.model).is_local


def _without_separators(name: str) -> str:
    """Return a name for comparison: case, registry, tag separator and blanks do not count."""
    bare = short(name.lower().removeprefix("registry.ollama.ai/").removeprefix("library/"))
    return re.sub(r"[:_ ]", "-", bare)


def _listing(names: list[str]) -> Phrase:
    return Phrase("installed_there", models=_listed(names)) if names else Phrase("none_installed")


def _listed(names: list[str]) -> str:
    return ", ".join(names[:_MAX_LISTED]) + (", …" if len(names) > _MAX_LISTED else "")


class ModelRegistry(Struct, frozen=True):
    """A snapshot of the models of a server: installed, cards and loaded ones by their full names."""

    models: tuple[InstalledModel, ...] = ()
    cards: dict[str, ModelCard] = field(default_factory=dict)
    loaded: dict[str, LoadedModel] = field(default_factory=dict)

    def card(self, model: str) -> ModelCard | None:
        """Return the card of a model, if it is known."""
        return self.cards.get(full_name(model))

    def has(self, model: str) -> bool:
        """Return whether a model is installed, by any of its names; one that names a registry counts as installed."""
        return "/" in model or any(full_name(model) in one.full_names for one in self.models)

    @property
    def names(self) -> list[str]:
        """The names of the installed models."""
        return [short(one.name) for one in self.models]

    def able(self, ability: str) -> list[str]:
        """Return the names of the models that have the ability, or whose abilities are not known."""
        cards = ((one.name, self.card(one.name)) for one in self.models)
        return [short(name) for name, card in cards if card is None or card.capabilities is None or card.can(ability)]

    def describe(self, model: str, language: str) -> str:
        """Return size, kind and abilities of a model, and whether it is in memory; empty where nothing is known."""
        parts: list[str] = []
        if entry := next((one for one in self.models if full_name(one.name) == full_name(model)), None):
            parts += _size_and_kind(entry)
        if card := self.card(model):
            parts.append(", ".join(messages.capability(one, language) for one in card.capabilities or ()))
            if card.can("embedding") and card.embedding_length:
                parts.append(messages.phrase("dimension", language, count=card.embedding_length))
        if loaded := self.loaded.get(full_name(model)):
            share = loaded.size_vram / loaded.size if loaded.size else 0
            key = "loaded_gpu" if share >= 1 else "loaded_partly" if share else "loaded_cpu"
            parts.append("● " + messages.phrase(key, language, share=f"{100 * share:.0f} %"))
        return " · ".join(messages.strip_controls(part) for part in parts if part)


def short(name: str) -> str:
    """Return the name of a model without the default tag."""
    return name.removesuffix(":latest")


def _size_and_kind(model: InstalledModel) -> Iterator[str]:
    if model.size:
        yield messages.bytes_text(model.size)
    details = model.details if isinstance(model.details, dict) else {}
    for name in ("parameter_size", "quantization_level"):
        if isinstance(value := details.get(name), str) and value not in _UNKNOWN:
            yield value


def read_registry(client: Client, chosen: str) -> Iterator[ModelRegistry]:
    """Yield the registry of a server, first with the card of the chosen model, last with all; raises ConnectionProblem."""
    chosen = full_name(chosen)
    models = tuple(sorted(client.installed(), key=lambda one: full_name(one.name)))  # servers may change their order
    loaded: list[LoadedModel] = []
    with suppress(OllamaMagicsError):  # what is in memory is optional, and some proxies forbid it
        loaded = client.loaded()
    listed = {full_name(one.name): card for one in models if (card := one.card)}
    registry = ModelRegistry(models, listed, {full_name(one.name): one for one in loaded})
    for part in ([one for one in models if full_name(one.name) == chosen], models):
        unknown = [one for one in part if full_name(one.name) not in registry.cards]
        for start in range(0, len(unknown), _AT_ONCE):
            read = read_cards(client, unknown[start : start + _AT_ONCE])
            cards = {name: card for name, card in read if isinstance(card, ModelCard)}
            registry = replace(registry, cards={**registry.cards, **cards})
        if part:
            yield registry


def read_cards(client: Client, models: Sequence[InstalledModel]) -> Iterator[tuple[str, ModelCard | OllamaMagicsError]]:
    """Yield (full name, card or why it cannot be read) of each model, all requested at once."""

    def request(model: InstalledModel) -> tuple[str, ModelCard | OllamaMagicsError] | None:
        try:
            return full_name(model.name), client.card(model.name)
        except OllamaMagicsError as error:
            return full_name(model.name), error
        except Cancelled:
            return None

    yield from filter(None, in_parallel(models, request, _CARD_SECONDS))
    if client.is_cancelled:
        raise Cancelled
