"""The adapter between a cell and the rooms below: it reads the line, looks names up, calls and shows."""

from __future__ import annotations

from typing import Any

from ollama_magics import arguments, settings
from ollama_magics.magics.chat import ChatMagics
from ollama_magics.magics.embed import EmbedMagics
from ollama_magics.magics.form import FormMagics

_MAGICS = (ChatMagics, EmbedMagics, FormMagics)


def register(shell: Any) -> None:
    """Add the magics, the settings for %config, and the reading of ``%ollama …?`` to the shell."""
    shell.register_magics(*_MAGICS)
    shell.configurables.append(settings.shared())
    shell.events.register("post_run_cell", _chat(shell).forget_painted)
    shell.input_transformer_manager.token_transformers.append(arguments.Asked)
    shell.input_transformer_manager.cleanup_transforms.append(arguments.with_body)


def unregister(shell: Any) -> None:
    """Take all of it away again and close the session."""
    shell.events.unregister("post_run_cell", _chat(shell).forget_painted)
    for kind in _MAGICS:
        magics = shell.magics_manager.registry.pop(kind.__name__)
        shell.configurables.remove(magics)  # IPython's Magics adds itself
        _forget(shell, magics)
    shell.input_transformer_manager.token_transformers.remove(arguments.Asked)
    shell.input_transformer_manager.cleanup_transforms.remove(arguments.with_body)
    shell.configurables.remove(settings.shared())
    if settings.shared().session is not None:
        settings.shared().session.close()
    settings.forget()


def _chat(shell: Any) -> ChatMagics:
    found: ChatMagics = shell.magics_manager.registry[ChatMagics.__name__]
    return found


def _forget(shell: Any, magics: Any) -> None:
    for kind, names in magics.magics.items():
        for name in names:
            shell.magics_manager.magics[kind].pop(name, None)
