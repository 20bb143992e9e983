"""Small plots as safe HTML: the summary of an experiment with its intervals and reliability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ollama_magics import messages
from ollama_magics.render.progress import progress_text
from ollama_magics.render.tables import GREY, RULE, Cell, cells_html

_WIDTH, _HEIGHT = 120, 12  # pixels of an interval
_SIDE = 64  # pixels of a reliability plot
_COLUMNS = {  # by the name of a figure: how it is written
    "accuracy": "{:.1%}",
    "macro_f1": "{:.3f}",
    "brier": "{:.3f}",
    "agreement": "{:.1%}",
    "answered": "{}",
    "abstained": "{}",
    "failed": "{}",
    "seconds_per_row": "{:.2f}",
    "tokens_per_second": "{:.0f}",
}
_ONLY_IF_ANY = ("abstained", "failed")
_INK, _LINE = "var(--jp-brand-color1,#0969da)", f"var(--jp-border-color2,{RULE})"
_CELL = f"padding:3px 10px 3px 0;text-align:start;vertical-align:middle;border-bottom:1px solid {_LINE};white-space:nowrap"
_NUMBER = f"{_CELL};text-align:end;font-variant-numeric:tabular-nums"


class Bin(Protocol):
    """Rows of about the same confidence."""

    @property
    def count(self) -> int:
        """The number of rows."""

    @property
    def confidence(self) -> float:
        """Their mean probability."""

    @property
    def accuracy(self) -> Any:
        """The share that is right, as ``share``."""


@dataclass(frozen=True)
class RunFigures:
    """What is shown of a model with a prompt: its name, its figures by name, and its reliability where it is known."""

    name: str
    figures: Mapping[str, Any]
    bins: Sequence[Bin] = ()


def experiment_html(runs: Sequence[RunFigures], language: str = "en") -> str:
    """Return the summary of an experiment: a line for each model and prompt, with its interval and its reliability drawn."""
    names = _names(runs)
    grey = f"{_CELL};font-weight:600;color:var(--jp-content-font-color2,{GREY})"
    has_bins = any(run.bins for run in runs)
    labels = ["", *names, *(["reliability"] if has_bins else [])]
    head = [
        Cell(messages.phrase(f"figure_{name}", language) if name else "", f"{grey};text-align:end" if name in _COLUMNS else grey)
        for name in labels
    ]
    rows = []
    for run in runs:
        cells = [Cell(run.name, f"{_CELL};font-weight:600")]
        cells += [Cell(_number(run.figures.get(name), _COLUMNS[name]), _NUMBER, html=_beside(name, run)) for name in names]
        rows.append([*cells, *([Cell("", _CELL, html=_reliability(run.bins))] if has_bins else [])])
    table = cells_html(rows, "border-collapse:collapse;margin:8px 0;font-size:.9em", head, sections=True)
    return f'<div style="overflow-x:auto">{table}</div>'


def experiment_text(runs: Sequence[RunFigures], language: str = "en") -> str:
    """Return the same figures as an aligned table of text, the accuracy with its interval."""
    names = _names(runs)
    rows = []
    for run in runs:
        cells = {messages.phrase(f"figure_{name}", language): _number(run.figures.get(name), _COLUMNS[name]) for name in names}
        if not math.isnan(run.figures.get("low", math.nan)):  # as it is where nothing was answered
            bounds = (_number(run.figures[bound], "{:.1%}") for bound in ("low", "high"))
            accuracy = messages.phrase("figure_accuracy", language)
            cells[accuracy] = f"{cells[accuracy]} [{' – '.join(bounds)}]"
        rows.append({"": run.name, **cells})
    return progress_text([], rows).rstrip()


def _names(runs: Sequence[RunFigures]) -> list[str]:
    """Return the figures that are known, without counts that are 0 everywhere."""
    return [
        name
        for name in _COLUMNS
        if any(run.figures.get(name) is not None if name not in _ONLY_IF_ANY else run.figures.get(name) for run in runs)
    ]


def _number(value: Any, written: str) -> str:
    return "–" if value is None or (isinstance(value, float) and math.isnan(value)) else written.format(value)


def _beside(name: str, run: RunFigures) -> str:
    """Return the drawing beside a figure: for the accuracy its interval on a line from 0 to 1."""
    low, high, share = (run.figures.get(key, math.nan) for key in ("low", "high", "accuracy"))
    if name != "accuracy" or math.isnan(share):
        return ""
    x, left, right, middle = share * _WIDTH, low * _WIDTH, high * _WIDTH, _HEIGHT / 2
    # the bounds as text, too: a notebook that is not trusted shows no drawing
    bounds = f'<span style="color:var(--jp-content-font-color2,{GREY});font-size:smaller"> [{low:.0%} – {high:.0%}]</span>'
    return (
        f'{bounds}<br><svg width="{_WIDTH}" height="{_HEIGHT}" aria-hidden="true" style="overflow:visible">'
        f'<line x1="0" x2="{_WIDTH}" y1="{middle}" y2="{middle}" style="stroke:{_LINE}"/>'
        f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{middle}" y2="{middle}" style="stroke:{_INK};stroke-width:3;opacity:.4"/>'
        f'<circle cx="{x:.1f}" cy="{middle}" r="3" style="fill:{_INK}"/></svg>'
    )


def _reliability(bins: Sequence[Bin]) -> str:
    """Return how often labels of a probability are right, beside the diagonal on which they would be calibrated."""
    if not bins:
        return ""
    points = [(one.confidence * _SIDE, (1 - one.accuracy.share) * _SIDE) for one in bins]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" style="fill:{_INK}"/>' for x, y in points)
    return (
        f'<svg width="{_SIDE}" height="{_SIDE}" style="overflow:visible;margin:4px 0">'
        f'<rect width="{_SIDE}" height="{_SIDE}" style="fill:none;stroke:{_LINE}"/>'
        f'<line x1="0" y1="{_SIDE}" x2="{_SIDE}" y2="0" style="stroke:{_LINE};stroke-dasharray:3 3"/>'
        f'<polyline points="{path}" style="fill:none;stroke:{_INK}"/>{dots}</svg>'
    )
