"""The models of one server: what is installed, what each can do, and which one a cell means."""

from __future__ import annotations

import difflib
import re
from contextlib import suppress
from itertools import islice

from ollama_magics.client import Client
from ollama_magics.errors import ModelProblem, OllamaMagicsError, RequestRefused
from ollama_magics.refusal import EXTRAS
from ollama_magics.texts import Phrase
from ollama_magics.wire import OLDEST_SERVER, InstalledModel, ModelCard, full_name, version_number

_SUGGESTIONS = {"completion": "llama3.2", "vision": "gemma3", "embedding": "all-minilm"}
_NAMED = 9  # models that are looked for, of which an error names all but the last


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
            raise RequestRefused("OM-D35", status=200, version=version, host=self._host)
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
            code = "OM-D39" if ability in EXTRAS else "OM-D38"
            raise ModelProblem(code, model=model, ability=ability, capabilities=listed, installed=able)
        return model

    def able(self, ability: str, most: int | None = None) -> list[str]:
        """Return the installed models with the ability, the smallest first; none that runs in a cloud, unless it is named.

        Each costs a request where its card is not known, so that ``most`` ends the look when so many are found.
        """
        models = sorted((model for model in self._client.installed() if model.is_local), key=lambda model: model.size)
        able = (_short(model) for model in models if self.card(model.name).can(ability))
        return list(islice(able, most))

    def missing(self, model: str) -> ModelProblem:
        """Return the error for a model that is not installed, with what is."""
        names = [_short(installed) for installed in self._client.installed()]
        near = _nearest(model, names)
        nearest = Phrase("or_use", model=near[0]) if near else ""
        seen = _seen(names)
        return ModelProblem("OM-D36", model=model, host=self._host, installed=seen, nearest=nearest)

    def forget(self) -> None:
        """Ask again next time: a model may have been pulled or replaced."""
        self._cards.clear()
        self._digests.clear()

    def _only_one(self, ability: str) -> str:
        able = self.able(ability, _NAMED)
        if len(able) == 1:
            return able[0]
        if able:
            raise ModelProblem("OM-M01", ability=ability, models=_listed(able), first=able[0])
        names = [_short(model) for model in self._client.installed()]
        seen = _seen(names)
        pull = f"ollama pull {_SUGGESTIONS.get(ability, 'llama3.2')}"
        raise ModelProblem("OM-D37", host=self._host, ability=ability, installed=seen, pull=pull)


def _nearest(model: str, names: list[str]) -> list[str]:
    """Return up to three names that may be meant: the case, the registry, and the sign before the tag do not count."""
    plain = {_plain(name): name for name in names}
    return [plain[near] for near in difflib.get_close_matches(_plain(model), plain, n=3, cutoff=0.5)]


def _plain(name: str) -> str:
    short = name.lower().removeprefix("registry.ollama.ai/").removeprefix("library/").removesuffix(":latest")
    return re.sub(r"[:_ ]", "-", short)


def _short(model: InstalledModel) -> str:
    return model.name.removesuffix(":latest")


def _seen(names: list[str]) -> Phrase:
    return Phrase("installed_there", models=_listed(names)) if names else Phrase("none_installed")


def _listed(names: list[str], most: int = _NAMED - 1) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
