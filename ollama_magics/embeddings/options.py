"""Read the options of %embed and om.embed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from ollama_magics.errors import SettingError
from ollama_magics.messages import Phrase
from ollama_magics.settings import values
from ollama_magics.settings.cell_options import typed_in_call

ON_ERROR = ("raise", "nan", "skip")
_MOST_PARALLEL = 16
_SWITCHES = {"true": True, "yes": True, "false": False, "no": False}
# the options of a runner that an embedding model has; sampling means nothing to it
_RUNNER_OPTIONS: dict[str, Callable[[str], Any]] = {
    # a real server answers wrongly to what is below 1
    "num_ctx": lambda text: _count(text, "num_ctx", "-O num_ctx=2048"),
    "num_batch": lambda text: _count(text, "num_batch", "-O num_batch=2048"),
    **dict.fromkeys(("num_gpu", "main_gpu", "num_thread", "seed"), int),
    "use_mmap": lambda text: _SWITCHES[text.lower()],
}


class EmbedOptions(Struct, frozen=True):
    """The options of one job; empty values leave the choice to the server, None for ``batch`` and ``parallel`` to measuring."""

    model: str = ""
    batch: int | None = None
    parallel: int | None = None
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
    local_only: bool = False


def read_options(  # noqa: PLR0913 - one for each option of %embed
    model: str = "",
    *,
    batch: object = None,
    parallel: object = None,
    dimensions: object = None,
    query: bool = False,
    document: bool = False,
    on_error: str = "raise",
    context: object = None,
    keep_alive: object = None,
    options: Mapping[str, object] | Iterable[str] = (),
    base_url: str | Iterable[str] = (),
    **switches: bool,
) -> EmbedOptions:
    """Return the checked options; ``switches`` are the flags of EmbedOptions. Raises SettingError (setting-invalid)."""
    if query and document:
        raise _invalid("--query --document", "%embed", Phrase("one_task"), "--query")
    in_flight = None if parallel is None else _count(parallel, "parallel", "--parallel 2")
    if in_flight and in_flight > _MOST_PARALLEL:
        raise _invalid(parallel, "parallel", Phrase("need_most", most=_MOST_PARALLEL), "--parallel 2")
    if on_error not in ON_ERROR:
        raise _invalid(on_error, "on-error", Phrase("need_word", words=", ".join(ON_ERROR)), "--on-error nan")
    with typed_in_call("%embed"):
        kept = values.keep_alive(keep_alive, "keep_alive")
    return EmbedOptions(
        model=values.plain_text(model, "model"),
        batch=None if batch is None else _count(batch, "batch", "--batch 64"),
        parallel=in_flight,
        dimensions=None if dimensions is None else _count(dimensions, "dimensions", "--dimensions 256"),
        task="query" if query else "document" if document else "",
        on_error=str(on_error),
        keep_alive=kept,
        options=_read_runner_options(options, context),
        servers=values.addresses(base_url),
        **switches,
    )


def _count(given: object, setting: str, example: str) -> int:
    try:
        return values.count(given, setting)
    except SettingError as error:
        reason = error.facts["reason"]
        try:
            values.whole(given, setting)
        except SettingError as not_whole:
            reason = not_whole.facts["reason"]  # the other one speaks of tokens
        raise _invalid(given, setting, reason, example) from None


def _read_runner_options(given: Mapping[str, object] | Iterable[str], context: object) -> dict[str, Any]:
    if isinstance(given, Mapping):
        pairs = [(str(name), str(value)) for name, value in given.items()]
    else:
        pairs = [(name, value) for name, _, value in (word.partition("=") for word in given)]
    options: dict[str, Any] = {}
    for name, value in ((name.strip(), value.strip()) for name, value in pairs):
        if name not in _RUNNER_OPTIONS:
            near = difflib.get_close_matches(name, _RUNNER_OPTIONS, n=1, cutoff=0.5)
            hint = Phrase("near_option", near=near[0]) if near else Phrase("known_options", names=", ".join(_RUNNER_OPTIONS))
            raise _invalid(name, "option", hint, f"-O {near[0] if near else 'num_ctx'}=2048")
        try:
            options[name] = _RUNNER_OPTIONS[name](value)
        except (ValueError, KeyError):
            kind = Phrase("need_truth" if name == "use_mmap" else "need_whole")
            raise _invalid(value, name, kind, f"-O {name}={'true' if name == 'use_mmap' else 2048}") from None
    if context is not None:
        with typed_in_call("%embed"):
            options["num_ctx"] = values.count(context, "context")
    return options


def _invalid(value: object, setting: str, reason: Phrase, example: str) -> SettingError:
    return SettingError(
        "setting-invalid", value=repr(str(value)[:60]), setting=setting, reason=reason, example=f"%embed {example} …"
    )
