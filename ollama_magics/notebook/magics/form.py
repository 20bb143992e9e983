"""%ollama_config and %ollama_check: the form, and the check of what it says."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from ollama_magics.errors import Interrupted, SettingError
from ollama_magics.messages import Phrase
from ollama_magics.notebook.arguments import reading
from ollama_magics.notebook.arguments.options import check_options, config_options
from ollama_magics.notebook.magics import history
from ollama_magics.notebook.magics.spoken import spoken
from ollama_magics.settings import form

if TYPE_CHECKING:
    from ollama_magics.diagnosis.report import CheckReport
    from ollama_magics.session.notebook import Session


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
            if error.code == "OM-S02" and history.blot(self.shell, line):
                error.advised(Phrase("line_blotted"))
            with spoken():
                raise

    def _configure(self, line: str) -> Any:
        reading.refuse_secrets(line)
        options, rest = reading.read(FormMagics.ollama_config, line, self.shell.user_ns, ends=True)
        if rest:
            message = f"what is {rest!r}? Values follow an option, such as --model {rest}"
            raise UsageError(message)
        with spoken() as session:
            if options.sandbox:
                self._start_sandbox(session.language)
            done = self._profiles(session, options) or options.sandbox
            return self._form(session, options, quiet=bool(done))

    @no_var_expand
    @line_magic
    @check_options
    def ollama_check(self, line: str) -> CheckReport:
        """Find out what stands between this kernel and an answer; loads no model, unless it is --deep."""
        options, rest = reading.read(FormMagics.ollama_check, line, self.shell.user_ns)
        if rest:
            message = f"%ollama_check takes no {rest!r}"
            raise UsageError(message)
        with spoken() as session:
            try:
                return self._checked(session, deep=options.deep, is_json=options.json)
            except KeyboardInterrupt:
                raise Interrupted(code="OM-I06") from None

    def _checked(self, session: Session, *, deep: bool, is_json: bool) -> CheckReport:
        if is_json:
            return session.check(deep=deep).in_json()
        from ollama_magics.notebook import display  # noqa: PLC0415 - brings in the renderer

        report: CheckReport = display.watch(lambda paint: session.check(paint, deep=deep), self.shell)
        self._painted.append(report)
        return report

    def forget_painted(self, *_: Any) -> None:
        """Let reports show themselves again: the cell that painted them is done."""
        for report in self._painted:
            report.painted = False
        self._painted.clear()

    def _start_sandbox(self, language: str) -> None:
        from ollama_magics import api  # noqa: PLC0415 - brings in the stand-in server
        from ollama_magics.notebook import display  # noqa: PLC0415 - brings in the stand-in server

        display.say("sandbox_runs", language, url=api.start_sandbox(), models=api.SANDBOX_MODELS)

    def _profiles(self, session: Session, options: Namespace) -> bool:
        """Do what the line says, in the order in which it makes sense, and whether it said anything."""
        from ollama_magics.notebook.magics import config_actions  # noqa: PLC0415 - the rooms below come with the first cell

        return config_actions.run(session, options)

    def _form(self, session: Session, options: Namespace, *, quiet: bool) -> Any:
        from ollama_magics.notebook.display.table import SettingsTable  # noqa: PLC0415 - as above

        if options.show or (not quiet and getattr(self.shell, "kernel", None) is None):
            return SettingsTable(list(session.described()), session.language)
        if quiet:
            return None
        from ollama_magics.notebook.panel.form import Panel  # noqa: PLC0415 - brings in ipywidgets

        return Panel(session)
