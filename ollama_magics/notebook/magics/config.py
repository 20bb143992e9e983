"""%ollama_config and %ollama_check: the settings, the panel, the profiles and the check."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from ollama_magics.errors import Interrupted, SettingError
from ollama_magics.jobs.interrupt import defer_interrupt
from ollama_magics.messages import Joined, Phrase
from ollama_magics.notebook import arguments, localized_errors, usage_error
from ollama_magics.notebook.arguments import check_options, config_options
from ollama_magics.notebook.display import ShownValues, lines
from ollama_magics.notebook.front_end import front_end
from ollama_magics.notebook.line_secrets import redact_history
from ollama_magics.notebook.scope import Scope
from ollama_magics.settings import form

if TYPE_CHECKING:
    from ollama_magics.diagnosis.report import CheckReport
    from ollama_magics.session.session import Session


@magics_class
class FormMagics(Magics):
    """The settings of the notebook, and whether they lead to an answer."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.shell: Any = shell
        self.settings = form.shared()
        self.shown = ShownValues(shell)
        self._panel: Any = None  # the form that is in use

    @no_var_expand
    @line_magic
    @config_options
    def ollama_config(self, line: str) -> Any:
        """Show the form; with options, set what they name, for this notebook."""
        try:
            return self._configure(line)
        except SettingError as error:
            is_secret, is_unshown = error.code == "secret-on-line", isinstance(error.facts.get("value"), Phrase)
            if (is_secret or is_unshown) and redact_history(self.shell, line):  # a value that is not shown may be a secret
                removed = Phrase("removed_from_history")
                error.with_advice(removed if is_secret else Joined((error.phrase("how_we_know"), removed), " "))
            with localized_errors():
                raise

    def _configure(self, line: str) -> Any:
        options, rest = arguments.read(FormMagics.ollama_config, line, Scope(self.shell), ends=True)
        if rest:
            raise usage_error("usage_value", rest=rest)

        with localized_errors() as session:
            from ollama_magics.notebook.magics import config_actions  # noqa: PLC0415 - brings in the session

            if options.sandbox:
                from ollama_magics import api  # noqa: PLC0415 - brings in the stand-in server

                url, is_recorded = api.start_sandbox(), bool(options.record) or session.is_recorded
                where = session.address.host if is_recorded else url  # the port is another one in each run
                lines.say("sandbox_runs", session.language, url=where, models=api.SANDBOX_MODELS)
            reported = config_actions.run(session, options) or options.sandbox

            user = front_end(self.shell)
            if options.show or (not reported and (not user.in_kernel or user.is_console)):
                return lines.SettingsTable(list(session.described()), session.language)
            if reported:
                return None
            if not user.shows_widgets:
                return lines.FormPicture(list(session.described()), session.language, "form_unattended")
            self._show_form(session)
            return None

    def _show_form(self, session: Session) -> None:
        with defer_interrupt():  # half a form would stay in the kernel, with widgets that nobody can close
            from ollama_magics.notebook.panel.config_panel import Panel  # noqa: PLC0415 - brings in ipywidgets

            if self._panel is not None:
                self._panel.freeze()
            self._panel = Panel(session)
            self._panel.show()

    @no_var_expand
    @line_magic
    @check_options
    def ollama_check(self, line: str) -> CheckReport:
        """Check the way from this kernel to an answer; loads no model, unless it is --deep."""
        options, rest = arguments.read(FormMagics.ollama_check, line, Scope(self.shell))
        if rest:
            raise usage_error("usage_too_much", magic="%ollama_check", rest=rest)
        with localized_errors() as session:
            try:
                if options.json:
                    return session.check(deep=options.deep).shown_as_json()
                check = partial(session.check, deep=options.deep)
                report: CheckReport = lines.watch_check(check, self.shell, self.shown)
            except KeyboardInterrupt:
                raise Interrupted(code="interrupted-check") from None
            return report
