"""Embed the rows of a source: the array and its report, or the error that names the rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from ollama_magics.embeddings.inputs import Source, lines_of, named, require_texts, source_of
from ollama_magics.embeddings.job import Job
from ollama_magics.embeddings.options import EmbedOptions, read_options
from ollama_magics.embeddings.output import Array, EmbedReport, JobCache, Store
from ollama_magics.embeddings.retrier import TooLong
from ollama_magics.embeddings.servers import Endpoint, select_servers
from ollama_magics.errors import EmbeddingProblem, Interrupted, PromptProblem, RequestRefused
from ollama_magics.jobs.queue import RetryPolicy
from ollama_magics.messages import Phrase
from ollama_magics.server.client import Client
from ollama_magics.server.models import InstalledModels
from ollama_magics.store.keys import key


class JobContext(Protocol):
    """What a session gives to a job."""

    @property
    def store(self) -> Store:
        """Where vectors are kept."""

    def connected(self, url: str = "") -> tuple[Client, InstalledModels]:
        """Return client and models of the address in force, or of another."""


def embed_rows(
    context: JobContext,
    rows: Any,
    model: str,
    /,
    *,
    lines: str | Path = "",
    report: Callable[[EmbedReport], None] | None = None,
    **options: Any,
) -> Array:
    """Return the array of the rows, or of the lines of a file; ``report`` is called with the report before that.

    ``options`` are those of options.read_options(). Raises PromptProblem (options-conflict) for rows besides a file, and the
    errors of embed().
    """
    if lines and rows is not None:
        raise PromptProblem("options-conflict", one="lines", other="texts", reason=Phrase("lines_are_texts"))
    chosen = read_options(model, **options)
    source = lines_of(lines) if lines else source_of(rows)
    store = context.store if chosen.store else None
    with ExitStack() as stack:
        endpoints = [Endpoint(*context.connected(url)) for url in chosen.servers] or [Endpoint(*context.connected())]
        if chosen.servers:  # the client of the session stays open
            for endpoint in endpoints:
                stack.callback(endpoint.client.close)
        if store:
            store.problem = ""  # of an earlier job
        vectors, found = embed(source, chosen, endpoints, store)

    problem = store.problem if store else ""
    if report:
        report(found.with_note("store_problem", reason=problem))
    return vectors


def embed(
    source: Source,
    options: EmbedOptions,
    endpoints: Sequence[Endpoint],
    store: Store | None = None,
    retry_policy: RetryPolicy | None = None,
) -> tuple[Array, EmbedReport]:
    """Return the C-contiguous float32 array of shape ``(n, d)`` and its report.

    No texts give an array of no rows, as wide as the vectors of the model. Raises EmbeddingProblem with the rows that could not
    be embedded, after all others were, unless ``on_error`` says otherwise, and Interrupted after an interrupt.
    """
    started = time.monotonic()
    if options.on_error == "raise" and isinstance(source.values, list):
        require_texts(source.values)
    pool = select_servers(endpoints, options)
    cache = None
    if store and pool.digest:
        named_options = {**options.options, **({"dimensions": options.dimensions} if options.dimensions else {})}
        cache = JobCache(store, key(pool.digest, named_options), key(pool.digest, {**named_options, "truncate": True}))

    job = Job(source, options, pool, cache, retry_policy or RetryPolicy())
    try:
        job.run()
    except KeyboardInterrupt:
        code = "interrupted-nothing-kept"
        if cache:
            code = "interrupted-some-kept" if cache.store.problem else "interrupted-batches-kept"
        if not job.stats.batches and not job.stats.reused:
            code = "interrupted-no-batch"
        raise Interrupted(code=code) from None
    return _result(job, source, options, started)


def _result(job: Job, source: Source, options: EmbedOptions, started: float) -> tuple[Array, EmbedReport]:
    stats, output = job.stats, job.output
    stats.settle_copies()

    # an error with the rows that failed, unless they may be left out
    failed, last = tuple(sorted(stats.flaws)), stats.last_error
    if not stats.seen and not job.width:
        raise EmbeddingProblem("texts-empty").with_advice(remedy=Phrase("no_width"))
    all_failed = len(failed) == stats.seen
    if all_failed and isinstance(last, RequestRefused) and last.code == "answer-unreadable":
        raise last.with_traceback(None) from None  # no answer could be read at all: no text is at fault
    are_missing = all_failed and not stats.batches and last is None  # nothing was asked
    if all_failed and (not stats.seen or options.on_error != "raise") and are_missing and job.width:
        output.begin(stats.seen, job.width)
    elif failed and (all_failed or options.on_error == "raise"):
        are_long = all(isinstance(flaw, TooLong) for flaw in stats.flaws.values())
        code, remedy = ("texts-too-long", "shorten_rows") if are_long else ("rows-failed", "fix_rows")
        error = EmbeddingProblem(code, rows=failed, found=named(stats.flaws), count=len(failed), total=stats.seen)
        if options.on_error != "raise":
            remedy = "no_width" if are_missing else "shorten_all" if are_long else "fix_all"
        raise error.with_advice(remedy=None if job.keeps and not all_failed and options.on_error == "raise" else Phrase(remedy))

    output.repeat(stats.copies, stats.originals)
    kept: Sequence[int] = range(stats.seen)
    if failed and options.on_error == "skip":
        kept = output.drop(failed, stats.seen).tolist()
    else:
        output.blank(failed)

    index = range(stats.seen) if source.index is None else source.index
    if len(kept) < stats.seen:
        index = index[np.asarray(kept, np.intp)] if hasattr(index, "take") else list(kept)
    report = EmbedReport(
        index=index,
        kept=kept,
        failed=failed,
        truncated=tuple(sorted(stats.truncated)),
        reused=stats.reused,
        retried=stats.retried,
        seconds=time.monotonic() - started,
        notes=tuple(stats.notes),
    )
    return output.finished(len(kept)), report
