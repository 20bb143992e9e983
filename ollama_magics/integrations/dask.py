"""Texts of a dask collection -> a lazy dask array of their vectors, which each worker asks its server for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from ollama_magics.errors import EmbeddingProblem, SettingError
from ollama_magics.integrations.remote_session import Access, access, refuse_secrets
from ollama_magics.settings import values

# dask itself is imported only here, and only for a caller who has made a collection with it.


_SAMPLE = "How many numbers has a vector?"


@dataclass(frozen=True)
class _Job:
    """What each worker needs; ``options`` are those of om.embed, by name."""

    access: Access
    model: str
    width: int
    options: tuple[tuple[str, Any], ...]


def is_collection(texts: Any) -> bool:
    """Return whether the texts are a dask collection; dask is not imported for it."""
    dask = sys.modules.get("dask")
    return dask is not None and bool(dask.is_dask_collection(texts))


def embed(texts: Any, model: str = "", *, lengths: bool = False, api_key_env: str = "", **options: Any) -> Any:
    """Return the lazy float32 dask array of a dask Series, bag or one-dimensional array of texts, in their order.

    The width is ``dimensions``, or learnt by one request here; the numbers of rows are unknown (nan) unless the texts are
    an array that knows them, or ``lengths`` is true, for which the texts are read once. Everything else happens when
    the array is computed, on the workers. Raises EmbeddingProblem for other collections, SettingError for options that
    a lazy array cannot follow.
    """
    parts = _partitions(texts)
    options = {name: value for name, value in options.items() if value is not None}
    _refuse(options)
    job = _job(access(api_key_env=api_key_env), model, options)
    return _array(parts, _rows(texts, parts, lengths=lengths), job)


def _refuse(options: dict[str, Any]) -> None:
    refused = [name for name in ("report", "lines") if name in options]
    if refused or options.get("on_error") == "skip":
        value, reason = ", ".join(refused) or "skip", "A lazy array has no place for a report, a file, or which rows are left."
        raise SettingError(
            "setting-invalid", value=value, setting="a dask collection", reason=reason, example='on_error="nan" keeps rows'
        )
    servers = options.get("base_url", "")
    for url in servers.split(",") if isinstance(servers, str) else servers:
        refuse_secrets(url, "")


def _job(reached: Access, model: str, options: dict[str, Any]) -> _Job:
    session = reached.session()
    model = model or session.embedding_model() or session.installed.choose("", "embedding")
    if options.get("dimensions"):
        width = values.count(options["dimensions"], "dimensions")
    else:
        width = session.embed([_SAMPLE], model, **options).shape[1]
    return _Job(reached, model, width, tuple(sorted(options.items())))


def _array(parts: Sequence[Any], rows: Sequence[float], job: _Job) -> Any:
    import dask  # noqa: PLC0415 - only who has a collection needs it
    import dask.array as da  # noqa: PLC0415 - as above

    ask = dask.delayed(_vectors, name="ollama-embed", pure=True)
    blocks = [
        da.from_delayed(ask(part, number, job), (count, job.width), np.float32)
        for number, (part, count) in enumerate(zip(parts, rows, strict=True))
    ]
    return da.concatenate(blocks, allow_unknown_chunksizes=True)


def _vectors(part: Any, number: int, job: _Job) -> np.ndarray[Any, Any]:
    """Return the vectors of one partition; runs on a worker."""
    texts = part if hasattr(part, "__len__") else list(part)  # a bag's partition may be an iterator
    if not len(texts):
        return np.empty((0, job.width), np.float32)
    options = dict(job.options)
    try:
        vectors = job.access.session().embed(texts, job.model, **options)
    except EmbeddingProblem as error:
        if options.get("on_error") == "nan" and len(error.rows) == len(texts):
            return np.full((len(texts), job.width), np.nan, np.float32)
        error.add_note(f"Rows are counted from 0 within partition {number} of the dask collection.")
        raise
    if vectors.shape[1] != job.width:
        reason = f"Its vectors have {vectors.shape[1]} numbers, where the array was made for {job.width}."
        raise EmbeddingProblem("vectors-mismatch", reason=reason)
    return vectors


def _partitions(texts: Any) -> list[Any]:
    kind = type(texts)
    divided = hasattr(kind, "to_delayed") and hasattr(texts, "npartitions")  # of a delayed value, any attribute is there
    if not divided or getattr(texts, "ndim", 1) != 1:
        reason = "Of dask's collections, a Series, a bag and an array of one dimension hold texts in order."
        instead = 'om.embed(ddf["text"])   ·   anything else: om.embed(texts.compute())'
        raise EmbeddingProblem("input-not-texts", kind=f"A dask {kind.__name__}", reason=reason, instead=instead)
    return list(texts.to_delayed())


def _rows(texts: Any, parts: Sequence[Any], *, lengths: bool) -> Sequence[float]:
    if hasattr(texts, "chunks"):
        known: Sequence[float] = texts.chunks[0]
        if not (lengths and any(map(np.isnan, known))):
            return known
    if not lengths:
        return [nan] * len(parts)
    import dask  # noqa: PLC0415 - as above

    counted: Sequence[float] = dask.compute(*[dask.delayed(_length)(part) for part in parts])
    return counted


def _length(part: Any) -> int:
    return len(part) if hasattr(part, "__len__") else sum(1 for _ in part)
