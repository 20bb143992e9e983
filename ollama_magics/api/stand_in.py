"""Run the stand-in server and use it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ollama_magics.errors import suggest_names
from ollama_magics.fake_server.server import FakeServer
from ollama_magics.session.session import Session, current

SANDBOX_MODELS = "sandbox-chat, sandbox-vision, sandbox-embed, sandbox-think, sandbox-tools"


@suggest_names
@contextmanager
def sandbox(*, delay: float = 0.02) -> Iterator[str]:
    """Run a stand-in server, yield its address, and use it until the end of the ``with`` block.

    ``delay`` is the time between two tokens, in seconds.

    Example: ``with om.sandbox() as url: ...``
    """
    session = current()
    with FakeServer(delay=delay) as server:
        with session.resolved.restored_at_end():
            session.configure(_sandbox_settings(session, server))
            yield server.url
        session.forget_models()


def start_sandbox() -> str:
    """Start a stand-in server that runs as long as the session, use it, and return its address."""
    session = current()
    server = FakeServer().start()
    session.own(server.stop)
    session.configure(_sandbox_settings(session, server))
    return server.url


def _sandbox_settings(session: Session, server: FakeServer) -> dict[str, str]:
    session.resolved.sandboxes.add(server.url)
    # a type that nobody set follows the model that is picked in the panel
    kind = {} if session.settings.model_type == "chat" else {"model_type": "chat"}
    return {"base_url": server.url, "model": "sandbox-chat", "embedding_model": "sandbox-embed", **kind}
