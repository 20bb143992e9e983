"""What is wanted of a job of embeddings, read from what was typed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ollama_magics import settings
from ollama_magics.errors import SettingError

_ON_ERROR = ("raise", "nan", "skip")
_MOST_PARALLEL = 16
_SWITCHES = {"true": True, "yes": True, "false": False, "no": False}
# the options of a runner that an embedding model has; sampling means nothing to it
_OPTIONS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "seed"), int),
    "use_mmap": lambda text: _SWITCHES[text.lower()],
}


@dataclass(frozen=True)
class Wish:
    """A job as the person wants it; empty values leave the choice to the server."""

    model: str = ""
    batch: int = 256
    parallel: int = 2
    dimensions: int | None = None
    task: str = ""
    on_error: str = "raise"
    truncate: bool = False
    verify: bool = False
    any_model: bool = False
    keep_alive: float | str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    servers: tuple[str, ...] = ()
    store: bool = True


def read(  # noqa: PLR0913 - one for each option of %embed
    model: str = "",
    *,
    batch: object = 256,
    parallel: object = 2,
    dimensions: object = None,
    query: bool = False,
    document: bool = False,
    on_error: str = "raise",
    context: object = None,
    keep_alive: object = None,
    options: Mapping[str, object] | Iterable[str] = (),
    base_url: str | Iterable[str] = (),
    **switches: bool,
) -> Wish:
    """Return the wish; ``switches`` are truncate, verify, any_model and store. Raises SettingError for a bad value."""
    if query and document:
        raise _refused("--query --document", "task", "A text is one or the other.", "--query")
    return Wish(
        model=settings.plain_text(model, "model"),
        batch=settings.count(batch, "batch"),
        parallel=_parallel(parallel),
        dimensions=None if dimensions is None else settings.count(dimensions, "dimensions"),
        task="query" if query else "document" if document else "",
        on_error=_word(on_error),
        keep_alive=_duration(keep_alive),
        options=_options(options, context),
        servers=_addresses(base_url),
        **switches,
    )


def _parallel(typed: object) -> int:
    found = settings.count(typed, "parallel")
    if found > _MOST_PARALLEL:
        raise _refused(typed, "parallel", f"It must be at most {_MOST_PARALLEL}.", "--parallel 2")
    return found


def _word(typed: object) -> str:
    if typed not in _ON_ERROR:
        raise _refused(typed, "on-error", f"Possible: {', '.join(_ON_ERROR)}.", "--on-error nan")
    return str(typed)


def _duration(typed: object) -> float | str | None:
    try:
        return settings.keep_alive(typed, "keep_alive")
    except SettingError:
        raise _refused(typed, "keep-alive", "A time is needed: 5m, 30s, 0, or -1 for ever.", "--keep-alive 30m") from None


def _options(typed: Mapping[str, object] | Iterable[str], context: object) -> dict[str, Any]:
    if isinstance(typed, Mapping):
        pairs = [(str(name), str(value)) for name, value in typed.items()]
    else:
        pairs = [(name, value) for name, _, value in (word.partition("=") for word in typed)]
    found = {name.strip(): _option(name.strip(), value.strip()) for name, value in pairs}
    if context is not None:
        found["num_ctx"] = settings.count(context, "context")
    return found


def _option(name: str, value: str) -> Any:
    if name not in _OPTIONS:
        near = difflib.get_close_matches(name, _OPTIONS, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(_OPTIONS)}."
        raise _refused(name, "option", hint, f"-O {near[0] if near else 'num_ctx'}=2048")
    try:
        return _OPTIONS[name](value)
    except (ValueError, KeyError):
        kind = "true or false" if name == "use_mmap" else "a whole number"
        raise _refused(value, name, f"It takes {kind}.", f"-O {name}={'true' if name == 'use_mmap' else 2048}") from None


def _addresses(typed: str | Iterable[str]) -> tuple[str, ...]:
    words = typed.split(",") if isinstance(typed, str) else [str(word) for word in typed]
    return tuple(dict.fromkeys(word.strip() for word in words if word.strip()))


def _refused(value: object, setting: str, reason: str, example: str) -> SettingError:
    return SettingError("OM-S01", value=repr(str(value)[:60]), setting=setting, reason=reason, example=f"%embed {example} …")
