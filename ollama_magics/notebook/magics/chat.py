"""Send a cell or a line as a prompt, show the reply and bind it: %%ollama, %ollama, %ollama_explain and %ollama_history."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.error import StdinNotImplementedError
from IPython.core.magic import Magics, line_cell_magic, line_magic, magics_class, no_var_expand

from ollama_magics import messages
from ollama_magics.errors import Interrupted, PictureProblem, PromptProblem, ToolProblem
from ollama_magics.notebook import arguments, display, localized_errors, usage_error
from ollama_magics.notebook.arguments import explain_options, history_options, prompt_options
from ollama_magics.notebook.display import lines
from ollama_magics.notebook.front_end import front_end
from ollama_magics.notebook.magics import explain, rows
from ollama_magics.notebook.scope import Scope
from ollama_magics.render.shown_once import ShownOnce
from ollama_magics.settings import form
from ollama_magics.settings.cell_options import typed_in_call
from ollama_magics.settings.values import any_text, plain_text

if TYPE_CHECKING:
    from ollama_magics.conversation.conversation import Conversation
    from ollama_magics.conversation.prompt import Prompt
    from ollama_magics.conversation.prompt_file import PromptFile
    from ollama_magics.conversation.rendered_prompt import RenderedPrompt
    from ollama_magics.conversation.replies import Replies
    from ollama_magics.conversation.reply import Reply
    from ollama_magics.conversation.tools import ToolCall
    from ollama_magics.session.session import Session


def confirm(call: ToolCall, language: str) -> bool | str:
    """Return whether the user lets a function run, or all its calls in this turn; raises ToolProblem if nobody can be asked."""
    from ollama_magics.conversation.tools import ALL_CALLS  # noqa: PLC0415 - it is imported by now

    try:  # a click on a button would be handled only after the cell
        answer = lines.typed_answer(messages.phrase("confirm_call", language, call=call, name=call.name))
    except (StdinNotImplementedError, EOFError):
        raise ToolProblem("tool-unconfirmed", call=call) from None
    return ALL_CALLS if answer == "all" else answer == "yes"


@magics_class
class ChatMagics(Magics):
    """A chat turn in a cell or in a line."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.shell: Any = shell
        self.shown = display.ShownValues(shell)
        self._next_cells = display.NextCells()
        self._last_error = explain.LastError()

    @no_var_expand
    @line_cell_magic
    @prompt_options
    def ollama(self, line: str, cell: str | None = None) -> Any:
        """Ask the model: the cell (%%ollama) or the rest of the line (%ollama) is the prompt.

        The answer is shown while it arrives. As a line magic the reply is returned, as a cell magic it is bound with -o; the last
        one, complete or not, is _ollama. {{name}} in the prompt is replaced by the value of the variable.
        """
        with localized_errors() as session:
            scope = Scope(self.shell)
            options, rest = arguments.read(ChatMagics.ollama, line, scope)
            arguments.refuse_both(options)
            arguments.refuse_detached(line, rest)
            if name := arguments.assigned_name(options.into):
                scope.require_notebook("-o", "%ollama")
            text = "\n".join(part for part in (rest, cell or "") if part.strip())
            if options.forget:
                count = session.answers.forget() + session.rows.forget()
                lines.say("answers_forgotten", session.language, count=count)
                if not text:
                    return None

            rows.refuse_without_rows(options)
            if options.each is not None:
                found = self._ask_rows(session, options, text, scope)
            elif options.show_prompt:
                found = self._render_prompt(session, options, text, scope)
                if cell is not None:
                    lines.show(found, raw=options.raw)
            else:
                found = self._ask(session, options, text, scope)
            if name:
                self.shell.user_ns[name] = found
            return found if cell is None else None

    @no_var_expand
    @line_magic
    @history_options
    def ollama_history(self, line: str) -> Any:
        """Show the turns of the conversation, or of the one that is named: %ollama_history NAME.

        --export returns what the model knows, as a list of messages: whole turns, after the system prompt.
        """
        options, name = arguments.read_named(ChatMagics.ollama_history, line, Scope(self.shell))
        arguments.refuse_several(options)
        if options.chats and name:
            raise usage_error("usage_too_much", magic="%ollama_history --chats", rest=name)
        with localized_errors() as session:
            if options.load is not None:
                return _load_turns(session, name, options.load)
            if options.chats:
                return lines.ChatsTable(session.conversations, session.language)
            conversation = session.conversation_named(name)
            if options.export:
                return conversation.exported()
            if options.save is not None or options.clear or options.undo:
                return _keep_or_drop(conversation, options, session.language)
            others = [other for other in session.conversations if session.conversations[other] is not conversation]
            return lines.HistoryTable(conversation, others, session.language)

    @no_var_expand
    @line_magic
    @explain_options
    def ollama_explain(self, line: str) -> None:
        """Ask the model what the last exception of this notebook means, and how to fix it.

        It is sent the message, your code around it, and types and short values of the names there; --show shows all of it, and
        sends nothing. Values that look like keys stay here. An error of ollama_magics says itself what to type.
        """
        with self._last_error.found() as error, localized_errors() as session:
            from ollama_magics.session import build_request  # noqa: PLC0415 - brings in the client

            options, rest = arguments.read(ChatMagics.ollama_explain, line, Scope(self.shell))
            if rest:
                raise usage_error("usage_too_much", magic="%ollama_explain", rest=rest)
            if error is None:
                raise usage_error("usage_no_error")
            needs_ask = explain.is_ours(error) and not options.ask
            if needs_ask and not options.show:
                explain.say_remedy(error, session.language)
                return
            prompt, notes = explain.prompt_about(error, self.shell, session, options)
            if options.show:
                explain.show_prompt(prompt, notes, session.language, needs_ask=needs_ask)
                return
            model = prompt.model or str(session.settings.model)
            reply = self._show(session, model, lambda: build_request.ask(session, prompt, notes))
            if options.next_cell:
                self._next_cells.offer(reply.text, self.shell, session.language)

    def _ask(self, session: Session, options: Namespace, text: str, scope: Scope) -> Reply | Replies:
        """Ask and show the answer; then do what else the cell wants of it."""
        model = str(options.model[0] if options.model else session.settings.model)
        ask = partial(self._reply, session, options, text, scope)
        reply = self._show(session, model, ask, raw=options.raw, quiet=options.quiet)
        if options.next_cell:
            self._next_cells.offer(reply.text, self.shell, session.language)
        return reply

    def _ask_rows(self, session: Session, options: Namespace, text: str, scope: Scope) -> Any:
        """Ask for each row, show the job, and keep the data with the answers as _ollama."""
        prompt = self._prompt(session, options, text, scope)
        self.shell.user_ns["_ollama"] = found = rows.ask_rows(self.shell, session, options, prompt, scope)
        if isinstance(found, ShownOnce):  # an experiment
            self.shown.add(found, quiet=options.quiet)
        return found

    def _render_prompt(self, session: Session, options: Namespace, text: str, scope: Scope) -> RenderedPrompt:
        prompt = self._prompt(session, options, text, scope)
        return session.ask(prompt, None if options.no_fill else scope).rendered_prompt()

    def _show(
        self, session: Session, model: str, ask: Callable[[], Reply | Replies], *, raw: bool = False, quiet: bool = False
    ) -> Reply | Replies:
        """Ask, show the answer while it comes, and keep it as _ollama; raises Interrupted with what there is of it."""
        from ollama_magics.conversation.replies import has_begun  # noqa: PLC0415 - brings in the renderer
        from ollama_magics.jobs.interrupt import ignoring_quick_repeats  # noqa: PLC0415 - only who asks needs it

        reply: Reply | Replies | None = None
        try:
            language, recorded = session.language, session.is_recorded
            screen = display.open_screen(self.shell, model, language, session.watch, raw=raw, quiet=quiet, recorded=recorded)
            with ignoring_quick_repeats(is_reset=front_end(self.shell).in_kernel), screen as shown:
                self.shell.user_ns["_ollama"] = reply = ask()
                self.shown.add(reply, quiet=quiet)
                with reply:
                    shown.show(reply)
        except KeyboardInterrupt:  # also a second one, which came before the first was reported
            if reply is None or not has_begun(reply):
                raise
            reply.close()
            raise Interrupted(reply) from None
        return reply

    def _reply(self, session: Session, options: Namespace, text: str, scope: Scope) -> Reply | Replies:
        prompt, values = self._prompt(session, options, text, scope), None if options.no_fill else scope
        if len(options.model or ()) > 1:
            with typed_in_call():
                models = [_text(model, "model") for model in options.model]
            return session.ask_several(prompt, models, values)
        return session.ask(prompt, values)

    @typed_in_call()
    def _prompt(self, session: Session, options: Namespace, text: str, scope: Scope) -> Prompt:
        from ollama_magics.conversation.pages import read_pages, refuse_without_document  # noqa: PLC0415 - as above
        from ollama_magics.conversation.prompt import Prompt  # noqa: PLC0415 - as above
        from ollama_magics.conversation.turns import Place  # noqa: PLC0415 - as above

        user = front_end(self.shell)
        text, system, files = _read_files(options, text)
        is_word = isinstance(options.format, str) and options.format == "json"
        kind = "json" if is_word else arguments.named("-f", options.format, scope)
        refuse_without_document(options.pages, options.images or ())
        return Prompt(
            text=text,
            model=_text(options.model[0], "model") if options.model else "",
            system=system,
            files=files,
            is_verbatim="system" in options.looked_up,
            images=tuple(picture for word in options.images or () for picture in _pictures(session, word, options, scope)),
            pages=read_pages(options.pages),
            overrides={name: getattr(options, name) for name in form.request_places()},
            extra=arguments.pairs(options.options, scope),
            local_only=options.local_only,
            format=options.format if kind is None else kind,  # the expression None is no format, which the error says
            tools=[arguments.named("-t", word, scope) for word in options.tools or ()],
            confirm=(lambda _: True) if options.yes else partial(confirm, language=session.language),
            place=Place(user.cell, user.run),
            new=options.new,
            once=options.once,
            chat=_text(options.chat, "chat"),
            go_on=options.go_on,
            strict=options.strict,
            generate=options.generate,
            suffix="" if options.suffix is None else _typed_text(options.suffix, "suffix"),
            logprobs=options.logprobs,
            reuse=options.reuse,
            rows=options.rows,
        )


