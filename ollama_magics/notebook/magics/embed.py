"""Embed texts of the notebook: %embed and %%embed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from ollama_magics.errors import EmbeddingProblem
from ollama_magics.jobs.interrupt import defer_interrupt
from ollama_magics.notebook import arguments, localized_errors, usage_error
from ollama_magics.notebook.arguments import embed_options
from ollama_magics.notebook.display import lines
from ollama_magics.notebook.scope import Scope

if TYPE_CHECKING:
    import numpy as np

    from ollama_magics.embeddings.output import EmbedReport
    from ollama_magics.session.session import Session


@magics_class
class EmbedMagics(Magics):
    """The magics %embed and %%embed."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.shell: Any = shell
        self._reported: list[Mapping[str, object]] = []  # about the store, in the cell before

    @no_var_expand
    @line_cell_magic
    @embed_options
    def embed(self, line: str, cell: str | None = None) -> np.ndarray[Any, Any] | None:
        """Return the (n, d) float32 array of the texts that a Python expression gives: vectors = %embed df["text"].

        As a cell magic it takes every line that is not blank for a text. Finished batches are kept: run it again after an
        interrupt or an error, and only the rest is asked for. A dask collection gives a lazy dask array.
        """
        __tracebackhide__ = True  # as in arguments.evaluated
        with localized_errors():
            options, expression = arguments.read(EmbedMagics.embed, line, scope := Scope(self.shell))
            name, report = arguments.assigned_name(options.into), arguments.assigned_name(options.report, "--report")
            for option in [option for option, value in (("-o", name), ("--report", report)) if value]:
                scope.require_notebook(option, "%embed")
        if options.show_store or options.forget:
            if expression or cell is not None:
                raise usage_error("usage_store")
            self._report_store(forget=options.forget)
            return None
        rows = self._rows(options, expression, cell, scope)
        with localized_errors() as session:
            vectors = self._vectors(session, rows, report, arguments.embed_parameters(options, scope))
        if name is None:
            return vectors
        self.shell.user_ns[name] = vectors
        return None

    def _rows(self, options: Namespace, expression: str, cell: str | None, scope: Scope) -> Any:
        """Return what the expression gives, or the lines of the cell; nothing for --lines, a file that the session reads."""
        __tracebackhide__ = True  # as above
        if cell is not None and options.lines:
            raise usage_error("usage_one_source")
        if (cell is not None or options.lines) and expression:
            raise usage_error("usage_lines_file" if options.lines else "usage_lines_cell", rest=expression)
        if cell is not None:
            if texts := [text for text in cell.split("\n") if text.strip()]:
                return texts
            with localized_errors():
                raise EmbeddingProblem("texts-empty")
        if not expression and not options.lines:
            raise usage_error("usage_no_texts")
        return None if options.lines else arguments.evaluated(expression, scope)

    def _vectors(self, session: Session, rows: Any, report: str | None, options: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        with defer_interrupt():
            from ollama_magics.embeddings import collect  # noqa: F401, PLC0415 - as below
            from ollama_magics.integrations import dask  # noqa: PLC0415 - brings in numpy, which loading must not

        if dask.is_collection(rows):
            lazy: np.ndarray[Any, Any] = dask.embed(rows, report=report, **options)
            return lazy
        reports: list[EmbedReport] = []
        vectors = session.embed(rows, report=reports.append, **options)
        made = reports[0]
        for key, facts in made.notes:
            if key != "store_problem" or facts not in self._reported:
                lines.say(key, session.language, **facts)
        self._reported = [facts for key, facts in made.notes if key == "store_problem"]
        if not (len(vectors) or made.failed):
            lines.say("texts_none", session.language)
        elif made.failed or made.truncated or made.reused:
            lines.say_rows(made, session.language)
        if report:
            self.shell.user_ns[report] = made
        return vectors

    def _report_store(self, *, forget: bool) -> None:
        with localized_errors() as session:
            store = session.store
            store.problem = ""
            if forget:
                store.forget()
            size, rows = store.size(), store.count()
            if store.problem:
                lines.say("store_problem", session.language, reason=store.problem)
            else:
                lines.say("store_size", session.language, rows=rows, size=f"{size / 1e6:.1f}")
