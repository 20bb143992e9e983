"""What is shown of a job of rows while it runs and when it is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ollama_magics import messages
from ollama_magics.conversation.notes import Note
from ollama_magics.jobs.progress import ProgressBar
from ollama_magics.messages import Phrase
from ollama_magics.rows.table import Table, free_names
from ollama_magics.rows.worker import MOST_LATEST, JobState, RowOutcome

_LONGEST_CELL = 80  # characters
_MOST_COLUMNS = 8


@dataclass(frozen=True)
class RowsView:
    """A job as it is shown; ``used`` are the columns that the prompt uses, ``rows`` the places of the job's rows in the table."""

    state: JobState
    table: Table
    rows: Sequence[int]
    used: Sequence[str]
    notes: tuple[Note, ...] = field(default=())

    @property
    def share(self) -> float:
        """The share of the rows that are done, from 0 to 1."""
        return self.state.done / max(1, len(self.state.outcomes))

    def latest(self) -> list[dict[str, Any]]:
        """Return the rows that were done last, in their order in the data."""
        return [self._shown(position) for position in sorted(self.state.latest)]

    def head(self) -> list[dict[str, Any]]:
        """Return the first rows."""
        return [self._shown(position) for position in range(min(MOST_LATEST, len(self.rows)))]

    def figures(self, *, times: bool = True) -> list[Phrase]:
        """Return how far the job is: rows, rate, time left, failed and reused rows; at its end time, tokens, an estimate."""
        state, total = self.state, len(self.state.outcomes)
        if not total:
            return [Phrase("rows_none")]
        asked = state.done - state.reused
        rate = asked / state.seconds if state.seconds else 0.0
        found = [Phrase("rows_done", done=messages.group_digits(state.done), total=messages.group_digits(total))]
        if times and rate and not state.ended:
            found.append(Phrase("rows_rate", rate=f"{rate:.3g}"))
            found.append(Phrase("rows_time_left", time=messages.duration(round((total - state.done) / rate))))
        if times and state.ended:
            found.append(messages.duration(state.seconds))
        if state.ended:
            found.append(Phrase("rows_tokens", count=messages.group_digits(state.tokens)))
        if state.reused:
            found.append(Phrase("rows_reused", count=messages.group_digits(state.reused)))
        if state.failed:
            found.append(Phrase("rows_with_errors", count=messages.group_digits(state.failed)))
        if state.ended and asked and len(self.rows) < self.table.length:
            found.append(self._estimate(times=times))
        return found

    def warnings(self) -> Iterator[Phrase]:
        """Yield at the end the errors by their codes, why the job ended early, and what was left out."""
        state = self.state
        errors = Counter(one.error.code for one in state.outcomes if one and one.error)
        if errors:
            yield Phrase("rows_errors", codes=", ".join(f"{code} ({count})" for code, count in errors.most_common()))
        if state.ended_early:
            asked = sum(one is not None and one.is_asked for one in state.outcomes)
            yield Phrase(
                "rows_ended_early", count=len(state.outcomes) - state.done, reason=state.ended_early.phrase("what"), asked=asked
            )
        yield from (note.phrase for note in self.notes)

    def _estimate(self, *, times: bool) -> Phrase:
        """Return what all rows would take, from those of the sample that were asked."""
        state, length = self.state, self.table.length
        factor = length / (state.done - state.reused)
        facts = {"count": messages.group_digits(length), "tokens": messages.group_digits(round(state.tokens * factor))}
        if not times:
            return Phrase("rows_estimate_tokens", **facts)
        return Phrase("rows_estimate", **facts, time=messages.duration(state.seconds * factor))

    def _shown(self, position: int) -> dict[str, Any]:
        row, outcome = self.rows[position], self.state.outcomes[position] or RowOutcome()
        inputs = {name: self.table.columns[name][row] for name in self.used}
        own = {"error": outcome.error.code} if outcome.error else {}
        own_names = free_names(("error",), inputs)
        names = free_names(outcome.values, [*inputs, *own_names.values()])
        shown = {"": row, **inputs, **{names[name]: value for name, value in outcome.values.items()}}
        shown |= {own_names[name]: code for name, code in own.items()}
        return {name: _short(value) for name, value in list(shown.items())[:_MOST_COLUMNS]}


class RowsBar:
    """The bar of a job, as a widget or ``as_text``; it appears with the first answer."""

    def __init__(self, *, as_text: bool = False, hidden: bool = False) -> None:
        self._as_text = as_text
        self._bar: ProgressBar | None = None
        self._hidden = hidden

    def update(self, view: RowsView) -> None:
        """Move the bar to the rows that are done."""
        if self._bar is None:
            self._bar = ProgressBar(len(view.rows), "rows", as_text=self._as_text, hidden=self._hidden)
        if view.state.done:
            self._bar.begin()
        self._bar.update(view.state.done, view.state.reused)

    def end(self) -> None:
        """Leave the bar as it is."""
        if self._bar:
            self._bar.end()


def _short(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return f"{value:.3g}"
    try:
        text = str(value[:1000] if isinstance(value, (str, bytes)) else value)
    except Exception:  # noqa: BLE001 - an object of the user; the error of its row says more
        text = type(value).__name__
    text = " ".join(text[:1000].split())
    return text if len(text) <= _LONGEST_CELL else f"{text[:_LONGEST_CELL]}…"
