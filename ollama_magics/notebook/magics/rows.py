"""Ask the prompt of a cell for each row of a table: %%ollama --each."""

from __future__ import annotations

import re
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ollama_magics.errors import Interrupted, PromptProblem
from ollama_magics.jobs.interrupt import defer_interrupt
from ollama_magics.messages import Phrase
from ollama_magics.notebook import arguments, usage_error
from ollama_magics.notebook.line_words import is_collection
from ollama_magics.notebook.scope import Scope
from ollama_magics.settings.cell_options import ROW_OPTIONS, typed_in_call
from ollama_magics.settings.values import plain_text

if TYPE_CHECKING:
    from ollama_magics.conversation.prompt import Prompt
    from ollama_magics.notebook.display.rows import RowsScreen
    from ollama_magics.rows.experiment import Experiment
    from ollama_magics.rows.options import RowOptions
    from ollama_magics.rows.run_experiment import ExperimentPlan
    from ollama_magics.session.session import Session

_COLUMN = re.compile(r"\{\{\s*(?P<name>[^{}]+?)\s*\}\}")


def refuse_without_rows(options: Namespace) -> None:
    """Raise UsageError for an option that needs --each where there is none."""
    for option in ROW_OPTIONS:
        if getattr(options, option.name) not in (None, False) and options.each is None:
            raise usage_error("usage_rows", option=option.flags)


def column_of(word: object) -> str:
    """Return the column that ``-i {{column}}`` names, or an empty text."""
    found = _COLUMN.fullmatch(word) if isinstance(word, str) else None
    return found["name"] if found else ""


def ask_rows(shell: Any, session: Session, options: Namespace, prompt: Prompt, scope: Scope) -> Any:
    """Return the data with the answers to the prompt, shown while they come; the columns of -i are those of its options."""
    with defer_interrupt():
        from ollama_magics.integrations import dask, dask_rows  # noqa: PLC0415 - brings in numpy, which loading must not
        from ollama_magics.notebook.display.rows import rows_screen  # noqa: PLC0415 - brings in the renderer

    data = arguments.named("--each", options.each, scope)
    if not options.yes:
        prompt = replace(prompt, confirm=None)  # nobody is asked for each call of each row
    chosen = _row_options(options, prompt, scope)
    prompt = replace(prompt, images=(), once=True, reuse=False)
    plan = _plan(options, prompt)
    if dask.is_collection(data):
        if plan:
            raise PromptProblem("experiment-invalid", reason=Phrase("experiment_lazy"))
        return dask_rows.map_rows(data, prompt, scope, chosen)
    with rows_screen(shell, session.language, quiet=options.quiet, recorded=session.is_recorded) as screen:
        try:
            found = _compare(session, data, plan, prompt, scope, chosen, screen) if plan else None
            if plan is None:
                result = session.map(data, prompt, scope, options=chosen, watch=screen.update)
                screen.update(result.view)
                found = result.frame
        except Interrupted as interrupt:
            shell.user_ns["_ollama"] = interrupt.partial
            raise
    return found


@typed_in_call()
def _plan(options: Namespace, prompt: Prompt) -> ExperimentPlan | None:
    """Return the experiment that several models, --repeat or --truth ask for; None for a plain job."""
    from ollama_magics.rows.options import row_count  # noqa: PLC0415 - only an experiment needs it
    from ollama_magics.rows.run_experiment import ExperimentPlan  # noqa: PLC0415 - as above

    models = [plain_text(model, "model") for model in options.model or ()]
    if len(models) < 2 and options.repeat is None and options.truth is None:
        return None
    repeat = 1 if options.repeat is None else row_count(options.repeat, "repeat", 3)
    truth = "" if options.truth is None else plain_text(options.truth, "truth")
    return ExperimentPlan(models or [prompt.model], {"prompt": prompt.text}, repeat, truth)


def _compare(  # noqa: PLR0913, PLR0917 - the parts of an experiment
    session: Session, data: Any, plan: ExperimentPlan, prompt: Prompt, names: Any, chosen: RowOptions, screen: RowsScreen
) -> Experiment:
    from ollama_magics.rows.experiment import experiment_output  # noqa: PLC0415 - as above
    from ollama_magics.rows.run_experiment import run_experiment  # noqa: PLC0415 - as above

    found = run_experiment(
        session, data, plan, prompt, names, options=chosen, watch=lambda _, view: screen.update(view), language=session.language
    )
    screen.finish(experiment_output(found, times=screen.times))
    return found


def _row_options(options: Namespace, prompt: Prompt, scope: Scope) -> RowOptions:
    from ollama_magics.rows.options import read_row_options  # noqa: PLC0415 - only a job of rows needs it
    from ollama_magics.rows.prompts import ColumnPicture  # noqa: PLC0415 - as above

    columns = [ColumnPicture(name) for word in options.images or () if (name := column_of(word))]
    return read_row_options(
        pictures=(*columns, *prompt.images),
        labels=arguments.named("--labels", options.labels, scope) if is_collection(options.labels) else options.labels,
        abstain=options.abstain,
        parallel=options.parallel,
        sample=options.sample,
        base_url=plain_text(options.base_url, "base_url") if options.base_url else "",
        store=not options.no_store,
        reuse=options.reuse,
    )
