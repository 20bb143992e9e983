"""Register the magics in a shell, each loaded at its first use, and remove them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from IPython.core import completer

from ollama_magics.notebook import input_transforms

# Each magic: the module of this package and the class that it is a method of, and whether it is a line or a cell magic or both.
MAGICS = {
    "embed": ("embed", "EmbedMagics", ("line", "cell")),
    "ollama": ("chat", "ChatMagics", ("line", "cell")),
    "ollama_check": ("config", "FormMagics", ("line",)),
    "ollama_config": ("config", "FormMagics", ("line",)),
    "ollama_explain": ("chat", "ChatMagics", ("line",)),
    "ollama_history": ("chat", "ChatMagics", ("line",)),
    "ollama_models": ("models", "ModelMagics", ("line",)),
    "ollama_pull": ("models", "ModelMagics", ("line",)),
    "ollama_rm": ("models", "ModelMagics", ("line",)),
    "ollama_show": ("models", "ModelMagics", ("line",)),
    "ollama_stop": ("models", "ModelMagics", ("line",)),
}


class LoadedAtUse:
    """Stands for an object that is imported when it is called or any attribute of it is read, its docstring and class too.

    IPython lists and completes magics by their names alone, so that these load nothing.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load

    def __getattribute__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "_load")(), name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object."""
        __tracebackhide__ = True  # as in arguments.evaluated
        return object.__getattribute__(self, "_load")()(*args, **kwargs)


def register(shell: Any) -> None:
    """Add the magics, the settings for %config, and the reading of ``%ollama …?`` to the shell."""
    for name, (_, _, kinds) in MAGICS.items():
        for kind in kinds:
            shell.magics_manager.magics[kind][name] = LoadedAtUse(partial(_magic, shell, kind, name))
    shell.configurables.append(LoadedAtUse(_settings))
    shell.input_transformer_manager.token_transformers.append(input_transforms.QuestionMarkPrompt)
    shell.ast_transformers.append(input_transforms.LastStatement())
    if getattr(shell, "kernel", None) is None:  # a notebook shows no "Out" where there is nothing in it
        shell.ast_transformers.append(input_transforms.StatementMagic())
    shell.input_transformer_manager.cleanup_transforms.append(input_transforms.add_empty_body)
    Matcher(shell).register()


def unregister(shell: Any) -> None:
    """Remove all of it from the shell and close the session."""
    from ollama_magics.settings import form  # noqa: PLC0415 - brings in all settings, which loading must not

    for kind in {kind for _, kind, _ in MAGICS.values()} & shell.magics_manager.registry.keys():
        magics = shell.magics_manager.registry.pop(kind)
        shell.configurables.remove(magics)  # IPython's Magics adds itself
        if hasattr(magics, "shown"):
            shell.events.unregister("post_run_cell", magics.shown.forget)
    for name, (_, _, kinds) in MAGICS.items():
        for kind in kinds:
            shell.magics_manager.magics[kind].pop(name, None)
    shell.input_transformer_manager.token_transformers.remove(input_transforms.QuestionMarkPrompt)
    ours = (input_transforms.LastStatement, input_transforms.StatementMagic)
    shell.ast_transformers[:] = [found for found in shell.ast_transformers if not isinstance(found, ours)]
    shell.input_transformer_manager.cleanup_transforms.remove(input_transforms.add_empty_body)
    Matcher.unregister(shell)
    shell.configurables[:] = [found for found in shell.configurables if type(found) is not LoadedAtUse]
    if form.shared().session is not None:
        _say_what_is_dropped(form.shared().session)
        form.shared().session.close()
    form.forget()


def _say_what_is_dropped(session: Any) -> None:
    """Name the turns and settings that are gone with the session; --local-only is among them."""
    from ollama_magics import messages  # noqa: PLC0415 - as above
    from ollama_magics.notebook.display import lines  # noqa: PLC0415 - as above

    language = session.language
    typed = [messages.label(name, language) for name, _, source in session.described() if source == "notebook"]
    count = sum(len(conversation.turns) for conversation in session.conversations.values())
    if typed:
        lines.say("dropped_settings", language, names=", ".join(typed))
    if count:
        lines.say("dropped_turns", language, count=count)


def _magic(shell: Any, kind: str, name: str) -> Any:
    """Return a magic, which is registered with the others of its class in place of what stands for them."""
    module, class_name, _ = MAGICS[name]
    if class_name not in shell.magics_manager.registry:
        __tracebackhide__ = True  # as above
        try:
            from ollama_magics.jobs.interrupt import defer_interrupt  # noqa: PLC0415 - as above

            with defer_interrupt():  # half a module would stay, and what Python tells of it are its imports
                _load(shell, module, class_name)
        except KeyboardInterrupt:
            from ollama_magics.errors import Interrupted  # noqa: PLC0415 - as above

            raise Interrupted from None
    return shell.magics_manager.registry[class_name].magics[kind][name]


def _load(shell: Any, module: str, class_name: str) -> None:
    shell.register_magics(getattr(import_module(f"{__name__}.{module}"), class_name))
    magics = shell.magics_manager.registry[class_name]
    if hasattr(magics, "shown"):  # its results are shown once in the cell that shows them
        shell.events.register("post_run_cell", magics.shown.forget)


def _settings() -> Any:
    from ollama_magics.settings import form  # noqa: PLC0415 - as above

    return form.shared()


class Matcher:
    """Completes for IPython's completer what is typed for a magic of ours; loads what it needs at the first one."""

    # What IPython reads of a matcher; it comes before IPython's own, which take the words of a prompt for Python.
    matcher_identifier, matcher_api_version, matcher_priority = "ollama_magics", 2, 100
    _KNOWS_CELLS = hasattr(completer, "CompletionContext")  # since IPython 8.6
    _LINES = ".*%(?:ollama|embed)"  # before, a hook is called for lines that match

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._completion: Any = None
        self.__qualname__ = self.matcher_identifier

    def register(self) -> None:
        """Add it to the completer of the shell."""
        if self._KNOWS_CELLS:
            self._shell.Completer.custom_matchers.append(self)
        else:
            self._shell.Completer.custom_completers.add_re(self._LINES, self.complete_word)

    @classmethod
    def unregister(cls, shell: Any) -> None:
        """Remove it from the completer, and end what a Tab has started."""
        known = shell.Completer
        matchers = [found for found in known.custom_matchers if isinstance(found, cls)]
        matchers += [hook.__self__ for _, hook in known.custom_completers.regexs.pop(cls._LINES, ())]
        known.custom_matchers[:] = [found for found in known.custom_matchers if found not in matchers]
        for matcher in matchers:
            if matcher._completion is not None:  # noqa: SLF001 - one of this class
                matcher._completion.close()  # noqa: SLF001 - as above

    def __call__(self, context: Any) -> dict[str, Any]:
        """Return the completions at the place in a cell that IPython describes, in the form of its matchers."""
        if "%ollama" not in context.full_text and "%embed" not in context.full_text:
            return {"completions": []}
        found = self._loaded().in_cell(context.full_text, context.cursor_line, context.cursor_position)
        offered = [completer.SimpleCompletion(text=text, type=kind) for text, kind in found.offered]
        return {"completions": offered, "matched_fragment": found.fragment, "suppress": bool(offered), "ordered": True}

    def complete_word(self, event: Any) -> list[str]:
        """Return the same on a line for its last word, which is all that older versions know."""
        line = event.text_until_cursor
        found: list[str] = self._loaded().in_cell(line, 0, len(line)).in_place_of(event.symbol)
        return found

    def _loaded(self) -> Any:
        if self._completion is None:
            from ollama_magics.notebook.completion.lines import Completion  # noqa: PLC0415 - only a Tab needs it

            self._completion = Completion(self._shell)
        return self._completion
