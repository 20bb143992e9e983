"""The report of a check: its stages, shown as a table or as text."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from ollama_magics import texts
from ollama_magics.errors import OllamaMagicsError

_SIGNS = {"ok": "✓", "failed": "✗", "not asked": "–"}
_GREY = "var(--jp-content-font-color2, #6e7781)"
_COLOURS = {
    "ok": "var(--jp-success-color1, #1a7f37)",
    "failed": "var(--jp-error-color1, #cf222e)",
    "not asked": _GREY,
}
_BOX = (
    "font-family:var(--jp-code-font-family, monospace);font-size:12px;margin:6px 0;padding:6px 10px;border-radius:4px;"
    "white-space:pre-wrap;background:var(--jp-layout-color2, #f3f4f6)"
)


@dataclass(frozen=True)
class Stage:
    """One step of a check: its state is ``ok``, ``failed`` or ``not asked``; ``error`` explains a failure."""

    name: str
    state: str
    sentence: str = ""
    milliseconds: float | None = None
    error: OllamaMagicsError | None = None


@dataclass(frozen=True)
class CheckReport:
    """What a check found, stage by stage; true where every stage that was asked passed."""

    stages: tuple[Stage, ...]
    language: str = "en"
    complete: bool = True

    @property
    def ok(self) -> bool:
        """Whether the check ran to its end without a failure."""
        return self.complete and all(stage.state == "ok" for stage in self.stages)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def error(self) -> OllamaMagicsError | None:
        """The failure, or None."""
        return next((stage.error for stage in self.stages if stage.error), None)

    def __str__(self) -> str:
        lines = []
        width = max(len(self._label(stage)) for stage in self.stages)
        for stage in self.stages:
            time = f"  ({stage.milliseconds:.0f} ms)" if stage.milliseconds is not None else ""
            lines.append(f"{_SIGNS[stage.state]} {self._label(stage):{width}}  {stage.sentence}{time}")
            lines += [f"  {'':{width}}  {line}" for line in self._remedy(stage)]
        return "\n".join(lines)

    __repr__ = __str__

    def as_html(self) -> str:
        """Return the table that a notebook shows; all that servers and people said is escaped."""
        rows = "".join(self._row(stage) for stage in self.stages)
        font = "font-size:13px;line-height:1.5;color:var(--jp-content-font-color1, inherit)"
        code = f'<div style="color:{_GREY};font-size:11px;margin-top:6px">{self.error.code}</div>' if self.error else ""
        return f'<table style="border-collapse:collapse;margin:0;{font}">{rows}</table>{code}'

    _repr_html_ = as_html

    def _row(self, stage: Stage) -> str:
        time = f"{stage.milliseconds:.0f} ms" if stage.milliseconds is not None else ""
        faint = f"color:{_GREY};" if stage.state == "not asked" else ""
        cell = f'<td style="{faint}text-align:left;vertical-align:top;padding:2px 12px 2px 0;'
        return (
            f'<tr style="background:none"><td style="color:{_COLOURS[stage.state]};text-align:left;vertical-align:top;'
            f'padding:2px 10px 2px 0">{_SIGNS[stage.state]}</td>'
            f'{cell}white-space:nowrap">{escape(self._label(stage))}</td>'
            f'{cell}">{escape(stage.sentence)}{self._remedy_html(stage)}</td>'
            f'<td style="color:{_GREY};text-align:right;vertical-align:top;padding:2px 0;white-space:nowrap;'
            f'font-variant-numeric:tabular-nums">{time}</td></tr>'
        )

    def _remedy(self, stage: Stage) -> list[str]:
        if stage.error is None:
            return []
        stage.error.language = self.language
        return stage.error.lines()[1:]

    def _remedy_html(self, stage: Stage) -> str:
        if stage.error is None:
            return ""
        how, remedy = escape(stage.error.how_we_know), escape(stage.error.remedy)
        return f'<br>{how}<div style="{_BOX}">{remedy}</div>'

    def _label(self, stage: Stage) -> str:
        return texts.label(f"stage_{stage.name}", self.language)
