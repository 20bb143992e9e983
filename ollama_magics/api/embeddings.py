"""Embed texts."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ollama_magics.api.calls import UserLine, worded
from ollama_magics.errors import suggest_names
from ollama_magics.jobs.event_loop import AsyncCall
from ollama_magics.jobs.interrupt import defer_interrupt
from ollama_magics.messages import Phrase
from ollama_magics.session.session import Session, current
from ollama_magics.settings import form
from ollama_magics.settings.parameters import require, require_some

if TYPE_CHECKING:
    import numpy as np

    from ollama_magics.embeddings.output import Array, EmbedReport
    from ollama_magics.jobs.event_loop import ThreadCall


@suggest_names
@worded
def embed(  # noqa: PLR0913 - one parameter for each option of %embed
    texts: Any = None,
    *,
    model: str = "",
    lines: str | Path = "",
    batch: int | None = None,
    parallel: int | None = None,
    dimensions: int | None = None,
    query: bool = False,
    document: bool = False,
    on_error: Literal["raise", "nan", "skip"] = "raise",
    truncate: bool = False,
    verify: bool = False,
    any_model: bool = False,
    context: int | str | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
    base_url: str | Iterable[str] = "",
    store: bool = True,
    report: Callable[[EmbedReport], object] | None = None,
    lengths: bool = False,
    api_key_env: str = "",
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the float32 array of the texts, of shape ``(n, d)``, C-contiguous, one row for each text in order.

    - ``texts``: a list, tuple, Series, column, array, generator or one string; or ``lines``, a file with a text on each line. No
      texts give an array of no rows.
    - ``model``: the embedding model; empty for that of the settings.
    - ``batch`` texts go into one request; without it about as many as take a second, at most 256. ``parallel`` requests are sent
      at a time; without it two, and in a longer job as many as measurements show to be enough. Several servers share the texts if
      ``base_url`` names them. ``dimensions`` is the length of the vectors, where the model can shorten them.
    - ``query`` and ``document`` put the model family's prefix before each text.
    - ``on_error``: rows that cannot be embedded raise after all others, become nan, or are left out. ``truncate`` lets the server
      cut texts that are too long. ``verify`` embeds some texts again alone and compares. ``any_model`` accepts a model that is
      not listed as an embedding model.
    - ``context``, ``keep_alive`` and ``options`` are sent with the requests.
    - ``store``: read and write stored vectors. ``report`` is called with the EmbedReport.

    A dask Series, bag or array gives a lazy dask array: ``lengths`` counts its rows at once, and ``api_key_env`` is the
    environment variable of the workers that holds the key.

    Raises EmbeddingProblem (``rows-failed``, ``texts-too-long``), whose ``rows`` name the texts, SettingError
    (``setting-invalid``), ModelProblem (``model-missing``) and the errors of the connection.

    Example: ``om.embed(["a text", "another"], model="all-minilm").shape``
    """
    lazy, chosen = _read_options(dict(locals()))
    return _embed(texts, model, chosen) if lazy is None else lazy


@suggest_names
@worded
def aembed(  # noqa: PLR0913 - as above
    texts: Any = None,
    *,
    model: str = "",
    lines: str | Path = "",
    batch: int | None = None,
    parallel: int | None = None,
    dimensions: int | None = None,
    query: bool = False,
    document: bool = False,
    on_error: Literal["raise", "nan", "skip"] = "raise",
    truncate: bool = False,
    verify: bool = False,
    any_model: bool = False,
    context: int | str | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
    base_url: str | Iterable[str] = "",
    store: bool = True,
    report: Callable[[EmbedReport], object] | None = None,
    lengths: bool = False,
    api_key_env: str = "",
) -> Coroutine[Any, Any, np.ndarray[Any, np.dtype[np.float32]]]:
    """Return the array of the texts in an event loop, as om.embed does: ``await`` gives the float32 array.

    The parameters are those of om.embed; ``report`` is called in this event loop. Cancelling the task that waits ends the
    requests; finished batches are kept, so that the same call asks only for the rest.

    Raises what om.embed raises: at once for a wrong parameter, later for all else.

    Example: ``vectors = await om.aembed(["a text", "another"], model="all-minilm")``
    """
    lazy, chosen = _read_options(dict(locals()))
    session, line = current(), UserLine()
    call = AsyncCall(lambda: _embed_in_loop(session, line, texts, model, chosen, lazy))
    return line.told_unused(call, "aembed_unused")


