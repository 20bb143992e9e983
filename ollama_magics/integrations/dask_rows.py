"""Ask a prompt for each row of a dask collection, lazily: the workers ask their servers when the result is computed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from ollama_magics.conversation.prompt import Prompt
from ollama_magics.errors import RowsProblem, SettingError, in_language
from ollama_magics.integrations.remote_session import RemoteSession, describe_session, refuse_secrets
from ollama_magics.messages import Phrase
from ollama_magics.rows.map_rows import empty_result
from ollama_magics.rows.options import RowOptions

_TEXT_TYPES = ("str", "string")  # of pandas; a Decimal, a time or bytes, which are strings in JSON, stay what they are
_NAMES = re.compile(r"\{\{\s*([^\W\d]\w*)")


@dataclass(frozen=True)
class _PartitionJob:
    """What a worker needs for one partition; ``names`` are the values of the notebook that the prompt uses."""

    remote: RemoteSession
    prompt: Prompt
    names: Mapping[str, Any]
    options: RowOptions
    meta: Any = None
    token: str = field(default_factory=lambda: uuid4().hex)

    def __dask_tokenize__(self) -> str:
        return self.token  # a class of the notebook, which the format may be, cannot be hashed


def map_rows(data: Any, prompt: Prompt, names: Mapping[str, Any], options: RowOptions, api_key_env: str = "") -> Any:
    """Return the lazy dask DataFrame of a DataFrame or Series with the answers as columns, or the bag of dicts of a bag.

    The dtypes follow from the format. Rows that a worker has finished are reused whenever the result is computed again, unless
    the options say that nothing is stored. Raises RowsProblem: data-not-rows for other collections, column-unknown and the like
    for the names in the prompt; SettingError (setting-invalid) for a sample.
    """
    if options.sample is not None:
        reason, example = Phrase("sample_lazy"), "om.map(data.head(20), …)"
        raise SettingError("setting-invalid", value=repr(options.sample), setting="sample", reason=reason, example=example)
    for url in options.servers:
        refuse_secrets(url, "")
    used = {name: names[name] for name in _NAMES.findall(prompt.text + (prompt.system or "")) if name in names}
    # a result may be computed several times, for example by head() and then by compute()
    job = _PartitionJob(describe_session(api_key_env=api_key_env), prompt, used, replace(options, reuse=options.store))
    if hasattr(data, "to_delayed") and not hasattr(data, "ndim"):  # a bag
        return data.map_partitions(_map_items, job)
    if not hasattr(data, "map_partitions") or not hasattr(data, "_meta") or hasattr(data, "chunks"):
        kind = Phrase("lazy_kind", kind=f"dask.{type(data).__name__}")
        raise RowsProblem("data-not-rows", kind=kind, instead="om.map(data.compute(), …)")
    meta = empty_result(data._meta, prompt, names, options)  # noqa: SLF001 - dask's own way to the types of a collection
    return data.map_partitions(_map_partition, replace(job, meta=meta), meta=meta)


def _map_partition(part: Any, job: _PartitionJob) -> Any:
    """Return one partition with its answers; runs on a worker."""
    if not len(part):
        return job.meta
    kinds = {name: kind for name, kind in job.meta.dtypes.items() if kind.name not in _TEXT_TYPES}
    return _ask(part, job).astype(kinds)


def _map_items(part: Any, job: _PartitionJob) -> list[dict[str, Any]]:
    """Return the items of one partition of a bag with their answers; runs on a worker."""
    items = list(part)
    found: list[dict[str, Any]] = _ask(items, job) if items else []
    return found


def _ask(part: Any, job: _PartitionJob) -> Any:
    session = job.remote.open()
    with in_language(lambda: session.language):
        return session.map(part, job.prompt, job.names, options=job.options).frame
