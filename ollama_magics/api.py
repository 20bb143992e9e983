"""The magics as plain Python calls, for scripts and for functions in a notebook."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ollama_magics import messages
from ollama_magics.conversation.conversation import Conversation
from ollama_magics.conversation.prompt import Prompt
from ollama_magics.errors import PromptProblem
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.server import models as models_module
from ollama_magics.session.session import Session, current

if TYPE_CHECKING:
    import numpy as np

    from ollama_magics.conversation.reply import Reply
    from ollama_magics.diagnosis.report import CheckReport
    from ollama_magics.embeddings.report import EmbedReport


def configure(**values: Any) -> None:
    """Set settings by name, such as ``model``, ``base_url``, ``context_length``; the same that the panel shows.

    Raises SettingError or AddressError, and then sets none of them.
    """
    here = current()
    here.configure(values)
    for key, facts in here.in_force.take_notices():
        warnings.warn(messages.notice(key, facts, here.language), stacklevel=2)


def use_profile(name: str) -> None:
    """Use a saved profile; what was set here already stays. Raises SettingError."""
    current().in_force.use(name)


def chat(
    prompt: str,
    *,
    values: Mapping[str, Any] | None = None,
    images: Iterable[Any] = (),
    options: Mapping[str, Any] | None = None,
    conversation: str | Conversation | None = None,
    **wishes: Any,
) -> Reply:
    """Return the reply, which is asked for at the first iteration or at ``.text``.

    ``values`` fill ``{{name}}`` in the prompt; without them braces are text. ``images`` are pictures as ``%%ollama -i`` takes
    them. ``wishes``: model, system, context_length, max_tokens, temperature, top_p, top_k, seed, stop, think, keep_alive,
    local_only, strict, generate, suffix, logprobs (a number of alternatives), go_on, new, and reuse (the stored answer of the
    same request to the same model, if there is one); format ("json", a JSON schema or a type: see ``.value`` and ``.frame``);
    tools (functions that the model may call), and confirm, which gets each call and says whether it may run
    (``lambda call: True`` for all). ``options``: any option of Ollama by its own name, such as
    ``{"num_ctx": 8192, "min_p": 0.05}``. Nothing is remembered unless a ``conversation`` is given: a Conversation, or the name
    of one of this notebook ("" is that of cells that name none).
    """
    if not isinstance(prompt, str):
        raise PromptProblem("prompt-not-text", kind=type(prompt).__name__)
    pictures = tuple(picture for what in images for picture in current().pictures_of(what))
    wishes |= {"once": True} if conversation is None else {"chat": conversation}
    return current().ask(Prompt(prompt, images=pictures, extra=options or {}, **wishes), values)


def embed(
    texts: Any = None,
    *,
    model: str = "",
    store: bool = True,
    report: Callable[[EmbedReport], None] | None = None,
    lengths: bool = False,
    **wishes: Any,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the ``(n, d)`` float32 array of the texts, C-contiguous, one row for each text in order.

    Takes a list, tuple, Series, column, array, generator or one string; ``lines`` names a file with a text on each line.
    ``report`` is called with the EmbedReport. ``wishes`` are the options of %embed: batch (256), parallel (2), dimensions,
    query, document, on_error ("raise", "nan", "skip"), truncate, verify, any_model, context, keep_alive, options (a dict),
    base_url (several servers). ``store``: reuse vectors, and keep them. Raises EmbeddingProblem, whose ``rows`` name the texts.

    A dask Series, bag or array gives a lazy dask array: see distributed.embed, also for ``lengths`` and ``api_key_env``.
    """
    from ollama_magics.integrations import dask  # noqa: PLC0415 - brings in numpy, which chat does not need

    if dask.is_collection(texts):
        lazy: np.ndarray[Any, np.dtype[np.float32]] = dask.embed(
            texts, model, lengths=lengths, report=report, store=store, **wishes
        )
        return lazy  # dask's array behaves like NumPy's
    return current().embed(texts, model, report=report, store=store, **wishes)


def check(*, deep: bool = False) -> CheckReport:
    """Return the connectivity check; no model is loaded for it, unless it is ``deep``: then the model is asked, too."""
    return current().check(deep=deep)


def models() -> list[dict[str, Any]]:
    """Return what is installed on the server, newest first: ``name``, ``size`` in bytes, and whether it is ``loaded``."""
    client = current().client
    there = {model.name for model in client.loaded()}
    return [{"name": one.name, "size": one.size, "loaded": one.name in there} for one in client.installed()]


def pull(model: str) -> Iterator[models_module.PullProgress]:
    """Yield how far the server is with the download of a model; to leave the iteration ends it, and what has come stays."""
    yield from models_module.pull(current().client, model)
    current().forget_models()


@contextmanager
def sandbox(*, delay: float = 0.02) -> Iterator[str]:
    """Run a stand-in server, give its address, and use it until the end; ``delay`` in seconds between tokens."""
    here = current()
    with FakeServer(delay=delay) as server:
        with here.in_force.kept():
            here.configure(_sandbox_settings(here, server))
            yield server.url
        here.forget_models()


def start_sandbox() -> str:
    """Start a stand-in server that lives as long as the session, use it, and return its address."""
    here = current()
    server = FakeServer().start()
    here.own(server.stop)
    here.configure(_sandbox_settings(here, server))
    return server.url


SANDBOX_MODELS = "sandbox-chat, sandbox-vision, sandbox-embed, sandbox-think, sandbox-tools"


def _sandbox_settings(here: Session, server: FakeServer) -> dict[str, str]:
    # a type that nobody set follows the model that is picked in the panel
    kind = {} if here.settings.model_type == "chat" else {"model_type": "chat"}
    return {"base_url": server.url, "model": "sandbox-chat", "embedding_model": "sandbox-embed", **kind}