def _embed(texts: Any, model: str, chosen: dict[str, Any]) -> Array:
    session, report = current(), chosen.pop("report", None)
    reports: list[EmbedReport] = []
    vectors = session.embed(texts, model, report=reports.append, **chosen)
    _report(session, UserLine(), reports[0], report)
    return vectors


async def _embed_in_loop(  # noqa: PLR0913, PLR0917 - what a call consists of
    session: Session, line: UserLine, texts: Any, model: str, chosen: dict[str, Any], lazy: Array | None
) -> Array:
    if lazy is not None:
        return lazy
    report = chosen.pop("report", None)
    reports: list[EmbedReport] = []

    def work(_: ThreadCall[None, Array]) -> Array:
        return session.embed(texts, model, report=reports.append, **chosen)

    vectors = await session.thread_call(work).result()
    line.warn_of_settings(session)
    _report(session, line, reports[0], report)
    return vectors


def _report(session: Session, line: UserLine, made: EmbedReport, report: Callable[[EmbedReport], object] | None) -> None:
    """Show the notes of a report, as %embed prints them, as warnings, and call what was given for it."""
    for key, facts in made.notes:
        line.warn(Phrase(key, **facts).text(session.language))
    if report:
        report(made)


def _read_options(given: Mapping[str, Any]) -> tuple[Array | None, dict[str, Any]]:
    """Return the options that were given; for a dask collection the lazy array, which is all there is to do, else None."""
    texts, model, options, base_url, report = (given[name] for name in ("texts", "model", "options", "base_url", "report"))
    require("model", model, "str", 'om.embed(texts, model="all-minilm")', fits=isinstance(model, str))
    require("lines", given["lines"], "str, Path", 'om.embed(lines="texts.txt")', fits=isinstance(given["lines"], (str, Path)))
    require("options", options, "dict", 'om.embed(texts, options={"num_ctx": 2048})', fits=isinstance(options or {}, Mapping))
    require("base_url", base_url, "str, list", f'om.embed(texts, base_url="{form.DEFAULT_ADDRESS}")', fits=_is_texts(base_url))
    require_some("base_url", base_url, f'om.embed(texts, base_url="{form.DEFAULT_ADDRESS}")')
    require("report", report, "callable", "om.embed(texts, report=print)", fits=report is None or callable(report))
    chosen = {name: given[name] for name, parameter in _EMBED_PARAMETERS.items() if given[name] is not parameter.default}
    with defer_interrupt():  # half of numpy cannot be imported again
        from ollama_magics.embeddings import collect  # noqa: F401, PLC0415 - brings in numpy, which chat does not need
    if "dask" not in sys.modules:
        return None, chosen
    from ollama_magics.integrations import dask  # noqa: PLC0415 - only for who uses dask

    if not dask.is_collection(texts):
        return None, chosen
    lazy: Array = dask.embed(texts, model, lengths=given["lengths"], api_key_env=given["api_key_env"], **chosen)
    return lazy, chosen  # dask's array behaves like NumPy's


def _is_texts(given: object) -> bool:
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        return all(isinstance(one, str) for one in given)
    return isinstance(given, Iterable) and not isinstance(given, bytes)


_NOT_PASSED_ON = ("texts", "model", "lengths", "api_key_env")
_EMBED_PARAMETERS = {
    name: parameter for name, parameter in inspect.signature(embed).parameters.items() if name not in _NOT_PASSED_ON
}
