"""Ask a prompt for each row of a table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from msgspec.structs import replace

from ollama_magics.api.calls import UserLine, worded
from ollama_magics.conversation.pages import read_pages, refuse_without_document
from ollama_magics.conversation.prompt import Prompt, read_rows
from ollama_magics.errors import PromptProblem, suggest_names
from ollama_magics.jobs.event_loop import AsyncCall
from ollama_magics.jobs.interrupt import defer_interrupt
from ollama_magics.messages import Phrase
from ollama_magics.session.session import Session, current
from ollama_magics.settings import form
from ollama_magics.settings.parameters import require, require_some

if TYPE_CHECKING:
    from ollama_magics.conversation.images import Picture
    from ollama_magics.conversation.sounds import Sound
    from ollama_magics.conversation.tools import ToolCall
    from ollama_magics.jobs.event_loop import Awaits, ThreadCall
    from ollama_magics.rows.experiment import Experiment
    from ollama_magics.rows.map_rows import RowsResult
    from ollama_magics.rows.options import RowOptions
    from ollama_magics.rows.progress import RowsView
    from ollama_magics.rows.prompts import ColumnPicture

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_OF_EXPERIMENT = dict.fromkeys(("models", "prompts", "repeat", "truth"), "om.experiment")
# What parameters must be: words, types, and how it is typed.
_TYPES: dict[str, tuple[str, tuple[type, ...], str]] = {
    "model": ("str", (str,), 'om.map(data, prompt, model="…")   ·   om.experiment(data, prompt, models=["…", "…"])'),
    "models": ("str, list", (str, Sequence), 'om.experiment(data, prompts, models=["…", "…"])'),
    "system": ("str", (str, NoneType), 'system="…"'),
    "suffix": ("str", (str,), 'suffix="…"'),
    "truth": ("str", (str,), 'om.experiment(data, prompts, truth="kind")'),
    "values": ("dict", (Mapping, NoneType), 'om.map(data, "{{item}} {{x}}", values={"x": x})'),
    "options": ("dict", (Mapping, NoneType), 'options={"min_p": 0.05}'),
    "tools": ("list", (Iterable,), "om.map(data, prompt, tools=[function], confirm=lambda call: True)"),
    "confirm": ("callable", (Callable, NoneType), "om.map(data, prompt, tools=functions, confirm=lambda call: True)"),  # type: ignore[dict-item] # a type in fact
    "examples": ("list", (Iterable,), 'examples=[("the text of a row", "its label")]'),
    "base_url": ("str, list", (str, Iterable), 'base_url=["http://a:11434", "http://b:11434"]'),
}


def _suggest_names(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    return suggest_names(function, _OF_EXPERIMENT)


def _require_types(given: Mapping[str, Any]) -> None:
    """Raise SettingError (setting-invalid) for a parameter of a type that it cannot have, and for no server."""
    require_some("base_url", given.get("base_url"), _TYPES["base_url"][2])
    for name, (wanted, types, example) in _TYPES.items():
        if name in given:
            require(name, given[name], wanted, example, fits=isinstance(given[name], types))


@_suggest_names
@worded
def map(  # noqa: A001, PLR0913 - it is what the word says for a data frame; one parameter for each option
    data: Any,
    prompt: str,
    *,
    format: Any = None,  # noqa: A002 - as Ollama calls it
    system: str | None = None,
    images: Any = (),
    pages: str | int | Sequence[int] | None = None,
    labels: Any = None,
    abstain: float | None = None,
    examples: Iterable[tuple[str, Any]] = (),
    values: Mapping[str, Any] | None = None,
    rows: int | Literal["all"] | None = None,
    model: str = "",
    parallel: int | None = None,
    sample: int | None = None,
    tools: Iterable[Callable[..., Any]] = (),
    confirm: Callable[[ToolCall], bool] | None = None,
    base_url: str | Iterable[str] = "",
    store: bool = True,
    reuse: bool = False,
    strict: bool = False,
    generate: bool = False,
    suffix: str = "",
    api_key_env: str = "",
    local_only: bool = False,
    context_length: int | str | None = None,
    max_tokens: int | str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    stop: str | Sequence[str] | None = None,
    think: Literal["auto", "off", "on", "low", "medium", "high", "max"] | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Any:
    r"""Ask the prompt for each row of the data, and return the data with the answers as columns.

    - ``data``: a data frame (pandas, polars, Arrow, dask), a Series, an Index, a list, or a dict of columns. The result is of the
      same kind and has its index; a Series gives a frame, a list gives a list of dicts.
    - ``{{column}}`` in the ``prompt`` comes from the row (``{{item}}`` for a list), other names from ``values``.
    - ``format`` is "json", a JSON schema or a type, whose fields become columns of their types; without it there is a column
      ``reply``.
    - ``labels``, a list, a dict of label and description, an Enum or a comma-separated text, ask for one of them instead: the
      columns are ``label``, the probability of each one as ``p_LABEL``, and ``p_none``, the share of other answers. Below the
      probability ``abstain`` the label is None. ``examples`` are prompts with their labels, shown to the model first.
    - ``images`` are names of columns with a picture, PDF or sound in each row, and pictures that are sent with every row;
      ``pages`` are those of each PDF or TIFF (the first 20).
    - ``parallel`` is the number of requests in flight for each server; None finds it by measuring. ``base_url`` names several
      servers, which share the rows. ``sample`` is a number of rows that are drawn by a fixed seed; None asks for all.
    - Finished rows are kept until the job is finished, so that an interrupted call asks only for the rest. ``reuse`` takes the
      stored rows of a finished job, too; ``store=False`` keeps none.
    - The other parameters are those of om.chat; ``rows`` counts those of a table in ``values`` or in a row.

    The columns ``error`` (a code and words, or an empty text), ``seconds`` and ``tokens`` follow. A name that is taken gets
    ``_reply`` behind it. A text that is cut at the max tokens is kept, with the error ``row-reply-cut``. Data without rows are
    returned with the columns, and nothing is sent.

    Raises RowsProblem (``data-not-rows``, ``rows-mostly-failed``), PromptProblem (``name-unknown``), FormatProblem and the
    errors of om.chat before the first row; Interrupted, whose ``partial`` is the result so far.

    Example: ``om.map(df, "Fill in the ticket.\n\n{{text}}", format=Ticket)``
    """
    return _RowsCall(dict(locals())).ask()


@_suggest_names
@worded
def amap(  # noqa: PLR0913 - one parameter for each option
    data: Any,
    prompt: str,
    *,
    format: Any = None,  # noqa: A002 - as Ollama calls it
    system: str | None = None,
    images: Any = (),
    pages: str | int | Sequence[int] | None = None,
    labels: Any = None,
    abstain: float | None = None,
    examples: Iterable[tuple[str, Any]] = (),
    values: Mapping[str, Any] | None = None,
    rows: int | Literal["all"] | None = None,
    model: str = "",
    parallel: int | None = None,
    sample: int | None = None,
    tools: Iterable[Callable[..., Any]] = (),
    confirm: Callable[[ToolCall], bool | Awaitable[bool]] | None = None,
    base_url: str | Iterable[str] = "",
    store: bool = True,
    reuse: bool = False,
    strict: bool = False,
    generate: bool = False,
    suffix: str = "",
    api_key_env: str = "",
    local_only: bool = False,
    context_length: int | str | None = None,
    max_tokens: int | str | None = None,
    temperature: float | None = None,
    top_p: float | None = None,
    top_k: int | None = None,
    seed: int | None = None,
    stop: str | Sequence[str] | None = None,
    think: Literal["auto", "off", "on", "low", "medium", "high", "max"] | None = None,
    keep_alive: float | str | None = None,
    options: Mapping[str, Any] | None = None,
) -> Coroutine[Any, Any, Any]:
    r"""Ask the prompt for each row of the data in an event loop, as om.map does: ``await`` gives the data with the answers.

    The parameters are those of om.map. Cancelling the task that waits ends the requests; finished rows are kept, so that the same
    call asks only for the rest. Asynchronous functions among the ``tools`` are awaited in this event loop.

    Raises what om.map raises: at once for a wrong parameter, later for all else.

    Example: ``out = await om.amap(df, "Fill in the ticket.\n\n{{text}}", format=Ticket)``
    """
    return _RowsCall(dict(locals())).in_loop()


class _RowsCall:
    """One call of om.map or om.amap with the parameters ``given``, and its bar."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        if not isinstance(given["prompt"], str):
            raise PromptProblem("prompt-not-text", kind=type(given["prompt"]).__name__)
        _require_types(given)
        with defer_interrupt():  # half of numpy cannot be imported again
            from ollama_magics.integrations import dask  # noqa: PLC0415 - brings in numpy
            from ollama_magics.rows.progress import RowsBar  # noqa: PLC0415 - only a job of rows needs it

        self._given, self._session, self._line = given, current(), UserLine()
        self._prompt, self._options = _asked_for_rows(self._session, given, given["prompt"])
        self._bar = RowsBar(hidden=self._session.is_recorded)
        self._is_lazy = dask.is_collection(given["data"])

    def ask(self) -> Any:
        """Ask for all rows, and return the data with the answers; a dask collection asks when it is computed."""
        if self._is_lazy:
            return self._lazy_frame()
        try:
            return self._frame(self._map(None, self._bar.update))
        finally:
            self._bar.end()

    def in_loop(self) -> AsyncCall[Any]:
        """Return the call for an event loop: it asks for all rows in a thread, and gives the data with the answers."""
        return self._line.told_unused(AsyncCall(self._ask_in_loop), "amap_unused")

    async def _ask_in_loop(self) -> Any:
        if self._is_lazy:
            return self._lazy_frame()

        def work(call: ThreadCall[None, RowsResult]) -> RowsResult:
            return self._map(call.result_of, lambda view: call.in_loop(self._bar.update, view))

        try:
            result = await self._session.thread_call(work).result()
            self._line.warn_of_settings(self._session)
            return self._frame(result)
        finally:
            self._bar.end()

    def _map(self, awaits: Awaits | None, watch: Callable[[RowsView], object]) -> RowsResult:
        prompt, data, values = replace(self._prompt, awaits=awaits), self._given["data"], self._given["values"]
        return self._session.map(data, prompt, values, options=self._options, watch=watch)

    def _frame(self, result: RowsResult) -> Any:
        """Return the frame of the result; what was left out of its rows is a warning."""
        self._bar.update(result.view)
        for note in result.view.notes:
            self._line.warn(note.phrase.text(self._session.language))
        return result.frame

    def _lazy_frame(self) -> Any:
        from ollama_magics.integrations import dask_rows  # noqa: PLC0415 - as above

        given = self._given
        return dask_rows.map_rows(given["data"], self._prompt, given["values"] or {}, self._options, given["api_key_env"])


