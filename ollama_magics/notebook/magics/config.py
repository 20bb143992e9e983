"""%ollama_config and %ollama_check: the settings, the panel, the profiles and the check."""

from __future__ import annotations

import re
import sqlite3
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from ollama_magics.errors import Interrupted, SettingError
from ollama_magics.messages import Phrase
from ollama_magics.notebook import arguments
from ollama_magics.notebook.display import lines
from ollama_magics.notebook.magics.localized_errors import localized_errors
from ollama_magics.notebook.options import check_options, config_options
from ollama_magics.secret import BULLETS
from ollama_magics.settings import form

if TYPE_CHECKING:
    from ollama_magics.diagnosis.report import CheckReport
    from ollama_magics.session.session import Session

_NUMBERED = re.compile(r"_i\d+")
_LAST = ("_i00", "_i", "_ii", "_iii")  # the cells before this one, as IPython calls them
_UPDATE = """UPDATE history SET source = replace(source, :text, :blot), source_raw = replace(source_raw, :text, :blot)
WHERE instr(source, :text) OR instr(source_raw, :text)"""  # of any session: the line may have been typed before


def blot(shell: Any, line: str) -> bool:
    """Replace what stood after the name of the magic wherever IPython keeps its input; return whether all of it is gone.

    A front end keeps the cell all the same, and so does a notebook that was saved.
    """
    history = getattr(shell, "history_manager", None)
    if history is None or not line.strip():
        return False
    spellings = tuple(dict.fromkeys((line, repr(line)[1:-1])))  # as it was typed, and as a call of the magic
    for kept in (history.input_hist_raw, history.input_hist_parsed):
        kept[:] = [_blotted(cell, spellings) for cell in kept]
    with history.db_input_cache_lock:  # what waits to be written, or is being written right now by a thread
        waiting = history.db_input_cache
        waiting[:] = [(number, *(_blotted(text, spellings) for text in texts)) for number, *texts in waiting]
    for name in _LAST:
        setattr(history, name, _blotted(getattr(history, name, ""), spellings))
    names = shell.user_ns
    for name in [name for name in names if name in _LAST or _NUMBERED.fullmatch(name)]:
        names[name] = _blotted(str(names[name]), spellings)
    return not _is_split(history, line) and _filed(history, spellings)


def _blotted(cell: str, spellings: Sequence[str]) -> str:
    for spelling in spellings:
        cell = cell.replace(spelling, BULLETS)
    return cell


def _is_split(history: Any, line: str) -> bool:
    """Whether the cell holds the line in pieces, with backslashes between them, so that it was not found."""
    newest = str(history.input_hist_raw[-1]) if history.input_hist_raw else ""
    return line not in newest and "ollama_config" in newest and "\\\n" in newest


def _filed(history: Any, spellings: Sequence[str]) -> bool:
    """Whether the file of past sessions, if there is one, does not hold the line any more."""
    if not getattr(history, "enabled", False):
        return True
    with suppress(sqlite3.Error):
        history.db.execute("PRAGMA secure_delete = ON")  # so that what is replaced does not stay in the file
        with history.db:
            for text in spellings:
                history.db.execute(_UPDATE, {"text": text, "blot": BULLETS})
        return True
    return False


@magics_class
class FormMagics(Magics):
    """The settings of the notebook, and whether they lead to an answer."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.shell: Any = shell
        self.settings = form.shared()
        self._painted: list[CheckReport] = []

    @no_var_expand
    @line_magic
    @config_options
    def ollama_config(self, line: str) -> Any:
        """Show the form; with options, set what they name, for this notebook."""
        try:
            return self._configure(line)
        except SettingError as error:
            if error.code == "secret-on-line" and blot(self.shell, line):
                error.with_advice(Phrase("removed_from_history"))
            with localized_errors():
                raise

    def _configure(self, line: str) -> Any:
        arguments.refuse_secrets(line)
        options, rest = arguments.read(FormMagics.ollama_config, line, self.shell.user_ns, ends=True)
        if rest:
            message = f"what is {rest!r}? Values follow an option, such as --model {rest}"
            raise UsageError(message)
        with localized_errors() as session:
            if options.sandbox:
                self._start_sandbox(session.language)
            done = self._profiles(session, options) or options.sandbox
            return self._form(session, options, quiet=bool(done))

    @no_var_expand
    @line_magic
    @check_options
    def ollama_check(self, line: str) -> CheckReport:
        """Find out what stands between this kernel and an answer; loads no model, unless it is --deep."""
        options, rest = arguments.read(FormMagics.ollama_check, line, self.shell.user_ns)
        if rest:
            message = f"%ollama_check takes no {rest!r}"
            raise UsageError(message)
        with localized_errors() as session:
            try:
                return self._checked(session, deep=options.deep, is_json=options.json)
            except KeyboardInterrupt:
                raise Interrupted(code="interrupted-check") from None

    def _checked(self, session: Session, *, deep: bool, is_json: bool) -> CheckReport:
        if is_json:
            return session.check(deep=deep).in_json()

        report: CheckReport = lines.watch_check(lambda paint: session.check(paint, deep=deep), self.shell)
        self._painted.append(report)
        return report

    def forget_painted(self, *_: Any) -> None:
        """Let reports show themselves again: the cell that painted them is done."""
        for report in self._painted:
            report.painted = False
        self._painted.clear()

    def _start_sandbox(self, language: str) -> None:
        from ollama_magics import api  # noqa: PLC0415 - brings in the stand-in server

        lines.say("sandbox_runs", language, url=api.start_sandbox(), models=api.SANDBOX_MODELS)

    def _profiles(self, session: Session, options: Namespace) -> bool:
        """Do what the line says, in the order in which it makes sense, and whether it said anything."""
        from ollama_magics.notebook.magics import config_actions  # noqa: PLC0415 - brings in the session

        return config_actions.run(session, options)

    def _form(self, session: Session, options: Namespace, *, quiet: bool) -> Any:
        from ollama_magics.notebook.display.lines import SettingsTable  # noqa: PLC0415 - as above

        if options.show or (not quiet and getattr(self.shell, "kernel", None) is None):
            return SettingsTable(list(session.described()), session.language)
        if quiet:
            return None
        from ollama_magics.notebook.panel.form import Panel  # noqa: PLC0415 - brings in ipywidgets

        return Panel(session)
