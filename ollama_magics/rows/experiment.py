"""Answers of several models and prompts to the same rows, with the figures that compare them."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ollama_magics import messages
from ollama_magics.conversation import records
from ollama_magics.errors import PromptProblem
from ollama_magics.files import UnusableFileError, read_regular, require_regular
from ollama_magics.render.figures import RunFigures, experiment_html, experiment_text
from ollama_magics.render.progress import progress_html
from ollama_magics.render.shown_once import ShownOnce
from ollama_magics.rows import statistics
from ollama_magics.rows.labels import text_of
from ollama_magics.rows.statistics import Interval, PairedComparison, ReliabilityBin
from ollama_magics.settings import config_folder

if TYPE_CHECKING:
    import pandas as pd

_FILE_FORMAT = 1
_LARGEST_FILE = 1_000_000_000  # bytes
_COMMON = ("row", "model", "prompt", "repeat", "error", "seconds", "tokens")


@dataclass(frozen=True)
class Run:
    """A model with a prompt: the positions of its answers in the columns of an experiment."""

    model: str
    prompt: str
    places: tuple[int, ...]


_TIMES: tuple[str, ...] = ("seconds_per_row", "tokens_per_second")


class Experiment(ShownOnce):
    """All answers of an experiment; it shows itself as its summary.

    Parameters:
        columns: equally long lists by name: row, model, prompt, repeat, error, seconds, tokens, the columns of the answer and,
            where they are known, truth, p_LABEL for each label, and p_none.
        answer: the name of the column that holds the label or answer.
        labels: the labels, in the order of the probabilities; empty where the answers are free.
        facts: how it was made: digests, server version, options, number of rows.
        language: of the words in the summary as HTML.

    Example: ``exp.compare("llama3.2", "gemma3").p_value``
    """

    def __init__(
        self,
        columns: Mapping[str, Sequence[Any]],
        *,
        answer: str,
        labels: Sequence[Any] = (),
        facts: Mapping[str, Any] | None = None,
        language: str = "en",
    ) -> None:
        self._columns = {name: list(values) for name, values in columns.items()}
        self._answer, self.labels, self.facts, self._language = answer, tuple(labels), dict(facts or {}), language
        pairs = zip(self._columns[answer], self._columns["error"], strict=True)
        self._answers = [None if error else given for given, error in pairs]  # a cut text counts as failed
        places: dict[tuple[str, str], list[int]] = {}
        for place, run in enumerate(zip(self._columns["model"], self._columns["prompt"], strict=True)):
            places.setdefault(run, []).append(place)
        self._runs = [Run(model, prompt, tuple(where)) for (model, prompt), where in places.items()]

    @property
    def frame(self) -> pd.DataFrame:
        """The answers as a long pandas DataFrame: a line for each row, model, prompt and repeat."""
        return records.frame([dict(zip(self._columns, line, strict=True)) for line in zip(*self._columns.values(), strict=True)])

    @property
    def summary(self) -> pd.DataFrame:
        """A row for each model and prompt, as a pandas DataFrame.

        ``accuracy`` with its 95 % Wilson interval (``low``, ``high``; repeats of a row count as one observation), ``macro_f1``
        and ``brier`` need the truth; they are of the answered rows alone, whose number is ``answered``. ``agreement`` is the
        share of equal pairs among the repeats of a row. ``abstained`` rows have no label, ``failed`` ones an error.
        """
        return records.frame([self._figures(run) for run in self._runs])

    def confusion(self, model: str = "", prompt: str = "") -> pd.DataFrame:
        """Return how often each answer (column) was given where another was true (row).

        Raises PromptProblem (experiment-unknown-run, experiment-no-truth).
        """
        import pandas as pd  # noqa: PLC0415 - only who asks for a frame needs pandas

        judged = self._judged(self._run(model, prompt))
        truth, given = [true for _, true, _ in judged], [answer for _, _, answer in judged]
        labels = list(self.labels) or sorted({*truth, *given}, key=str)
        table = statistics.confusion(truth, given, labels)
        return pd.DataFrame(table, pd.Index(labels, name="truth"), pd.Index(labels, name=self._answer))

    @property
    def agreement(self) -> pd.DataFrame:
        """Cohen's kappa between each two models and prompts, on the rows that both answered; 1 on the diagonal."""
        import pandas as pd  # noqa: PLC0415 - as above

        names, votes = [self._name(run) for run in self._runs], [self._votes(run) for run in self._runs]
        table = np.eye(len(votes))
        for first, second in combinations(range(len(votes)), 2):
            rows = [row for row in votes[first] if row in votes[second]]
            kappa = statistics.cohen_kappa([votes[first][row] for row in rows], [votes[second][row] for row in rows])
            table[first, second] = table[second, first] = kappa
        return pd.DataFrame(table, names, names)

    @property
    def disagreements(self) -> pd.DataFrame:
        """The rows to which models or prompts gave different answers, with a column for each of them."""
        votes = {self._name(run): self._votes(run) for run in self._runs}
        rows = self._columns["row"]
        truth = dict(zip(map(_hashable, rows), self._columns.get("truth", [None] * len(rows)), strict=True))
        lines = []
        for row, true in truth.items():
            answers = {name: given.get(row) for name, given in votes.items()}
            known = {"truth": true} if "truth" in self._columns else {}
            if len(set(answers.values())) > 1:
                lines.append({"row": row, **known, **answers})
        return records.frame(lines)

    def compare(self, first: str, second: str, prompt: str = "") -> PairedComparison:
        """Return McNemar's exact test of two models, or of two prompts of one model, on the rows that both answered.

        Raises PromptProblem (experiment-unknown-run, experiment-no-truth).
        """
        pair = [self._votes(self._named(name, prompt)) for name in (first, second)]
        known = zip(map(_hashable, self._columns["row"]), self._truth(), strict=True)
        truth = {row: _hashable(true) for row, true in known if true is not None}
        rows = [row for row in pair[0] if row in pair[1] and row in truth]
        right = [[given[row] == truth[row] for row in rows] for given in pair]
        return statistics.mcnemar(*right)

    def reliability(self, model: str = "", prompt: str = "", bins: int = 10) -> list[ReliabilityBin]:
        """Return how often labels of about the same probability are right. Raises PromptProblem as ``confusion`` does."""
        run, truth = self._run(model, prompt), self._truth()
        answers = self._answers
        places = [place for place in run.places if answers[place] is not None and truth[place] is not None]
        given = [self._answers[place] for place in places]
        confidence = [self._columns[self._probability(label)][place] for label, place in zip(given, places, strict=True)]
        return statistics.reliability(
            confidence, [truth[place] == label for place, label in zip(places, given, strict=True)], bins
        )

    def plot(self) -> Any:
        """Return a matplotlib Figure: the accuracies with their intervals and, with labels, their reliability."""
        from matplotlib.figure import Figure  # noqa: PLC0415 - an optional package; its own error says what is missing

        figures = [self._figures(run) for run in self._runs]
        calibrated = bool(self.labels) and "truth" in self._columns
        drawing = Figure(figsize=(9 if calibrated else 5, 1 + 0.5 * len(figures)), layout="constrained")
        axes = drawing.subplots(1, 1 + calibrated, squeeze=False)[0]
        shares = [one.get("accuracy", math.nan) for one in figures]
        below = [share - one.get("low", math.nan) for share, one in zip(shares, figures, strict=True)]
        above = [one.get("high", math.nan) - share for share, one in zip(shares, figures, strict=True)]
        axes[0].errorbar(shares, [self._name(run) for run in self._runs], xerr=[below, above], fmt="o", capsize=3)
        axes[0].set(xlim=(0, 1), xlabel=self._phrase("figure_accuracy"))
        axes[0].invert_yaxis()
        if calibrated:
            axes[1].plot([0, 1], [0, 1], color="grey", linewidth=0.8)
            for run in self._runs:
                bins = self.reliability(run.model, run.prompt)
                axes[1].plot([one.confidence for one in bins], [one.accuracy.share for one in bins], "o-", label=self._name(run))
            axes[1].set(xlim=(0, 1), ylim=(0, 1), xlabel=self._phrase("figure_probability"), ylabel=self._phrase("figure_right"))
            axes[1].legend(frameon=False, fontsize="small")
        return drawing

    def save(self, path: str | Path) -> None:
        """Write everything into a JSON file of mode 0600, all at once; raises PromptProblem (experiment-unwritable)."""
        content = {"experiment": _FILE_FORMAT, "answer": self._answer, "labels": self.labels, "facts": self.facts}
        text = json.dumps(content | {"columns": self._columns}, ensure_ascii=False, default=_plain)
        target = Path(path).expanduser().resolve()  # what is at the end of a link is replaced, not the link
        try:
            if os.path.lexists(target):
                require_regular(target)
            config_folder.write(target, text)
        except OSError as error:
            reason = error.reason if isinstance(error, UnusableFileError) else error.strerror or error
            raise PromptProblem("experiment-unwritable", path=str(path), reason=reason) from None

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the experiment that ``save`` wrote; raises PromptProblem (experiment-unreadable) for any other file."""
        try:
            return cls._read(Path(path).expanduser())
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise PromptProblem("experiment-unreadable", path=str(path), said=str(error)[:200]) from None

    @classmethod
    def _read(cls, path: Path) -> Self:
        content = json.loads(read_regular(path, _LARGEST_FILE).decode("utf-8"))
        columns = {str(name): list(values) for name, values in content["columns"].items()}
        is_whole = {*_COMMON, content["answer"]} <= set(columns) and len({len(values) for values in columns.values()}) == 1
        if content["experiment"] != _FILE_FORMAT or not is_whole:
            raise ValueError("Columns are missing or of different lengths.")
        return cls(columns, answer=content["answer"], labels=content["labels"], facts=content["facts"])

    def __repr__(self) -> str:
        return experiment_text(self._shown(), self._language)

    def _repr_html_(self) -> str:
        return experiment_html(self._shown(), self._language)

    def _shown(self, *, times: bool = True) -> list[RunFigures]:
        shown = []
        hidden = () if times else _TIMES
        if self.labels:
            hidden = (*hidden, "tokens_per_second")  # of answers of one token
        for run in self._runs:
            figures = {name: figure for name, figure in self._figures(run).items() if name not in hidden}
            shown.append(RunFigures(self._name(run), figures, self._bins(run)))
        return shown

    # Figures.

    def _figures(self, run: Run) -> dict[str, Any]:
        columns, answers = self._columns, [self._answers[place] for place in run.places]
        failed = sum(bool(columns["error"][place]) for place in run.places)
        answered = sum(answer is not None for answer in answers)
        figures: dict[str, Any] = {"model": run.model, "prompt": run.prompt, "answered": answered}
        if "truth" in columns:
            judged, accuracy = self._judged(run), self._accuracy(run)
            figures |= {"accuracy": accuracy.share, "low": accuracy.low, "high": accuracy.high}
            figures["macro_f1"] = statistics.macro_f1([true for _, true, _ in judged], [given for _, _, given in judged])
            if self.labels:
                figures["brier"] = self._brier(run)
        if max(columns["repeat"], default=0) > 0:
            figures["agreement"] = statistics.repeat_agreement(list(self._repeats(run).values()))
        if self.labels:
            figures["abstained"] = len(answers) - answered - failed
        seconds = sum(columns["seconds"][place] or 0.0 for place in run.places)
        tokens = sum(columns["tokens"][place] or 0 for place in run.places)
        figures |= {"failed": failed, "seconds_per_row": seconds / len(answers) if answers else math.nan}
        return figures | {"tokens_per_second": tokens / seconds if seconds else math.nan}

    def _accuracy(self, run: Run) -> Interval:
        """Return the mean share of right answers of the rows; repeats do not make the interval narrower."""
        right: dict[Hashable, list[bool]] = {}
        for row, true, given in self._judged(run):
            right.setdefault(row, []).append(given == true)
        shares = [sum(answers) / len(answers) for answers in right.values()]
        return statistics.wilson(sum(shares), len(shares))

    def _brier(self, run: Run) -> float:
        columns, names, truth = self._columns, [self._probability(label) for label in self.labels], self._truth()
        places = [place for place in run.places if truth[place] is not None and columns[names[0]][place] is not None]
        shares = np.array([[columns[name][place] for name in names] for place in places], float).reshape(-1, len(names))
        return statistics.brier([truth[place] for place in places], shares, self.labels)

    def _bins(self, run: Run) -> list[ReliabilityBin]:
        return self.reliability(run.model, run.prompt) if self.labels and "truth" in self._columns else []

    def _judged(self, run: Run) -> list[tuple[Hashable, Hashable, Hashable]]:
        """Return row, truth and answer of what has both."""
        rows, truth, answers = self._columns["row"], self._truth(), self._answers
        places = [place for place in run.places if truth[place] is not None and answers[place] is not None]
        return [(_hashable(rows[place]), _hashable(truth[place]), _hashable(answers[place])) for place in places]

    def _repeats(self, run: Run) -> dict[Hashable, list[Any]]:
        """Return the answers to each row."""
        found: dict[Hashable, list[Any]] = {}
        for place in run.places:
            if (answer := self._answers[place]) is not None:
                found.setdefault(_hashable(self._columns["row"][place]), []).append(_hashable(answer))
        return found

    def _votes(self, run: Run) -> dict[Hashable, Any]:
        """Return for each row the answer that most of its repeats gave, the first one where two are equal."""
        return {row: Counter(answers).most_common(1)[0][0] for row, answers in self._repeats(run).items()}

    def _truth(self) -> list[Any]:
        if "truth" not in self._columns:
            raise PromptProblem("experiment-no-truth")
        return self._columns["truth"]

    # Names.

    def _run(self, model: str, prompt: str) -> Run:
        found = [run for run in self._runs if model in ("", run.model) and prompt in ("", run.prompt)]
        if len(found) != 1:
            name = " ".join(filter(None, (model, prompt))) or "–"
            raise PromptProblem("experiment-unknown-run", name=name, known=", ".join(map(self._name, self._runs)))
        return found[0]

    def _named(self, name: str, prompt: str) -> Run:
        models = {run.model for run in self._runs}
        return self._run(name, prompt) if name in models else self._run("" if len(models) == 1 else prompt, name)

    def _name(self, run: Run) -> str:
        prompts = len({one.prompt for one in self._runs})
        return run.model if prompts == 1 else f"{run.model} · {run.prompt}"

    def _probability(self, label: Any) -> str:
        if (name := f"p_{text_of(label)}") not in self._columns:
            raise PromptProblem("experiment-no-truth")
        return name

    def _phrase(self, key: str) -> str:
        return messages.phrase(key, self._language)


def _hashable(value: Any) -> Hashable:
    """Return a value that can be compared and counted: a text without space around it, nested data as JSON, anything else."""
    try:
        hash(value)
    except TypeError:
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return value.strip() if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Return a value of a column as JSON has it: a member of an Enum as its value, dates and anything else as text."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, date) else str(value)


def experiment_output(experiment: Experiment, *, times: bool = True) -> dict[str, str]:
    """Return what a front end shows of an experiment; without ``times`` it is the same in every run."""
    shown, language = experiment._shown(times=times), experiment._language  # noqa: SLF001 - kept out of what a user sees
    page, text, notes = experiment_html(shown, language), experiment_text(shown, language), experiment.facts.get("notes", ())
    if notes:
        page, text = page + progress_html(1, [], [], notes, language=language), "\n".join((text, *notes))
    return {"text/html": page, "text/plain": text}
