"""Notice in a worker process that what was set in the process that started it is not set there."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection

_MARK = "OLLAMA_MAGICS_SET_IN"  # the process and the names of its settings; no values, which a later change would make wrong
_INHERITED = os.environ.get(_MARK, "")  # before this process sets something itself
_NOT_CHOSEN = ("model_type",)  # which the server reports


def mark(changed: Collection[str]) -> None:
    """Let processes that this one starts know what is set here, by name."""
    if names := sorted(set(changed) - set(_NOT_CHOSEN)):
        os.environ[_MARK] = f"{os.getpid()} {','.join(names)}"
    elif os.environ.get(_MARK, "").startswith(f"{os.getpid()} "):
        del os.environ[_MARK]


def of_parent() -> tuple[int, list[str]] | None:
    """Return the process that started this worker, and the names of what is set there.

    None in a process that is no worker, and in one that was forked, which has the settings.
    """
    processes = sys.modules.get("multiprocessing.process")  # each worker has it
    parent = processes.parent_process() if processes else None
    process, _, names = _INHERITED.partition(" ")
    return (parent.pid, names.split(",")) if parent is not None and process == str(parent.pid) else None


def inherited() -> dict[str, str]:
    """Return what a worker takes over from the process that started it: that nothing may be sent to another machine."""
    found = of_parent()
    return {"local_only": "yes"} if found and "local_only" in found[1] else {}


def missing(names: Collection[str], changed: Collection[str], given: Collection[str]) -> list[str]:
    """Return which of these names of the parent are neither ``changed`` here nor ``given`` to a call."""
    here = {*changed, *given, *(("embedding_model",) if "model" in given else ())}
    return [name for name in names if name not in here]
