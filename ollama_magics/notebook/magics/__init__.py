"""Register the magics in a shell, each loaded at its first use, and remove them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

from ollama_magics.notebook import input_transforms

# Each magic: the module of this package and the class that it is a method of, and whether it is a line or a cell magic or both.
MAGICS = {
    "embed": ("embed", "EmbedMagics", ("line", "cell")),
    "ollama": ("chat", "ChatMagics", ("line", "cell")),
    "ollama_check": ("config", "FormMagics", ("line",)),
    "ollama_config": ("config", "FormMagics", ("line",)),
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
    shell.configurables[:] = [found for found in shell.configurables if type(found) is not LoadedAtUse]
    if form.shared().session is not None:
        form.shared().session.close()
    form.forget()


def _magic(shell: Any, kind: str, name: str) -> Any:
    """Return a magic, which is registered with the others of its class in place of what stands for them."""
    module, class_name, _ = MAGICS[name]
    if class_name not in shell.magics_manager.registry:
        shell.register_magics(getattr(import_module(f"{__name__}.{module}"), class_name))
        magics = shell.magics_manager.registry[class_name]
        if hasattr(magics, "shown"):  # its results are shown once in the cell that shows them
            shell.events.register("post_run_cell", magics.shown.forget)
    return shell.magics_manager.registry[class_name].magics[kind][name]


def _settings() -> Any:
    from ollama_magics.settings import form  # noqa: PLC0415 - as above

    return form.shared()
