"""Ask a prompt for each row of a table, and return the table with the answers as columns."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from ollama_magics.conversation.notes import Note
from ollama_magics.conversation.schema import Schema, make_schema
from ollama_magics.conversation.tools import Toolbox
from ollama_magics.errors import (
    ConnectionProblem,
    Interrupted,
    OllamaMagicsError,
    PromptProblem,
    RequestRefused,
    RowsProblem,
    ToolProblem,
)
from ollama_magics.jobs.width import WidthSearch
from ollama_magics.messages import Phrase
from ollama_magics.rows.cache import RowCache, Store
from ollama_magics.rows.formats import FieldsFormat, RowFormat, TextFormat
from ollama_magics.rows.job import RowJob
from ollama_magics.rows.labels import LabelsFormat, label_set, require_examples, single_token_letters
from ollama_magics.rows.options import RowOptions
from ollama_magics.rows.progress import RowsView
from ollama_magics.rows.prompts import Build, RowPrompts, abilities_for
from ollama_magics.rows.table import Column, Table, read_table
from ollama_magics.rows.worker import JobState, RowOutcome
from ollama_magics.server.client import Client
from ollama_magics.settings import form as settings_form
from ollama_magics.settings.form import OllamaSettings

if TYPE_CHECKING:
    from ollama_magics.conversation.prompt import Prompt

_SAMPLE_SEED = 0
_FEW_TOKENS = 50  # of fixed text behind the text of a row, which are not worth a word
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class RowTarget:
    """What a session knows about a prompt before its rows: the model, its servers, and how a request is built."""

    build: Build
    model: str
    digest: str
    clients: Sequence[Client]
    schema: Schema | None = None
    toolbox: Toolbox | None = None
    defaults: Mapping[str, float] = field(default_factory=dict)  # options that the model itself brings
    notes: tuple[Any, ...] = ()
    context_length: int = 0  # in tokens


class RowsContext(Protocol):
    """What a session gives to a job of rows."""

    settings: OllamaSettings
    label_letters: dict[str, str]  # by the digest of a model, or its name and server: the letters that are one token each

    @property
    def rows(self) -> Store:
        """Where finished rows are kept."""

    @property
    def uses_stores(self) -> bool:
        """Whether stores are read and written."""

    def row_target(
        self, prompt: Prompt, values: Mapping[str, Any], servers: Sequence[str], stack: ExitStack, *, abilities: Collection[str]
    ) -> RowTarget:
        """Return the model and servers of a prompt; the stack closes clients that are not the session's own."""


@dataclass(frozen=True)
class RowsResult:
    """The table with the answers, and what is shown of the job."""

    frame: Any
    view: RowsView
    target: RowTarget
    columns: Mapping[str, Any]  # of the answers, with their types
    sent: Mapping[str, Any]  # the options in each request
    cache: RowCache | None = None


def map_rows(  # noqa: PLR0913 - the parts of a job
    context: RowsContext,
    data: Any,
    prompt: Prompt,
    names: Mapping[str, Any],
    *,
    options: RowOptions,
    watch: Callable[[RowsView], object] | None = None,
) -> RowsResult:
    """Return the data with the columns of the answers, ``error``, ``seconds`` and ``tokens``.

    ``watch`` is called several times a second while the job runs. Raises RowsProblem, PromptProblem or FormatProblem before the
    first request, the error that ends the job, and Interrupted with the result so far as ``partial``. Data without rows are
    returned with the columns, and nothing is sent.
    """
    table, language = read_table(data), settings_form.language_in_use(context.settings)
    prompt = _checked(prompt, options, table)
    if not table.length:
        return _without_rows(table, prompt, names, options)
    rows = _drawn(table, options.sample)
    with ExitStack() as stack:
        target = target_of(context, table, prompt, names, options, stack)
        form = _format(context, target, options)
        prompts = RowPrompts(table, prompt, names, options.pictures, target.build)
        is_stored = options.store and context.uses_stores and target.digest and not target.toolbox
        cache = RowCache(context.rows, target.digest, reuse=options.reuse) if is_stored else None
        job = RowJob(
            len(rows),
            lambda position: prompts.request(rows[position]),
            form,
            target.clients,
            cache=cache,
            toolbox=target.toolbox,
            context_length=target.context_length,
            parallel=1 if target.toolbox else options.parallel,  # functions of the user are not made for threads
            watch=lambda _: watch(view) if watch else None,
        )
        view = RowsView(job.state, table, rows, prompts.used)
        frame = partial(result_frame, table, form, job.state.outcomes, rows, language)
        _run(job, cache, frame)
        replaced = list(_replaced(target)) if context.uses_stores else []  # a recording holds the job alone
    if cache and replaced:
        cache.drop()
    elif cache and job.state.is_finished and not options.is_part:
        cache.finish()
    view = replace(view, notes=(*target.notes, *replaced, *_job_notes(prompts, job.state, context), *_not_kept(cache)))
    sent = form.adapt(target.build("", ())).options
    return RowsResult(frame(), view, target, form.columns, sent, cache)


