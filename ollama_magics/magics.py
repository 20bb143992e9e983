"""The adapter between a cell and the rooms below: it reads the line, looks names up, calls and shows."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand

from ollama_magics import arguments, settings
from ollama_magics.errors import Interrupted, OllamaMagicsError

if TYPE_CHECKING:
    import numpy as np

    from ollama_magics.diagnosis import CheckReport
    from ollama_magics.embedding import EmbedReport
    from ollama_magics.prompt import Prompt
    from ollama_magics.reply import Reply
    from ollama_magics.session import Session


# settings that a cell may change for itself, read where the request is built
_FOR_A_CELL = ("temperature", "top_p", "top_k", "seed", "stop", "think", "keep_alive")


@magics_class
class OllamaMagics(Magics):
    """The magics of one shell; everything they do is a call of the session, which is made at first use."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.shell: Any = shell
        self.settings = settings.shared()
        self._painted: list[Reply] = []

    @no_var_expand
    @line_cell_magic
    @arguments.prompt_options
    def ollama(self, line: str, cell: str | None = None) -> Reply | None:
        """Ask the model: the cell (%%ollama) or the rest of the line (%ollama) is the prompt.

        The answer is shown as it is written. It is also an object: as a line magic it is returned, as a cell magic it is
        bound with -o; the last one, complete or not, is _ollama. {{name}} in the prompt stands for a value of the notebook.
        """
        options, rest = arguments.read(OllamaMagics.ollama, line, self.shell.user_ns)
        name = arguments.assigned_name(options.into)
        with self._spoken() as session:
            prompt = self._prompt(session, options, "\n".join(part for part in (rest, cell or "") if part.strip()))
            reply = session.ask(prompt, self.shell.user_ns)
            self._show(reply)
        if name:
            self.shell.user_ns[name] = reply
        return reply if cell is None else None

    @no_var_expand
    @line_cell_magic
    @arguments.embed_options
    def embed(self, line: str, cell: str | None = None) -> np.ndarray[Any, Any] | None:
        """Return the (n, d) float32 array of the texts that a Python expression gives: vectors = %embed df["text"].

        As a cell magic it takes every line that is not blank for a text. Finished batches are kept: run it again after an
        interrupt or an error, and only the rest is asked for. A dask collection gives a lazy dask array.
        """
        options, expression = arguments.read(OllamaMagics.embed, line, self.shell.user_ns)
        name, report = arguments.assigned_name(options.into), arguments.assigned_name(options.report)
        if options.store or options.forget:
            self._tell_of_store(forget=options.forget)
            return None
        rows = self._rows(options, expression, cell)
        with self._spoken() as session:
            vectors = self._vectors(session, rows, report, arguments.wishes(options))
        if name is None:
            return vectors
        self.shell.user_ns[name] = vectors
        return None

    @no_var_expand
    @line_magic
    @arguments.config_options
    def ollama_config(self, line: str) -> Any:
        """Show the form; with options, set what they name, for this notebook."""
        arguments.refuse_secrets(line)
        options, rest = arguments.read(OllamaMagics.ollama_config, line, self.shell.user_ns, ends=True)
        if rest:
            message = f"what is {rest!r}? Values follow an option, such as --model {rest}"
            raise UsageError(message)
        with self._spoken() as session:
            if options.sandbox:
                self._start_sandbox(session.language)
            done = self._profiles(session, options) or options.sandbox
            return self._form(session, options, quiet=bool(done))

    @no_var_expand
    @line_magic
    @arguments.check_options
    def ollama_check(self, line: str) -> CheckReport:
        """Find out what stands between this kernel and an answer; loads no model, unless it is --deep."""
        options, rest = arguments.read(OllamaMagics.ollama_check, line, self.shell.user_ns)
        if rest:
            message = f"%ollama_check takes no {rest!r}"
            raise UsageError(message)
        with self._spoken() as session:
            report = session.check(deep=options.deep)
        return report.in_json() if options.json else report

    # Between the cell and the rooms.

    @contextmanager
    def _spoken(self) -> Iterator[Session]:
        """Give the session; errors leave in the language of the person."""
        from ollama_magics.session import current  # noqa: PLC0415 - brings in the client, which loading must not

        session = current()
        try:
            yield session
        except (OllamaMagicsError, Interrupted) as error:
            error.language = session.language
            raise
        except KeyboardInterrupt:
            raise Interrupted from None

    def _prompt(self, session: Session, options: Namespace, text: str) -> Prompt:
        from ollama_magics.prompt import Prompt  # noqa: PLC0415 - as above

        return Prompt(
            text=text,
            model=_text(options.model, "model"),
            system=options.system,
            images=tuple(picture for word in options.image or () for picture in self._pictures(session, word)),
            context_length=_number(options.context, "context_length", settings.count),
            max_tokens=_number(options.max_tokens, "max_tokens", settings.most_tokens),
            **{name: getattr(options, name) for name in _FOR_A_CELL},
            local_only=bool(options.local_only),
            place=session.place(*_cell(self.shell)),
            new=options.new,
            once=options.once,
        )

    def _pictures(self, session: Session, word: Any) -> list[Any]:
        if not isinstance(word, str):  # -i $name was looked up already
            return session.pictures_of(word, "the picture")
        if word in self.shell.user_ns:
            return session.pictures_of(self.shell.user_ns[word], word)
        return session.pictures_at(word)

    def _show(self, reply: Reply) -> None:
        from ollama_magics import display  # noqa: PLC0415 - brings in the renderer

        self.shell.user_ns["_ollama"] = reply
        self._painted.append(reply)
        reply.painted = True
        with reply:
            display.show(reply, self.shell)

    def forget_painted(self, *_: Any) -> None:
        """Let replies show themselves again: the cell that painted them is done."""
        for reply in self._painted:
            reply.painted = False
        self._painted.clear()

    # Embeddings.

    def _rows(self, options: Namespace, expression: str, cell: str | None) -> Any:
        """Return what the expression gives, or the lines of the cell; nothing for --lines, a file that the session reads."""
        if (cell is not None or options.lines) and expression:
            message = f"what is {expression!r}? The texts are the lines of the {'file' if options.lines else 'cell'}"
            raise UsageError(message)
        if cell is not None:
            return [text for text in cell.split("\n") if text.strip()]
        if not expression and not options.lines:
            message = 'an expression is missing: %embed ["a text", "another"]'
            raise UsageError(message)
        return None if options.lines else arguments.evaluated(expression, self.shell)

    def _vectors(self, session: Session, rows: Any, report: str | None, wishes: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        from ollama_magics import distributed  # noqa: PLC0415 - brings in numpy, which loading must not

        if distributed.is_collection(rows):
            lazy: np.ndarray[Any, Any] = distributed.embed(rows, report=report, **wishes)
            return lazy
        told: list[EmbedReport] = []
        vectors = session.embed(rows, report=told.append, **wishes)
        self._tell_of_rows(told[0], session.language)
        if report:
            self.shell.user_ns[report] = told[0]
        return vectors

    def _tell_of_rows(self, report: EmbedReport, language: str) -> None:
        from ollama_magics import display  # noqa: PLC0415 - as above

        for key, facts in report.notes:
            display.say(key, language, **facts)
        if report.failed or report.truncated or report.reused:
            display.say_rows(report, language)

    def _tell_of_store(self, *, forget: bool) -> None:
        from ollama_magics import display  # noqa: PLC0415 - as above

        with self._spoken() as session:
            if forget:
                session.store.forget()
            size, rows = session.store.size(), session.store.count()
            display.say("store_size", session.language, rows=rows, size=f"{size / 1e6:.1f}")

    # The form.

    def _start_sandbox(self, language: str) -> None:
        from ollama_magics import api, display  # noqa: PLC0415 - brings in the stand-in server

        display.say("sandbox_runs", language, url=api.start_sandbox(), models=api.SANDBOX_MODELS)

    def _profiles(self, session: Session, options: Namespace) -> bool:
        """Do what the line says, in the order in which it makes sense, and whether it said anything."""
        from ollama_magics import commands  # noqa: PLC0415 - the rooms below come with the first cell

        return commands.run(session, options)

    def _form(self, session: Session, options: Namespace, *, quiet: bool) -> Any:
        from ollama_magics.display.table import SettingsTable  # noqa: PLC0415 - as above

        if options.show or (not quiet and getattr(self.shell, "kernel", None) is None):
            return SettingsTable(list(session.described()), session.language)
        if quiet:
            return None
        from ollama_magics.panel import Panel  # noqa: PLC0415 - brings in ipywidgets

        return Panel(session)


def _text(value: Any, setting: str) -> str:
    return settings.plain_text(value, setting) if value is not None else ""


def _number(value: Any, setting: str, read: Callable[[object, str], Any]) -> Any:
    return None if value is None else read(value, setting)


def _cell(shell: Any) -> tuple[str, str]:
    """Return the id of the cell that runs and of this run of it, both empty where the front end does not say.

    JupyterLab and Notebook 7 send ``cellId`` in the metadata of each execute request; the request's own id tells runs apart.
    """
    parent: dict[str, Any] = getattr(shell, "get_parent", dict)() or {}
    cell = (parent.get("metadata") or {}).get("cellId") or ""
    return str(cell), str((parent.get("header") or {}).get("msg_id", "")) if cell else ""


def register(shell: Any) -> None:
    """Add the magics, the settings for %config, and the reading of ``%ollama …?`` to the shell."""
    magics = OllamaMagics(shell)
    shell.register_magics(magics)
    shell.configurables.append(magics.settings)
    shell.events.register("post_run_cell", magics.forget_painted)
    shell.input_transformer_manager.token_transformers.append(arguments.Asked)


def unregister(shell: Any) -> None:
    """Take all of it away again and close the session."""
    magics = shell.magics_manager.registry.pop("OllamaMagics")
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
    for configurable in (magics, magics.settings):  # IPython's Magics adds itself
        shell.configurables.remove(configurable)
    shell.events.unregister("post_run_cell", magics.forget_painted)
    shell.input_transformer_manager.token_transformers.remove(arguments.Asked)
    if magics.settings.session is not None:
        magics.settings.session.close()
    settings.forget()
