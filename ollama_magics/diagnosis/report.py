"""The request for a connectivity check, and its report as a table, text or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from itertools import groupby
from typing import Any

from ollama_magics import messages
from ollama_magics.errors import OllamaMagicsError
from ollama_magics.render.shown_once import ShownOnce
from ollama_magics.render.tables import Cell, cells_html
from ollama_magics.secret import NO_SECRET, Secret
from ollama_magics.server.transport import SYSTEM_CONNECTION, ConnectionOptions, Recorder


@dataclass(frozen=True)
class CheckRequest:
    """What a check tests, and how far it goes."""

    typed: str  # the address
    source: str = "default"  # of the address: default, environment, notebook, profile or saved
    model: str = ""  # empty: the only installed one that has the ability
    abilities: tuple[str, ...] = ("completion",)  # what the model is for, then the abilities that the settings claim
    timeout: float = 5  # seconds for a connection
    language: str = "en"
    context_length: int = 4096  # this and the next two are those of later requests, so that the model is loaded once
    options: Mapping[str, Any] = field(default_factory=dict)
    keep_alive: Any = None
    key: Secret = field(default=NO_SECRET, repr=False)
    connection: ConnectionOptions = field(default=SYSTEM_CONNECTION, repr=False)
    deep: bool = False  # whether the model is loaded and tested too
    probes: bool = True  # whether other addresses may be tried after a failure
    denied: tuple[str, ...] = ()  # abilities that the settings say the model does not have
    overridden: str = ""  # a saved address that an environment variable replaces
    refused: OllamaMagicsError | None = None  # why nothing may be sent
    local_only: bool = False  # whether nothing may leave this machine
    recorder: Recorder | None = field(default=None, repr=False)

    @property
    def is_recorded(self) -> bool:
        """Whether exchanges are recorded or replayed, so that the report must be the same each time."""
        return self.recorder is not None

    @property
    def replays(self) -> bool:
        """Whether a recording answers, so that nothing is connected."""
        return bool(self.recorder and self.recorder.replays)


_SIGNS = {"ok": "✓", "failed": "✗", "not run": "–", "running": "…"}
_GREY = "var(--jp-content-font-color2, #6e7781)"
_COLOURS = {
    "ok": "var(--jp-success-color1, #1a7f37)",
    "failed": "var(--jp-error-color1, #cf222e)",
    "not run": _GREY,
    "running": _GREY,
}
_MILLISECONDS = "text-align:right;vertical-align:top;padding:2px 0;white-space:nowrap;font-variant-numeric:tabular-nums"
_BOX = (
    "font-family:var(--jp-code-font-family, monospace);font-size:12px;margin:6px 0;padding:6px 10px;border-radius:4px;"
    "white-space:pre-wrap;background:var(--jp-layout-color2, #f3f4f6)"
)


@dataclass(frozen=True)
class Stage:
    """One stage of a check.

    Attributes
    ----------
    name : str
        *address*, *name*, *proxy*, *connection*, *encryption*, *server*, *model*, *abilities*, *load*, *answer* or *tests*.
    state : str
        *ok*, *failed*, *not run* or, before it ends, *running*.
    sentence : str
        What was found.
    milliseconds : float or None
        How long it took; None where it did not run, or where exchanges are recorded or replayed.
    error : OllamaMagicsError or None
        Why it failed.
    notes : tuple of OllamaMagicsError
        Warnings that are no failure.

    """

    name: str
    state: str
    sentence: str = ""
    milliseconds: float | None = None
    error: OllamaMagicsError | None = None
    notes: tuple[OllamaMagicsError, ...] = ()

    @property
    def problems(self) -> tuple[OllamaMagicsError, ...]:
        """The error, if there is one, and the notes."""
        return ((self.error,) if self.error else ()) + self.notes


@dataclass(eq=False)
class CheckReport(ShownOnce):
    """The result of a connectivity check, stage by stage; true where nothing failed.

    Attributes
    ----------
    stages : tuple of Stage
        All stages in order, also those that did not run.
    language : str
        *en* or *zh*.
    complete : bool
        Whether the check has ended.
    is_recorded : bool
        Whether exchanges are recorded or replayed; a replay connects to nothing.

    Example
    -------
    >>> report = om.check()
    >>> if not report:
    ...     print(report.error.code, report.error.remedy)

    """

    stages: tuple[Stage, ...]
    language: str = "en"
    complete: bool = True
    is_json: bool = False
    is_recorded: bool = False

    @property
    def ok(self) -> bool:
        """Whether the check ended without a failure; stages that did not run do not count."""
        return self.complete and not any(stage.state in ("failed", "running") for stage in self.stages)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def error(self) -> OllamaMagicsError | None:
        """The first failure, or None."""
        return next((stage.error for stage in self.stages if stage.error), None)

    @property
    def notes(self) -> tuple[OllamaMagicsError, ...]:
        """Warnings that are no failure."""
        return tuple(note for stage in self.stages for note in stage.notes)

    def in_place(self, place: str) -> CheckReport:
        """Return the report with what can be typed in another place than a notebook: *shell check* or *python check*."""
        for problem in (problem for stage in self.stages for problem in stage.problems):
            problem.place = place
        return self

    def as_json(self) -> str:
        """Return the report for programs, as JSON text."""

        def described(error: OllamaMagicsError) -> dict[str, str]:
            return {"code": error.code, "what": error.what, "how_we_know": error.how_we_know, "remedy": error.remedy}

        stages = [
            {
                "name": stage.name,
                "state": stage.state,
                "sentence": stage.sentence,
                "milliseconds": None if stage.milliseconds is None else round(stage.milliseconds, 1),
                "error": described(stage.error) if stage.error else None,
                "notes": [described(note) for note in stage.notes],
            }
            for stage in self.stages
        ]
        found = {"ok": self.ok, "code": self.error.code if self.error else None, "stages": stages}
        return json.dumps(found, ensure_ascii=False, indent=2)

    def shown_as_json(self) -> CheckReport:
        """Return the same report, shown as JSON."""
        return replace(self, is_json=True)

    def __str__(self) -> str:
        return self.as_json() if self.is_json else "\n".join(self.lines(self.stages))

    __repr__ = __str__

    def lines(self, stages: Iterable[Stage]) -> Iterator[str]:
        """Yield the lines of some stages as text, in columns that fit those of all stages."""
        width = max(messages.terminal_width(self._label(stage)) for stage in self.stages)
        for label, stage in self._rows(stages):
            time = f"  ({text})" if (text := self._time(stage)) else ""
            yield f"{_SIGNS[stage.state]} {label}{' ' * (width - messages.terminal_width(label))}  {stage.sentence}{time}"
            for error in stage.problems:
                lines = error.lines()[error is stage.error :]
                yield from (f"  {'':{width}}  {line}" for line in lines)

    def _time(self, stage: Stage) -> str:
        """Return how long a stage took, or that its result is that of a recording."""
        if self.is_recorded and stage.state in ("ok", "failed"):
            return messages.phrase("check_recorded", self.language)
        return f"{stage.milliseconds:.0f} ms" if stage.milliseconds is not None else ""

    def _rows(self, stages: Iterable[Stage]) -> Iterator[tuple[str, Stage]]:
        """Yield (label, stage) for each row; stages in succession that did not run share one."""
        for is_skipped, alike in groupby(stages, lambda stage: stage.state == "not run"):
            if not is_skipped:
                yield from ((self._label(stage), stage) for stage in alike)
                continue
            first, *others = alike
            labels = [self._label(first), *(self._label(stage).lower() for stage in others)]
            yield ("、" if self.language == "zh" else ", ").join(labels), first

    def as_html(self) -> str:
        """Return the report as an HTML table; text from servers and settings is escaped."""
        left = "text-align:left;vertical-align:top;padding:2px"
        rows: list[tuple[Cell, ...]] = []
        for label, stage in self._rows(self.stages):
            faint = f"color:{_GREY};" if stage.state == "not run" else ""
            advice = ""
            for error in stage.problems:
                what = "" if error is stage.error else f"{escape(error.what)} "
                advice += f'<br>{what}{escape(error.how_we_know)}<div style="{_BOX}">{_commands(error.remedy)}</div>'
            rows.append(
                (
                    Cell(_SIGNS[stage.state], f"color:{_COLOURS[stage.state]};{left} 10px 2px 0"),
                    Cell(label, f"{faint}{left} 12px 2px 0;max-width:11em"),
                    Cell(stage.sentence, f"{faint}{left} 12px 2px 0;", html=advice),
                    Cell(self._time(stage), f"color:{_GREY};{_MILLISECONDS}"),
                )
            )
        font = "font-size:13px;line-height:1.5;color:var(--jp-content-font-color1, inherit)"
        codes = " · ".join(dict.fromkeys(error.code for stage in self.stages for error in stage.problems))
        code = f'<div style="color:{_GREY};font-size:11px;margin-top:6px">{codes}</div>' if codes else ""
        return cells_html(rows, f"border-collapse:collapse;margin:0;{font}") + code

    def _repr_html_(self) -> str | None:
        return None if self.is_json else self.as_html()

    def _label(self, stage: Stage) -> str:
        return messages.label(f"stage_{stage.name}", self.language)


# what stands before a command, up to ": " or "：", as in "on the server: ollama serve"
_BEFORE_COMMAND = re.compile(r"^((?:(?!: |：)[^%`])+(?:: |：\s*))(?=\S)", re.MULTILINE)


def _commands(remedy: str) -> str:
    """Return the lines of a remedy as HTML, in which what is no command has the font of the text around it."""
    return _BEFORE_COMMAND.sub(rf'<span style="font-family:system-ui,sans-serif;color:{_GREY}">\1</span>', escape(remedy))