def _checked(prompt: Prompt, options: RowOptions, table: Table) -> Prompt:
    """Return the prompt as it is asked for rows; raises PromptProblem or ToolProblem for options that rows cannot have."""
    _require_labels(prompt, options)
    if prompt.tools and prompt.confirm is None:
        functions = ", ".join(str(getattr(tool, "__name__", tool)) for tool in prompt.tools)
        raise ToolProblem("tools-need-yes", count=table.length, functions=functions)
    if options.labels is None:
        return prompt
    typed = {name: value for name, value in prompt.overrides.items() if value is not None}
    return msgspec.structs.replace(prompt, overrides={"think": "off", **typed})  # the first token is the label


def _job_notes(prompts: RowPrompts, state: JobState, context: RowsContext) -> Iterator[Note]:
    """Yield the servers that were left out, what was changed or left out in rows, and what fixed text behind them costs."""
    yield from (Note(Phrase("rows_server_left_out", url=url), loses=False) for url in state.left_out)
    yield from prompts.notes()
    yield from _text_behind(prompts, state, context)


def _text_behind(prompts: RowPrompts, state: JobState, context: RowsContext) -> Iterator[Note]:
    """Yield what it costs that fixed text stands behind the text of the row: a server keeps only what is alike from the start."""
    tokens = len(prompts.text_behind) // _CHARACTERS_PER_TOKEN
    if tokens > _FEW_TOKENS and len(state.prompt_seconds) > 1 and context.uses_stores:  # what is recorded tells no time
        # the first prompt is read in any case
        milliseconds = 1000 * sum(state.prompt_seconds[1:]) / len(state.prompt_seconds[1:])
        yield Note(Phrase("rows_text_behind", tokens=tokens, time=f"{milliseconds:.0f} ms"), loses=False)


def target_of(  # noqa: PLR0913, PLR0917 - the parts of a job
    context: RowsContext, table: Table, prompt: Prompt, names: Mapping[str, Any], options: RowOptions, stack: ExitStack
) -> RowTarget:
    """Return what the session knows about a prompt; raises PromptProblem (system-uses-column) for a column in its system."""
    try:
        return context.row_target(prompt, names, options.servers, stack, abilities=abilities_for(options.pictures, table))
    except PromptProblem as error:
        if error.code != "system-name-unknown":
            raise
        if (name := error.facts["name"]) in {*table.columns, *table.doubled}:
            raise PromptProblem("system-uses-column", name=name) from None
        raise error.with_advice(remedy=Phrase("system_by_row_remedy", name=name)) from None


def _run(job: RowJob, cache: RowCache | None, frame: Callable[..., Any]) -> None:
    """Ask for all rows; an interrupt, and the error that ends the job, have the ``frame`` so far as ``partial``.

    In it they are the error of the rows that were not asked.
    """
    try:
        job.run()
    except KeyboardInterrupt:
        is_kept = cache is not None and not cache.problem
        code = "interrupted-rows-kept" if is_kept else "interrupted-rows-not-kept"
        raise Interrupted(frame(not_asked=RowsProblem(code)), code=code) from None
    except RowsProblem as problem:
        problem.partial = frame(not_asked=problem)
        raise


def _replaced(target: RowTarget) -> Iterator[Note]:
    """Yield for each server that can be reached that it has another model of the name than at the beginning."""
    for client in target.clients:
        with suppress(ConnectionProblem, RequestRefused):
            if target.digest and client.digest(target.model) != target.digest:
                yield Note(Phrase("rows_model_replaced", model=target.model, url=client.address.url), loses=False)


