"""Ask several models and prompts for each row, and collect the answers as an experiment."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ollama_magics.errors import Interrupted, OllamaMagicsError, PromptProblem, RowsProblem
from ollama_magics.messages import Phrase
from ollama_magics.rows.cache import RowCache
from ollama_magics.rows.experiment import Experiment
from ollama_magics.rows.labels import label_set, text_of
from ollama_magics.rows.map_rows import RowsContext, RowsResult, error_words, map_rows, target_of
from ollama_magics.rows.options import RowOptions
from ollama_magics.rows.progress import RowsView
from ollama_magics.rows.prompts import RowPrompts, is_missing
from ollama_magics.rows.table import Table, free_names, table_of
from ollama_magics.rows.worker import RowOutcome
from ollama_magics.settings.form import OllamaSettings

if TYPE_CHECKING:
    from ollama_magics.conversation.prompt import Prompt

# Options that a server fills in by itself, some of them with another value in another version: they are sent, so that the
# answers of two versions can be compared.
PINNED = {
    "temperature": 0.8,
    "top_k": 40,
    "top_p": 0.9,
    "min_p": 0.0,
    "repeat_last_n": 64,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
}
_FIRST_SEED = 1
_OWN = frozenset({"row", "model", "prompt", "repeat", "truth", "error", "seconds", "tokens"})  # columns of the experiment itself
_MOST_REPEATS = 100
Watch = Callable[["Step", RowsView], object]


@dataclass(frozen=True)
class ExperimentPlan:
    """What is compared: models, prompts by their names, how often each is asked, and the column with the right answers."""

    models: Sequence[str]
    prompts: Mapping[str, str]
    repeat: int = 1
    truth: str = ""


@dataclass(frozen=True)
class Step:
    """One job of an experiment: a model with a prompt, for the so-maniest time."""

    model: str
    prompt: str
    repeat: int


def run_experiment(  # noqa: PLR0913 - the parts of an experiment
    context: RowsContext,
    data: Any,
    plan: ExperimentPlan,
    prompt: Prompt,
    names: Mapping[str, Any],
    *,
    options: RowOptions,
    watch: Watch = lambda *_: None,
    language: str = "en",
) -> Experiment:
    """Return the answers of each model, one after another so that each is loaded once, to each prompt.

    ``prompt`` holds all options but model and text. A model that fails has errors instead of answers, as long as another one has
    some. Raises what map_rows raises, PromptProblem (experiment-invalid) before the first request, and Interrupted with the
    experiment so far as ``partial``.
    """
    table = table_of(data)
    labels = () if options.labels is None else label_set(options.labels, abstain=options.abstain).labels
    collector = _Collector(table, plan, labels, _read_truth(table, plan, prompt, labels), language)
    prompts = _prompts(context, table, plan, prompt, names, options)
    caches: list[RowCache] = []
    for step, one in prompts.items():
        part = replace(options, is_part=True)
        try:
            result = map_rows(context, data, one, names, options=part, watch=partial(watch, step))
        except Interrupted as interrupted:
            interrupted.partial = collector.experiment() if collector.columns else None
            raise
        except OllamaMagicsError as error:
            collector.fail(step, error)
        else:
            collector.add(step, result)
            caches += [result.cache] if result.cache and result.view.state.is_finished else []
    experiment = collector.experiment()
    if len(caches) == len(prompts):
        for cache in caches:
            cache.finish()
    return experiment


def _prompts(  # noqa: PLR0913, PLR0917 - the parts of an experiment
    context: RowsContext, table: Table, plan: ExperimentPlan, prompt: Prompt, names: Mapping[str, Any], options: RowOptions
) -> dict[Step, Prompt]:
    """Return the prompt of each job; what is wrong with a model or a prompt is found before the first one is asked."""
    found: dict[Step, Prompt] = {}
    with ExitStack() as stack:
        for step in _steps(plan, prompt):
            one = msgspec.structs.replace(prompt, model=step.model, text=plan.prompts[step.prompt])
            target = target_of(context, table, one, names, options, stack)
            RowPrompts(table, one, names, options.pictures, target.build)
            named = replace(step, model=step.model or target.model)
            found[named] = _pinned(one, context.settings, target.defaults, step.repeat)
    return found


def _steps(plan: ExperimentPlan, prompt: Prompt) -> Iterator[Step]:
    """Yield the jobs, all of a model together; raises PromptProblem (experiment-invalid)."""
    models = list(plan.models) or [prompt.model]
    if not plan.prompts:
        raise PromptProblem("experiment-invalid", reason=Phrase("experiment_prompts"))
    if odd := [text for text in plan.prompts.values() if not isinstance(text, str)]:
        raise PromptProblem("experiment-invalid", reason=Phrase("experiment_template", kind=type(odd[0]).__name__))
    if len({str(model).removesuffix(":latest") for model in models}) < len(models):
        raise PromptProblem("experiment-invalid", reason=Phrase("experiment_models"))
    if plan.repeat not in range(1, _MOST_REPEATS + 1):  # nor is a text or 2.5
        raise PromptProblem("experiment-invalid", reason=Phrase("experiment_repeat", most=_MOST_REPEATS, value=plan.repeat))
    for model in models:
        for name in plan.prompts:
            for repeat in range(plan.repeat):
                yield Step(model, name, repeat)


def _pinned(prompt: Prompt, chosen: OllamaSettings, defaults: Mapping[str, float], repeat: int) -> Prompt:
    """Return the prompt with every sampling option that neither it nor the settings name, and a seed for the repeat."""
    sent = prompt.options(chosen)
    pinned = {name: type(value)(defaults.get(name, value)) for name, value in PINNED.items() if name not in sent}
    overrides = {name: value for name, value in prompt.overrides.items() if name != "seed"}
    extra = {**pinned, **prompt.extra, "seed": sent.get("seed", _FIRST_SEED) + repeat}
    return msgspec.structs.replace(prompt, overrides=overrides, extra=extra)


def _read_truth(table: Table, plan: ExperimentPlan, prompt: Prompt, labels: Sequence[Any]) -> list[Any] | None:
    """Return the right answer of each row, None where it is missing; with labels one of them, and as text if answers are text.

    Raises PromptProblem (experiment-invalid) for a column or a label that is not there.
    """
    if not plan.truth:
        return None
    if plan.truth in table.doubled:
        raise RowsProblem("column-twice", name=plan.truth)
    if plan.truth not in table.columns:
        known = ", ".join(map(str, table.columns))
        raise PromptProblem("experiment-invalid", reason=Phrase("experiment_truth", name=plan.truth, known=known))
    truth = [None if is_missing(value) else value for value in table.columns[plan.truth]]
    if not labels and prompt.format is not None:
        return truth
    read = partial(_true_label, labels=labels) if labels else lambda value: text_of(_whole(value))
    return [None if value is None else read(value) for value in truth]


def _true_label(value: Any, labels: Sequence[Any]) -> Any:
    """Return the label that equals the value or has its text."""
    texts = [text_of(label) for label in labels]
    if (text := text_of(_whole(value))) in texts:
        return labels[texts.index(text)]
    if isinstance(value, Hashable) and value in labels:  # 1 and True, 2 and 2.0
        return labels[labels.index(value)]
    known = ", ".join(texts)[:200]
    raise PromptProblem("experiment-invalid", reason=Phrase("experiment_label", label=repr(value)[:60], known=known))


def _whole(value: Any) -> Any:
    """Return a whole number as an int: pandas makes floats of them where a value is missing."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class _Collector:
    """Puts the answers of all jobs below each other."""

    def __init__(self, table: Table, plan: ExperimentPlan, labels: Sequence[Any], truth: list[Any] | None, language: str) -> None:
        self._plan, self._labels, self._truth, self._language = plan, labels, truth, language
        self._lines: list[dict[str, Any]] = []
        self._failed: list[tuple[Step, OllamaMagicsError]] = []
        self._rows: Sequence[int] = range(table.length)
        self._names: Mapping[str, str] = {}  # of the columns, by those of the answers
        self.columns: dict[str, None] = {}  # of the answers, in their order
        self.facts: dict[str, Any] = {"rows": table.length, "prompts": dict(plan.prompts), "models": {}, "options": {}}

    def add(self, step: Step, result: RowsResult) -> None:
        """Add the answers of a job, and how it was made."""
        self._rows = result.view.rows
        self._names = free_names(result.columns, _OWN)
        self.columns |= dict.fromkeys(self._names.values())
        self.facts["models"][result.target.model] = result.target.digest
        said = (note.phrase.text(self._language) for note in result.view.notes)
        if notes := dict.fromkeys([*self.facts.get("notes", ()), *said]):
            self.facts["notes"] = list(notes)
        self.facts["options"][f"{step.model} · {step.prompt} · {step.repeat}"] = dict(result.sent)
        for row, outcome in zip(result.view.rows, result.view.state.outcomes, strict=True):
            found = outcome or RowOutcome()
            self._lines.append(
                self._line(step, row, found.values, error_words(found.error, self._language), found.seconds, found.tokens)
            )

    def fail(self, step: Step, error: OllamaMagicsError) -> None:
        """Note that a job has no answers."""
        self._failed.append((step, error))

    def experiment(self) -> Experiment:
        """Return all answers; raises the first error where there are none."""
        if not self.columns:
            raise self._failed[0][1]
        for step, error in self._failed:
            self._lines += [self._line(step, row, {}, error_words(error, self._language), 0.0, 0) for row in self._rows]
        columns = {name: [line.get(name) for line in self._lines] for name in self._lines[0]}
        for name in self.columns:
            columns[name] = [line.get(name) for line in self._lines]
        answer = self._answer()
        return Experiment(columns, answer=answer, labels=self._labels, facts=self.facts, language=self._language)

    def _answer(self) -> str:
        """Return the column that is compared: the label, the reply, or the field that is called like the truth."""
        if self._labels:
            return "label"
        if "reply" in self.columns:
            return "reply"
        return self._names.get(self._plan.truth) or next(iter(self.columns))

    def _line(self, step: Step, row: int, values: Mapping[str, Any], error: str, seconds: float, tokens: int) -> dict[str, Any]:  # noqa: PLR0913, PLR0917
        known = {} if self._truth is None else {"truth": self._truth[row]}
        line = {"row": row, "model": step.model, "prompt": step.prompt, "repeat": step.repeat, **known}
        answers = {self._names[name]: value for name, value in values.items()}
        return {**line, **answers, "error": error, "seconds": seconds, "tokens": tokens}
