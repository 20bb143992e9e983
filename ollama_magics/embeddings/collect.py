"""Embed the rows of a source: the array and its report, or the error that names the rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ollama_magics.embeddings.inputs import Source, lines_of, named, require_texts, source_of
from ollama_magics.embeddings.job import Job
from ollama_magics.embeddings.options import EmbedOptions, read
from ollama_magics.embeddings.output import Array, JobCache, Store
from ollama_magics.embeddings.report import EmbedReport
from ollama_magics.embeddings.retry import RetryPolicy, TooLong
from ollama_magics.embeddings.servers import Place, ServerPool, choose
from ollama_magics.errors import EmbeddingProblem, Interrupted, PromptProblem, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.server.client import Client
from ollama_magics.server.models import InstalledModels
from ollama_magics.store.vectors import key


def embed(
    source: Source,
    wish: EmbedOptions,
    places: Sequence[Place],
    store: Store | None = None,
    patience: RetryPolicy | None = None,
) -> tuple[Array, EmbedReport]:
    """Return the C-contiguous float32 array of shape ``(n, d)`` and what happened besides.

    Raises EmbeddingProblem with the rows that could not be embedded, after all others were, unless the wish says otherwise.
    """
    started = time.monotonic()
    if wish.on_error == "raise" and isinstance(source.values, list):
        require_texts(source.values)
    choice = choose(places, wish)
    shelf = _shelf(store, choice, wish) if store and choice.digest else None
    job = Job(source, wish, choice, shelf, patience or RetryPolicy())
    try:
        job.work()
    except KeyboardInterrupt:
        raise Interrupted(code=_interrupted(shelf)) from None
    return _outcome(job, source, wish, started)


def _shelf(store: Store, choice: ServerPool, wish: EmbedOptions) -> JobCache:
    options = {**wish.options, **({"dimensions": wish.dimensions} if wish.dimensions else {})}
    whole, cut = key(choice.digest, options), key(choice.digest, {**options, "truncate": True})
    return JobCache(store, lambda text, truncated: cut(text) if truncated else whole(text))


def _interrupted(shelf: JobCache | None) -> str:
    if shelf is None:
        return "interrupted-nothing-kept"
    return "interrupted-some-kept" if shelf.store.problem else "interrupted-batches-kept"


def _outcome(job: Job, source: Source, wish: EmbedOptions, started: float) -> tuple[Array, EmbedReport]:
    ledger, matrix = job.ledger, job.matrix
    if not ledger.seen:
        raise EmbeddingProblem("texts-empty")
    ledger.settle_copies()
    failed = tuple(sorted(ledger.flaws))
    last = ledger.last
    if len(failed) == ledger.seen and isinstance(last, RequestRefused) and last.code == "answer-unreadable":
        raise last.with_traceback(None) from None  # no answer could be read at all: that is no property of the texts
    if failed and (wish.on_error == "raise" or len(failed) == ledger.seen):
        raise _failure(ledger.flaws, ledger.seen, kept=job.keeps)
    matrix.repeat(ledger.copies, ledger.originals)
    kept: Sequence[int] = range(ledger.seen)
    if failed and wish.on_error == "skip":
        kept = matrix.drop(failed, ledger.seen).tolist()
    else:
        matrix.blank(failed)
    report = EmbedReport(
        index=_index(source, kept, ledger.seen),
        kept=kept,
        failed=failed,
        truncated=tuple(sorted(ledger.truncated)),
        reused=ledger.reused,
        retried=ledger.retried,
        seconds=time.monotonic() - started,
        notes=tuple(ledger.notes),
    )
    return matrix.finished(len(kept)), report


def _failure(flaws: Mapping[int, Phrase], total: int, *, kept: bool) -> EmbeddingProblem:
    rows = tuple(sorted(flaws))
    long = all(isinstance(found, TooLong) for found in flaws.values())
    code = "texts-too-long" if long else "rows-failed"
    remedy = None if kept else Phrase("shorten_rows" if long else "fix_rows")
    return EmbeddingProblem(code, rows=rows, found=named(flaws), count=len(rows), total=total).with_advice(remedy=remedy)


def _index(source: Source, kept: Sequence[int], length: int) -> Any:
    index = range(length) if source.index is None else source.index
    if len(kept) == length:
        return index
    return index[np.asarray(kept)] if hasattr(index, "take") else list(kept)


class JobContext(Protocol):
    """What a session gives to a call."""

    @property
    def store(self) -> Store:
        """Where vectors are kept."""

    def connected(self, url: str = "") -> tuple[Client, InstalledModels]:
        """Return client and models of the address in force, or of another."""


def call(
    ground: JobContext,
    rows: Any,
    model: str,
    *,
    lines: str | Path = "",
    report: Callable[[EmbedReport], None] | None = None,
    **wishes: Any,
) -> Array:
    """Return the array of the rows, or of the lines of a file; ``report`` is called with the report, before that."""
    if lines and rows is not None:
        raise PromptProblem("options-conflict", one="lines", other="texts", reason=Phrase("lines_are_texts"))
    wish = read(model, **wishes)
    source = lines_of(lines) if lines else source_of(rows)
    store = ground.store if wish.store else None
    with ExitStack() as opened:
        vectors, told = embed(source, wish, _places(ground, wish.servers, opened), store)
    if report:
        report(told.with_note("store_problem", reason=_problem(store)))
    return vectors


def _places(ground: JobContext, urls: Sequence[str], opened: ExitStack) -> list[Place]:
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
