"""The servers of a job, and the one model that all of them must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ollama_magics.embeddings.options import EmbedOptions
from ollama_magics.errors import (
    ConnectionProblem,
    EmbeddingProblem,
    ModelProblem,
    OllamaMagicsError,
    RequestRefused,
    SettingError,
)
from ollama_magics.messages import Phrase
from ollama_magics.server.client import Client
from ollama_magics.server.models import InstalledModels


@dataclass(frozen=True)
class Place:
    """One server."""

    client: Client
    models: InstalledModels

    @property
    def url(self) -> str:
        """Its address."""
        return self.client.address.url


@dataclass
class ServerPool:
    """The model of a job, its digest, the servers that have it, and what should be said about the others."""

    model: str
    digest: str
    places: list[Place]
    width: int = 0  # numbers in a vector, where the server says
    notes: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def require_same(self) -> None:
        """Raise EmbeddingProblem if the model was replaced on a server; one that is gone or busy by now has replaced nothing."""
        for place in self.places:
            try:
                now = place.client.digest(self.model)
            except (ConnectionProblem, RequestRefused):
                continue
            if now != self.digest:
                before, after = _short(self.digest), _short(now)
                raise EmbeddingProblem("model-replaced", url=place.url, model=self.model, before=before, after=after)


def choose(places: Sequence[Place], wish: EmbedOptions) -> ServerPool:
    """Return the model and the servers that answer; the others are left out with a word.

    Raises what the first said where none is left, and EmbeddingProblem where two models differ.
    """
    choice: ServerPool | None = None
    left_out: list[tuple[Place, OllamaMagicsError]] = []
    for place in places:
        try:
            choice = _with(choice, place, wish, several=len(places) > 1)
        except (ConnectionProblem, RequestRefused, ModelProblem) as error:
            left_out.append((place, error))
    if choice is None:
        raise left_out[0][1]
    choice.notes.extend(("server_left_out", {"url": place.url, "reason": error.phrase("what")}) for place, error in left_out)
    return choice


def _with(choice: ServerPool | None, place: Place, wish: EmbedOptions, *, several: bool) -> ServerPool:
    place.models.require_recent()
    model = _able(place, choice.model if choice else wish.model, wish)
    digest = place.client.digest(model)
    if several and not digest:
        host = place.client.address.host
        raise ModelProblem("model-missing", model=model, host=host, installed=Phrase("list_there", host=host), nearest="")
    if choice is None:
        return ServerPool(model, digest, [place], _width(place, model))
    if digest != choice.digest:
        first = choice.places[0].url
        raise EmbeddingProblem("models-differ", model=model, first=first, second=place.url)
    choice.places.append(place)
    return choice


def _able(place: Place, model: str, wish: EmbedOptions) -> str:
    model = model if model and wish.any_model else place.models.choose(model, "embedding")
    if wish.local_only and (host := place.models.card(model).remote_host):
        raise SettingError("local-only", what=host)
    width = _width(place, model)
    if wish.dimensions and width and wish.dimensions > width:
        raise SettingError(
            "setting-invalid",
            value=str(wish.dimensions),
            setting="dimensions",
            reason=Phrase("vectors_have", model=model, width=width),
            example=f"%embed --dimensions {width} …",
        )
    return model


def _width(place: Place, model: str) -> int:
    return place.models.card(model).embedding_length or 0


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12] or "none"
