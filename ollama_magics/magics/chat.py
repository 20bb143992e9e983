"""%ollama and %%ollama: a typed cell becomes a prompt, whose reply is shown and bound."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from ollama_magics import arguments, settings
from ollama_magics.magics.asking import confirm
from ollama_magics.magics.spoken import spoken

if TYPE_CHECKING:
    from ollama_magics.prompt import Prompt
    from ollama_magics.reply import Reply
    from ollama_magics.session import Session


# settings that a cell may change for itself, read where the request is built
_FOR_A_CELL = ("temperature", "top_p", "top_k", "seed", "stop", "think", "keep_alive")


@magics_class
class ChatMagics(Magics):
    """A chat turn in a cell or in a line."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell)
        self.shell: Any = shell
        self._painted: list[Reply] = []

    @no_var_expand
    @line_cell_magic
    @arguments.prompt_options
    def ollama(self, line: str, cell: str | None = None) -> Reply | None:
        """Ask the model: the cell (%%ollama) or the rest of the line (%ollama) is the prompt.

        The answer is shown as it is written. It is also an object: as a line magic it is returned, as a cell magic it is
        bound with -o; the last one, complete or not, is _ollama. {{name}} in the prompt stands for a value of the notebook.
        """
        options, rest = arguments.read(ChatMagics.ollama, line, self.shell.user_ns)
        name = arguments.assigned_name(options.into)
        with spoken() as session:
            prompt = self._prompt(session, options, "\n".join(part for part in (rest, cell or "") if part.strip()))
            reply = session.ask(prompt, self.shell.user_ns)
            self._show(reply)
        if name:
            self.shell.user_ns[name] = reply
        return reply if cell is None else None

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
            **_wanted(options, self.shell),
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


def _wanted(options: Namespace, shell: Any) -> dict[str, Any]:
    """Return the type of the answer, the functions that may be called, and who is asked before one runs."""
    is_word = isinstance(options.format, str) and options.format == "json"
    kind = "json" if is_word else arguments.named("-f", options.format, shell)
    kind = options.format if kind is None else kind  # the expression None is no format, which the error says
    tools = [arguments.named("-t", word, shell) for word in options.tool or ()]
    return {"format": kind, "tools": tools, "confirm": (lambda _: True) if options.yes else confirm}


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