def _keep_or_drop(conversation: Conversation, options: Namespace, language: str) -> None:
    """Save the turns of a conversation, delete them, or bring dropped ones back, and say so."""
    count = len(conversation.turns)
    if options.save is not None:
        lines.say("turns_saved", language, count=count, path=conversation.save(_path(options.save)))
    elif options.clear:
        conversation.clear()
        lines.say("turns_cleared", language, count=count)
    else:
        came, gone = conversation.undo()
        lines.say("turns_undone" if not gone else "turns_exchanged", language, count=came, gone=gone)


def _load_turns(session: Session, name: str, file: Any) -> None:
    """Put the turns of a file in the place of those of a conversation, which may be a new one."""
    from ollama_magics.conversation.conversation import Conversation  # noqa: PLC0415 - as above

    turns = Conversation.load(_path(file)).turns
    conversation = session.conversations.setdefault(name, Conversation())
    former = len(conversation.turns)
    conversation.replace(turns)
    lines.say("turns_loaded_over" if former else "turns_loaded", session.language, count=len(turns), former=former)


def _path(value: Any) -> str | Path:
    return value if isinstance(value, Path) else any_text(value, "file", "FILE", "%ollama_history")


def _read_files(options: Namespace, text: str) -> tuple[str, str | None, tuple[PromptFile, ...]]:
    """Return prompt and system prompt, each as it was typed or from its file, and these files."""
    from ollama_magics.conversation.prompt_file import PromptFile  # noqa: PLC0415 - as above

    files: list[PromptFile] = []
    if options.prompt_file is not None:
        if text.strip():
            raise usage_error("usage_prompt_twice")
        files.append(PromptFile.read(str(options.prompt_file)))
        text = files[0].text
    system = None if options.system is None else _typed_text(options.system, "system")
    if system and system.startswith("@") and "system" not in options.looked_up:
        files.append(PromptFile.read(system[1:]))
        system = files[-1].text
    return text, system, tuple(files)


def _pictures(session: Session, word: Any, options: Namespace, scope: Scope) -> list[Any]:
    from ollama_magics.conversation.template import item_of  # noqa: PLC0415 - as above

    if options.each is not None and rows.column_of(word):
        return []  # each row brings its own
    if not isinstance(word, str):  # -i $name was looked up already
        return session.pictures_of(word, "the picture", options.pages)
    if word in scope:
        return session.pictures_of(scope[word], word, options.pages)
    try:
        item = item_of(word, scope)
    except PromptProblem as error:  # which speaks of braces
        raise PictureProblem("picture-missing", path=word, reason=error.phrase("how_we_know")) from None
    if item:
        return session.pictures_of(item[0], word, options.pages)
    if word.lower().startswith(("http://", "https://")):
        return session.pictures_from(word, allowed=options.allow_url, local_only=options.local_only)
    return session.pictures_at(word, options.pages)


def _text(value: Any, setting: str) -> str:
    return plain_text(value, setting) if value is not None else ""


def _typed_text(value: object, option: str) -> str:
    return any_text(value, option, "$text …", "%ollama")