def _not_kept(cache: RowCache | None) -> Iterator[Note]:
    """Yield why rows are not kept, once."""
    if cache and cache.problem:
        yield Note(Phrase("store_problem", reason=cache.take_problem()), loses=False)


def _require_labels(prompt: Prompt, options: RowOptions) -> None:
    """Raise PromptProblem (labels-invalid) for labels that cannot be chosen, and for options that go with none."""
    if options.labels is None:
        if options.abstain is not None or options.examples:
            raise PromptProblem("labels-invalid", reason=Phrase("labels_missing"))
        return
    if prompt.format is not None or prompt.tools:
        raise PromptProblem("labels-invalid", reason=Phrase("labels_alone"))
    require_examples(options.examples, label_set(options.labels, abstain=options.abstain))


def _format(context: RowsContext, target: RowTarget, options: RowOptions) -> RowFormat:
    if options.labels is None:
        return FieldsFormat(target.schema) if target.schema else TextFormat()
    client = target.clients[0]
    model = target.digest or f"{target.model} at {client.address.url}"  # some proxies forbid the list that has the digests
    letters = context.label_letters.get(model)
    if letters is None:
        letters = single_token_letters(target.model, target.build("", ()).options, client.chat)
        context.label_letters[model] = letters
    return LabelsFormat(label_set(options.labels, letters, options.abstain), options.examples)


def _without_rows(table: Table, prompt: Prompt, names: Mapping[str, Any], options: RowOptions) -> RowsResult:
    """Return the result of no rows: the columns that the answers would have, in their types. Nothing is sent."""
    form = _format_unsent(prompt, options)
    target = RowTarget(_unsent, prompt.model, "", ())
    has_names = table.columns or table.doubled  # an empty list has none that a template could be checked by
    used = RowPrompts(table, prompt, names, options.pictures, target.build).used if has_names else []
    view = RowsView(JobState([], WidthSearch(1)), table, (), used)
    return RowsResult(result_frame(table, form, [], []), view, target, form.columns, {})


def _unsent(text: str, pictures: Any) -> Any:
    raise NotImplementedError("There is no row to ask for.")


def _format_unsent(prompt: Prompt, options: RowOptions) -> RowFormat:
    """Return the format of the answers, for their columns alone: the model is not asked for its letters."""
    if options.labels is None:
        return TextFormat() if prompt.format is None else FieldsFormat(make_schema(prompt.format))
    return LabelsFormat(label_set(options.labels, abstain=options.abstain), options.examples)


def empty_result(data: Any, prompt: Prompt, names: Mapping[str, Any], options: RowOptions) -> Any:
    """Return data without rows with the columns that the answers would have, in their types.

    Raises RowsProblem (column-unknown, column-twice, rows-unused) and PromptProblem as rows would.
    """
    _require_labels(prompt, options)
    return _without_rows(read_table(data), prompt, names, options).frame


def _drawn(table: Table, sample: int | None) -> Sequence[int]:
    if sample is None or sample >= table.length:
        return range(table.length)
    return sorted(random.Random(_SAMPLE_SEED).sample(range(table.length), sample))  # noqa: S311 - which rows are drawn is no secret


def result_frame(  # noqa: PLR0913 - what a frame is made of
    table: Table,
    form: RowFormat,
    outcomes: Sequence[RowOutcome | None],
    rows: Sequence[int],
    language: str = "en",
    *,
    not_asked: OllamaMagicsError | None = None,
) -> Any:
    """Return the rows with their answers; those that were not asked have None, and ``not_asked`` as their error."""
    found = [outcome or RowOutcome(error=not_asked) for outcome in outcomes]
    answers = {name: Column([one.values.get(name) for one in found], kind) for name, kind in form.columns.items()}
    own = {
        "error": Column([error_words(one.error, language) for one in found], str),
        "seconds": Column([one.seconds for one in found], float),
        "tokens": Column([one.tokens for one in found], int),
    }
    return table.with_columns(answers, own, None if len(rows) == table.length else rows)


def error_words(error: OllamaMagicsError | None, language: str) -> str:
    """Return the code of an error and what is wrong in one line of the language, or an empty text."""
    if error is None:
        return ""
    said = (error.phrase(part).text(language) for part in ("what", "how_we_know"))
    return f"{error.code}: {' '.join(' '.join(said).split())}"
