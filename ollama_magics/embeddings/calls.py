"""A call of %embed or om.embed, from what was typed to the array and its report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from ollama_magics.embeddings.forms import lines_of, source_of
from ollama_magics.embeddings.matrix import Array
from ollama_magics.embeddings.places import Place
from ollama_magics.embeddings.report import EmbedReport
from ollama_magics.embeddings.results import embed
from ollama_magics.embeddings.shelf import Store
from ollama_magics.embeddings.wishes import read
from ollama_magics.errors import PromptProblem
from ollama_magics.messages import Phrase
from ollama_magics.server.client.server import Client
from ollama_magics.server.models import InstalledModels


class Ground(Protocol):
    """What a session gives to a call."""

    @property
    def store(self) -> Store:
        """Where vectors are kept."""

    def connected(self, url: str = "") -> tuple[Client, InstalledModels]:
        """Return client and models of the address in force, or of another."""


def call(
    ground: Ground,
    rows: Any,
    model: str,
    *,
    lines: str | Path = "",
    report: Callable[[EmbedReport], None] | None = None,
    **wishes: Any,
) -> Array:
    """Return the array of the rows, or of the lines of a file; ``report`` is called with the report, before that."""
    if lines and rows is not None:
        raise PromptProblem("OM-T09", one="lines", other="texts", reason=Phrase("lines_are_texts"))
    wish = read(model, **wishes)
    source = lines_of(lines) if lines else source_of(rows)
    store = ground.store if wish.store else None
    with ExitStack() as opened:
        vectors, told = embed(source, wish, _places(ground, wish.servers, opened), store)
    if report:
        report(told.with_note("store_problem", reason=_problem(store)))
    return vectors


def _places(ground: Ground, urls: Sequence[str], opened: ExitStack) -> list[Place]:
    if not urls:
        return [Place(*ground.connected())]
    places = [Place(*ground.connected(url)) for url in urls]
    for place in places:
        opened.callback(place.client.close)
    return places


def _problem(store: Store | None) -> str:
    found = store.problem if store else ""
    if store:
        store.problem = ""
    return found
