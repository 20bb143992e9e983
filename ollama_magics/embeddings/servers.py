"""The servers of a job, and the one model that all of them must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

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

_SHOWN = 12  # characters of a digest


class Endpoint(Struct, eq=False):
    """One server with its models."""

    client: Client
    models: InstalledModels

    @property
    def url(self) -> str:
        """Its address."""
        return self.client.address.url

    def width(self, model: str) -> int:
        """Return the number of components of the model's vectors, or 0 where the server does not say."""
        return self.models.card(model).embedding_length or 0

    def choose(self, model: str, options: EmbedOptions, *, must_exist: bool) -> tuple[str, str]:
        """Return the model for the job and its digest; raises ModelProblem or SettingError where none fits the options."""
        self.models.require_recent()
        was_listed = self.models.is_listed
        if not (model and options.any_model):
            model = self.models.choose(model, "embedding")
        if options.local_only:
            self.models.require_local(model)
        width = self.width(model)
        if options.dimensions and width and options.dimensions > width:
            raise SettingError(
                "setting-invalid",
                value=str(options.dimensions),
                setting="dimensions",
                reason=Phrase("vectors_have", model=model, width=width),
                example=f"%embed --dimensions {width} …",
            )
        digest, host = "" if was_listed else self.models.digest(model), self.client.address.host
        digest = digest or self.client.digest(model)  # the list that was read before this job may be old
        if must_exist and not digest:
            raise ModelProblem("model-missing", model=model, host=host, installed=Phrase("list_there", host=host), nearest="")
        return model, digest


class ServerPool(Struct, eq=False):
    """The model of a job, its digest, the servers that have it, and notes about those that were left out."""

    model: str
    digest: str
    endpoints: list[Endpoint]
    width: int = 0  # components of a vector, where the server says
    notes: list[tuple[str, Mapping[str, object]]] = field(default_factory=list)

    def require_same(self) -> bool:
        """Return whether all servers were asked and have the same model of this name as before.

        Raises EmbeddingProblem (model-replaced) if one of those that can be reached has another by now.
        """
        asked = 0
        for endpoint in self.endpoints:
            try:
                digest = endpoint.client.digest(self.model)
            except (ConnectionProblem, RequestRefused):
                continue
            asked += 1
            if digest != self.digest:
                before, after = (found.removeprefix("sha256:")[:_SHOWN] or "none" for found in (self.digest, digest))
                raise EmbeddingProblem("model-replaced", url=endpoint.url, model=self.model, before=before, after=after)
        return asked == len(self.endpoints)


def select_servers(endpoints: Sequence[Endpoint], options: EmbedOptions) -> ServerPool:
    """Return the model and the servers that have it; raises the first error if none has, EmbeddingProblem if they differ."""
    pool: ServerPool | None = None
    left_out: list[tuple[Endpoint, OllamaMagicsError]] = []
    for endpoint in endpoints:
        try:
            model, digest = endpoint.choose(pool.model if pool else options.model, options, must_exist=len(endpoints) > 1)
            width = endpoint.width(model)
        except (ConnectionProblem, RequestRefused, ModelProblem) as error:
            left_out.append((endpoint, error))
            continue
        if pool is None:
            pool = ServerPool(model, digest, [endpoint], width)
        elif digest == pool.digest:
            pool.endpoints.append(endpoint)
        else:
            raise EmbeddingProblem("models-differ", model=model, first=pool.endpoints[0].url, second=endpoint.url)
    if pool is None:
        raise left_out[0][1]
    most = pool.endpoints[0].models.card(pool.model).context_length or 0
    if 0 < most < options.options.get("num_ctx", 0):
        pool.notes.append(("over_maximum", {"count": most}))
    pool.notes.extend(("server_left_out", {"url": endpoint.url, "reason": error.phrase("what")}) for endpoint, error in left_out)
    return pool
