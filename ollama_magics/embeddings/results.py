"""The rows of a source -> their array and the report, or the error that names the rows."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ollama_magics.embeddings.failures import TooLong
from ollama_magics.embeddings.forms import Source, require_texts
from ollama_magics.embeddings.job import Job
from ollama_magics.embeddings.judging import named
from ollama_magics.embeddings.matrix import Array
from ollama_magics.embeddings.places import Choice, Place, choose
from ollama_magics.embeddings.report import EmbedReport
from ollama_magics.embeddings.shelf import Shelf, Store
from ollama_magics.embeddings.verdicts import Patience
from ollama_magics.embeddings.wishes import Wish
from ollama_magics.errors import EmbeddingProblem, Interrupted, RequestRefused
from ollama_magics.messages import Phrase
from ollama_magics.store.keys import key


def embed(
    source: Source,
    wish: Wish,
    places: Sequence[Place],
    store: Store | None = None,
    patience: Patience | None = None,
) -> tuple[Array, EmbedReport]:
    """Return the C-contiguous float32 array of shape ``(n, d)`` and what happened besides.

    Raises EmbeddingProblem with the rows that could not be embedded, after all others were, unless the wish says otherwise.
    """
    started = time.monotonic()
    if wish.on_error == "raise" and isinstance(source.values, list):
        require_texts(source.values)
    choice = choose(places, wish)
    shelf = _shelf(store, choice, wish) if store and choice.digest else None
    job = Job(source, wish, choice, shelf, patience or Patience())
    try:
        job.work()
    except KeyboardInterrupt:
        raise Interrupted(code=_interrupted(shelf)) from None
    return _outcome(job, source, wish, started)


def _shelf(store: Store, choice: Choice, wish: Wish) -> Shelf:
    options = {**wish.options, **({"dimensions": wish.dimensions} if wish.dimensions else {})}
    whole, cut = key(choice.digest, options), key(choice.digest, {**options, "truncate": True})
    return Shelf(store, lambda text, truncated: cut(text) if truncated else whole(text))


def _interrupted(shelf: Shelf | None) -> str:
    if shelf is None:
        return "OM-I04"
    return "OM-I05" if shelf.store.problem else "OM-I03"


def _outcome(job: Job, source: Source, wish: Wish, started: float) -> tuple[Array, EmbedReport]:
    ledger, matrix = job.ledger, job.matrix
    if not ledger.seen:
        raise EmbeddingProblem("OM-E01")
    ledger.settle_copies()
    failed = tuple(sorted(ledger.flaws))
    last = ledger.last
    if len(failed) == ledger.seen and isinstance(last, RequestRefused) and last.code == "OM-R02":
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
    code = "OM-E05" if long else "OM-E06"
    remedy = None if kept else Phrase("shorten_rows" if long else "mend_rows")
    return EmbeddingProblem(code, rows=rows, found=named(flaws), count=len(rows), total=total).advised(remedy=remedy)


def _index(source: Source, kept: Sequence[int], length: int) -> Any:
    index = range(length) if source.index is None else source.index
    if len(kept) == length:
        return index
    return index[np.asarray(kept)] if hasattr(index, "take") else list(kept)
