"""The adapter between a cell and the rooms below: it reads the line, looks names up, calls and shows."""

from __future__ import annotations

from typing import Any

from ollama_magics import arguments, settings
from ollama_magics.magics.chat import ChatMagics
from ollama_magics.magics.embed import EmbedMagics
from ollama_magics.magics.form import FormMagics

_MAGICS = (ChatMagics, EmbedMagics, FormMagics)
_PAINTING = (ChatMagics, FormMagics)  # whose results show nothing in the cell that has painted them


def register(shell: Any) -> None:
    """Add the magics, the settings for %config, and the reading of ``%ollama …?`` to the shell."""
    shell.register_magics(*_MAGICS)
    shell.configurables.append(settings.shared())
    for kind in _PAINTING:
        shell.events.register("post_run_cell", _of(shell, kind).forget_painted)
    shell.input_transformer_manager.token_transformers.append(arguments.Asked)
    if getattr(shell, "kernel", None) is None:  # a notebook shows no "Out" where there is nothing in it
        shell.ast_transformers.append(arguments.Bare())
    shell.input_transformer_manager.cleanup_transforms.append(arguments.with_body)


def unregister(shell: Any) -> None:
    """Take all of it away again and close the session."""
    for painting in _PAINTING:
        shell.events.unregister("post_run_cell", _of(shell, painting).forget_painted)
    for kind in _MAGICS:
        magics = shell.magics_manager.registry.pop(kind.__name__)
        shell.configurables.remove(magics)  # IPython's Magics adds itself
        _forget(shell, magics)
    shell.input_transformer_manager.token_transformers.remove(arguments.Asked)
    shell.ast_transformers[:] = [found for found in shell.ast_transformers if not isinstance(found, arguments.Bare)]
    shell.input_transformer_manager.cleanup_transforms.remove(arguments.with_body)
    shell.configurables.remove(settings.shared())
    if settings.shared().session is not None:
        settings.shared().session.close()
    settings.forget()


def _of(shell: Any, kind: type) -> Any:
    return shell.magics_manager.registry[kind.__name__]


def _forget(shell: Any, magics: Any) -> None:
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
