"""The magics about the models of the server: %ollama_models, %ollama_show, %ollama_pull, %ollama_stop and %ollama_rm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from IPython.core.error import StdinNotImplementedError
from IPython.core.magic import Magics, line_magic, magics_class, no_var_expand

from ollama_magics import messages
from ollama_magics.errors import Interrupted
from ollama_magics.jobs.interrupt import defer_interrupt
from ollama_magics.notebook import arguments, localized_errors, usage_error
from ollama_magics.notebook.arguments import model_options, remove_options
from ollama_magics.notebook.display import lines
from ollama_magics.notebook.scope import Scope

if TYPE_CHECKING:
    from argparse import Namespace

    from ollama_magics.render.model_tables import ModelSheet, ModelsTable
    from ollama_magics.session.session import Session


@magics_class
class ModelMagics(Magics):
    """What is on the server: list, describe, download, unload and delete models."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.shell: Any = shell

    @no_var_expand
    @line_magic
    @model_options
    def ollama_models(self, line: str) -> ModelsTable:
        """Return what is installed, by name: size, quantisation, context, capabilities, and what is in memory and how long."""
        _, rest = arguments.read(ModelMagics.ollama_models, line, Scope(self.shell))
        if rest:
            raise usage_error("usage_too_much", magic="%ollama_models", rest=rest)
        with localized_errors() as session:
            with defer_interrupt():
                from ollama_magics.render.model_tables import ModelsTable  # noqa: PLC0415 - brings in the renderer
                from ollama_magics.session.models import list_models  # noqa: PLC0415 - brings in the client

            return ModelsTable(list_models(session), session.language, times=not session.is_recorded)

    @no_var_expand
    @line_magic
    @model_options
    def ollama_show(self, line: str) -> ModelSheet:
        """Return what the server knows about a model, its template and parameters, and where the settings contradict them."""
        _, name = self._named("ollama_show", line)
        with localized_errors() as session:
            from ollama_magics.render.model_tables import ModelSheet  # noqa: PLC0415 - as above
            from ollama_magics.session.models import describe_model  # noqa: PLC0415 - as above

            return ModelSheet(describe_model(session, name), session.language)

    @no_var_expand
    @line_magic
    @model_options
    def ollama_pull(self, line: str) -> None:
        """Let the server download a model; after an interrupt the same line goes on where it was."""
        _, typed = self._named("ollama_pull", line)
        with localized_errors() as session:
            with defer_interrupt():
                from ollama_magics.notebook.display.pull import watch_pull  # noqa: PLC0415 - brings in the renderer
                from ollama_magics.server.pulling import pull, require_name  # noqa: PLC0415 - brings in the client

            name = require_name(typed)
            try:
                watch_pull(pull(session.client, name), name, self.shell, session.language, recorded=session.is_recorded)
            except KeyboardInterrupt:
                raise Interrupted(code="interrupted-pull") from None
            finally:
                session.forget_models()

    @no_var_expand
    @line_magic
    @model_options
    def ollama_stop(self, line: str) -> None:
        """Remove a model from the memory of the server; it stays on the disk."""
        _, name = self._named("ollama_stop", line)
        with localized_errors() as session:
            from ollama_magics.session.models import stop_model  # noqa: PLC0415 - as above

            lines.say("model_stopped" if stop_model(session, name) else "model_not_loaded", session.language, model=name)

    @no_var_expand
    @line_magic
    @remove_options
    def ollama_rm(self, line: str) -> None:
        """Delete a model from the disk of the server, after a question unless --yes is given."""
        options, name = self._named("ollama_rm", line)
        with localized_errors() as session:
            from ollama_magics.session.models import delete_model, find_model  # noqa: PLC0415 - as above

            found = find_model(session, name)
            if not options.yes and not _confirmed(session, found.name, found.size):
                lines.say("model_kept", session.language, model=found.name)
                return
            lines.say("model_deleted", session.language, model=delete_model(session, found.name))

    def _named(self, magic: str, line: str) -> tuple[Namespace, str]:
        """Return the options and the name of a model on a line, which may also hold a command; raises UsageError without one."""
        from ollama_magics.server.model_names import without_command  # noqa: PLC0415 - as above

        options, name = arguments.read_named(getattr(ModelMagics, magic), without_command(line), Scope(self.shell))
        if not name.strip():
            raise usage_error("usage_no_model", magic=f"%{magic}")
        return options, name


def _confirmed(session: Session, name: str, size: int) -> bool:
    """Return whether the user lets a model be deleted; raises UsageError where the front end cannot ask."""
    facts = {"model": messages.strip_controls(name), "size": messages.bytes_text(size), "host": session.address.host}
    try:
        return lines.is_confirmed(messages.phrase("delete_model", session.language, **facts))
    except (StdinNotImplementedError, EOFError):
        raise usage_error("usage_cannot_ask", model=name) from None
    except KeyboardInterrupt:
        raise Interrupted(code="interrupted-delete") from None
