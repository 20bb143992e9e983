"""Register the magics in a shell, and remove them."""

from __future__ import annotations

from typing import Any

from ollama_magics.notebook import input_transforms
from ollama_magics.notebook.magics.chat import ChatMagics
from ollama_magics.notebook.magics.config import FormMagics
from ollama_magics.notebook.magics.embed import EmbedMagics
from ollama_magics.notebook.magics.models import ModelMagics
from ollama_magics.settings import form

_MAGICS = (ChatMagics, EmbedMagics, FormMagics, ModelMagics)
_PAINTING = (ChatMagics, FormMagics)  # their results are shown once in the cell that shows them


def register(shell: Any) -> None:
    """Add the magics, the settings for %config, and the reading of ``%ollama …?`` to the shell."""
    shell.register_magics(*_MAGICS)
    shell.configurables.append(form.shared())
    for kind in _PAINTING:
        shell.events.register("post_run_cell", _of(shell, kind).shown.forget)
    shell.input_transformer_manager.token_transformers.append(input_transforms.QuestionMarkPrompt)
    shell.ast_transformers.append(input_transforms.LastStatement())
    if getattr(shell, "kernel", None) is None:  # a notebook shows no "Out" where there is nothing in it
        shell.ast_transformers.append(input_transforms.StatementMagic())
    shell.input_transformer_manager.cleanup_transforms.append(input_transforms.add_empty_body)


def unregister(shell: Any) -> None:
    """Remove all of it from the shell and close the session."""
    for painting in _PAINTING:
        shell.events.unregister("post_run_cell", _of(shell, painting).shown.forget)
    for kind in _MAGICS:
        magics = shell.magics_manager.registry.pop(kind.__name__)
        shell.configurables.remove(magics)  # IPython's Magics adds itself
        for line_or_cell, names in magics.magics.items():
            for name in names:
                shell.magics_manager.magics[line_or_cell].pop(name, None)
    shell.input_transformer_manager.token_transformers.remove(input_transforms.QuestionMarkPrompt)
    ours = (input_transforms.LastStatement, input_transforms.StatementMagic)
    shell.ast_transformers[:] = [found for found in shell.ast_transformers if not isinstance(found, ours)]
    shell.input_transformer_manager.cleanup_transforms.remove(input_transforms.add_empty_body)
    shell.configurables.remove(form.shared())
    if form.shared().session is not None:
        form.shared().session.close()
    form.forget()


def _of(shell: Any, kind: type) -> Any:
    return shell.magics_manager.registry[kind.__name__]