@suggest_names
@worded
def experiment(  # noqa: PLR0913 - one parameter for each option
    data: Any,
    prompts: str | Mapping[str, str],
    *,
    models: str | Sequence[str] = (),
    labels: Any = None,
    truth: str = "",
    repeat: int = 1,
    format: Any = None,  # noqa: A002 - as Ollama calls it
    system: str | None = None,
    images: Any = (),
    abstain: float | None = None,
    examples: Iterable[tuple[str, Any]] = (),
    values: Mapping[str, Any] | None = None,
    rows: int | Literal["all"] | None = None,
    parallel: int | None = None,
    sample: int | None = None,
    base_url: str | Iterable[str] = "",
    store: bool = True,
    reuse: bool = False,
    local_only: bool = False,
    context_length: int | str | None = None,
    max_tokens: int | str | None = None,
    temperature: float | None = None,
    seed: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Experiment:
    r"""Ask several models and prompts for each row of the data, and return their answers with figures that compare them.

    - ``prompts`` are templates by name, or one template. ``models`` are asked one after another, so that each is loaded once;
      empty: the model of the settings. ``repeat`` asks each row so many times, with another seed each time.
    - ``truth`` is the column with the right answers: one of the ``labels``, or with ``format`` the field of the same name.
    - Every sampling option is sent, and kept in ``facts`` of the result, so that two servers or versions can be compared: what
      you or the model's own file do not set has a fixed value.
    - The other parameters are those of om.map. What was left out of rows or changed is a warning, and in ``facts["notes"]``.
    - An interrupted experiment that is made again asks only for the rest.

    Raises what om.map raises, and PromptProblem (``experiment-invalid``) before the first request. Interrupted has the
    experiment so far as ``partial``. A model that fails has errors instead of answers, as long as another has some.

    Example: ``om.experiment(df, "{{text}}", models=["a", "b"], labels=["yes", "no"], truth="kind").summary``
    """
    given = dict(locals())
    _require_types(given)
    with defer_interrupt():  # as above
        from ollama_magics.rows.run_experiment import ExperimentPlan, run_experiment  # noqa: PLC0415 - only an experiment needs it

    if not models and models not in ("", ()):
        raise PromptProblem("experiment-invalid", reason=Phrase("experiment_no_model"))
    session = current()
    frozen, chosen = _asked_for_rows(session, given)
    plan = ExperimentPlan(
        models=(models,) if isinstance(models, str) else tuple(models),
        prompts=dict(prompts) if isinstance(prompts, Mapping) else {"prompt": prompts},
        repeat=repeat,
        truth=truth,
    )
    found = run_experiment(session, data, plan, frozen, values or {}, options=chosen, language=session.language)
    line = UserLine()
    for note in found.facts.get("notes", ()):
        line.warn(note)
    return found


def _asked_for_rows(session: Session, given: Mapping[str, Any], prompt: str = "") -> tuple[Prompt, RowOptions]:
    """Return what the parameters of a call ask for each row, and how the rows are asked."""
    from ollama_magics.rows.options import read_row_options  # noqa: PLC0415 - only a job of rows needs it

    pictures = tuple(_row_pictures(session, given["images"], given.get("pages")))
    refuse_without_document(given.get("pages"), pictures)
    read_rows(given["rows"])
    frozen = Prompt(
        prompt,
        model=given.get("model", ""),
        system=given["system"],
        overrides={name: given[name] for name in form.request_places() if name in given},
        extra=given["options"] or {},
        local_only=given["local_only"],
        format=given["format"],
        pages=read_pages(given.get("pages")),
        tools=given.get("tools", ()),
        confirm=given.get("confirm"),
        rows=given["rows"],
        once=True,
        **{name: given[name] for name in ("strict", "generate", "suffix") if name in given},
    )
    chosen = read_row_options(
        pictures=pictures,
        examples=tuple(given["examples"]),
        **{name: given[name] for name in ("labels", "abstain", "parallel", "sample", "base_url", "store", "reuse")},
    )
    return frozen, chosen


def _row_pictures(session: Session, images: Any, pages: Any) -> Iterator[Picture | Sound | ColumnPicture]:
    """Yield a column for each text, with or without braces around it, and the pictures in other values."""
    from ollama_magics.rows.prompts import ColumnPicture  # noqa: PLC0415 - as above

    for what in images if isinstance(images, (list, tuple)) else (images,):
        if isinstance(what, str):
            yield ColumnPicture(what.strip("{} "))
        else:
            yield from session.pictures_of(what, "images", pages)
