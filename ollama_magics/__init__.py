"""An IPython extension for local models: %%ollama, %embed and %ollama_config."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ollama_magics.api import (
        achat,
        aembed,
        amap,
        chat,
        check,
        configure,
        embed,
        experiment,
        map,  # noqa: A004
        models,
        pull,
        rm,
        sandbox,
        show,
        stop,
        use_profile,
    )
    from ollama_magics.conversation.async_reply import AsyncReply
    from ollama_magics.conversation.conversation import Conversation
    from ollama_magics.conversation.rendered_prompt import RenderedPrompt
    from ollama_magics.conversation.replies import Replies
    from ollama_magics.conversation.reply import Reply
    from ollama_magics.conversation.tools import ToolCall
    from ollama_magics.diagnosis.report import CheckReport
    from ollama_magics.embeddings.output import EmbedReport
    from ollama_magics.errors import (
        AddressError,
        AnswerCut,
        ConnectionProblem,
        EmbeddingProblem,
        FormatProblem,
        Interrupted,
        ModelProblem,
        OllamaMagicsError,
        PictureProblem,
        PromptProblem,
        PromptTooLong,
        RecordingProblem,
        RequestRefused,
        RowsProblem,
        SettingError,
        ToolProblem,
    )
    from ollama_magics.integrations.sklearn import OllamaClassifier as OllamaClassifier
    from ollama_magics.integrations.sklearn import OllamaEmbedder as OllamaEmbedder
    from ollama_magics.rows.experiment import Experiment

__version__ = "0.1.0"
__all__ = [
    "AddressError",
    "AnswerCut",
    "AsyncReply",
    "CheckReport",
    "ConnectionProblem",
    "Conversation",
    "EmbedReport",
    "EmbeddingProblem",
    "Experiment",
    "FormatProblem",
    "Interrupted",
    "ModelProblem",
    "OllamaMagicsError",
    "PictureProblem",
    "PromptProblem",
    "PromptTooLong",
    "RecordingProblem",
    "RenderedPrompt",
    "Replies",
    "Reply",
    "RequestRefused",
    "RowsProblem",
    "SettingError",
    "ToolCall",
    "ToolProblem",
    "achat",
    "aembed",
    "amap",
    "chat",
    "check",
    "configure",
    "embed",
    "experiment",
    "map",
    "models",
    "pull",
    "rm",
    "sandbox",
    "show",
    "stop",
    "use_profile",
]
# Listed only where its package is installed: `from ollama_magics import *` must not ask for it.
_WITH = {"OllamaClassifier": "sklearn", "OllamaEmbedder": "sklearn"}
# Where the names stand that are neither errors nor calls.
_MODULES = {
    "AsyncReply": "conversation.async_reply",
    "CheckReport": "diagnosis.report",
    "Conversation": "conversation.conversation",
    "EmbedReport": "embeddings.output",
    "Experiment": "rows.experiment",
    "OllamaClassifier": "integrations.sklearn",
    "OllamaEmbedder": "integrations.sklearn",
    "RenderedPrompt": "conversation.rendered_prompt",
    "Replies": "conversation.replies",
    "Reply": "conversation.reply",
    "ToolCall": "conversation.tools",
}


def __getattr__(name: str) -> Any:
    # Public names are looked up at first use: importing the package brings in nothing.
    if name not in __all__ and name not in _WITH:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from ollama_magics.jobs.interrupt import defer_interrupt  # noqa: PLC0415 - as above

    module = _MODULES.get(name, "errors" if name[0].isupper() else "api")
    with defer_interrupt():  # half of numpy, which some bring in, cannot be imported again
        return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__", *(name for name, package in _WITH.items() if find_spec(package))]


def load_ipython_extension(shell: Any) -> None:
    """Register the magics (IPython's protocol for %load_ext); touches no network and no file."""
    from ollama_magics.notebook.magics import register  # noqa: PLC0415 - only a shell needs the magics

    register(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Take the magics away and end what they started (IPython's protocol for %unload_ext)."""
    from ollama_magics.notebook.magics import unregister  # noqa: PLC0415 - as above

    unregister(shell)
