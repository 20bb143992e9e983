"""Turn a dask collection of texts into a lazy dask array of their vectors, which the workers ask their servers for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np

from ollama_magics.errors import EmbeddingProblem, SettingError, in_language
from ollama_magics.integrations.remote_session import RemoteSession, describe_session, refuse_secrets
from ollama_magics.settings import values

# dask itself is imported only here, and only for a caller who has made a collection with it.

_SAMPLE = "How many numbers has a vector?"


@dataclass(frozen=True)
class _PartitionJob:
    """What a worker needs for one partition; ``options`` are those of om.embed, by name."""

    remote: RemoteSession
    model: str
    width: int
    options: tuple[tuple[str, Any], ...]


def is_collection(texts: Any) -> bool:
    """Whether the texts are a dask collection; dask is not imported for it."""
    dask = sys.modules.get("dask")
    return dask is not None and bool(dask.is_dask_collection(texts))


def embed(texts: Any, model: str = "", *, lengths: bool = False, api_key_env: str = "", **options: Any) -> Any:
    """Return the lazy float32 dask array of shape ``(n, d)`` of a dask Series, bag or one-dimensional array of texts.

    The width d is ``dimensions``, or found by one request here. The numbers of rows are unknown (nan), unless the texts are an
    array that knows them, or ``lengths`` is true, for which the texts are read once. Everything else happens on the workers when
    the array is computed. Raises EmbeddingProblem (input-not-texts) for other collections, and SettingError (setting-invalid)
    for options that a lazy array cannot have.

    Example: ``vectors = om.embed(ddf["text"], lengths=True)``
    """
    import dask  # noqa: PLC0415 - only who has a collection needs it
    import dask.array as da  # noqa: PLC0415 - as above

    parts = _partitions(texts)
    options = {name: value for name, value in options.items() if value is not None}
    refused = [name for name in ("report", "lines") if name in options]
    if refused or options.get("on_error") == "skip":
        value, reason = ", ".join(refused) or "skip", "A lazy array has no place for a report, a file, or which rows are left."
        raise SettingError(
            "setting-invalid", value=value, setting="a dask collection", reason=reason, example='on_error="nan" keeps rows'
        )
    servers = options.get("base_url", "")
    for url in servers.split(",") if isinstance(servers, str) else servers:
        refuse_secrets(url, "")

    remote = describe_session(api_key_env=api_key_env)
    session = remote.open()
    model = model or session.embedding_model() or session.installed.choose("", "embedding")
    if options.get("dimensions"):
        width = values.count(options["dimensions"], "dimensions")
    else:
        width = session.embed([_SAMPLE], model, **options).shape[1]

    job = _PartitionJob(remote, model, width, tuple(sorted(options.items())))
    rows = _count_rows(texts, parts, lengths=lengths)
    embed_later = dask.delayed(_embed_partition, name="ollama-embed", pure=True)
    blocks = [
        da.from_delayed(embed_later(part, number, job), (count, width), np.float32)
        for number, (part, count) in enumerate(zip(parts, rows, strict=True))
    ]
    return da.concatenate(blocks, allow_unknown_chunksizes=True)


def _embed_partition(part: Any, number: int, job: _PartitionJob) -> np.ndarray[Any, Any]:
    """Return the vectors of one partition; runs on a worker."""
    texts = part if hasattr(part, "__len__") else list(part)  # a bag's partition may be an iterator
    if not len(texts):
        return np.empty((0, job.width), np.float32)
    options, session = dict(job.options), job.remote.open()
    try:
        with in_language(lambda: session.language):
            vectors = session.embed(texts, job.model, **options)
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
    is_divided = hasattr(kind, "to_delayed") and hasattr(texts, "npartitions")  # of a delayed value, any attribute is there
    if not is_divided or getattr(texts, "ndim", 1) != 1:
        reason = "Of dask's collections, a Series, a bag and an array of one dimension hold texts in order."
        instead = 'om.embed(ddf["text"])   ·   anything else: om.embed(texts.compute())'
        raise EmbeddingProblem("input-not-texts", kind=f"A dask {kind.__name__}", reason=reason, instead=instead)
    return list(texts.to_delayed())


def _count_rows(texts: Any, parts: Sequence[Any], *, lengths: bool) -> Sequence[float]:
    """Return the rows of each partition, nan where they are unknown."""
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
