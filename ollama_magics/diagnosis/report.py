"""What a check is asked, and its report as a table or text."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from itertools import groupby
from typing import Any

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.render.tables import Cell, cells_html
from ollama_magics.server.transport import SYSTEM_CONNECTION, ConnectionOptions, Recording


@dataclass(frozen=True)
class CheckRequest:
    """The typed address and its source, the model and what it must be able to do, and how far the check goes.

    The first of ``abilities`` is what the model is for; further ones are claims of the form, and ``denied`` are those to which
    it says no. ``options`` and ``keep_alive`` are those of real use, so that a load is not wasted. ``deep`` asks the model
    itself; ``probes`` allows the look at other addresses after a failure. ``overridden`` is a saved address that the
    environment has taken the place of.
    """

    typed: str
    source: str = "default"
    model: str = ""
    abilities: tuple[str, ...] = ("completion",)
    timeout: float = 5
    language: str = "en"
    context_length: int = 4096
    options: Mapping[str, Any] = field(default_factory=dict)
    keep_alive: Any = None
    key: str = field(default="", repr=False)
    way: ConnectionOptions = field(default=SYSTEM_CONNECTION, repr=False)
    deep: bool = False
    probes: bool = True
    denied: tuple[str, ...] = ()
    overridden: str = ""
    tape: Recording | None = field(default=None, repr=False)

    @property
    def replays(self) -> bool:
        """Whether a recording answers, so that nothing may be connected."""
        return bool(self.tape and self.tape.replays)


_SIGNS = {"ok": "✓", "failed": "✗", "not asked": "–", "asking": "…"}
_GREY = "var(--jp-content-font-color2, #6e7781)"
_COLOURS = {
    "ok": "var(--jp-success-color1, #1a7f37)",
    "failed": "var(--jp-error-color1, #cf222e)",
    "not asked": _GREY,
    "asking": _GREY,
}
_MILLISECONDS = "text-align:right;vertical-align:top;padding:2px 0;white-space:nowrap;font-variant-numeric:tabular-nums"
_BOX = (
    "font-family:var(--jp-code-font-family, monospace);font-size:12px;margin:6px 0;padding:6px 10px;border-radius:4px;"
    "white-space:pre-wrap;background:var(--jp-layout-color2, #f3f4f6)"
)


@dataclass(frozen=True)
class Stage:
    """One step of a check: its state is ``ok``, ``failed``, ``not asked`` or, before it ends, ``asking``.

    ``error`` explains a failure; ``notes`` are worth knowing and no failure.
    """

    name: str
    state: str
    sentence: str = ""
    milliseconds: float | None = None
    error: OllamaMagicsError | None = None
    notes: tuple[OllamaMagicsError, ...] = ()

    @property
    def told(self) -> tuple[OllamaMagicsError, ...]:
        """The failure, if there is one, and the notes."""
        return ((self.error,) if self.error else ()) + self.notes


@dataclass(eq=False)
class CheckReport:
    """What a check found, stage by stage; true where every stage that was asked passed."""

    stages: tuple[Stage, ...]
    language: str = "en"
    complete: bool = True
    is_json: bool = False
    painted: bool = False  # set while the cell that painted it runs, so that it is not shown twice

    @property
    def ok(self) -> bool:
        """Whether the check ran to its end without a failure; what a plain check does not ask does not count."""
        return self.complete and not any(stage.state in ("failed", "asking") for stage in self.stages)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def error(self) -> OllamaMagicsError | None:
        """The failure, or None."""
        return next((stage.error for stage in self.stages if stage.error), None)

    @property
    def notes(self) -> tuple[OllamaMagicsError, ...]:
        """What is worth knowing and no failure."""
        return tuple(note for stage in self.stages for note in stage.notes)

    def as_json(self) -> str:
        """Return the same content for programs, as JSON text."""
        found = {"ok": self.ok, "code": self.error.code if self.error else None, "stages": [*map(self._facts, self.stages)]}
        return json.dumps(found, ensure_ascii=False, indent=2)

    def in_json(self) -> CheckReport:
        """Return the same report, shown as JSON."""
        return replace(self, is_json=True)

    def _facts(self, stage: Stage) -> dict[str, Any]:
        plain = {"name": stage.name, "state": stage.state, "sentence": stage.sentence}
        spent = None if stage.milliseconds is None else round(stage.milliseconds, 1)
        return {**plain, "milliseconds": spent, "error": _told(stage.error), "notes": [_told(note) for note in stage.notes]}

    def __str__(self) -> str:
        return self.as_json() if self.is_json else "\n".join(self.lines(self.stages))

    __repr__ = __str__

    def lines(self, stages: Iterable[Stage]) -> Iterator[str]:
        """Yield the lines of some of its stages, in columns that fit those of the others."""
        width = max(_columns(self._label(stage)) for stage in self.stages)
        for label, stage in self._rows(stages):
            time = f"  ({stage.milliseconds:.0f} ms)" if stage.milliseconds is not None else ""
            yield f"{_SIGNS[stage.state]} {label}{' ' * (width - _columns(label))}  {stage.sentence}{time}"
            for error in stage.told:
                lines = error.lines()[error is stage.error :]
                yield from (f"  {'':{width}}  {line}" for line in lines)

    def _rows(self, stages: Iterable[Stage]) -> Iterator[tuple[str, Stage]]:
        """Yield what is shown in one row each: a stage, or all that were not asked in a row."""
        for waiting, alike in groupby(stages, lambda stage: stage.state == "not asked"):
            if not waiting:
                yield from ((self._label(stage), stage) for stage in alike)
                continue
            first, *others = alike
            labels = [self._label(first), *(self._label(stage).lower() for stage in others)]
            yield ("、" if self.language == "zh" else ", ").join(labels), first

    def as_html(self) -> str:
        """Return the table that a notebook shows; all that servers and people said is escaped."""
        rows = (self._cells(label, stage) for label, stage in self._rows(self.stages))
        font = "font-size:13px;line-height:1.5;color:var(--jp-content-font-color1, inherit)"
        codes = " · ".join(dict.fromkeys(error.code for stage in self.stages for error in stage.told))
        code = f'<div style="color:{_GREY};font-size:11px;margin-top:6px">{codes}</div>' if codes else ""
        return cells_html(rows, f"border-collapse:collapse;margin:0;{font}") + code

    def _ipython_display_(self) -> None:
        # IPython's protocol: NotImplementedError means "show me in the ordinary way"
        if not self.painted:
            raise NotImplementedError

    def _repr_html_(self) -> str | None:
        return None if self.is_json else self.as_html()

    def _cells(self, label: str, stage: Stage) -> tuple[Cell, ...]:
        time = f"{stage.milliseconds:.0f} ms" if stage.milliseconds is not None else ""
        faint = f"color:{_GREY};" if stage.state == "not asked" else ""
        left = "text-align:left;vertical-align:top;padding:2px"
        told = "".join(_explained(error, is_note=error is not stage.error) for error in stage.told)
        return (
            Cell(_SIGNS[stage.state], f"color:{_COLOURS[stage.state]};{left} 10px 2px 0"),
            Cell(label, f"{faint}{left} 12px 2px 0;max-width:11em"),
            Cell(stage.sentence, f"{faint}{left} 12px 2px 0;", html=told),
            Cell(time, f"color:{_GREY};{_MILLISECONDS}"),
        )

    def _label(self, stage: Stage) -> str:
        return messages.label(f"stage_{stage.name}", self.language)


def _columns(text: str) -> int:
    """Return how wide the text is in a terminal, where Chinese characters take two columns."""
    return sum(1 + (unicodedata.east_asian_width(sign) in "WF") for sign in text)


def _explained(error: OllamaMagicsError, *, is_note: bool) -> str:
    how, remedy = escape(error.how_we_know), escape(error.remedy)
    what = f"{escape(error.what)} " if is_note else ""
    return f'<br>{what}{how}<div style="{_BOX}">{remedy}</div>'


def _told(error: OllamaMagicsError | None) -> dict[str, str] | None:
    if error is None:
        return None
    return {"code": error.code, "what": error.what, "how_we_know": error.how_we_know, "remedy": error.remedy}
