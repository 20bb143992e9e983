"""The public calls: chat, embed, check and the rest, for scripts and for functions in a notebook."""

from ollama_magics.api.embeddings import aembed, embed
from ollama_magics.api.prompts import achat, chat
from ollama_magics.api.rows import amap, experiment, map  # noqa: A004 - it is what the word says for a data frame
from ollama_magics.api.server import check, models, pull, rm, show, stop
from ollama_magics.api.settings import configure, use_profile
from ollama_magics.api.stand_in import SANDBOX_MODELS, sandbox, start_sandbox

__all__ = [
    "SANDBOX_MODELS",
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
    "start_sandbox",
    "stop",
    "use_profile",
]
